// A broker that does what a test says: answers by the model (scripted_log.ts), or, for one API, once or
// always, something else: another answer, later, never, or a broken connection.
// Invariant: as Kafka, it handles one request of a connection at a time; answers keep the order.
// Kafka: MockClient, KafkaApis.

import type { Connection, Listener, Network } from "../contracts/runtime.ts";
import { createApiRegistry } from "../protocol/api_registry.ts";
import type { RequestOf, ResponseInputOf } from "../protocol/infer.ts";
import { Produce } from "../protocol/messages/00_produce.ts";
import { Fetch } from "../protocol/messages/01_fetch.ts";
import { ListOffsets } from "../protocol/messages/02_list_offsets.ts";
import { Metadata } from "../protocol/messages/03_metadata.ts";
import { OffsetCommit } from "../protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../protocol/messages/10_find_coordinator.ts";
import { JoinGroup } from "../protocol/messages/11_join_group.ts";
import { Heartbeat } from "../protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../protocol/messages/14_sync_group.ts";
import { ApiVersions } from "../protocol/messages/18_api_versions.ts";
import { CreateTopics } from "../protocol/messages/19_create_topics.ts";
import { InitProducerId } from "../protocol/messages/22_init_producer_id.ts";
import { DescribeConfigs } from "../protocol/messages/32_describe_configs.ts";
import { ConsumerGroupHeartbeat } from "../protocol/messages/68_consumer_group_heartbeat.ts";
import {
  apiKeyOf,
  apiVersionOf,
  correlationIdOf,
  decodeRequest,
  encodeResponse,
} from "../protocol/mod.ts";
import type { Api } from "../protocol/schema.ts";
import { modelAnswer } from "./scripted_answers.ts";
import type { ScriptedCluster } from "./scripted_log.ts";

/** What a handler returns to leave a request unanswered. */
export const NO_ANSWER: unique symbol = Symbol("no answer");
/** What a handler returns to break every connection. */
export const RESET: unique symbol = Symbol("reset");

/** A request as it came. */
export interface ScriptedCall<A extends Api> {
  readonly request: RequestOf<A>;
  readonly version: number;
  /** What the model answers; an append happens when this is called. */
  model(): ResponseInputOf<A>;
}
type Reply<A extends Api> = ResponseInputOf<A> | typeof NO_ANSWER | typeof RESET;
/** Answers one request. */
export type ScriptedHandler<A extends Api> = (
  call: ScriptedCall<A>,
) => Reply<A> | Promise<Reply<A>>;
type AnyHandler = ScriptedHandler<Api>;

/** The lowest and highest version that is offered, inclusive. */
export type OfferedVersions = readonly [min: number, max: number];

const SERVED: readonly Api[] = [
  Produce,
  Fetch,
  ListOffsets,
  Metadata,
  ApiVersions,
  CreateTopics,
  InitProducerId,
  DescribeConfigs,
  // Of groups there is no model: what a test does not handle breaks the connection.
  OffsetCommit,
  OffsetFetch,
  FindCoordinator,
  JoinGroup,
  Heartbeat,
  LeaveGroup,
  SyncGroup,
  ConsumerGroupHeartbeat,
];

type FetchAnswer = ResponseInputOf<typeof Fetch>;
/** Nothing to tell: the fetch waits for something, as under a broker's long poll. */
function isEmpty(answer: FetchAnswer): boolean {
  return answer.responses.every(({ partitions }) => {
    return partitions.every(({ errorCode, records }) => errorCode === 0 && records?.length === 0);
  });
}

/** One broker of a scripted cluster. */
export class ScriptedBroker {
  readonly cluster: ScriptedCluster;
  readonly nodeId: number;
  readonly port: number;
  /** Every request but ApiVersions, in the order they came. */
  readonly requests: { readonly api: string; readonly version: number; readonly body: unknown }[] =
    [];
  /** Instead of everything that is served, by API key. */
  readonly offered = new Map<number, OfferedVersions>();
  readonly #registry = createApiRegistry(SERVED);
  readonly #next = new Map<number, AnyHandler[]>();
  readonly #always = new Map<number, AnyHandler>();
  readonly #connections = new Set<Connection>();
  readonly #reset: () => void;
  readonly #listener: Listener;

  private constructor(
    cluster: ScriptedCluster,
    nodeId: number,
    listener: Listener,
    reset: () => void,
  ) {
    this.cluster = cluster;
    this.nodeId = nodeId;
    this.port = listener.port;
    this.#listener = listener;
    this.#reset = reset;
  }

  /** Starts listening on a free port of `network`, as the cluster's next broker. */
  static async start(
    network: Network & { reset(port: number): void },
    cluster: ScriptedCluster,
  ): Promise<ScriptedBroker> {
    const nodeId = cluster.brokers.length + 1;
    let broker: ScriptedBroker | null = null;
    const listener = await network.listen({ host: "scripted", port: 0 }, (connection) => {
      void broker?.serve(connection);
    });
    broker = new ScriptedBroker(cluster, nodeId, listener, () => network.reset(listener.port));
    cluster.brokers.push({ nodeId, host: "scripted", port: listener.port });
    return broker;
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: "scripted", port: this.port };
  }

  /** The next request of the API is handled so; several calls line up. */
  once<A extends Api>(api: A, handler: ScriptedHandler<A>): void {
    const line = this.#next.get(api.apiKey) ?? [];
    this.#next.set(api.apiKey, line);
    line.push(handler as unknown as AnyHandler);
  }

  /** Every request of the API is handled so, after those of `once`; null for the model again. */
  always<A extends Api>(api: A, handler: ScriptedHandler<A> | null): void {
    if (handler === null) this.#always.delete(api.apiKey);
    else this.#always.set(api.apiKey, handler as unknown as AnyHandler);
  }

  /** The next request of the API waits until `release` is called; `held` resolves when it has come. */
  hold<A extends Api>(api: A): { readonly held: Promise<void>; release(): void } {
    let release = () => {};
    let arrived = () => {};
    const held = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.once(api, async (call) => {
      arrived();
      await released;
      return call.model();
    });
    return { held, release: () => release() };
  }

  /** How many requests of the API came. */
  count(api: Api): number {
    return this.requests.filter((request) => request.api === api.name).length;
  }

  /** Every connection breaks; new ones are welcome. */
  breakConnections(): void {
    this.#connections.clear();
    this.#reset();
  }

  /** Breaks every connection and refuses new ones. */
  async stop(): Promise<void> {
    await this.#listener.close();
    this.breakConnections();
  }

  private async serve(connection: Connection): Promise<void> {
    this.#connections.add(connection);
    let rest: Uint8Array<ArrayBufferLike> = new Uint8Array(0);
    try {
      for (;;) {
        const chunk = await connection.read();
        if (chunk === null) return;
        const bytes = new Uint8Array(rest.length + chunk.length);
        bytes.set(rest);
        bytes.set(chunk, rest.length);
        let at = 0;
        const view = new DataView(bytes.buffer);
        while (bytes.length - at >= 4 && bytes.length - at - 4 >= view.getInt32(at)) {
          const end = at + 4 + view.getInt32(at);
          await this.#handle(connection, bytes.subarray(at + 4, end));
          at = end;
        }
        rest = bytes.subarray(at);
      }
    } catch {
      // A reset, by the test or by the client: the connection is over either way.
      connection.close();
    }
  }

  async #handle(connection: Connection, frame: Uint8Array): Promise<void> {
    const api = this.#registry.get(apiKeyOf(frame));
    const version = apiVersionOf(frame);
    if (api === undefined) throw new Error(`The script has no API ${apiKeyOf(frame)}`);
    if (api === ApiVersions) {
      await this.#answerVersions(connection, frame, version);
      return;
    }
    const { header, body } = decodeRequest(api, frame);
    this.requests.push({ api: api.name, version, body });
    let modelled: ResponseInputOf<Api> | undefined;
    const call: ScriptedCall<Api> = {
      request: body,
      version,
      model: () => (modelled ??= modelAnswer(this.cluster, this.nodeId, api, body)),
    };
    const handler = this.#next.get(api.apiKey)?.shift() ?? this.#always.get(api.apiKey);
    let reply = handler === undefined ? call.model() : await handler(call);
    if (handler === undefined && api === Fetch && isEmpty(reply as FetchAnswer)) {
      await this.cluster.changed();
      reply = modelAnswer(this.cluster, this.nodeId, api, body);
    }
    if (reply === NO_ANSWER) return;
    if (reply === RESET) {
      this.breakConnections();
      return;
    }
    const isUnanswered = api === Produce && (body as unknown as { acks: number }).acks === 0;
    if (isUnanswered) return;
    await connection.write(encodeResponse(api, version, header.correlationId, reply));
    if (api === Produce) this.cluster.notify();
  }

  async #answerVersions(connection: Connection, frame: Uint8Array, version: number): Promise<void> {
    const apiKeys = SERVED.map((api) => {
      const [minVersion, maxVersion] = this.offered.get(api.apiKey) ?? [
        api.advertisedLowest,
        api.highestStable,
      ];
      return { apiKey: api.apiKey, minVersion, maxVersion };
    }).filter(({ maxVersion }) => maxVersion >= 0);
    const own = apiKeys.find(({ apiKey }) => apiKey === ApiVersions.apiKey)!;
    const isKnown = version <= own.maxVersion;
    const answer = {
      errorCode: isKnown ? 0 : 35,
      apiKeys: isKnown ? apiKeys : [own],
      ...(isKnown && version >= 1 ? { throttleTimeMs: 0 } : {}),
    };
    const parts = encodeResponse(
      ApiVersions,
      isKnown ? version : 0,
      correlationIdOf(frame),
      answer,
    );
    await connection.write(parts);
  }
}
