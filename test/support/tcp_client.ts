// A client of the TCP protocol as small as it can be: what tests, and nobody else, talk with.

import { decodeFrame, encodeFrame, int, scanFrame } from "../../plugins/transport-tcp/cbor.ts";
import type { Connection, Network } from "../../src/contracts/runtime.ts";

// biome-ignore lint/suspicious/noExplicitAny: what comes is looked at by tests.
export type Frame = any;

/** A refusal, by its code. */
export class TcpRefusal extends Error {
  readonly code: string;
  constructor(error: { readonly code: string; readonly message: string }) {
    super(`${error.code}: ${error.message}`);
    this.code = error.code;
  }
}

interface Waiting {
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: unknown) => void;
}

export class TcpClient {
  readonly connection: Connection;
  /** Frames that nobody asked for, by id: those of subscriptions, and a last word under null. */
  readonly #events = new Map<number | null, Frame[]>();
  readonly #asked = new Map<number | null, Waiting>();
  readonly #listening = new Map<number | null, Waiting>();
  #nextId = 1;
  /** Resolves when the other end has hung up. */
  readonly closed: Promise<void>;
  #isClosed = false;

  constructor(connection: Connection) {
    this.connection = connection;
    this.closed = this.#receive();
  }

  static async connect(
    network: Network,
    port: number,
    hello: Record<string, unknown> = {},
  ): Promise<TcpClient> {
    const to = { host: "127.0.0.1", port, timeoutMs: 5000 };
    const client = new TcpClient(await network.connect(to));
    await client.ask("hello", { version: 1, ...hello });
    return client;
  }

  /** @throws {TcpRefusal} */
  async ask(op: string, fields: Record<string, unknown> = {}): Promise<Frame> {
    const { id, answer } = this.begin(op, fields);
    void id;
    return await answer;
  }

  /** Sends a request; the answer comes later. */
  begin(
    op: string,
    fields: Record<string, unknown> = {},
  ): { readonly id: number; readonly answer: Promise<Frame> } {
    const id = this.#nextId++;
    const answer = new Promise<Frame>((resolve, reject) => {
      if (this.#isClosed) reject(new Error("closed"));
      else this.#asked.set(id, { resolve, reject });
    });
    answer.catch(() => {});
    this.tell({ id, op, ...fields });
    return { id, answer };
  }

  /** Sends a frame, and waits for nothing. */
  tell(value: object): void {
    this.send(...encodeFrame(value));
  }

  /** Sends bytes as they are. */
  send(...chunks: readonly Uint8Array[]): void {
    this.#sending = this.#sending.then(() => this.connection.write(chunks)).catch(() => {});
  }
  #sending: Promise<void> = Promise.resolve();

  /** The next frame of a subscription, or the last word of the server under null. */
  async event(id: number | null): Promise<Frame> {
    const queued = this.#events.get(id)?.shift();
    if (queued !== undefined) return queued;
    const coming = new Promise<Frame>((resolve, reject) => {
      if (this.#isClosed) reject(new Error("closed"));
      else this.#listening.set(id, { resolve, reject });
    });
    coming.catch(() => {});
    return await coming;
  }

  /** Frames of a subscription that came and were not yet looked at. */
  queued(id: number | null): number {
    return this.#events.get(id)?.length ?? 0;
  }

  close(): void {
    this.connection.close();
  }

  async #receive(): Promise<void> {
    let rest = new Uint8Array(0);
    try {
      for (;;) {
        const chunk = await this.connection.read();
        if (chunk === null) break;
        const bytes = new Uint8Array(rest.length + chunk.length);
        bytes.set(rest);
        bytes.set(chunk, rest.length);
        let at = 0;
        const view = new DataView(bytes.buffer);
        while (bytes.length - at >= 4 && bytes.length - at - 4 >= view.getUint32(at)) {
          const end = at + 4 + view.getUint32(at);
          this.#take(decoded(bytes.subarray(at + 4, end)));
          at = end;
        }
        rest = bytes.slice(at);
      }
    } catch {
      // Whoever waits is told below.
    }
    this.#isClosed = true;
    for (const { reject } of [...this.#asked.values(), ...this.#listening.values()]) {
      reject(new Error("closed"));
    }
  }

  #take(frame: Frame): void {
    const { id } = frame;
    const asked = this.#asked.get(id);
    if (asked !== undefined && frame.event === undefined) {
      this.#asked.delete(id);
      if (frame.error === undefined) asked.resolve(frame);
      else asked.reject(new TcpRefusal(frame.error));
      return;
    }
    const listening = this.#listening.get(id);
    this.#listening.delete(id);
    if (listening !== undefined) listening.resolve(frame);
    else this.#events.set(id, [...(this.#events.get(id) ?? []), frame]);
  }
}

/** The value of a frame that the server sent, which holds to the bounds of requests as well. */
export function decoded(bytes: Uint8Array): Frame {
  const frame = scanFrame(bytes, 100_000_000);
  if (typeof frame === "string") throw new Error(`The server sent a frame that is ${frame}`);
  return decodeFrame(frame);
}

export { int };
