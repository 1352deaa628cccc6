// A real broker on a real socket, with nothing on disk unless it is told where, and a client that sends prepared frames. The clock
// stands where a test puts it, so that recorded timestamps mean today what they meant then.

import { metadataFile } from "../../plugins/metadata-file/mod.ts";
import { metadataMemory } from "../../plugins/metadata-memory/mod.ts";
import { storageFs } from "../../plugins/storage-fs/mod.ts";
import { storageMemory } from "../../plugins/storage-memory/mod.ts";
import { type TransportKafkaOptions, transportKafka } from "../../plugins/transport-kafka/mod.ts";
import type { AuthPlugin } from "../../src/contracts/auth.ts";
import type { Connection, LogFields, Logger } from "../../src/contracts/runtime.ts";
import { createBroker, type RunningBroker } from "../../src/core/mod.ts";
import type { RequestInputOf, ResponseOf } from "../../src/protocol/infer.ts";
import { decodeResponse, encodeRequest } from "../../src/protocol/mod.ts";
import type { Api, Fields } from "../../src/protocol/schema.ts";
import { type HostRuntime, hostRuntime } from "../../src/runtime/host_runtime.ts";

/** How long a frame may take before a test gives up on it: for answers that must come. */
const ANSWER_MS_MAX = 15_000;

export interface LiveOptions {
  readonly settings?: Record<string, string | number | boolean>;
  readonly transport?: Partial<TransportKafkaOptions>;
  readonly auth?: readonly AuthPlugin[];
  /** Where the wall clock starts; it runs on from there. */
  readonly wallMs?: number;
  /** A folder to keep everything in; left out, it is kept in memory. */
  readonly folder?: string;
}

export class Live {
  readonly broker: RunningBroker;
  /** Every log event so far, as JSON. */
  readonly logLines: string[];
  readonly #host: HostRuntime;

  private constructor(broker: RunningBroker, host: HostRuntime, logLines: string[]) {
    this.broker = broker;
    this.#host = host;
    this.logLines = logLines;
  }

  static async start(options: LiveOptions = {}): Promise<Live> {
    const logLines: string[] = [];
    const host = hostRuntime({ log: { level: "off" } });
    const { clock } = host.runtime;
    const shiftMs = options.wallMs === undefined ? 0 : options.wallMs - clock.wallMs();
    const broker = await createBroker({
      broker: { id: 1 },
      runtime: {
        ...host.runtime,
        log: loggerTo(logLines),
        clock: {
          wallMs: () => clock.wallMs() + shiftMs,
          monotonicMs: () => clock.monotonicMs(),
        },
      },
      ...keptIn(options.folder),
      transports: [
        transportKafka({
          listeners: [{ name: "kafka", host: "127.0.0.1", port: 0 }],
          ...options.transport,
        }),
      ],
      auth: options.auth ?? [],
      settings: options.settings ?? {},
    });
    await broker.start();
    return new Live(broker, host, logLines);
  }

  get port(): number {
    return this.broker.endpoints[0]!.port;
  }

  async connect(): Promise<WireClient> {
    const connection = await this.#host.runtime.network.connect({
      host: "127.0.0.1",
      port: this.port,
      timeoutMs: ANSWER_MS_MAX,
    });
    return new WireClient(connection);
  }

  async stop(): Promise<void> {
    await this.broker.stop(1000);
    await this.#host.stop(1000);
  }
}

function keptIn(folder: string | undefined) {
  return folder === undefined
    ? { storage: storageMemory(), metadata: metadataMemory() }
    : {
        storage: storageFs({ directory: `${folder}/log` }),
        metadata: metadataFile({ directory: `${folder}/metadata` }),
      };
}

/** A log whose lines can be looked at once they are written. */
function loggerTo(lines: string[]): Logger {
  const at =
    (level: string) =>
    (event: string, fields: LogFields = {}) => {
      lines.push(JSON.stringify({ level, event, ...fields }));
    };
  const made: Logger = {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: () => made,
  };
  return made;
}

/** One connection: frames out, frames in. */
export class WireClient {
  readonly #connection: Connection;
  #received = new Uint8Array(0);
  #isEnded = false;
  #correlationId = 1;
  /** What requests are sent as. */
  clientId = "live-test";

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    await this.#connection.write([bytes]);
  }

  /** `frame` goes out behind its length. */
  async send(frame: Uint8Array): Promise<void> {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setInt32(0, frame.length);
    await this.#connection.write([length, frame]);
  }

  /** The next frame without its length, or null when the broker closes the connection instead. */
  async receive(): Promise<Uint8Array | null> {
    for (;;) {
      const frame = this.#takeFrame();
      if (frame !== null) return frame;
      if (this.#isEnded) return null;
      let chunk: Uint8Array | null;
      try {
        chunk = await withinTime(this.#connection.read());
      } catch (error) {
        if ((error as { code?: string }).code !== "reset") throw error;
        chunk = null;
      }
      if (chunk === null) this.#isEnded = true;
      else this.#append(chunk);
    }
  }

  async ask<const A extends Api<Fields, Fields>>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    return await (await this.begin(api, version, body))();
  }

  /** Sends a request now; what is given back reads its answer. Answers are read in the order of the requests. */
  async begin<const A extends Api<Fields, Fields>>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
  ): Promise<() => Promise<ResponseOf<A>>> {
    const parts = encodeRequest(api, version, this.#correlationId++, this.clientId, body);
    await this.#connection.write(parts);
    return async () => {
      const frame = await this.receive();
      if (frame === null) throw new Error(`${api.name} was answered by closing the connection`);
      return decodeResponse(api, version, frame).body;
    };
  }

  close(): void {
    this.#connection.close();
  }

  #append(chunk: Uint8Array): void {
    const joined = new Uint8Array(this.#received.length + chunk.length);
    joined.set(this.#received);
    joined.set(chunk, this.#received.length);
    this.#received = joined;
  }

  #takeFrame(): Uint8Array | null {
    const bytes = this.#received;
    if (bytes.length < 4) return null;
    const length = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0);
    if (bytes.length < 4 + length) return null;
    this.#received = bytes.slice(4 + length);
    return bytes.slice(4, 4 + length);
  }
}

async function withinTime<T>(promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in time")), ANSWER_MS_MAX);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
