// What operators do: topics, partitions, settings, offsets, records, the cluster.
// Invariant: methods that take one thing throw its refusal; methods that take several return an outcome
// each, in the order of the request.
// Kafka: org.apache.kafka.clients.admin.Admin.

import { ok } from "../base/outcome.ts";
import { ZERO_UUID } from "../base/uuid.ts";
import type { Outcome } from "../protocol/errors.ts";
import type { ResponseOf } from "../protocol/infer.ts";
import { CreateTopics } from "../protocol/messages/19_create_topics.ts";
import { DeleteTopics } from "../protocol/messages/20_delete_topics.ts";
import { DescribeConfigs } from "../protocol/messages/32_describe_configs.ts";
import { CreatePartitions } from "../protocol/messages/37_create_partitions.ts";
import { IncrementalAlterConfigs } from "../protocol/messages/44_incremental_alter_configs.ts";
import { DescribeCluster } from "../protocol/messages/60_describe_cluster.ts";
import type { Api } from "../protocol/schema.ts";
import { ClientError, kafkaErrorOf, requireNone, unwrap } from "./client_error.ts";
import type { CoordinatorContext } from "./group/coordinator.ts";
import type {
  GroupDescription,
  GroupFilter,
  GroupListing,
  MemberToRemove,
} from "./group/group_admin.ts";
import type { CommittedOffset, OffsetToCommit } from "./group/group_options.ts";
import type { TopicPartition } from "./group/partition_key.ts";
import type { ClusterMetadata, TopicInfo, TopicLookup } from "./metadata.ts";
import { deleteRecords, type OffsetFound, type OffsetSpec, offsetsAt } from "./offsets.ts";
import { checkOptions } from "./option_checks.ts";
import type { BrokerAddress, ClientPort, RequestSource } from "./port.ts";
import {
  type BackoffOptions,
  type CallBounds,
  type ClientRuntime,
  retrying,
  within,
} from "./waiting.ts";

/** A topic to be made. */
export interface NewTopic {
  readonly name: string;
  /** The broker's default when left out. */
  readonly partitions?: number;
  /** The broker's default when left out. */
  readonly replicationFactor?: number;
  readonly configs?: Readonly<Record<string, string | null>>;
}

/** A topic that was made. */
export interface CreatedTopic {
  readonly name: string;
  readonly topicId: string | null;
  /** -1 from brokers that do not say. */
  readonly partitions: number;
  readonly replicationFactor: number;
}

/** Where a setting's value comes from. */
export type ConfigSource =
  | "topic"
  | "broker"
  | "cluster"
  | "static"
  | "default"
  | "logger"
  | "client_metrics"
  | "group"
  | "unknown";
const SOURCES: readonly ConfigSource[] = [
  "unknown",
  "topic",
  "broker",
  "cluster",
  "static",
  "default",
  "logger",
  "client_metrics",
  "group",
];

/** A setting as a broker tells of it. */
export interface ConfigEntry {
  readonly name: string;
  /** Null when it has none, or may not be shown. */
  readonly value: string | null;
  readonly source: ConfigSource;
  readonly isReadOnly: boolean;
  readonly isSensitive: boolean;
  readonly documentation: string | null;
}

/** What has settings. */
export type ConfigResource =
  | { readonly type: "topic"; readonly name: string }
  /** One broker by its id, or the default of all with the empty name. */
  | { readonly type: "broker"; readonly name: string };
const RESOURCE_TYPES = { topic: 2, broker: 4 } as const;

/** One change of a setting. */
export type ConfigChange =
  | {
      readonly name: string;
      readonly operation: "set" | "append" | "subtract";
      readonly value: string;
    }
  | { readonly name: string; readonly operation: "delete" };
const OPERATIONS = { set: 0, delete: 1, append: 2, subtract: 3 } as const;

/** A topic with its settings. */
export interface TopicDescription extends TopicInfo {
  readonly configs: readonly ConfigEntry[];
}

/** The cluster and its brokers. */
export interface ClusterDescription {
  readonly clusterId: string | null;
  readonly controllerId: number;
  readonly brokers: readonly (BrokerAddress & { readonly isFenced: boolean })[];
}

/** How patient admin calls are. */
export interface AdminOptions extends BackoffOptions {
  /** How long a call may take, retries included, in ms. */
  readonly timeoutMs: number;
}

/** What every call takes. */
export interface AdminCallOptions {
  /** Ends the call with "aborted", wherever it stands; what was asked for may be done all the same. */
  readonly signal?: AbortSignal | undefined;
  /** Until it ends with "request_timed_out", retries included, in ms. The client's `timeoutMs` when left out. */
  readonly timeoutMs?: number | undefined;
}

/** What calls take that may only be tried out. */
export interface AdminChangeOptions extends AdminCallOptions {
  /** The broker says what would come of it, and changes nothing. */
  readonly validateOnly?: boolean;
}

const LOWEST = { timeoutMs: 1 };
/** The protocol's bound on what a broker is told to take. */
const BROKER_TIMEOUT_MS_MAX = 0x7fffffff;

/** Operators' calls over one client. */
export class Admin {
  readonly #runtime: ClientRuntime;
  readonly #port: ClientPort;
  readonly #metadata: ClusterMetadata;
  readonly #options: AdminOptions;

  constructor(
    runtime: ClientRuntime,
    port: ClientPort,
    metadata: ClusterMetadata,
    options: AdminOptions,
  ) {
    this.#runtime = runtime;
    this.#port = port;
    this.#metadata = metadata;
    this.#options = options;
  }

  /** Makes topics. */
  async createTopics(
    topics: readonly NewTopic[],
    options: AdminChangeOptions = {},
  ): Promise<readonly Outcome<CreatedTopic>[]> {
    const response = await this.#viaController(
      options,
      CreateTopics,
      (timeoutMs) => ({
        topics: topics.map((topic) => ({
          name: topic.name,
          numPartitions: topic.partitions ?? -1,
          replicationFactor: topic.replicationFactor ?? -1,
          assignments: [],
          configs: Object.entries(topic.configs ?? {}).map(([name, value]) => ({ name, value })),
        })),
        timeoutMs,
        validateOnly: options.validateOnly ?? false,
      }),
      (body) => body.topics[0]?.errorCode,
    );
    return topics.map(({ name }) => {
      const found = response.topics.find((each) => each.name === name);
      this.#metadata.invalidate(name);
      return outcomeOf(found, (topic) => ({
        name,
        topicId: topic.topicId === ZERO_UUID ? null : topic.topicId,
        partitions: topic.numPartitions,
        replicationFactor: topic.replicationFactor,
      }));
    });
  }

  /** Makes one topic. @throws {ClientError} "topic_already_exists", "invalid_topic_exception", "invalid_config", … */
  async createTopic(topic: NewTopic, options: AdminChangeOptions = {}): Promise<CreatedTopic> {
    const [outcome] = await this.createTopics([topic], options);
    return unwrap(outcome!, `Cannot create topic "${topic.name}"`);
  }

  /** Removes topics with all their records. */
  async deleteTopics(
    names: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<readonly Outcome<null>[]> {
    const response = await this.#viaController(
      options,
      DeleteTopics,
      (timeoutMs) => (version: number) =>
        version >= 6
          ? { topics: names.map((name) => ({ name, topicId: ZERO_UUID })), timeoutMs }
          : { topicNames: names, timeoutMs },
      (body) => body.responses[0]?.errorCode,
    );
    return names.map((name) => {
      this.#metadata.invalidate(name);
      return outcomeOf(
        response.responses.find((each) => each.name === name),
        () => null,
      );
    });
  }

  /** Removes one topic with all its records. @throws {ClientError} "unknown_topic_or_partition", … */
  async deleteTopic(name: string, options: AdminCallOptions = {}): Promise<void> {
    const [outcome] = await this.deleteTopics([name], options);
    unwrap(outcome!, `Cannot delete topic "${name}"`);
  }

  /** Every topic of the cluster, by name. */
  async listTopics(options: AdminCallOptions = {}): Promise<readonly TopicInfo[]> {
    const topics = await this.#within(options, ({ signal, timeoutMs }) =>
      this.#metadata.allTopics(signal, timeoutMs),
    );
    return [...topics].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** One topic without its settings, asked for now. */
  topic(name: string, lookup: TopicLookup = {}): Promise<TopicInfo> {
    return this.#within(lookup, (bounds) => {
      this.#metadata.invalidate(name);
      return this.#metadata.topic(name, { ...lookup, ...bounds });
    });
  }

  /** One topic with its settings. @throws {ClientError} "unknown_topic_or_partition", … */
  describeTopic(name: string, options: AdminCallOptions = {}): Promise<TopicDescription> {
    return this.#within(options, async (bounds) => {
      const info = await this.topic(name, bounds);
      const configs = await this.describeConfigs({ type: "topic", name }, null, bounds);
      return { ...info, configs };
    });
  }

  /** Raises the number of partitions to `count`. @throws {ClientError} "invalid_partitions", … */
  async createPartitions(
    topic: string,
    count: number,
    options: AdminChangeOptions = {},
  ): Promise<void> {
    const response = await this.#viaController(
      options,
      CreatePartitions,
      (timeoutMs) => ({
        topics: [{ name: topic, count, assignments: null }],
        timeoutMs,
        validateOnly: options.validateOnly ?? false,
      }),
      (body) => body.results[0]?.errorCode,
    );
    this.#metadata.invalidate(topic);
    const outcome = outcomeOf(response.results[0], () => null);
    unwrap(outcome, `Cannot give topic "${topic}" ${count} partitions`);
  }

  /** The settings of a topic or broker; those named, or all of them. */
  async describeConfigs(
    resource: ConfigResource,
    names: readonly string[] | null = null,
    options: AdminCallOptions = {},
  ): Promise<readonly ConfigEntry[]> {
    const request = {
      resources: [
        {
          resourceType: RESOURCE_TYPES[resource.type],
          resourceName: resource.name,
          configurationKeys: names,
        },
      ],
      includeSynonyms: false,
    };
    const response = await this.#retrying(options, ({ signal }) =>
      this.#port.send(DescribeConfigs, request, { ...toResource(resource), signal }),
    );
    const outcome = outcomeOf(response.results[0], (result) =>
      result.configs.map((each) => ({
        name: each.name,
        value: each.value,
        source: SOURCES[each.configSource] ?? "unknown",
        isReadOnly: each.readOnly,
        isSensitive: each.isSensitive,
        documentation: each.documentation === "" ? null : each.documentation,
      })),
    );
    return unwrap(outcome, `Cannot read the settings of ${resource.type} "${resource.name}"`);
  }

  /** Changes settings of a topic or broker: all of them, or none. @throws {ClientError} "invalid_config", … */
  async alterConfigs(
    resource: ConfigResource,
    changes: readonly ConfigChange[],
    options: AdminChangeOptions = {},
  ): Promise<void> {
    const request = {
      resources: [
        {
          resourceType: RESOURCE_TYPES[resource.type],
          resourceName: resource.name,
          configs: changes.map((change) => ({
            name: change.name,
            configOperation: OPERATIONS[change.operation],
            value: change.operation === "delete" ? null : change.value,
          })),
        },
      ],
      validateOnly: options.validateOnly ?? false,
    };
    const response = await this.#retrying(options, ({ signal }) =>
      this.#port.send(IncrementalAlterConfigs, request, { ...toResource(resource), signal }),
    );
    const outcome = outcomeOf(response.responses[0], () => null);
    unwrap(outcome, `Cannot change the settings of ${resource.type} "${resource.name}"`);
  }

  /** The cluster and its brokers. */
  async describeCluster(options: AdminCallOptions = {}): Promise<ClusterDescription> {
    const response = await this.#retrying(options, async ({ signal }) => {
      try {
        const request = { includeClusterAuthorizedOperations: false };
        return await this.#port.send(DescribeCluster, request, { signal });
      } catch (error) {
        // Brokers before 2.8 tell the same in their metadata.
        if (error instanceof ClientError && error.code === "unsupported_version") return null;
        throw error;
      }
    });
    if (response === null) {
      const cluster = await this.#within(options, ({ signal }) => this.#metadata.connect(signal));
      return { ...cluster, brokers: cluster.brokers.map((each) => ({ ...each, isFenced: false })) };
    }
    requireNone(response.errorCode, "Cannot describe the cluster", response.errorMessage);
    return {
      clusterId: response.clusterId,
      controllerId: response.controllerId,
      brokers: response.brokers.map(({ brokerId, host, port, rack, isFenced }) => {
        return { nodeId: brokerId, host, port, rack, isFenced };
      }),
    };
  }

  /** Offsets by place or time, one outcome a query. */
  offsets(
    queries: readonly { topic: string; partition: number; at: OffsetSpec }[],
    options: AdminCallOptions & {
      readonly isolation?: "read_uncommitted" | "read_committed";
    } = {},
  ): Promise<readonly Outcome<OffsetFound>[]> {
    const isolation = options.isolation ?? "read_uncommitted";
    return this.#within(options, (bounds) => {
      const own = { ...this.#options, ...bounds };
      return offsetsAt(this.#runtime, this.#port, this.#metadata, own, queries, isolation);
    });
  }

  /**
   * Removes the records before an offset (-1: before the high watermark), one outcome a partition:
   * the log start offset afterwards.
   */
  deleteRecords(
    targets: readonly { topic: string; partition: number; beforeOffset: number }[],
    options: AdminCallOptions = {},
  ): Promise<readonly Outcome<number>[]> {
    return this.#within(options, (bounds) => {
      const own = { ...this.#options, ...bounds };
      return deleteRecords(this.#runtime, this.#port, this.#metadata, own, targets);
    });
  }

  /** Every group of the cluster, or those in some states or of some types, by name. */
  listGroups(
    filter: GroupFilter = {},
    options: AdminCallOptions = {},
  ): Promise<readonly GroupListing[]> {
    return this.#inGroups(options, (groups, context, bounds) =>
      groups.listGroups(context, filter, bounds),
    );
  }

  /** Groups of both protocols with their members, one outcome each. */
  describeGroups(
    groups: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<readonly Outcome<GroupDescription>[]> {
    return this.#inGroups(options, (own, context, bounds) =>
      own.describeGroups(context, groups, bounds),
    );
  }

  /** One group with its members. @throws {ClientError} "group_id_not_found", … */
  async describeGroup(group: string, options: AdminCallOptions = {}): Promise<GroupDescription> {
    const [outcome] = await this.describeGroups([group], options);
    if (outcome!.ok) return outcome!.value;
    // It says already what could not be done.
    const { code, message, retriable } = outcome!.error;
    throw new ClientError(code, message, { retriable });
  }

  /** Removes groups without members, with their offsets, one outcome each. */
  deleteGroups(
    groups: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<readonly Outcome<null>[]> {
    return this.#inGroups(options, (own, context, bounds) =>
      own.deleteGroups(context, groups, bounds),
    );
  }

  /** What a group has committed: of the partitions given, in order, or of all. */
  listGroupOffsets(
    group: string,
    partitions: readonly TopicPartition[] | null = null,
    options: AdminCallOptions = {},
  ): Promise<readonly CommittedOffset[]> {
    return this.#inGroups(options, (own, context, bounds) =>
      own.groupOffsets(context, group, partitions, bounds),
    );
  }

  /** Commits for a group, which must have no members ("unknown_member_id"); one outcome an offset. */
  alterGroupOffsets(
    group: string,
    offsets: readonly OffsetToCommit[],
    options: AdminCallOptions = {},
  ): Promise<readonly Outcome<null>[]> {
    return this.#inGroups(options, async (own, context, bounds) => {
      // Under their ids, where they have some: not for another topic of the name.
      const topics = [...new Set(offsets.map(({ topic }) => topic))];
      await Promise.allSettled(topics.map((topic) => this.#metadata.topic(topic, bounds)));
      return own.alterGroupOffsets(context, group, offsets, bounds);
    });
  }

  /** Forgets offsets of topics that no member reads ("group_subscribed_to_topic"); one outcome a partition. */
  deleteGroupOffsets(
    group: string,
    partitions: readonly TopicPartition[],
    options: AdminCallOptions = {},
  ): Promise<readonly Outcome<null>[]> {
    return this.#inGroups(options, (own, context, bounds) =>
      own.deleteGroupOffsets(context, group, partitions, bounds),
    );
  }

  /** Puts members out of a group, by id or instance id; one outcome a member. */
  removeMembers(
    group: string,
    members: readonly MemberToRemove[],
    options: AdminCallOptions = {},
  ): Promise<readonly Outcome<null>[]> {
    return this.#inGroups(options, (own, context, bounds) =>
      own.removeMembers(context, group, members, bounds),
    );
  }

  /** Groups' part is loaded when it is first asked for. */
  async #inGroups<T>(
    options: AdminCallOptions,
    call: (
      groups: typeof import("./group/group_admin.ts"),
      context: CoordinatorContext,
      bounds: CallBounds,
    ) => Promise<T>,
  ): Promise<T> {
    const groups = await import("./group/group_admin.ts");
    const context: CoordinatorContext = {
      runtime: this.#runtime,
      port: this.#port,
      metadata: this.#metadata,
      backoff: this.#options,
      timeoutMs: this.#options.timeoutMs,
    };
    return this.#within(options, (bounds) => call(groups, context, bounds));
  }

  /** Sends to the controller, finding it again while brokers deny being it. */
  #viaController<A extends Api>(
    options: AdminCallOptions,
    api: A,
    request: (brokerTimeoutMs: number) => RequestSource<A>,
    errorCodeOf: (response: ResponseOf<A>) => number | undefined,
  ): Promise<ResponseOf<A>> {
    return this.#retrying(options, async ({ signal, timeoutMs }) => {
      const { controllerId } = await this.#metadata.cluster(signal, timeoutMs);
      const to = controllerId < 0 ? {} : { to: controllerId };
      const body = request(Math.min(timeoutMs, BROKER_TIMEOUT_MS_MAX));
      try {
        const response = await this.#port.send(api, body, { ...to, signal });
        if (errorCodeOf(response) !== 41) return response;
      } catch (error) {
        this.#metadata.invalidateCluster();
        throw error;
      }
      this.#metadata.invalidateCluster();
      throw new ClientError("not_controller", `Broker ${controllerId} is not the controller`);
    });
  }

  #retrying<T>(options: AdminCallOptions, attempt: (bounds: CallBounds) => Promise<T>): Promise<T> {
    return this.#within(options, (bounds) =>
      retrying(this.#runtime, { ...this.#options, ...bounds }, () => attempt(bounds)),
    );
  }

  async #within<T>(
    { signal, timeoutMs = this.#options.timeoutMs }: AdminCallOptions,
    run: (bounds: CallBounds) => Promise<T>,
  ): Promise<T> {
    checkOptions({ timeoutMs }, LOWEST);
    return within(this.#runtime, { signal, timeoutMs }, run);
  }
}

/** Settings of one broker are that broker's to tell. */
function toResource(resource: ConfigResource): { readonly to?: number } {
  return resource.type === "broker" && resource.name !== "" ? { to: Number(resource.name) } : {};
}

function outcomeOf<
  R extends { readonly errorCode: number; readonly errorMessage?: string | null },
  T,
>(result: R | undefined, value: (result: R) => T): Outcome<T> {
  if (result === undefined) {
    return { ok: false, error: kafkaErrorOf(-1, "The broker's answer leaves it out")! };
  }
  const error = kafkaErrorOf(result.errorCode, result.errorMessage);
  return error === null ? ok(value(result)) : { ok: false, error };
}
