// One client's socket: reads frames, starts their jobs, and sends the replies in the order of the requests.
// Invariant: a slow or stalled peer holds at most requestBytesMax, responseBytesMax and one write of ours;
// frames that a peer has begun can always finish, since it is only held back between frames.
// Kafka: SocketServer.Processor, KafkaChannel (one request at a time there; here they overlap, in order).

import { InvariantError } from "../../src/base/assert.ts";
import { NetworkError } from "../../src/contracts/errors.ts";
import type { Connection, Runtime } from "../../src/contracts/runtime.ts";
import { ConnectionRefusal, type Job, type Reply, type RequestDecoder } from "./exchange.ts";
import { type Frame, FrameError, type FrameReader } from "./framing.ts";
import type { ReplyMemory } from "./reply_memory.ts";

/** Replies are gathered into one write up to about this size. */
const WRITE_BYTES_AIM = 1024 * 1024;
const WRITE_CHUNKS_AIM = 512;
/** How fast a large frame has to arrive while others wait for the memory it holds; judged after the grace. */
const PACE_BYTES_PER_S = 64 * 1024;
const PACE_GRACE_MS = 4000;

export interface ConnectionLimits {
  /** Requests begun and not yet answered. */
  readonly inFlightMax: number;
  /** Bytes of requests held at once; one frame is always let in. */
  readonly requestBytesMax: number;
  /** Bytes of replies waiting to be sent before reading stops; also the bound on fetches that overlap. */
  readonly responseBytesMax: number;
}

export interface ConnectionOptions {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly reader: FrameReader;
  readonly decoder: RequestDecoder;
  readonly limits: ConnectionLimits;
  /** Shared by all connections. */
  readonly replies: ReplyMemory;
  /** Ends the calls that are parked for this client. Idempotent. */
  readonly abort: () => void;
}

/** The place of one request in the order of replies. */
interface Slot {
  state: "running" | "ready" | "refused";
  reply: Reply | null;
  refusal: ConnectionRefusal | null;
  dataBytesMax: number;
}

export class KafkaConnection {
  readonly #connection: Connection;
  readonly #runtime: Runtime;
  readonly #reader: FrameReader;
  readonly #decoder: RequestDecoder;
  readonly #limits: ConnectionLimits;
  readonly #replies: ReplyMemory;
  readonly #abort: () => void;
  readonly #slots: Slot[] = [];
  #runningCount = 0;
  /** Expected data of running fetches. */
  #dataBytesRunning = 0;
  /** Bytes of replies made and not yet taken by the host. */
  #unsentBytes = 0;
  /** Made when it first has to wait for memory. */
  #rouseLater: (() => void) | null = null;
  #isWriting = false;
  #isFlushDue = false;
  #isClosed = false;
  #isEnding = false;
  #isWaitingForMemory = false;
  #receivedBytes = 0;
  /** Where the count of received bytes stood when a half-read frame was last seen to hold memory. */
  #pace: { readonly bytes: number; readonly atMs: number } | null = null;
  #wake: (() => void) | null = null;
  #lastActiveMs: number;

  constructor(options: ConnectionOptions) {
    this.#connection = options.connection;
    this.#runtime = options.runtime;
    this.#reader = options.reader;
    this.#decoder = options.decoder;
    this.#limits = options.limits;
    this.#replies = options.replies;
    this.#abort = options.abort;
    this.#lastActiveMs = options.runtime.clock.monotonicMs();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** True while a request is in progress or a reply waits to be sent. */
  get isBusy(): boolean {
    return this.#slots.length > 0 || this.#isWriting;
  }

  /** Bytes of replies that wait for the peer to read. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** Serves the socket until either side ends it. Resolves when all of its requests have ended; never rejects. */
  async run(): Promise<void> {
    try {
      await this.#serve();
      while (!this.#isClosed && this.isBusy) await this.#sleep();
      this.close("connection_ended", "");
    } catch (error) {
      this.#closeFor(error);
    }
    // Requests of a closed connection still run: their memory is given back as they end.
    while (this.#runningCount > 0) await this.#sleep();
  }

  /** Takes no further requests, ends parked calls, and closes once all are answered. Idempotent. */
  end(): void {
    this.#isEnding = true;
    if (this.isBusy) {
      this.#abort();
      this.#rouse();
    } else this.close("transport_stopped", "");
  }

  /** Closes at once and gives everything back. Idempotent. `event` "connection_ended" is not worth a warning. */
  close(event: string, detail: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const fields = {
      reason: event,
      detail,
      peer: `${this.#connection.remote.host}:${this.#connection.remote.port}`,
    };
    if (QUIET_EVENTS.has(event)) this.#runtime.log.debug("kafka_connection_closed", fields);
    else this.#runtime.log.warn("kafka_connection_closed", fields);
    this.#abort();
    this.#connection.close(event);
    this.#reader.close();
    for (const slot of this.#slots) slot.reply?.release?.();
    this.#slots.length = 0;
    if (this.#rouseLater !== null) this.#replies.forget(this.#rouseLater);
    this.#replies.give(this.#unsentBytes);
    this.#unsentBytes = 0;
    this.#rouse();
  }

  /**
   * Closes the connection when it has been quiet, or has stalled in the middle of something, for too long.
   *
   * @param isContended others wait for the memory of arriving frames: then whoever holds some must keep a pace
   */
  reap(nowMs: number, idleMsMax: number, stallMsMax: number, isContended: boolean): void {
    const overdue = this.#decoder.overdue?.(nowMs) ?? null;
    if (overdue !== null) {
      this.close(overdue.event, overdue.message);
      return;
    }
    const quietMs = nowMs - this.#lastActiveMs;
    if (this.#reader.holdsMemory && !this.#isWaitingForMemory) {
      const pace = this.#pace ?? { bytes: this.#receivedBytes, atMs: nowMs };
      const tookMs = nowMs - pace.atMs;
      const isSlow = (this.#receivedBytes - pace.bytes) * 1000 < PACE_BYTES_PER_S * tookMs;
      const isJudged = isContended && isSlow && tookMs >= PACE_GRACE_MS;
      // What was slow while nobody waited does not count.
      if (!isContended || !isSlow) this.#pace = { bytes: this.#receivedBytes, atMs: nowMs };
      else this.#pace = pace;
      if (quietMs > stallMsMax || isJudged) {
        this.close("frame_stalled", `Quiet for ${Math.round(quietMs)} ms in the middle of a frame`);
        return;
      }
    } else this.#pace = null;
    if (this.#isWriting && quietMs > stallMsMax && this.#replies.isWaitedFor) {
      this.close("peer_not_reading", `${this.#unsentBytes} bytes wait, and others for them`);
    } else if (quietMs > idleMsMax) {
      if (!this.isBusy) this.close("connection_idle", "");
      else if (this.#isWriting) this.close("peer_not_reading", `${this.#unsentBytes} bytes wait`);
    }
  }

  /**
   * Without closures: what they capture would be kept, and made anew for each request, by thousands of connections that
   * wait here for their next one.
   */
  async #serve(): Promise<void> {
    const reader = this.#reader;
    while (!this.#isClosed) {
      // Only between frames: a frame that holds budget must never wait for its own peer to read.
      if (reader.isAtBoundary) {
        if (this.#isEnding) return;
        if (!this.#hasRoom()) {
          await this.#sleep();
          continue;
        }
      }
      const step = reader.next();
      if (step === "need_bytes") {
        const chunk = await this.#connection.read();
        if (chunk === null) {
          // Whoever has gone waits for nothing; what they sent before is still served.
          if (!this.#isClosed) this.#abort();
          return;
        }
        this.#lastActiveMs = this.#runtime.clock.monotonicMs();
        this.#receivedBytes += chunk.length;
        if (!this.#isClosed) reader.push(chunk);
      } else if (step === "need_memory") {
        this.#isWaitingForMemory = true;
        await reader.acquireMemory();
        this.#isWaitingForMemory = false;
        // The wait was ours: the peer's time to send the rest starts now.
        this.#lastActiveMs = this.#runtime.clock.monotonicMs();
        this.#pace = null;
      } else {
        const job = this.#jobOf(step);
        if (job === null) return;
        // A received request is run even when its sender has gone meanwhile, as Kafka does.
        while (this.#mustWait(job) && !this.#isClosed) await this.#sleep();
        const slot = this.#begin(job);
        if (job.overlap === "parallel") continue;
        while (slot.state === "running" && !this.#isClosed) await this.#sleep();
      }
    }
  }

  /** Null when the connection ends with it, once those before it are answered. */
  #jobOf(frame: Frame): Job | null {
    try {
      return this.#decoder.decode(frame);
    } catch (error) {
      frame.release();
      if (!(error instanceof ConnectionRefusal)) throw error;
      this.#slots.push({ state: "refused", reply: null, refusal: error, dataBytesMax: 0 });
      this.#flushSoon();
      return null;
    }
  }

  #hasRoom(): boolean {
    const { inFlightMax, responseBytesMax, requestBytesMax } = this.#limits;
    return (
      this.#slots.length < inFlightMax &&
      this.#unsentBytes <= responseBytesMax &&
      this.#reader.inFlightBytes <= requestBytesMax
    );
  }

  #mustWait(job: Job): boolean {
    if (job.overlap === "exclusive" && this.#runningCount > 0) return true;
    return job.dataBytesMax > 0 && !this.#hasRoomForData(job.dataBytesMax);
  }

  #begin(job: Job): Slot {
    const slot: Slot = {
      state: "running",
      reply: null,
      refusal: null,
      dataBytesMax: job.dataBytesMax,
    };
    if (!this.#isClosed) this.#slots.push(slot);
    this.#runningCount++;
    this.#dataBytesRunning += job.dataBytesMax;
    void job.run().then(
      (reply) => this.#finished(slot, reply, null),
      (error) => this.#finished(slot, null, error),
    );
    return slot;
  }

  #hasRoomForData(sizeBytes: number): boolean {
    const held = this.#unsentBytes + this.#dataBytesRunning;
    if (held === 0) {
      if (!this.#replies.isExhausted) return true;
      this.#rouseLater ??= () => this.#rouse();
      this.#replies.whenFreed(this.#rouseLater);
      return false;
    }
    return !this.#replies.isScarce && held + sizeBytes <= this.#limits.responseBytesMax;
  }

  #finished(slot: Slot, reply: Reply | null, error: unknown): void {
    this.#runningCount--;
    this.#dataBytesRunning -= slot.dataBytesMax;
    if (error === null) {
      slot.state = "ready";
    } else {
      slot.state = "refused";
      slot.refusal = this.#refusalOf(error);
    }
    if (this.#isClosed) {
      reply?.release?.();
      this.#rouse();
      return;
    }
    slot.reply = reply;
    if (reply !== null) {
      this.#unsentBytes += reply.sizeBytes;
      this.#replies.hold(reply.sizeBytes);
    }
    this.#flushSoon();
    this.#rouse();
  }

  /** In a later microtask, so that replies of one group commit leave in one write. */
  #flushSoon(): void {
    if (this.#isFlushDue || this.#isWriting) return;
    const head = this.#slots[0];
    if (head === undefined || head.state === "running") return;
    this.#isFlushDue = true;
    void Promise.resolve().then(() => {
      this.#isFlushDue = false;
      return this.#flush();
    });
  }

  /** Sends what is ready, in order. Never rejects. */
  async #flush(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    try {
      while (!this.#isClosed) {
        const replies: Reply[] = [];
        const refusal = this.#gather(replies);
        if (replies.length > 0) await this.#send(replies);
        if (refusal !== null && !this.#isClosed) {
          this.close(refusal.event, refusal.message);
          return;
        }
        if (replies.length === 0) return;
      }
    } catch (error) {
      this.#closeFor(error);
    } finally {
      this.#isWriting = false;
      if (this.#isEnding && !this.isBusy) this.close("transport_stopped", "");
      this.#rouse();
    }
  }

  /** Moves finished replies from the head of the queue. Returns what ends the connection behind them. */
  #gather(replies: Reply[]): ConnectionRefusal | null {
    let sizeBytes = 0;
    let chunkCount = 0;
    let taken = 0;
    let refusal: ConnectionRefusal | null = null;
    for (; taken < this.#slots.length; taken++) {
      const slot = this.#slots[taken]!;
      if (slot.state === "running") break;
      if (slot.state === "refused") {
        refusal = slot.refusal;
        break;
      }
      const reply = slot.reply;
      if (reply === null) continue;
      if (sizeBytes >= WRITE_BYTES_AIM || chunkCount >= WRITE_CHUNKS_AIM) break;
      replies.push(reply);
      sizeBytes += reply.sizeBytes;
      chunkCount += reply.chunks.length;
      if (reply.closeAfter !== undefined) {
        refusal = reply.closeAfter;
        taken++;
        break;
      }
    }
    if (taken > 0) this.#slots.splice(0, taken);
    return refusal;
  }

  async #send(replies: readonly Reply[]): Promise<void> {
    let sizeBytes = 0;
    const chunks = replies.length === 1 ? replies[0]!.chunks : replies.flatMap((r) => r.chunks);
    for (const reply of replies) sizeBytes += reply.sizeBytes;
    // What was waiting counts as quiet time of the peer only from now on.
    this.#lastActiveMs = this.#runtime.clock.monotonicMs();
    try {
      await this.#connection.write(chunks);
      this.#lastActiveMs = this.#runtime.clock.monotonicMs();
    } finally {
      for (const reply of replies) reply.release?.();
      if (!this.#isClosed) {
        this.#unsentBytes -= sizeBytes;
        this.#replies.give(sizeBytes);
      }
    }
    this.#rouse();
  }

  #refusalOf(error: unknown): ConnectionRefusal {
    if (error instanceof ConnectionRefusal) return error;
    this.#reportDefect(error);
    return new ConnectionRefusal("request_failed", messageOf(error));
  }

  #closeFor(error: unknown): void {
    if (error instanceof FrameError) this.close(error.code, `${error.lengthBytes} bytes`);
    else if (error instanceof ConnectionRefusal) this.close(error.event, error.message);
    else if (error instanceof NetworkError) this.close("connection_lost", error.code);
    else {
      this.#reportDefect(error);
      this.close("request_failed", messageOf(error));
    }
  }

  /** An unknown error costs this connection; a broken belief about the broker's own state costs the broker. */
  #reportDefect(error: unknown): void {
    const stack = error instanceof Error ? error.stack : undefined;
    this.#runtime.log.error("kafka_request_failed", { error: messageOf(error), stack });
    if (error instanceof InvariantError) {
      this.#runtime.scheduler.spawn("kafka_broken_invariant", () => Promise.reject(error));
    }
  }

  /** Resolves at the next change. Only the read loop sleeps, so there is one sleeper. */
  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #rouse(): void {
    const wake = this.#wake;
    if (wake === null) return;
    this.#wake = null;
    wake();
  }
}

/** How connections end every day; everything else is a warning. */
const QUIET_EVENTS: ReadonlySet<string> = new Set([
  "connection_ended",
  "connection_lost",
  "connection_idle",
  "transport_stopped",
]);

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
