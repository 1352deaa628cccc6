// A runtime turned by hand, a memory budget, and both ends of a connection without sockets: what the
// transport's tests run on.

import { NetworkError } from "../../../src/contracts/errors.ts";
import type {
  Connection,
  Listener,
  LogFields,
  Logger,
  Runtime,
  Timer,
} from "../../../src/contracts/runtime.ts";
import type { MemoryBudget } from "../../../src/contracts/transport.ts";

/** Lets every promise that can settle now settle. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await null;
}

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly event: string;
  readonly fields: LogFields;
}

interface Task {
  readonly atMs: number;
  readonly run: () => void;
  isCancelled: boolean;
}

/** A runtime whose clock only moves by `advance`, and whose network is `accept`ed connections. */
export class HandRuntime {
  nowMs = 1000;
  readonly lines: LogLine[] = [];
  readonly spawned: Promise<void>[] = [];
  readonly listening = new Map<number, (connection: Connection) => void>();
  #tasks: Task[] = [];
  #nextPort = 50_000;

  readonly runtime: Runtime = {
    clock: { wallMs: () => this.nowMs, monotonicMs: () => this.nowMs },
    scheduler: {
      after: (delayMs: number, _label: string, run: () => void): Timer => {
        const task: Task = { atMs: this.nowMs + delayMs, run, isCancelled: false };
        this.#tasks.push(task);
        return {
          cancel: () => {
            task.isCancelled = true;
          },
        };
      },
      spawn: (_label: string, task: () => Promise<void>) => {
        const promise = task();
        promise.catch(() => {});
        this.spawned.push(promise);
      },
      yieldNow: () => Promise.resolve(),
    },
    network: {
      listen: async (at: { host: string; port: number }, accept: (c: Connection) => void) => {
        const port = at.port === 0 ? this.#nextPort++ : at.port;
        if (this.listening.has(port)) throw new NetworkError("in_use", `port ${port} is taken`);
        this.listening.set(port, accept);
        const listener: Listener = {
          host: at.host,
          port,
          close: async () => {
            this.listening.delete(port);
          },
        };
        return listener;
      },
      connect: () => Promise.reject(new NetworkError("refused", "not in this test")),
    },
    random: {
      uint32: () => (this.#seed = (Math.imul(this.#seed, 1664525) + 1013904223) >>> 0),
      fill: (target: Uint8Array) => target,
      fork: () => this.runtime.random,
    },
    log: logger(this.lines),
  } as unknown as Runtime;
  #seed = 7;

  /** Moves the clock and runs what is due, in order. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const due = this.#tasks
        .filter((task) => !task.isCancelled && task.atMs <= untilMs)
        .sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#tasks = this.#tasks.filter((task) => task !== due);
      this.nowMs = Math.max(this.nowMs, due.atMs);
      due.run();
      await settle();
    }
    this.nowMs = untilMs;
    await settle();
  }

  /** Timers not yet due and not cancelled. */
  get pendingTimers(): number {
    return this.#tasks.filter((task) => !task.isCancelled).length;
  }

  eventsOf(event: string): LogFields[] {
    return this.lines.filter((line) => line.event === event).map((line) => line.fields);
  }
}

function logger(lines: LogLine[]): Logger {
  const at =
    (level: LogLine["level"]) =>
    (event: string, fields: LogFields = {}) => {
      lines.push({ level, event, fields });
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

/** The contract of MemoryBudget, with a peak to look at. */
export class TestBudget implements MemoryBudget {
  readonly limitBytes: number;
  heldBytes = 0;
  peakBytes = 0;
  readonly #waiting: { sizeBytes: number; resolve: () => void }[] = [];

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  tryTake(sizeBytes: number): boolean {
    if (this.#waiting.length > 0) return false;
    return this.#takeNow(sizeBytes);
  }

  take(sizeBytes: number): Promise<void> {
    if (this.tryTake(sizeBytes)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push({ sizeBytes, resolve });
    });
  }

  give(sizeBytes: number): void {
    this.heldBytes -= sizeBytes;
    if (this.heldBytes < 0) throw new Error("more was given back than was taken");
    while (this.#waiting.length > 0 && this.#takeNow(this.#waiting[0]!.sizeBytes)) {
      this.#waiting.shift()!.resolve();
    }
  }

  #takeNow(sizeBytes: number): boolean {
    if (this.heldBytes > 0 && this.heldBytes + sizeBytes > this.limitBytes) return false;
    this.heldBytes += sizeBytes;
    this.peakBytes = Math.max(this.peakBytes, this.heldBytes);
    return true;
  }
}

/** The broker's end is `connection`; the test is the peer: it sends, reads what was written, and hangs up. */
export class TestPeer {
  readonly received: Uint8Array[] = [];
  /** One entry a write: how many chunks it had. */
  readonly writes: number[] = [];
  closeReason: string | null = null;
  /** While true, writes stay unanswered: a peer that does not read. */
  isStalled = false;
  /** How often the broker asked for bytes. */
  readCount = 0;
  readonly #inbox: (Uint8Array | null)[] = [];
  #reader: { resolve: (chunk: Uint8Array | null) => void; reject: (e: unknown) => void } | null =
    null;
  #writer: { resolve: () => void; reject: (e: unknown) => void } | null = null;
  #broken = false;

  readonly connection: Connection = {
    remote: { host: "192.0.2.1", port: 4000 },
    tls: null,
    read: () => this.#read(),
    write: (chunks) => this.#write(chunks),
    close: (reason) => {
      if (this.closeReason !== null) return;
      this.closeReason = reason ?? "";
      this.#reader?.resolve(null);
      this.#reader = null;
      this.#writer?.reject(new NetworkError("closed", "closed here"));
      this.#writer = null;
    },
  };

  /** True while the broker waits for bytes: what was sent has been looked at. */
  get isBeingRead(): boolean {
    return this.#reader !== null;
  }

  send(bytes: Uint8Array): void {
    this.#push(bytes);
  }

  /** The peer sends no more. */
  finish(): void {
    this.#push(null);
  }

  /** The connection breaks. */
  reset(): void {
    this.#broken = true;
    const error = new NetworkError("reset", "reset by peer");
    this.#reader?.reject(error);
    this.#reader = null;
    this.#writer?.reject(error);
    this.#writer = null;
  }

  /** A stalled peer reads again. */
  resume(): void {
    this.isStalled = false;
    this.#writer?.resolve();
    this.#writer = null;
  }

  /** All that was written, joined. */
  get bytes(): Uint8Array {
    return join(this.received);
  }

  /** The frames written so far, without their lengths. */
  get frames(): Uint8Array[] {
    const all = this.bytes;
    const view = new DataView(all.buffer, all.byteOffset, all.length);
    const frames: Uint8Array[] = [];
    for (let at = 0; at < all.length; ) {
      const length = view.getInt32(at);
      frames.push(all.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    return frames;
  }

  #push(item: Uint8Array | null): void {
    const reader = this.#reader;
    if (reader === null) {
      this.#inbox.push(item);
      return;
    }
    this.#reader = null;
    reader.resolve(item);
  }

  #read(): Promise<Uint8Array | null> {
    this.readCount++;
    if (this.#broken) return Promise.reject(new NetworkError("reset", "reset by peer"));
    if (this.closeReason !== null) return Promise.resolve(null);
    if (this.#inbox.length > 0) return Promise.resolve(this.#inbox.shift()!);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  #write(chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#writer !== null) throw new Error("two writes in flight");
    if (this.#broken || this.closeReason !== null) {
      return Promise.reject(new NetworkError("reset", "gone"));
    }
    this.writes.push(chunks.length);
    // Copied: the broker may reuse the chunks once the write has resolved.
    this.received.push(join(chunks));
    if (!this.isStalled) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#writer = { resolve, reject };
    });
  }
}

export function join(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** `body` behind its length. */
export function framed(body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(4 + body.length);
  new DataView(frame.buffer).setInt32(0, body.length);
  frame.set(body, 4);
  return frame;
}
