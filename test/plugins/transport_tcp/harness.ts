// The transport over connections without sockets, a clock turned by hand, and a broker that does what a test says.

import { encodeFrame } from "../../../plugins/transport-tcp/cbor.ts";
import { transportTcp } from "../../../plugins/transport-tcp/mod.ts";
import type { TransportTcpOptions } from "../../../plugins/transport-tcp/options.ts";
import type { Authenticator } from "../../../src/contracts/auth.ts";
import type { AppendRequest, Broker, FetchRequest } from "../../../src/contracts/broker.ts";
import type { RunningTransport } from "../../../src/contracts/transport.ts";
import { RecordBatchBuilder } from "../../../src/record/record_builder.ts";
import { decoded, type Frame } from "../../support/tcp_client.ts";
import { HandRuntime, join, settle, TestBudget, TestPeer } from "../transport_kafka/fakes.ts";

/** A client: what it sends, and what came back. */
export class Client {
  readonly peer = new TestPeer();

  /** Sends frames, all in one chunk. */
  tell(...values: readonly object[]): void {
    this.peer.send(join(values.flatMap((value) => encodeFrame(value))));
  }

  async hello(): Promise<void> {
    this.tell({ id: 0, op: "hello", version: 1 });
    await settle();
  }

  /** The frames that came, in order. */
  get frames(): Frame[] {
    return this.peer.frames.map(decoded);
  }

  /** The answer to a request, once it is there. */
  answer(id: number | null): Frame {
    return this.frames.find((frame) => frame.id === id);
  }
}

/** A log of one topic "t", of which fetches give `valueBytes` a record, from any offset on. */
export class FakeLog {
  readonly appends: AppendRequest[] = [];
  /** Those that read. */
  readonly fetches: FetchRequest[] = [];
  /** Those that only wait. */
  readonly waits: FetchRequest[] = [];
  /** Appends wait for this. */
  gate: Promise<void> = Promise.resolve();
  valueBytes = 100;
  /** Fetches wait for their signal instead. */
  isEmpty = false;
  releases = 0;
  readonly #parked: (() => void)[] = [];

  /** Wakes what waits. */
  news(): void {
    for (const wake of this.#parked.splice(0)) wake();
  }
  /** Where fetches begin to wait. */
  endOffset = Number.POSITIVE_INFINITY;

  readonly broker: Broker = {
    brokerId: 1,
    clusterId: "c",
    features: [],
    setting: (name: string) => this.settings[name] ?? null,
    isOnline: () => true,
    log: {
      topicIdOf: () => "AAAAAAAAAAAAAAAAAAAAAQ",
      partitionFor: () => ({ ok: true, value: 0 }),
      offsetFor: async (_caller: unknown, queries: readonly unknown[]) =>
        queries.map(() => ({ ok: true, value: { offset: 0, timestampMs: -1, leaderEpoch: 0 } })),
      append: async (_caller: unknown, request: AppendRequest) => {
        const at = this.appends.push(request);
        await this.gate;
        if (this.failure !== null) throw this.failure;
        return request.partitions.map(() => ({
          ok: true,
          value: { baseOffset: at - 1, logAppendTimeMs: -1, logStartOffset: 0 },
        }));
      },
      fetch: async (caller: { signal: AbortSignal }, request: FetchRequest) => {
        // Behind every end: it is only asked whether the topic may be read.
        if (request.partitions[0]!.fetchOffset === Number.MAX_SAFE_INTEGER) {
          const outside = { ok: false, error: { code: "offset_out_of_range" } };
          return { partitions: [outside], release: () => {} };
        }
        const isRead = request.waitsOnly !== true;
        (isRead ? this.fetches : this.waits).push(request);
        const hasNone = request.partitions.every(
          ({ fetchOffset }) => fetchOffset >= this.endOffset,
        );
        if ((this.isEmpty || hasNone) && request.waitMsMax > 0 && !caller.signal.aborted) {
          await new Promise<void>((resolve) => {
            caller.signal.addEventListener("abort", () => resolve(), { once: true });
            this.#parked.push(resolve);
          });
        }
        const partitions = request.partitions.map(({ fetchOffset, bytesMax }) => {
          const batches: Uint8Array[] = [];
          let sizeBytes = 0;
          const end = this.isEmpty || !isRead ? fetchOffset : this.endOffset;
          for (let offset = fetchOffset; offset < end; offset++) {
            const builder = new RecordBatchBuilder({ baseOffset: offset });
            builder.append(1, null, new Uint8Array(this.valueBytes));
            const batch = builder.build();
            if (sizeBytes > 0 && sizeBytes + batch.length > bytesMax) break;
            batches.push(batch);
            sizeBytes += batch.length;
          }
          const highWatermark = Math.min(this.endOffset, 1e9);
          const ends = { highWatermark, lastStableOffset: highWatermark, logStartOffset: 0 };
          return { ok: true, value: { ...ends, abortedTransactions: [], batches, sizeBytes } };
        });
        const release = () => {
          if (isRead) this.releases++;
        };
        return { partitions, release };
      },
    },
    topics: {
      metadata: async (_caller: unknown, { topics }: { topics: { name: string }[] | null }) => ({
        topics: (topics ?? []).map(({ name }) => ({ name, errorCode: 3 })),
      }),
      createTopics: async () => ({ topics: [{ errorCode: 42, errorMessage: "no" }] }),
      deleteTopics: async () => ({ responses: [{ errorCode: 3, errorMessage: null }] }),
    },
    admin: {},
  } as unknown as Broker;
  readonly settings: Record<string, string> = {};
  failure: Error | null = null;
}

export class Harness {
  readonly hand = new HandRuntime();
  readonly log = new FakeLog();
  readonly budget: TestBudget;
  readonly transport: RunningTransport;
  #accept: (connection: TestPeer["connection"]) => void;

  private constructor(
    transport: RunningTransport,
    parts: { hand: HandRuntime; log: FakeLog; budget: TestBudget },
  ) {
    this.hand = parts.hand;
    this.log = parts.log;
    this.budget = parts.budget;
    this.transport = transport;
    this.#accept = parts.hand.listening.get(transport.endpoints[0]!.port)!;
  }

  static async start(
    options: TransportTcpOptions = {},
    authenticator: Authenticator | null = null,
    budgetBytes = 32 * 1024 * 1024,
  ): Promise<Harness> {
    const hand = new HandRuntime();
    const log = new FakeLog();
    const budget = new TestBudget(budgetBytes);
    const transport = await transportTcp({ port: 0, ...options }).start({
      runtime: hand.runtime,
      brokerId: 1,
      broker: log.broker,
      authenticator,
      requestMemory: budget,
    });
    return new Harness(transport, { hand, log, budget });
  }

  connect(): Client {
    const client = new Client();
    this.#accept(client.peer.connection);
    return client;
  }

  /** A client whose hello was answered. */
  async greeted(): Promise<Client> {
    const client = this.connect();
    await client.hello();
    return client;
  }

  /** Reasons of connections that were closed, in order. */
  get endings(): string[] {
    return this.hand.eventsOf("tcp_connection_closed").map(({ event }) => String(event));
  }
}
