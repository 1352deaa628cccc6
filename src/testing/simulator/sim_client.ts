// A small Kafka client for simulated clients: one connection, pipelined requests, answers in order, a
// timeout for each. It judges the transport: answers that come out of order, for nobody, or undecodable,
// and, once faults have ended, requests that are neither answered nor ended with their connection.

import type { SeededRandom } from "../../base/prng.ts";
import type { Connection, Network } from "../../contracts/runtime.ts";
import type { RequestInputOf, ResponseOf } from "../../protocol/infer.ts";
import { decodeResponse, encodeRequest } from "../../protocol/mod.ts";
import type { Api } from "../../protocol/schema.ts";
import { describeError, type SimProcess, type SimTimer, type World } from "./world.ts";

const CHECKER = "answered_or_closed";
export const BROKER_PORT = 9092;
const PATIENCE_MS = 20_000;

/** The connection is gone, or the answer did not come in time: nobody knows what became of the request. */
export class ConnectionGone extends Error {}

interface Pending {
  readonly api: Api;
  readonly version: number;
  readonly correlationId: number;
  readonly resolve: (body: never) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: SimTimer;
}

export interface SimClientOptions {
  readonly name: string;
  readonly process: SimProcess;
  readonly network: Network;
  readonly random: SeededRandom;
  readonly timeoutMs: number;
  /** Pause between two reads from the socket: a slow reader. */
  readonly readDelayUs: number;
  /** Left out: BROKER_PORT. */
  readonly port?: number;
}

export class SimConnection {
  readonly openedUs: number;
  /** Unique in a run. */
  readonly number: number;
  isGone = false;
  readonly #options: SimClientOptions;
  readonly #world: World;
  readonly #connection: Connection;
  readonly #pending: Pending[] = [];
  readonly #versions = new Map<number, number>();
  #outbox: Uint8Array[] = [];
  #isWriting = false;
  #nextCorrelationId = 1;
  #received: Uint8Array[] = [];
  #receivedBytes = 0;
  /** Bytes of the frame that is being received: its length first, then all of it. */
  #wantedBytes = 4;

  private constructor(options: SimClientOptions, connection: Connection) {
    this.#options = options;
    this.#world = options.process.world;
    this.#connection = connection;
    this.openedUs = this.#world.nowUs;
    this.number = this.#world.nextNumber();
    options.process.spawn(`${options.name}_reader`, () => this.#readAll());
  }

  /** @throws {ConnectionGone} when the broker cannot be reached */
  static async open(options: SimClientOptions): Promise<SimConnection> {
    try {
      const connection = await options.network.connect({
        host: "127.0.0.1",
        port: options.port ?? BROKER_PORT,
        timeoutMs: options.timeoutMs,
      });
      return new SimConnection(options, connection);
    } catch {
      throw new ConnectionGone("cannot connect");
    }
  }

  get world(): World {
    return this.#world;
  }

  /** The version this connection speaks of an API: drawn once, as clients differ. */
  versionOf(api: Api, lowest = api.lowest): number {
    let version = this.#versions.get(api.apiKey);
    if (version === undefined || version < lowest) {
      const from = Math.max(lowest, api.lowest);
      const { random } = this.#options;
      // Half of all clients are new ones.
      version =
        random.below(2) === 0
          ? api.highestStable
          : from + random.below(api.highestStable - from + 1);
      this.#versions.set(api.apiKey, version);
    }
    return version;
  }

  /**
   * Sends a request.
   *
   * @param extraWaitMs Added to the timeout: how long the broker may rightly hold the answer back.
   * @throws {ConnectionGone}
   */
  request<const A extends Api>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    extraWaitMs = 0,
  ): Promise<ResponseOf<A>> {
    if (this.isGone) return Promise.reject(new ConnectionGone("closed before"));
    const correlationId = this.#nextCorrelationId++;
    // Once faults have ended there is no hurry: what is not answered by then never will be.
    const isHealed = this.openedUs > this.#world.healedUs;
    const timeoutMs = isHealed ? PATIENCE_MS : this.#options.timeoutMs;
    const promise = new Promise<ResponseOf<A>>((resolve, reject) => {
      const timer = this.#options.process.after(
        (timeoutMs + extraWaitMs) * 1000,
        "request_timeout",
        () => this.#timedOut(api.name),
      );
      this.#pending.push({
        api,
        version,
        correlationId,
        resolve: resolve as (body: never) => void,
        reject,
        timer,
      });
    });
    this.#send(encodeRequest(api, version, correlationId, this.#options.name, body));
    return promise;
  }

  /** Sends a request that has no answer (Produce with acks=0). */
  tell<const A extends Api>(api: A, version: number, body: RequestInputOf<A>): void {
    if (this.isGone) return;
    const correlationId = this.#nextCorrelationId++;
    this.#send(encodeRequest(api, version, correlationId, this.#options.name, body));
  }

  sendRaw(bytes: Uint8Array): void {
    this.#send([bytes]);
  }

  /** Ends the connection; what was pending fails. Idempotent. */
  close(reason: string): void {
    if (this.isGone) return;
    this.isGone = true;
    this.#connection.close();
    const pending = this.#pending.splice(0);
    for (const { timer, reject } of pending) {
      timer.cancel();
      reject(new ConnectionGone(reason));
    }
  }

  #timedOut(what: string): void {
    const { healedUs } = this.#world;
    if (this.openedUs > healedUs) {
      this.#world.fail(CHECKER, `${this.#options.name}: ${what} was not answered in time`);
    }
    this.close(`${what} timed out`);
  }

  #send(chunks: readonly Uint8Array[]): void {
    this.#outbox.push(...chunks);
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#options.process.spawn(`${this.#options.name}_writer`, () => this.#writeAll());
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#outbox.length > 0 && !this.isGone) {
        const chunks = this.#outbox;
        this.#outbox = [];
        await this.#connection.write(chunks);
      }
    } catch {
      this.close("the connection broke while writing");
    }
    this.#isWriting = false;
  }

  async #readAll(): Promise<void> {
    try {
      for (;;) {
        const chunk = await this.#connection.read();
        if (chunk === null) break;
        this.#take(chunk);
        const { readDelayUs, process, random } = this.#options;
        if (readDelayUs > 0) await process.sleep(random.below(readDelayUs), "slow_reader");
      }
      this.close("the broker closed the connection");
    } catch {
      this.close("the connection broke");
    }
  }

  #take(chunk: Uint8Array): void {
    this.#received.push(chunk);
    this.#receivedBytes += chunk.length;
    while (this.#receivedBytes >= this.#wantedBytes) {
      const bytes = this.#joinReceived();
      const sizeBytes = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0);
      this.#wantedBytes = 4 + sizeBytes;
      if (bytes.length < this.#wantedBytes) return;
      this.#received = bytes.length > this.#wantedBytes ? [bytes.subarray(this.#wantedBytes)] : [];
      this.#receivedBytes -= this.#wantedBytes;
      const end = this.#wantedBytes;
      this.#wantedBytes = 4;
      this.#answer(bytes.subarray(4, end));
    }
  }

  #joinReceived(): Uint8Array {
    if (this.#received.length === 1) return this.#received[0]!;
    const bytes = new Uint8Array(this.#receivedBytes);
    let at = 0;
    for (const chunk of this.#received) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    this.#received = [bytes];
    return bytes;
  }

  #answer(frame: Uint8Array): void {
    const pending = this.#pending.shift();
    const { name } = this.#options;
    if (pending === undefined) {
      this.#world.fail(CHECKER, `${name}: an answer for nobody, ${frame.length} bytes`);
      return;
    }
    pending.timer.cancel();
    const { api, version, correlationId } = pending;
    try {
      const decoded = decodeResponse(api, version, frame);
      if (decoded.correlationId !== correlationId) {
        this.#world.fail(
          CHECKER,
          `${name}: ${api.name} v${version} answered as ${decoded.correlationId}, ${correlationId} was due`,
        );
      }
      if (decoded.trailingBytes !== 0) {
        this.#world.fail(CHECKER, `${name}: ${api.name} v${version} has trailing bytes`);
      }
      pending.resolve(decoded.body as never);
    } catch (error) {
      this.#world.fail(CHECKER, `${name}: ${api.name} v${version}: ${describeError(error)}`);
    }
  }
}

/** Reconnects as often as it takes. */
export class SimClient {
  readonly options: SimClientOptions;
  #connection: SimConnection | null = null;

  constructor(options: SimClientOptions) {
    this.options = options;
  }

  get world(): World {
    return this.options.process.world;
  }

  get name(): string {
    return this.options.name;
  }

  /** The open connection, or a new one. @throws {ConnectionGone} */
  async connected(): Promise<SimConnection> {
    if (this.#connection !== null && !this.#connection.isGone) return this.#connection;
    this.#connection = await SimConnection.open(this.options);
    return this.#connection;
  }

  close(): void {
    this.#connection?.close("the client ended");
    this.#connection = null;
  }

  /** Backs off for a random while, shorter once faults are over. */
  async backOff(): Promise<void> {
    await this.options.process.sleep(
      1000 + this.options.random.below(40_000),
      `${this.name}_back_off`,
    );
  }

  /** Repeats `act` on a connection until it gives something other than "again". Connections may go meanwhile. */
  async persist<T>(act: (connection: SimConnection) => Promise<T | "again">): Promise<T> {
    for (;;) {
      try {
        const result = await act(await this.connected());
        if (result !== "again") return result;
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
      }
      await this.backOff();
    }
  }
}
