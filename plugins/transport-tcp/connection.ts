// One client's socket: cuts it into frames, hands them to the session, sends answers as they come.
// Invariant: a slow or stalled peer holds at most its requests in flight, responseBytesMax with one answer
// beyond, and one write of ours; a frame that was begun can always finish, since it is only held back between frames.

import { InvariantError } from "../../src/base/assert.ts";
import type { Authenticator } from "../../src/contracts/auth.ts";
import type { Broker, Caller } from "../../src/contracts/broker.ts";
import { NetworkError } from "../../src/contracts/errors.ts";
import type { Connection, Runtime } from "../../src/contracts/runtime.ts";
import type { MemoryBudget } from "../../src/contracts/transport.ts";
import { kafkaError } from "../../src/protocol/errors.ts";
import { decodeFrame, encodeFrame, scanFrame } from "./cbor.ts";
import { FrameReader, FrameTooLarge } from "./framing.ts";
import type { ArrivalMemory, ReplyMemory } from "./memory.ts";
import { type Room, refusal } from "./operations.ts";
import type { TcpBounds } from "./options.ts";
import { Session, type Wire } from "./session.ts";

/** Frames of those who have not said who they are. */
const HELLO_BYTES_MAX = 64 * 1024;
/** Answers are gathered into one write up to about this size. */
const WRITE_BYTES_AIM = 1024 * 1024;
/** How fast a frame has to arrive, on top of the time that a peer may be quiet in it. */
const PACE_BYTES_PER_S = 16 * 1024;

interface Outgoing {
  readonly chunks: readonly Uint8Array[];
  readonly sizeBytes: number;
}

/** Why a connection ends: an event name for the log, and a word more. */
interface Ending {
  readonly event: string;
  readonly detail: string;
}

export interface ConnectionOptions {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly broker: Broker;
  readonly authenticator: Authenticator | null;
  readonly bounds: TcpBounds;
  readonly budget: MemoryBudget;
  readonly arrivals: ArrivalMemory;
  readonly replies: ReplyMemory;
  readonly caller: Caller;
  /** Ends the calls that are parked for this client. Idempotent. */
  readonly abort: () => void;
}

export class TcpConnection implements Wire {
  readonly #options: ConnectionOptions;
  readonly #connection: Connection;
  readonly #reader: FrameReader;
  readonly #session: Session;
  readonly #queue: Outgoing[] = [];
  /** Bytes of answers made and not yet taken by the host. */
  #unsentBytes = 0;
  /** Bytes of answers that were admitted and are not among the unsent yet. */
  #admittedBytes = 0;
  /** Answers that were read from the log and thrown away again. */
  #waitingForRoom = 0;
  #isWriting = false;
  #isFlushDue = false;
  #isClosed = false;
  #isEnding = false;
  /** Set when the connection ends behind what is in the queue. */
  #last: Ending | null = null;
  readonly #waiting = new Set<() => void>();
  readonly #openedMs: number;
  #lastActiveMs: number;
  /** When the frame that is being read began, or our own wait in it ended; null between frames. */
  #frameSinceMs: number | null = null;
  #isWaitingForMemory = false;

  constructor(options: ConnectionOptions) {
    const { runtime, broker, authenticator, bounds, caller } = options;
    this.#options = options;
    this.#connection = options.connection;
    this.#reader = new FrameReader(
      options.arrivals,
      Math.min(HELLO_BYTES_MAX, bounds.frameBytesMax),
    );
    this.#session = new Session({ wire: this, broker, runtime, authenticator, bounds, caller });
    this.#openedMs = runtime.clock.monotonicMs();
    this.#lastActiveMs = this.#openedMs;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get mayPush(): boolean {
    return this.#unsentBytes === 0 || this.#unsentBytes < this.#options.bounds.responseBytesMax;
  }

  /** Serves the socket until either side ends it. Resolves when all of its requests have ended; never rejects. */
  async run(): Promise<void> {
    try {
      await this.#serve();
      // Whoever has gone waits for nothing; what they asked before is still answered.
      if (!this.#isClosed) this.#abort();
      this.rouse();
      await this.until(() => !this.#isBusy);
      this.close("connection_ended", "");
    } catch (error) {
      this.#closeFor(error);
      // What was said last is still sent.
      await this.until(() => false);
    }
    while (this.#session.inFlight > 0 || this.#session.subscriptionCount > 0) {
      await this.#sleep();
    }
  }

  /** Takes no further requests, ends what is parked, and closes once all is answered. Idempotent. */
  end(): void {
    this.#isEnding = true;
    this.#abort();
    this.#closeIfEnded();
    this.rouse();
  }

  /** Closes at once and gives everything back. Idempotent. */
  close(event: string, detail: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { host, port } = this.#connection.remote;
    const fields = { event, detail, peer: `${host}:${port}` };
    const { log } = this.#options.runtime;
    if (QUIET_EVENTS.has(event)) log.debug("tcp_connection_closed", fields);
    else log.warn("tcp_connection_closed", fields);
    this.#abort();
    this.#connection.close(event);
    this.#reader.close();
    this.#queue.length = 0;
    const { replies } = this.#options;
    const leftBytes = this.#unsentBytes;
    this.#unsentBytes = 0;
    replies.sent(leftBytes);
    this.rouse();
  }

  /** Closes the connection when it has been quiet, or has stalled in the middle of something, for too long. */
  reap(nowMs: number, wallMs: number): void {
    const { bounds, replies } = this.#options;
    const quietMs = nowMs - this.#lastActiveMs;
    if (!this.#session.isGreeted && nowMs - this.#openedMs > bounds.helloMsMax) {
      this.close("hello_missing", `None after ${Math.round(nowMs - this.#openedMs)} ms`);
    } else if (this.#last === null && this.#session.isExpired(wallMs)) {
      const error = kafkaError("sasl_authentication_failed", "The token's time is up");
      this.sendLast({ id: null, ...refusal(error) }, "token_expired", "");
    } else if (this.#last !== null) {
      if (quietMs > bounds.frameStallMsMax) this.close(this.#last.event, this.#last.detail);
    } else if (this.#frameSinceMs !== null && !this.#isWaitingForMemory) {
      const paceMs = (this.#reader.lengthBytes / PACE_BYTES_PER_S) * 1000;
      const tookMs = nowMs - this.#frameSinceMs;
      if (quietMs > bounds.frameStallMsMax || tookMs > bounds.frameStallMsMax + paceMs) {
        this.close("frame_stalled", `${Math.round(tookMs)} ms in a frame`);
      }
    } else if (this.#isWriting && quietMs > bounds.frameStallMsMax && replies.isScarce) {
      this.close("peer_not_reading", `${this.#unsentBytes} bytes wait, and others for them`);
    } else if (quietMs > bounds.connectionIdleMsMax) {
      if (this.#isWriting) this.close("peer_not_reading", `${this.#unsentBytes} bytes wait`);
      else if (this.#session.inFlight === 0) this.close("connection_idle", "");
    }
  }

  send(value: object): number {
    if (this.#isClosed || this.#last !== null) return 0;
    const chunks = encodeFrame(value);
    let sizeBytes = 0;
    for (const chunk of chunks) sizeBytes += chunk.length;
    this.#queue.push({ chunks, sizeBytes });
    this.#unsentBytes += sizeBytes;
    this.#options.replies.made(sizeBytes);
    this.#flushSoon();
    return sizeBytes;
  }

  sendLast(value: object, event: string, detail: string): void {
    if (this.#last !== null) return;
    this.send(value);
    this.#last = { event, detail };
    this.#abort();
    this.rouse();
  }

  async room(sizeBytes: number): Promise<Room | null> {
    const { replies } = this.#options;
    this.#waitingForRoom++;
    while (!this.#isClosed && !this.#isEnding && !this.#hasRoom(sizeBytes)) {
      if (this.#hasRoomOfItsOwn(sizeBytes)) await this.#sleepInLine();
      else {
        replies.wakeNext();
        await this.#sleep();
      }
    }
    this.#waitingForRoom--;
    const room = this.#isClosed || this.#isEnding ? null : this.#madeRoom(sizeBytes);
    replies.wakeNext();
    return room;
  }

  /** Resolves at the next change, or when it is our turn among all connections. */
  #sleepInLine(): Promise<void> {
    const { replies } = this.#options;
    return new Promise((resolve) => {
      const wake = () => {
        replies.leave(wake);
        this.#waiting.delete(wake);
        resolve();
      };
      this.#waiting.add(wake);
      replies.enter(wake);
    });
  }

  /** Counts an answer before it is among what waits to be sent. */
  #madeRoom(sizeBytes: number): Room {
    const { replies } = this.#options;
    let heldBytes = 0;
    const hold = (wantedBytes: number): void => {
      const moreBytes = wantedBytes - heldBytes;
      heldBytes = wantedBytes;
      this.#admittedBytes += moreBytes;
      if (moreBytes > 0) replies.made(moreBytes);
      else replies.sent(-moreBytes);
      if (moreBytes < 0) this.rouse();
    };
    hold(sizeBytes);
    return {
      resize: (wantedBytes) => {
        if (wantedBytes > heldBytes) {
          const before = heldBytes;
          hold(0);
          if (!this.#hasRoom(wantedBytes)) {
            hold(before);
            return false;
          }
        }
        hold(wantedBytes);
        return true;
      },
      release: () => {
        if (heldBytes > 0) hold(0);
      },
    };
  }

  /** Whether one more answer may be made: the first one always, unless others hold everything. */
  #hasRoom(sizeBytes: number): boolean {
    const isOnly = this.#unsentBytes + this.#admittedBytes === 0;
    return this.#hasRoomOfItsOwn(sizeBytes) && this.#options.replies.hasRoom(sizeBytes, isOnly);
  }

  #hasRoomOfItsOwn(sizeBytes: number): boolean {
    const madeBytes = this.#unsentBytes + this.#admittedBytes;
    return madeBytes === 0 || madeBytes + sizeBytes <= this.#options.bounds.responseBytesMax;
  }

  async until(holds: () => boolean): Promise<void> {
    while (!this.#isClosed && !holds()) await this.#sleep();
  }

  rouse(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
    this.#closeIfEnded();
  }

  /** True while a request is in progress or something waits to be sent. */
  get #isBusy(): boolean {
    const { inFlight, subscriptionCount } = this.#session;
    return inFlight > 0 || subscriptionCount > 0 || this.#queue.length > 0 || this.#isWriting;
  }

  async #serve(): Promise<void> {
    const { bounds, runtime } = this.#options;
    const reader = this.#reader;
    const hasRoom = (): boolean =>
      this.#session.inFlight < bounds.inFlightMax &&
      this.#unsentBytes <= bounds.responseBytesMax &&
      (this.#waitingForRoom === 0 || this.#unsentBytes === 0);
    const mayRead = () => this.#isEnding || this.#last !== null || hasRoom();
    while (!this.#isClosed) {
      // Only between frames: what was begun holds memory, and is read to its end.
      if (reader.isAtBoundary) {
        this.#frameSinceMs = null;
        if (!mayRead()) await this.until(mayRead);
      }
      if (this.#isEnding || this.#last !== null || this.#isClosed) {
        // Answers that are under way are still sent; `rouse` closes behind them.
        await this.until(() => false);
        return;
      }
      const step = reader.next();
      if (step === "need_bytes") {
        if (!reader.isAtBoundary) this.#frameSinceMs ??= runtime.clock.monotonicMs();
        const chunk = await this.#connection.read();
        if (chunk === null) return;
        this.#lastActiveMs = runtime.clock.monotonicMs();
        if (!this.#isClosed) reader.push(chunk);
      } else if (step === "need_memory") {
        await this.#waitingForMemory(() => reader.acquireMemory());
      } else await this.#take(step);
    }
  }

  /** Looks a whole frame over, takes memory for it, and begins what it asks for. */
  async #take(bytes: Uint8Array): Promise<void> {
    const { budget, bounds } = this.#options;
    const frame = scanFrame(bytes, bounds.frameItemsMax);
    if (typeof frame === "string") {
      const error = kafkaError("invalid_request", `The frame cannot be read: ${frame}`);
      this.sendLast({ id: null, ...refusal(error) }, "frame_unreadable", frame);
      return;
    }
    const { weightBytes } = frame;
    if (!budget.tryTake(weightBytes)) {
      await this.#waitingForMemory(() => budget.take(weightBytes));
    }
    if (this.#isClosed) {
      budget.give(weightBytes);
      return;
    }
    let isHeld = true;
    const release = () => {
      if (isHeld) budget.give(weightBytes);
      isHeld = false;
    };
    let value: unknown;
    try {
      value = decodeFrame(frame);
    } catch (error) {
      release();
      throw error;
    }
    const blocking = this.#session.begin(value, release);
    if (blocking !== null) await blocking;
    if (this.#session.isGreeted) this.#reader.frameBytesMax = bounds.frameBytesMax;
  }

  /** The peer's time does not run while the wait is ours. */
  async #waitingForMemory(wait: () => Promise<void>): Promise<void> {
    this.#isWaitingForMemory = true;
    await wait();
    this.#isWaitingForMemory = false;
    this.#lastActiveMs = this.#options.runtime.clock.monotonicMs();
    if (this.#frameSinceMs !== null) this.#frameSinceMs = this.#lastActiveMs;
  }

  /** In a later microtask, so that answers of one group commit leave in one write. */
  #flushSoon(): void {
    if (this.#isFlushDue || this.#isWriting) return;
    this.#isFlushDue = true;
    void Promise.resolve().then(() => {
      this.#isFlushDue = false;
      return this.#flush();
    });
  }

  /** Sends what is ready. Never rejects. */
  async #flush(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    try {
      while (!this.#isClosed && this.#queue.length > 0) {
        const chunks: Uint8Array[] = [];
        let sizeBytes = 0;
        let taken = 0;
        while (taken < this.#queue.length && sizeBytes < WRITE_BYTES_AIM) {
          const next = this.#queue[taken++]!;
          for (const chunk of next.chunks) chunks.push(chunk);
          sizeBytes += next.sizeBytes;
        }
        this.#queue.splice(0, taken);
        await this.#write(chunks, sizeBytes);
      }
    } catch (error) {
      this.#closeFor(error);
    } finally {
      this.#isWriting = false;
      this.rouse();
    }
  }

  async #write(chunks: readonly Uint8Array[], sizeBytes: number): Promise<void> {
    // What was waiting counts as quiet time of the peer only from now on.
    const { clock } = this.#options.runtime;
    this.#lastActiveMs = clock.monotonicMs();
    try {
      await this.#connection.write(chunks);
      this.#lastActiveMs = clock.monotonicMs();
    } finally {
      if (!this.#isClosed) {
        this.#unsentBytes -= sizeBytes;
        this.#options.replies.sent(sizeBytes);
      }
    }
    this.rouse();
  }

  #closeIfEnded(): void {
    if (this.#isClosed || this.#isWriting || this.#queue.length > 0) return;
    if (this.#last !== null) this.close(this.#last.event, this.#last.detail);
    else if (this.#isEnding && !this.#isBusy) this.close("transport_stopped", "");
  }

  #abort(): void {
    this.#options.abort();
    this.#session.end();
  }

  #closeFor(error: unknown): void {
    if (this.#isClosed) return;
    if (error instanceof FrameTooLarge) {
      const told = kafkaError("message_too_large", error.message);
      this.sendLast(
        { id: null, ...refusal(told) },
        "frame_too_large",
        `${error.lengthBytes} bytes`,
      );
    } else if (error instanceof NetworkError) this.close("connection_lost", error.code);
    else {
      const { log, scheduler } = this.#options.runtime;
      const stack = error instanceof Error ? error.stack : undefined;
      log.error("tcp_connection_failed", { error: String(error), stack });
      this.close("connection_failed", String(error));
      if (error instanceof InvariantError) {
        scheduler.spawn("tcp_broken_invariant", () => Promise.reject(error));
      }
    }
  }

  /** Resolves at the next change. */
  #sleep(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
    });
  }
}

/** How connections end every day; everything else is a warning. */
const QUIET_EVENTS: ReadonlySet<string> = new Set([
  "connection_ended",
  "connection_lost",
  "connection_idle",
  "transport_stopped",
]);
