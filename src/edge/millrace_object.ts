// The Durable Object: a broker of its own, opened by the first request and served over HTTP, and stopped when nobody
// has asked for a while, since its timers keep the object in memory. Invariant: one broker at a time; requests wait for
// the opening or the stop that runs; none is stopped under a request or an answer on its way. An opening that failed is
// tried again by the next request.

import { type TransportHttpOptions, transportHttp } from "../../plugins/transport-http/mod.ts";
import type { FetchHandler } from "../contracts/runtime.ts";
import type { RunningBroker } from "../core/mod.ts";
import {
  type DurableObjectContext,
  type ObjectBrokerOptions,
  openObjectBroker,
} from "./object_broker.ts";

/** How the object is made and served; everything may be left out. */
export interface MillraceObjectOptions extends ObjectBrokerOptions {
  /** Bounds of transport-http; those of memory are smaller here than elsewhere. */
  readonly http?: Omit<TransportHttpOptions, "listeners">;
  /**
   * Milliseconds without a request after which the broker stops, so that the host may take the object out of memory;
   * the next request opens it again. From 0; null: never. Default 10,000.
   */
  readonly idleMs?: number | null;
}

const MIB = 1024 * 1024;
/** An instance has 128 MB of memory for everything. */
const HTTP_BOUNDS = {
  bodyBytesMax: 8 * MIB,
  arrivalBytesMax: 16 * MIB,
  fetchBytesMax: 4 * MIB,
  replyBytesMax: 16 * MIB,
  requestsMax: 256,
  streamsMax: 256,
} as const;

/** Of a body that no route wanted; beyond it the connection may break. */
const UNREAD_BYTES_MAX = 64 * 1024;
/** Nor is it waited for longer. */
const UNREAD_MS_MAX = 1000;

const IDLE_MS_DEFAULT = 10_000;
const IDLE_MS_MAX = 2 ** 31 - 1;
/** Nothing is in progress by then. */
const STOP_GRACE_MS = 1000;

interface Opened {
  readonly broker: RunningBroker;
  readonly handle: FetchHandler;
}

/**
 * Takes what a refused client still sends: workerd breaks the connection under a body that nobody reads, and the
 * client, or the next request on that connection, never sees the answer.
 */
async function readAway(body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader();
  try {
    for (let sizeBytes = 0; sizeBytes <= UNREAD_BYTES_MAX; ) {
      const { done, value } = await reader.read();
      if (done) return;
      sizeBytes += value.byteLength;
    }
    await reader.cancel();
  } catch {
    // It has gone.
  }
}

/**
 * The answer, with a call of `onEnd` once its body has been read, given up or failed. Small bodies stay whole, with
 * their length; events come when they come, and are not waited for.
 */
async function watched(response: Response, onEnd: () => void): Promise<Response> {
  const { body } = response;
  if (body === null) {
    onEnd();
    return response;
  }
  const reader = body.getReader();
  const early: Uint8Array[] = [];
  try {
    if (response.headers.get("content-type")?.startsWith("text/event-stream") !== true) {
      for (let chunk = await reader.read(); ; chunk = await reader.read()) {
        if (chunk.done) {
          onEnd();
          return new Response((early[0] ?? null) as Uint8Array<ArrayBuffer> | null, response);
        }
        early.push(chunk.value);
        if (early.length === 2) break;
      }
    }
  } catch (error) {
    onEnd();
    throw error;
  }
  const rest = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const first = early.shift();
        if (first !== undefined) {
          controller.enqueue(first);
          return;
        }
        try {
          const { done, value } = await reader.read();
          if (!done) {
            controller.enqueue(value);
            return;
          }
        } catch (error) {
          onEnd();
          throw error;
        }
        onEnd();
        controller.close();
      },
      cancel(reason) {
        onEnd();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(rest, response);
}

function logError(event: string, error: unknown): void {
  const detail = error instanceof Error ? error.message : String(error);
  console.error(JSON.stringify({ level: "error", event, error: detail }));
}

/** Why is for the log: strangers may ask. Standard: RFC 9457. */
function notOpened(): Response {
  const code = "kafka_storage_error";
  const problem = {
    type: `urn:millrace:${code}`,
    title: "Service Unavailable",
    status: 503,
    detail: "The log of this object cannot be opened; its own log says why",
    code,
    retriable: true,
  };
  return Response.json(problem, {
    status: 503,
    headers: { "content-type": "application/problem+json", "retry-after": "1" },
  });
}

/**
 * A whole Millrace in a Durable Object with SQLite storage. Export it, or a class of your own over it that passes
 * options on, and bind it under `new_sqlite_classes`:
 *
 *     export class Log extends MillraceObject {
 *       constructor(ctx: DurableObjectState, env: Env) {
 *         super(ctx, env, { auth: [authToken({ tokens: env.TOKENS })] });
 *       }
 *     }
 */
export class MillraceObject {
  readonly #context: DurableObjectContext;
  readonly #options: MillraceObjectOptions;
  readonly #idleMs: number | null;
  #opening: Promise<Opened> | null = null;
  /** The stop that runs, or ran last. Never rejects. */
  #stopped: Promise<void> = Promise.resolve();
  /** Requests and answers in progress, and code that holds the broker. */
  #useCount = 0;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;

  /** @throws {TypeError} when `idleMs` is out of range */
  constructor(context: DurableObjectContext, _env: unknown, options: MillraceObjectOptions = {}) {
    const { idleMs = IDLE_MS_DEFAULT } = options;
    if (idleMs !== null && !(Number.isInteger(idleMs) && idleMs >= 0 && idleMs <= IDLE_MS_MAX)) {
      throw new TypeError(
        `idleMs must be null or a whole number from 0 to ${IDLE_MS_MAX}, not ${idleMs}`,
      );
    }
    this.#context = context;
    this.#options = options;
    this.#idleMs = idleMs;
  }

  /** Serves one request of transport-http's routes; a log that does not open is a 503. Never rejects. */
  async fetch(request: Request): Promise<Response> {
    const leave = this.#enter();
    let handle: FetchHandler;
    try {
      handle = (await this.#opened()).handle;
    } catch (error) {
      leave();
      logError("log_not_opened", error);
      return notOpened();
    }
    // The edge writes this header itself, whatever the client sent.
    const host = request.headers.get("cf-connecting-ip") ?? "";
    const response = await watched(await handle(request, { host, port: 0 }), leave);
    if (request.body !== null && !request.bodyUsed) {
      // Before the answer goes: once it is complete, what is unread breaks the connection at once.
      const reading = readAway(request.body);
      this.#context.waitUntil(reading);
      await Promise.race([reading, new Promise((resolve) => setTimeout(resolve, UNREAD_MS_MAX))]);
    }
    return response;
  }

  /**
   * The broker itself, opened, for as long as `work` runs: for code of yours in the same object, e.g. with `createClient` and
   * `brokerPort` of millrace/client.
   */
  async use<T>(work: (broker: RunningBroker) => T | Promise<T>): Promise<T> {
    const leave = this.#enter();
    try {
      return await work((await this.#opened()).broker);
    } finally {
      leave();
    }
  }

  /** As `use`, for good: from then on this instance no longer stops its broker when it is idle. */
  async broker(): Promise<RunningBroker> {
    const leave = this.#enter();
    try {
      return (await this.#opened()).broker;
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** @returns to be called when it is over; more than once does no harm */
  #enter(): () => void {
    this.#useCount++;
    clearTimeout(this.#idleTimer);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      if (--this.#useCount > 0 || this.#idleMs === null) return;
      clearTimeout(this.#idleTimer);
      this.#idleTimer = setTimeout(() => this.#stop(), this.#idleMs);
    };
  }

  #opened(): Promise<Opened> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  async #open(): Promise<Opened> {
    // Two brokers would fence one another off.
    await this.#stopped;
    const http = transportHttp({ ...HTTP_BOUNDS, ...this.#options.http, listeners: null });
    const broker = await openObjectBroker(this.#context, this.#options, [http]);
    const { handle } = broker.transport(http.name);
    if (handle === undefined) throw new Error("transport-http gives no handle");
    return { broker, handle };
  }

  /** Requests that come from now on open another broker, once this one has stopped. */
  #stop(): void {
    const opening = this.#opening;
    if (opening === null || this.#useCount > 0) return;
    this.#opening = null;
    this.#stopped = opening
      .then(({ broker }) => broker.stop(STOP_GRACE_MS))
      // What it had acknowledged is stored; the next opening takes over whatever state it left.
      .catch((error: unknown) => logError("stop_failed", error));
    this.#context.waitUntil(this.#stopped);
  }
}
