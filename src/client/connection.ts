// One connection to one broker: requests go out pipelined, responses come back in order, and the versions
// are agreed on at the start (KIP-35, KIP-511).
// Invariant: at most `inFlightMax` requests are unanswered on the wire; the rest wait here. After a request
// timed out the connection is closed, as its answer would be taken for another's.
// Kafka: NetworkClient, InFlightRequests.

import { DecodeError } from "../base/byte_reader.ts";
import { EncodeError } from "../base/byte_writer.ts";
import type { ConnectAddress, Connection, Timer } from "../contracts/runtime.ts";
import { ApiVersions } from "../protocol/messages/18_api_versions.ts";
import {
  decodeResponse,
  encodeRequest,
  type RequestInputOf,
  type ResponseOf,
} from "../protocol/mod.ts";
import { FrameReader } from "../protocol/response_frames.ts";
import type { Api } from "../protocol/schema.ts";
import { aborted, ClientError } from "./client_error.ts";
import { logIn, renewalDelayMs, type SaslOptions } from "./login.ts";
import { usableVersion, type VersionRange } from "./version_range.ts";
import type { ClientRuntime } from "./waiting.ts";

export interface ConnectionOptions {
  readonly clientId: string;
  /** Until a request is answered, in ms. */
  readonly requestTimeoutMs: number;
  /** Requests on the wire without an answer. */
  readonly inFlightMax: number;
  /** A longer response closes the connection. */
  readonly responseBytesMax: number;
  /** Who to log in as; left out: nobody. */
  readonly sasl?: SaslOptions | undefined;
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  readonly isAnswered?: boolean | undefined;
}

/** Requests of a login go ahead of what waits for it. */
interface ExchangeOptions extends RequestOptions {
  readonly isLogin?: boolean;
}

/** Says who we are in ApiVersions: letters, digits, dots and dashes. */
export const SOFTWARE_NAME = "millrace";
export const SOFTWARE_VERSION = "0.1.0";
const UNSUPPORTED_VERSION = 35;

interface Exchange {
  readonly correlationId: number;
  readonly api: Api;
  readonly version: number;
  readonly parts: readonly Uint8Array[];
  readonly isAnswered: boolean;
  readonly isLogin: boolean;
  readonly resolve: (frame: Uint8Array | null) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: Timer;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

/** An open connection whose versions are agreed on. */
export class KafkaConnection {
  /** "host:port", for messages. */
  readonly address: string;
  readonly #runtime: ClientRuntime;
  readonly #options: ConnectionOptions;
  readonly #socket: Connection;
  readonly #outbox: Exchange[] = [];
  readonly #inFlight: Exchange[] = [];
  #versions: ReadonlyMap<number, VersionRange> = new Map();
  #correlationId = 0;
  #isWriting = false;
  #failure: ClientError | null = null;
  /** While the client logs in again, nothing else may be sent. */
  #isLoggingIn = false;
  #renewal: Timer | null = null;

  private constructor(
    runtime: ClientRuntime,
    socket: Connection,
    address: string,
    options: ConnectionOptions,
  ) {
    this.#runtime = runtime;
    this.#socket = socket;
    this.address = address;
    this.#options = options;
  }

  /**
   * Connects, agrees on versions, and logs in where `sasl` says so; the login is renewed before it ends.
   *
   * @throws {ClientError} "network_exception" with the NetworkError as its cause, "request_timed_out",
   *   "unsupported_version", "sasl_authentication_failed", "unsupported_sasl_mechanism", "illegal_sasl_state"
   */
  static async open(
    runtime: ClientRuntime,
    to: ConnectAddress,
    options: ConnectionOptions,
  ): Promise<KafkaConnection> {
    const address = to.host.includes(":") ? `[${to.host}]:${to.port}` : `${to.host}:${to.port}`;
    let socket: Connection;
    try {
      socket = await runtime.network.connect(to);
    } catch (cause) {
      throw new ClientError("network_exception", messageOf(cause), { cause });
    }
    const connection = new KafkaConnection(runtime, socket, address, options);
    void connection.#readAll();
    try {
      await connection.#agree();
      if (options.sasl !== undefined) await connection.#logIn(options.sasl);
    } catch (error) {
      connection.close("it could not be opened");
      throw error;
    }
    return connection;
  }

  get isOpen(): boolean {
    return this.#failure === null;
  }

  /** What the broker serves of an API; undefined when it does not. */
  rangeOf(apiKey: number): VersionRange | undefined {
    return this.#versions.get(apiKey);
  }

  /**
   * The highest version that both sides have, within the bounds given.
   *
   * @throws {ClientError} "unsupported_version" naming both ranges
   */
  versionOf(api: Api, versionMin?: number, versionMax?: number): number {
    const theirs = this.#versions.get(api.apiKey);
    return usableVersion(api, theirs, this.address, versionMin, versionMax);
  }

  /** Sends a request and returns its response. Requests go out in the order of the calls. */
  request<A extends Api>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    options: RequestOptions = {},
  ): Promise<ResponseOf<A>> {
    return this.#request(api, version, body, options);
  }

  async #request<A extends Api>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    options: ExchangeOptions,
  ): Promise<ResponseOf<A>> {
    const frame = await this.#exchange(api, version, body, options);
    if (frame === null) return null as never;
    try {
      return decodeResponse(api, version, frame).body;
    } catch (cause) {
      if (!(cause instanceof DecodeError)) throw cause;
      throw new ClientError(
        "network_exception",
        `Cannot read the answer of ${this.address} to ${api.name} v${version}: ${cause.message}`,
        { cause, retriable: false },
      );
    }
  }

  /** Ends what is under way with "network_exception", or with the error given. Idempotent. */
  close(reason: string, failure?: ClientError): void {
    if (this.#failure !== null) return;
    this.#failure =
      failure ??
      new ClientError(
        "network_exception",
        `The connection to ${this.address} was closed: ${reason}`,
      );
    this.#socket.close(reason);
    this.#renewal?.cancel();
    for (const exchange of [...this.#inFlight, ...this.#outbox]) {
      this.#forget(exchange);
      exchange.reject(this.#failure);
    }
    this.#inFlight.length = 0;
    this.#outbox.length = 0;
  }

  async #agree(): Promise<void> {
    let version = ApiVersions.highest;
    for (;;) {
      const request = {
        clientSoftwareName: SOFTWARE_NAME,
        clientSoftwareVersion: SOFTWARE_VERSION,
      };
      const frame = (await this.#exchange(ApiVersions, version, request, {}))!;
      // A broker that lacks our version answers in the form of version 0, with what it has (KIP-511).
      const errorCode = frame.length >= 6 ? (frame[4]! << 8) | frame[5]! : 0;
      const isRefused = errorCode === UNSUPPORTED_VERSION;
      let body: ResponseOf<typeof ApiVersions>;
      try {
        body = decodeResponse(ApiVersions, isRefused ? 0 : version, frame).body;
      } catch (cause) {
        throw new ClientError(
          "network_exception",
          `What answers at ${this.address} does not speak Kafka's protocol: ${messageOf(cause)}`,
          { cause, retriable: false },
        );
      }
      if (isRefused && version > 0) {
        const offered = body.apiKeys.find((each) => each.apiKey === ApiVersions.apiKey);
        version = Math.min(version - 1, Math.max(offered?.maxVersion ?? 0, 0));
        continue;
      }
      if (body.errorCode !== 0) {
        throw new ClientError(
          "unsupported_version",
          `Cannot agree on versions with ${this.address}: error ${body.errorCode}`,
        );
      }
      this.#versions = new Map(
        body.apiKeys.map((each) => [each.apiKey, { min: each.minVersion, max: each.maxVersion }]),
      );
      return;
    }
  }

  async #logIn(sasl: SaslOptions): Promise<void> {
    const { scheduler, random } = this.#runtime;
    this.#isLoggingIn = true;
    let lifetimeMs: number;
    try {
      lifetimeMs = await logIn(
        {
          address: this.address,
          versionOf: (api, versionMin, versionMax) => this.versionOf(api, versionMin, versionMax),
          ask: (api, version, body) => this.#request(api, version, body, { isLogin: true }),
        },
        sasl,
      );
    } finally {
      this.#isLoggingIn = false;
    }
    if (this.#failure !== null) throw this.#failure;
    if (!this.#isWriting) void this.#writeAll();
    if (lifetimeMs <= 0) return;
    const delayMs = renewalDelayMs(lifetimeMs, random.uint32());
    this.#renewal = scheduler.after(delayMs, "client_login", () => {
      void this.#logIn(sasl).catch((error: unknown) => {
        const text = "the login could not be renewed";
        this.close(text, error instanceof ClientError ? error : undefined);
      });
    });
  }

  #exchange<A extends Api>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    options: ExchangeOptions,
  ): Promise<Uint8Array | null> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(aborted());
    this.#correlationId = (this.#correlationId + 1) & 0x7fffffff;
    const correlationId = this.#correlationId;
    let parts: Uint8Array[];
    try {
      parts = encodeRequest(api, version, correlationId, this.#options.clientId, body);
    } catch (cause) {
      if (!(cause instanceof EncodeError)) return Promise.reject(cause);
      const text = `Cannot send ${api.name} v${version}: ${cause.message}`;
      return Promise.reject(new ClientError("invalid_request", text, { cause }));
    }
    const timeoutMs = options.timeoutMs ?? this.#options.requestTimeoutMs;
    return new Promise((resolve, reject) => {
      const exchange: Exchange = {
        correlationId,
        api,
        version,
        parts,
        isAnswered: options.isAnswered ?? true,
        isLogin: options.isLogin === true,
        resolve,
        reject,
        timer: this.#runtime.scheduler.after(timeoutMs, "client_request", () => {
          const text = `${this.address} did not answer ${api.name} within ${timeoutMs} ms`;
          this.close(text, new ClientError("request_timed_out", text));
        }),
        signal,
        onAbort: () => {
          const at = this.#outbox.indexOf(exchange);
          // What is on the wire already keeps its place, so that its answer is taken for nobody else's.
          if (at >= 0) {
            this.#outbox.splice(at, 1);
            this.#forget(exchange);
          }
          reject(aborted());
        },
      };
      signal?.addEventListener("abort", exchange.onAbort, { once: true });
      if (exchange.isLogin) this.#outbox.unshift(exchange);
      else this.#outbox.push(exchange);
      if (!this.#isWriting) void this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#failure === null) {
        const sending = this.#outbox.splice(0, this.#room());
        if (sending.length === 0) return;
        const parts =
          sending.length === 1 ? sending[0]!.parts : sending.flatMap((each) => each.parts);
        for (const exchange of sending) if (exchange.isAnswered) this.#inFlight.push(exchange);
        await this.#socket.write(parts);
        for (const exchange of sending) {
          if (exchange.isAnswered) continue;
          this.#forget(exchange);
          exchange.resolve(null);
        }
      }
    } catch (cause) {
      this.#broken(cause);
    } finally {
      this.#isWriting = false;
    }
  }

  /** How many of those that wait may be sent now. */
  #room(): number {
    if (this.#isLoggingIn) return this.#outbox[0]?.isLogin === true ? 1 : 0;
    return Math.max(this.#options.inFlightMax - this.#inFlight.length, 0);
  }

  async #readAll(): Promise<void> {
    const frames = new FrameReader(this.#options.responseBytesMax, (frame) =>
      this.#received(frame),
    );
    try {
      for (;;) {
        const chunk = await this.#socket.read();
        if (chunk === null) {
          this.close("the broker ended it");
          return;
        }
        frames.push(chunk);
      }
    } catch (cause) {
      this.#broken(cause);
    }
  }

  #received(frame: Uint8Array): void {
    const exchange = this.#inFlight.shift();
    const correlationId = (frame[0]! << 24) | (frame[1]! << 16) | (frame[2]! << 8) | frame[3]!;
    if (exchange === undefined || exchange.correlationId !== correlationId) {
      if (exchange !== undefined) this.#inFlight.unshift(exchange);
      throw new DecodeError(`No request has the number ${correlationId} of this answer`);
    }
    this.#forget(exchange);
    exchange.resolve(frame);
    if (this.#outbox.length > 0 && !this.#isWriting) void this.#writeAll();
  }

  #broken(cause: unknown): void {
    const text = `The connection to ${this.address} broke: ${messageOf(cause)}`;
    this.close(text, new ClientError("network_exception", text, { cause }));
  }

  #forget(exchange: Exchange): void {
    exchange.timer.cancel();
    exchange.signal?.removeEventListener("abort", exchange.onAbort);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
