// What operators do: topics, partitions, settings, offsets, records, the cluster.
// Invariant: methods that take one thing throw its refusal; methods that take several return an outcome
// each, in the order of the request.
// Kafka: org.apache.kafka.clients.admin.Admin.

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
import {
  type AdminCallOptions,
  type AdminChangeOptions,
  type AdminOptions,
  type ClusterDescription,
  type ConfigChange,
  type ConfigEntry,
  type ConfigResource,
  type CreatedTopic,
  type NewTopic,
  OPERATIONS,
  RESOURCE_TYPES,
  SOURCES,
  type TopicDescription,
} from "./admin_shapes.ts";
import { ClientError, requireNone, unwrap } from "./client_error.ts";
import type {
  ElectedPartition,
  ElectionType,
  PartitionReassignment,
  ReplicaMove,
} from "./cluster_admin.ts";
import type { CoordinatorContext } from "./coordinator.ts";
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
import type { ClientPort, RequestSource } from "./port.ts";
import { outcomeOf } from "./row_outcome.ts";
import type {
  ActiveProducer,
  HangingSearch,
  OpenTransaction,
  TransactionDescription,
  TransactionFilter,
  TransactionListing,
} from "./transaction/transaction_admin.ts";
import { type CallBounds, type ClientRuntime, retrying, within } from "./waiting.ts";

export type {
  AdminCallOptions,
  AdminChangeOptions,
  AdminOptions,
  ClusterDescription,
  ConfigChange,
  ConfigEntry,
  ConfigResource,
  ConfigSource,
  CreatedTopic,
  NewTopic,
  TopicDescription,
} from "./admin_shapes.ts";

const LOWEST = { timeoutMs: 1 };
/** The protocol's bound on what a broker is told to take. */
const BROKER_TIMEOUT_MS_MAX = 0x7fffffff;

type GroupAdmin = typeof import("./group/group_admin.ts");
type TransactionAdmin = typeof import("./transaction/transaction_admin.ts");
type ClusterAdmin = typeof import("./cluster_admin.ts");
type CallOf<Part, T> = (part: Part, context: CoordinatorContext, bounds: CallBounds) => Promise<T>;

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

  /** Every transactional id of the cluster, or some of them, by name. @throws {ClientError} "invalid_request": no such state */
  listTransactions(
    filter: TransactionFilter = {},
    options: AdminCallOptions = {},
  ): Promise<readonly TransactionListing[]> {
    return this.#inTransactions(options, (own, context, bounds) =>
      own.listTransactions(context, filter, bounds),
    );
  }

  /** Transactional ids and what is open under them, one outcome each: "transactional_id_not_found", … */
  describeTransactions(
    transactionalIds: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<readonly Outcome<TransactionDescription>[]> {
    return this.#inTransactions(options, (own, context, bounds) =>
      own.describeTransactions(context, transactionalIds, bounds),
    );
  }

  /** The producers that partitions know, and their open transactions; one outcome a partition. */
  describeProducers(
    partitions: readonly TopicPartition[],
    options: AdminCallOptions = {},
  ): Promise<readonly Outcome<readonly ActiveProducer[]>[]> {
    return this.#inTransactions(options, (own, context, bounds) =>
      own.describeProducers(context, partitions, bounds),
    );
  }

  /** Transactions that no coordinator will ever end, though they hold back who reads what is committed; by place. */
  findHangingTransactions(
    search: HangingSearch = {},
    options: AdminCallOptions = {},
  ): Promise<readonly OpenTransaction[]> {
    return this.#inTransactions(options, (own, context, bounds) =>
      own.findHangingTransactions(context, search, bounds),
    );
  }

  /**
   * Ends one transaction in one partition, whatever its coordinator thinks: for those that hang. It is named by where it begins.
   *
   * @returns What was ended.
   * @throws {ClientError} "transactional_id_not_found": none begins there; "cluster_authorization_failed", …
   */
  abortTransaction(
    place: TopicPartition & { readonly startOffset: number },
    options: AdminCallOptions = {},
  ): Promise<OpenTransaction> {
    return this.#inTransactions(options, async (own, context, bounds) => {
      const found = await own.transactionAt(context, place, bounds);
      await own.abortTransaction(context, found, bounds);
      return found;
    });
  }

  /** Fences who has these transactional ids, and aborts what is open under them; one outcome an id. */
  fenceProducers(
    transactionalIds: readonly string[],
    options: AdminCallOptions = {},
  ): Promise<readonly Outcome<null>[]> {
    return this.#inTransactions(options, (own, context, bounds) =>
      own.fenceProducers(context, transactionalIds, bounds),
    );
  }

  /** Elects leaders of some partitions, a row each in their order; or of all that need it (null). */
  electLeaders(
    type: ElectionType,
    partitions: readonly TopicPartition[] | null,
    options: AdminCallOptions = {},
  ): Promise<readonly ElectedPartition[]> {
    return this.#inCluster(options, (own, context, bounds) =>
      own.electLeaders(context, type, partitions, bounds),
    );
  }

  /** Begins to move replicas, or cancels it; one outcome a partition. `listReassignments` tells when they are there. */
  moveReplicas(
    moves: readonly ReplicaMove[],
    options: AdminCallOptions & { readonly mayChangeFactor?: boolean } = {},
  ): Promise<readonly Outcome<null>[]> {
    return this.#inCluster(options, (own, context, bounds) =>
      own.moveReplicas(context, moves, options.mayChangeFactor ?? true, bounds),
    );
  }

  /** What is on its way to other brokers: of some partitions, or of all. */
  listReassignments(
    partitions: readonly TopicPartition[] | null = null,
    options: AdminCallOptions = {},
  ): Promise<readonly PartitionReassignment[]> {
    return this.#inCluster(options, (own, context, bounds) =>
      own.listReassignments(context, partitions, bounds),
    );
  }

  /** Forgets a broker that is gone for good. @throws {ClientError} "broker_id_not_registered"; "invalid_request": it is running */
  unregisterBroker(brokerId: number, options: AdminCallOptions = {}): Promise<void> {
    return this.#inCluster(options, (own, context, bounds) =>
      own.unregisterBroker(context, brokerId, bounds),
    );
  }

  #inGroups<T>(options: AdminCallOptions, call: CallOf<GroupAdmin, T>): Promise<T> {
    return this.#in(() => import("./group/group_admin.ts"), options, call);
  }

  #inTransactions<T>(options: AdminCallOptions, call: CallOf<TransactionAdmin, T>): Promise<T> {
    return this.#in(() => import("./transaction/transaction_admin.ts"), options, call);
  }

  #inCluster<T>(options: AdminCallOptions, call: CallOf<ClusterAdmin, T>): Promise<T> {
    return this.#in(() => import("./cluster_admin.ts"), options, call);
  }

  /** A part is loaded when it is first asked for. */
  async #in<Part, T>(
    load: () => Promise<Part>,
    options: AdminCallOptions,
    call: CallOf<Part, T>,
  ): Promise<T> {
    const part = await load();
    return this.#within(options, (bounds) => call(part, this.#context(), bounds));
  }

  #context(): CoordinatorContext {
    return {
      runtime: this.#runtime,
      port: this.#port,
      metadata: this.#metadata,
      backoff: this.#options,
      timeoutMs: this.#options.timeoutMs,
    };
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
