// The Durable Object: a broker of its own, opened by the first request and served over HTTP.
// Invariant: an opening that failed is tried again by the next request; requests meanwhile wait for the same one.

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
  #opening: Promise<Opened> | null = null;

  constructor(context: DurableObjectContext, _env: unknown, options: MillraceObjectOptions = {}) {
    this.#context = context;
    this.#options = options;
  }

  /** Serves one request of transport-http's routes; a log that does not open is a 503. Never rejects. */
  async fetch(request: Request): Promise<Response> {
    let handle: FetchHandler;
    try {
      handle = (await this.#opened()).handle;
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      console.error(JSON.stringify({ level: "error", event: "log_not_opened", error: detail }));
      return notOpened();
    }
    // The edge writes this header itself, whatever the client sent.
    const host = request.headers.get("cf-connecting-ip") ?? "";
    const response = await handle(request, { host, port: 0 });
    if (request.body !== null && !request.bodyUsed) {
      this.#context.waitUntil(readAway(request.body));
    }
    return response;
  }

  /** The broker itself, opened: for code of yours in the same object, e.g. with `connect` of millrace/client. */
  async broker(): Promise<RunningBroker> {
    return (await this.#opened()).broker;
  }

  #opened(): Promise<Opened> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  async #open(): Promise<Opened> {
    const http = transportHttp({ ...HTTP_BOUNDS, ...this.#options.http, listeners: null });
    const broker = await openObjectBroker(this.#context, this.#options, [http]);
    const { handle } = broker.transport(http.name);
    if (handle === undefined) throw new Error("transport-http gives no handle");
    return { broker, handle };
  }
}
