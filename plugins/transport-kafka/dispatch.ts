// Turns frames into jobs: reads the header, finds the handler, decodes the body; later runs the handler and
// frames its response. One session a connection, one dispatcher a transport.
// Kafka: KafkaApis.handle, RequestContext.parseRequest, SaslServerAuthenticator's gate before it.

import { DecodeError } from "../../src/base/byte_reader.ts";
import type { Caller } from "../../src/contracts/broker.ts";
import { apiKeyOf, apiVersionOf, correlationIdOf } from "../../src/protocol/header.ts";
import { decodeRequest } from "../../src/protocol/mod.ts";
import {
  ConnectionRefusal,
  type Job,
  type Overlap,
  type Reply,
  type RequestDecoder,
} from "./exchange.ts";
import type { Frame } from "./framing.ts";
import type { AnyHandler, HandlerContext, ServedApi } from "./handler.ts";
import { refuseApiVersions } from "./handlers/18_api_versions.ts";
import { handlers } from "./handlers/table.ts";
import type { Login } from "./login.ts";
import { framedReply, ReadyJob } from "./reply.ts";

/** API key of ApiVersions: its response header stays at version 0, and it answers versions it does not know. */
const API_VERSIONS_KEY = 18;

/** What ApiVersions lists: what has a handler. */
export function servedApis(): ServedApi[] {
  const served: ServedApi[] = [];
  for (const handler of handlers) {
    if (handler === undefined) continue;
    const { apiKey, advertisedLowest, highestStable } = handler.api;
    served.push({ apiKey, minVersion: advertisedLowest, maxVersion: highestStable });
  }
  return served;
}

/** The decoder of one connection: remembers who calls. */
export class Session implements RequestDecoder {
  readonly #context: HandlerContext;
  readonly #login: Login | null;
  #caller: Caller;

  /**
   * @param caller its client id is replaced by that of each request, its principal by that of each login
   * @param login null where everyone is let in as the caller given
   */
  constructor(context: HandlerContext, caller: Caller, login: Login | null = null) {
    this.#context = context;
    this.#caller = caller;
    this.#login = login;
  }

  decode(frame: Frame): Job {
    try {
      return this.#login?.take(frame) ?? this.#decode(frame);
    } catch (error) {
      if (error instanceof DecodeError) throw undecodable(frame, error, this.#login);
      throw error;
    }
  }

  overdue(nowMs: number): ConnectionRefusal | null {
    return this.#login?.overdue(nowMs) ?? null;
  }

  #decode(frame: Frame): Job {
    const apiKey = apiKeyOf(frame.bytes);
    const version = apiVersionOf(frame.bytes);
    const handler = apiKey >= 0 ? handlers[apiKey] : undefined;
    if (handler === undefined) {
      throw new ConnectionRefusal("request_api_unknown", `API key ${apiKey} version ${version}`);
    }
    const { api } = handler;
    if (version < api.lowest || version > api.highestStable) {
      if (apiKey === API_VERSIONS_KEY) {
        const reply = framedReply(api, 0, correlationIdOf(frame.bytes), refuseApiVersions());
        frame.release();
        return new ReadyJob(reply);
      }
      throw new ConnectionRefusal(
        "request_version_unsupported",
        `${api.name} version ${version}, where ${api.lowest} to ${api.highestStable} are served`,
      );
    }
    // Bytes behind the body are ignored, as Kafka does: librdkafka sends three too many.
    const { header, body: read, hasBigint } = decodeRequest(api, frame.bytes);
    const body =
      hasBigint && handler.roundsBigints === true ? (rounded(read) as typeof read) : read;
    if (hasBigint && body === read && handler.takesBigints !== true) {
      throw new ConnectionRefusal("request_integer_too_large", `${api.name} version ${version}`);
    }
    const clientId = header.clientId ?? "";
    if (clientId !== this.#caller.clientId) this.#caller = { ...this.#caller, clientId };
    const principal = this.#login?.principal ?? null;
    if (principal !== null && principal !== this.#caller.principal) {
      this.#caller = { ...this.#caller, principal };
    }
    const context = this.#context;
    const dataBytesMax = handler.dataBytesMax?.(context, body) ?? 0;
    const { correlationId } = header;
    let held: Frame | null = frame;
    if (handler.holdsFrame === undefined) {
      frame.release();
      held = null;
    }
    const caller = this.#caller;
    return new RequestJob(
      context,
      handler,
      caller,
      body,
      version,
      correlationId,
      held,
      dataBytesMax,
    );
  }
}

/** A value with numbers in the place of bigints. */
function rounded(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, rounded(each)]));
}

class RequestJob implements Job {
  readonly overlap: Overlap;
  readonly dataBytesMax: number;
  readonly #context: HandlerContext;
  readonly #handler: AnyHandler;
  readonly #caller: Caller;
  readonly #request: unknown;
  readonly #version: number;
  readonly #correlationId: number;
  readonly #frame: Frame | null;

  constructor(
    context: HandlerContext,
    handler: AnyHandler,
    caller: Caller,
    request: unknown,
    version: number,
    correlationId: number,
    frame: Frame | null,
    dataBytesMax: number,
  ) {
    this.overlap = handler.overlap;
    this.dataBytesMax = dataBytesMax;
    this.#context = context;
    this.#handler = handler;
    this.#caller = caller;
    this.#request = request;
    this.#version = version;
    this.#correlationId = correlationId;
    this.#frame = frame;
  }

  async run(): Promise<Reply | null> {
    try {
      const called = this.#handler.handle(
        this.#context,
        this.#caller,
        this.#request as never,
        this.#version,
      );
      if (this.#handler.holdsFrame === "for_the_call") this.#frame?.release();
      const answer = await called;
      const { response, release } = answer;
      if (response === null) return null;
      try {
        const { api } = this.#handler;
        return framedReply(api, this.#version, this.#correlationId, response, release);
      } catch (error) {
        release?.();
        throw error;
      }
    } finally {
      this.#frame?.release();
    }
  }
}

function undecodable(frame: Frame, error: DecodeError, login: Login | null): ConnectionRefusal {
  const { bytes } = frame;
  // What comes at a login may hold a password: the log does not get to see it.
  if (login?.isOpen === false) {
    return new ConnectionRefusal("request_undecodable", `${bytes.length} bytes at the login`);
  }
  const head = [...bytes.subarray(0, 16)]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
  return new ConnectionRefusal(
    "request_undecodable",
    `${error.message}; ${bytes.length} bytes that start with ${head}`,
  );
}
