// A broker that answers as a test says, and a client that speaks to the transport over a TestPeer: the
// whole plugin runs, from bytes to bytes, without sockets and without a core.

import {
  type TransportKafkaOptions,
  transportKafka,
} from "../../../plugins/transport-kafka/mod.ts";
import type { Authenticator } from "../../../src/contracts/auth.ts";
import type {
  AppendRequest,
  AppendResult,
  Broker,
  Caller,
  CurrentLeader,
  EpochEnd,
  EpochQuery,
  Feature,
  FetchRequest,
  FetchResponse,
  FetchResult,
  OffsetQuery,
  OffsetResult,
  Outcome,
} from "../../../src/contracts/broker.ts";
import type { RunningTransport } from "../../../src/contracts/transport.ts";
import { type KafkaErrorName, kafkaError } from "../../../src/protocol/errors.ts";
import type { RequestInputOf, ResponseOf } from "../../../src/protocol/infer.ts";
import { decodeResponse, encodeRequest } from "../../../src/protocol/mod.ts";
import type { Api, Fields } from "../../../src/protocol/schema.ts";
import { framed, HandRuntime, join, settle, TestBudget, TestPeer } from "./fakes.ts";

export function refused(code: KafkaErrorName, message?: string): Outcome<never> {
  return { ok: false, error: kafkaError(code, message) };
}

export function ok<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

/** A fetch result without records. */
export function emptyFetch(highWatermark: number, logStartOffset = 0): FetchResult {
  return {
    highWatermark,
    lastStableOffset: highWatermark,
    logStartOffset,
    abortedTransactions: [],
    batches: [],
    sizeBytes: 0,
  };
}

/** Calls are noted by name; what they answer is replaced by the test. */
export class ScriptedBroker {
  readonly calls: { name: string; caller: Caller; request: unknown; version?: number }[] = [];
  /** Topic names by id. */
  readonly topicIds = new Map<string, string>();
  features: Feature[] = [];
  featuresEpoch = 0;
  releasedFetches = 0;

  append: (request: AppendRequest) => Promise<Outcome<AppendResult>[]> = async (request) =>
    request.partitions.map(() => ok({ baseOffset: 0, logAppendTimeMs: -1, logStartOffset: 0 }));
  fetch: (request: FetchRequest, caller: Caller) => Promise<Outcome<FetchResult>[]> = async (
    request,
  ) => request.partitions.map(() => ok(emptyFetch(0)));
  offsetFor: (query: OffsetQuery) => Outcome<OffsetResult> = () =>
    ok({ offset: 7, timestampMs: 1700, leaderEpoch: 2 });
  endOffsetForEpoch: (query: EpochQuery) => Outcome<EpochEnd> = () =>
    ok({ leaderEpoch: 0, endOffset: 5 });
  currentLeader: (listener: string, topic: string, partition: number) => CurrentLeader | null =
    () => null;
  /** Answer of a protocol-shaped API, by method name. */
  readonly answers = new Map<string, (request: unknown, version: number) => unknown>();

  /** Settings of the broker, by name; may change at any time. */
  readonly settings = new Map<string, string>();

  readonly broker: Broker;

  constructor() {
    const shaped = (names: readonly string[]) =>
      Object.fromEntries(
        names.map((name) => [
          name,
          async (caller: Caller, request: unknown, version: number) => {
            this.calls.push({ name, caller, request, version });
            const answer = this.answers.get(name);
            if (answer === undefined) throw new Error(`no answer scripted for ${name}`);
            return await answer(request, version);
          },
        ]),
      );
    this.broker = {
      brokerId: 1,
      clusterId: "test-cluster",
      setting: (name: string) => this.settings.get(name) ?? null,
      get features() {
        return self.features;
      },
      get featuresEpoch() {
        return self.featuresEpoch;
      },
      log: {
        append: (caller: Caller, request: AppendRequest) => {
          this.calls.push({ name: "append", caller, request });
          return this.append(request);
        },
        fetch: async (caller: Caller, request: FetchRequest): Promise<FetchResponse> => {
          this.calls.push({ name: "fetch", caller, request });
          const partitions = await this.fetch(request, caller);
          return { partitions, release: () => void this.releasedFetches++ };
        },
        partitionFor: () => ok(0),
        offsetFor: async (caller: Caller, queries: readonly OffsetQuery[]) => {
          this.calls.push({ name: "offsetFor", caller, request: queries });
          return queries.map((query) => this.offsetFor(query));
        },
        endOffsetForEpoch: (caller: Caller, queries: readonly EpochQuery[]) => {
          this.calls.push({ name: "endOffsetForEpoch", caller, request: queries });
          return queries.map((query) => this.endOffsetForEpoch(query));
        },
        currentLeader: (caller: Caller, topic: string, partition: number) =>
          this.currentLeader(caller.listener, topic, partition),
        topicNameOf: (id: string) => this.topicIds.get(id) ?? null,
        topicIdOf: () => null,
      },
      topics: shaped([
        "metadata",
        "createTopics",
        "deleteTopics",
        "createPartitions",
        "deleteRecords",
        "describeTopicPartitions",
      ]),
      admin: shaped([
        "describeConfigs",
        "alterConfigs",
        "incrementalAlterConfigs",
        "describeCluster",
        "describeLogDirs",
        "describeProducers",
        "initProducerId",
        "updateFeatures",
      ]),
      transactions: shaped([
        "findCoordinator",
        "initProducerId",
        "addPartitionsToTxn",
        "addOffsetsToTxn",
        "endTxn",
        "writeTxnMarkers",
        "describeTransactions",
        "listTransactions",
      ]),
      groups: shaped([
        "offsetCommit",
        "offsetFetch",
        "txnOffsetCommit",
        "findCoordinator",
        "joinGroup",
        "heartbeat",
        "leaveGroup",
        "syncGroup",
        "describeGroups",
        "listGroups",
        "deleteGroups",
        "offsetDelete",
        "consumerGroupHeartbeat",
        "consumerGroupDescribe",
      ]),
    } as unknown as Broker;
    const self = this;
  }

  /** Requests of the calls by that name. */
  of<T>(name: string): T[] {
    return this.calls.filter((call) => call.name === name).map((call) => call.request as T);
  }
}

/** A started transport on a hand-turned runtime. */
export class Harness {
  readonly hand = new HandRuntime();
  readonly budget: TestBudget;
  readonly scripted = new ScriptedBroker();
  readonly #options: TransportKafkaOptions;
  running!: RunningTransport;

  private constructor(options: Partial<TransportKafkaOptions>, budgetBytes: number) {
    this.budget = new TestBudget(budgetBytes);
    this.#options = {
      listeners: [{ name: "kafka", host: "127.0.0.1", port: 9092 }],
      ...options,
    };
  }

  static async start(
    options: Partial<TransportKafkaOptions> = {},
    budgetBytes = 1 << 28,
    authenticator: Authenticator | null = null,
  ): Promise<Harness> {
    const harness = new Harness(options, budgetBytes);
    harness.running = await transportKafka(harness.#options).start({
      runtime: harness.hand.runtime,
      brokerId: 1,
      broker: harness.scripted.broker,
      authenticator,
      requestMemory: harness.budget,
    });
    return harness;
  }

  connect(port = 9092): Client {
    const peer = new TestPeer();
    const accept = this.hand.listening.get(port);
    if (accept === undefined) throw new Error(`nobody listens on ${port}`);
    accept(peer.connection);
    return new Client(peer);
  }
}

/** The other end of a connection: requests out, responses in. */
export class Client {
  readonly peer: TestPeer;
  #correlationId = 100;

  constructor(peer: TestPeer) {
    this.peer = peer;
  }

  /** Sends a request and returns its correlation id. */
  send<const A extends Api<Fields, Fields>>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    clientId: string | null = "test",
  ): number {
    const correlationId = this.#correlationId++;
    this.peer.send(join(encodeRequest(api, version, correlationId, clientId, body)));
    return correlationId;
  }

  /** Sends bytes of a request without its length. */
  sendRaw(body: Uint8Array): void {
    this.peer.send(framed(body));
  }

  /** Sends a request and waits for its response, which must be the next one. */
  async ask<const A extends Api<Fields, Fields>>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    clientId: string | null = "test",
  ): Promise<ResponseOf<A>> {
    const seen = this.peer.frames.length;
    const correlationId = this.send(api, version, body, clientId);
    await settle();
    const frame = this.peer.frames[seen];
    if (frame === undefined) {
      throw new Error(`no response; connection: ${this.peer.closeReason ?? "open"}`);
    }
    const response = decodeResponse(api, version, frame);
    if (response.correlationId !== correlationId) throw new Error("correlation ids differ");
    if (response.trailingBytes !== 0) throw new Error("bytes behind the response");
    return response.body;
  }
}
