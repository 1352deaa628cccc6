// The SASL conversation of one connection: who may speak before a login, the login itself, its end, and the
// next one (KIP-43, KIP-152, KIP-306, KIP-368).
// Invariant: until `isOpen`, nothing but ApiVersions and the login is served, and no byte of it is logged; a
// login ends open or with the connection. Kafka: SaslServerAuthenticator, KafkaChannel.

import {
  type Authenticator,
  type AuthSession,
  BEARER_MECHANISM,
  isPeer,
  PEER_MECHANISM,
  type Peer,
  type Principal,
} from "../../src/contracts/auth.ts";
import type { Broker } from "../../src/contracts/broker.ts";
import type { Runtime } from "../../src/contracts/runtime.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../src/protocol/errors.ts";
import { apiKeyOf, apiVersionOf } from "../../src/protocol/header.ts";
import { SaslHandshake } from "../../src/protocol/messages/17_sasl_handshake.ts";
import { SaslAuthenticate } from "../../src/protocol/messages/36_sasl_authenticate.ts";
import { decodeRequest } from "../../src/protocol/mod.ts";
import type { Api } from "../../src/protocol/schema.ts";
import { ConnectionRefusal, type Job, type Reply } from "./exchange.ts";
import type { Frame } from "./framing.ts";
import { framedReply } from "./reply.ts";

const API_VERSIONS_KEY = 18;
/** A client may not log in again more often (KIP-368). */
const AGAIN_MS_MIN = 1000;
const NO_BYTES = new Uint8Array(0);
/** All that a client is told of a failed login. */
const FAILED_TEXT = "Authentication failed";

/** The mechanisms that Kafka's clients are offered. */
export function saslMechanisms(authenticator: Authenticator): readonly string[] {
  return authenticator.mechanisms.filter((name) => name !== BEARER_MECHANISM);
}

export interface LoginOptions {
  /** Null: clients need no login, and only brokers do so. */
  readonly authenticator: Authenticator | null;
  /** For other brokers of the cluster, never listed. */
  readonly peerAuthenticator?: Authenticator | undefined;
  readonly peer: Peer;
  /** For its settings, which may change while it runs. */
  readonly broker: Broker;
  readonly runtime: Runtime;
  /** Fires when the client has gone. */
  readonly signal: AbortSignal;
  readonly loginMsMax: number;
  /** Called at each login that succeeded. */
  readonly onOpen: () => void;
}

/** The tokens of a conversation come in SaslAuthenticate requests ("headers"), or bare behind a handshake v0. */
type State = "unasked" | "handshake" | "headers" | "bare" | "open" | "failed";

export class Login {
  readonly #options: LoginOptions;
  #state: State = "handshake";
  #mechanism = "";
  #session: AuthSession | null = null;
  #principal: Principal | null = null;
  /** Monotonic; null: the login lasts as long as the connection. */
  #endsAtMs: number | null = null;
  /** When this login began. */
  #sinceMs: number;
  /** When the client last began to log in again. */
  #againAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: LoginOptions) {
    this.#options = options;
    if (options.authenticator === null) this.#state = "unasked";
    this.#sinceMs = options.runtime.clock.monotonicMs();
  }

  /** Whether somebody is logged in and no new login is under way. */
  get isOpen(): boolean {
    return this.#state === "open" || this.#state === "unasked";
  }

  /** Who is logged in, or was before the login that is under way. */
  get principal(): Principal | null {
    return this.#principal;
  }

  /** Largest frame before a login. */
  get messageBytesMax(): number {
    const sizeBytes = Number(this.#options.broker.setting("sasl.server.max.receive.size") ?? 0);
    return sizeBytes > 0 ? sizeBytes : 524_288;
  }

  /** Why the connection has to end as nobody logs in; null while there is time. */
  overdue(nowMs: number): ConnectionRefusal | null {
    const { loginMsMax } = this.#options;
    if (this.isOpen || nowMs - this.#sinceMs <= loginMsMax) return null;
    return new ConnectionRefusal("login_timed_out", `No login within ${loginMsMax} ms`);
  }

  /**
   * The job of a frame that belongs to the login, which owns the frame then; null when it is for the handlers.
   *
   * @throws {ConnectionRefusal} when the frame may not come now
   * @throws {DecodeError} when it cannot be read
   */
  take(frame: Frame): Job | null {
    if (this.#state === "bare") {
      const token = frame.bytes.slice();
      frame.release();
      return new LoginJob(() => this.#respond(token, null));
    }
    const apiKey = apiKeyOf(frame.bytes);
    switch (this.#state) {
      case "unasked":
        // Other mechanisms than that of brokers are the handlers' to refuse, as where nobody can log in.
        if (apiKey !== SaslHandshake.apiKey || !asksForPeer(frame)) return null;
        this.#sinceMs = this.#options.runtime.clock.monotonicMs();
        this.#state = "handshake";
        return this.#handshake(frame);
      case "open": {
        if (this.#endsAtMs === null) return null;
        const nowMs = this.#options.runtime.clock.monotonicMs();
        if (apiKey === SaslHandshake.apiKey && nowMs - this.#againAtMs >= AGAIN_MS_MIN) {
          this.#againAtMs = nowMs;
          this.#sinceMs = nowMs;
          this.#state = "handshake";
          return this.#handshake(frame);
        }
        if (nowMs < this.#endsAtMs) return null;
        throw new ConnectionRefusal("login_expired", this.#who());
      }
      case "handshake":
        if (apiKey === API_VERSIONS_KEY) return null;
        if (apiKey === SaslHandshake.apiKey) return this.#handshake(frame);
        break;
      case "headers":
        if (apiKey === SaslAuthenticate.apiKey) return this.#authenticate(frame);
        if (apiKey === SaslHandshake.apiKey) return this.#secondHandshake(frame);
        break;
    }
    throw new ConnectionRefusal("request_before_login", `API key ${apiKey}`);
  }

  #handshake(frame: Frame): Job {
    const { version, header, body } = read(SaslHandshake, frame);
    frame.release();
    const { authenticator, peerAuthenticator } = this.#options;
    const offered = authenticator === null ? [] : saslMechanisms(authenticator);
    // Who logs in again does so in the same way.
    const mechanisms = this.#principal === null ? offered : [this.#mechanism];
    const answer = (code: KafkaErrorName | null, refusal?: ConnectionRefusal): Reply =>
      ending(
        framedReply(SaslHandshake, version, header.correlationId, {
          errorCode: code === null ? NONE : wireCodeOf(code),
          mechanisms,
        }),
        refusal,
      );
    const { mechanism } = body;
    const isPeers = mechanism === PEER_MECHANISM;
    const who = isPeers ? peerAuthenticator : authenticator;
    const mayAsk = isPeers ? this.#principal === null : mechanisms.includes(mechanism);
    if (who === undefined || who === null || !mayAsk) {
      return new LoginJob(async () => {
        const refusal = await this.#failed("the mechanism asked for is not offered");
        return answer("unsupported_sasl_mechanism", refusal);
      });
    }
    return new LoginJob(async () => {
      this.#mechanism = mechanism;
      this.#session = who.begin(mechanism, this.#options.peer);
      this.#state = version === 0 ? "bare" : "headers";
      return answer(null);
    });
  }

  #secondHandshake(frame: Frame): Job {
    const { version, header } = read(SaslHandshake, frame);
    frame.release();
    return new LoginJob(async () => {
      const refusal = await this.#failed("a handshake in the middle of a login");
      const errorCode = wireCodeOf("illegal_sasl_state");
      const response = { errorCode, mechanisms: [] };
      return ending(framedReply(SaslHandshake, version, header.correlationId, response), refusal);
    });
  }

  #authenticate(frame: Frame): Job {
    const { version, header, body } = read(SaslAuthenticate, frame);
    // A copy: the conversation may wait, and the frame's memory goes back.
    const token = body.authBytes.slice();
    frame.release();
    return new LoginJob(() =>
      this.#respond(token, { version, correlationId: header.correlationId }),
    );
  }

  /** One step of the conversation; `request` is null where tokens are bare. */
  async #respond(
    token: Uint8Array,
    request: { readonly version: number; readonly correlationId: number } | null,
  ): Promise<Reply> {
    const step = await this.#session!.respond(token);
    token.fill(0);
    let reason = step.kind === "denied" ? step.reason : null;
    if (step.kind === "done" && !this.#mayBecome(step.principal)) {
      reason = "another principal than the connection has";
    } else if (step.kind === "done" && isPeer(step.principal) !== this.#isPeers) {
      reason = "the name of a broker, given to a client";
    }
    if (step.kind === "denied" || reason !== null) {
      const refusal = await this.#failed(reason!);
      // Without headers there is no form for an error.
      if (request === null) throw refusal;
      const response = {
        errorCode: wireCodeOf("sasl_authentication_failed"),
        errorMessage: FAILED_TEXT,
        authBytes: NO_BYTES,
      };
      const { version, correlationId } = request;
      return ending(framedReply(SaslAuthenticate, version, correlationId, response), refusal);
    }
    const lifetimeMs = step.kind === "done" ? this.#opened(step.principal, step.expiresAtMs) : 0;
    if (request === null) return bareReply(step.message);
    return framedReply(SaslAuthenticate, request.version, request.correlationId, {
      errorCode: NONE,
      errorMessage: "",
      authBytes: step.message,
      sessionLifetimeMs: lifetimeMs,
    });
  }

  /** @returns how long the login lasts, 0 for ever */
  #opened(principal: Principal, expiresAtMs: number | null): number {
    const { broker, runtime, onOpen } = this.#options;
    const { clock } = runtime;
    const longestMs = Number(broker.setting("connections.max.reauth.ms") ?? 0);
    const bounds: number[] = [];
    if (longestMs > 0) bounds.push(longestMs);
    if (expiresAtMs !== null) bounds.push(Math.max(0, Math.floor(expiresAtMs - clock.wallMs())));
    const lifetimeMs = bounds.length === 0 ? 0 : Math.min(...bounds);
    this.#endsAtMs = bounds.length === 0 ? null : clock.monotonicMs() + lifetimeMs;
    this.#principal ??= principal;
    this.#session = null;
    this.#state = "open";
    onOpen();
    runtime.log.debug("kafka_logged_in", {
      principal: `${principal.type}:${principal.name}`,
      mechanism: this.#mechanism,
      peer: this.#options.peer.host,
      lifetimeMs,
    });
    return lifetimeMs;
  }

  /** Waits a little, so that guessing is slow, and gives what ends the connection. */
  async #failed(reason: string): Promise<ConnectionRefusal> {
    this.#state = "failed";
    this.#session = null;
    const { broker, runtime, signal } = this.#options;
    const delayMs = Number(broker.setting("connection.failed.authentication.delay.ms") ?? 0);
    if (delayMs > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const end = (): void => {
          timer.cancel();
          signal.removeEventListener("abort", end);
          resolve();
        };
        const timer = runtime.scheduler.after(delayMs, "kafka_failed_login", end);
        signal.addEventListener("abort", end, { once: true });
      });
    }
    const way = this.#mechanism === "" ? "" : `${this.#mechanism}: `;
    return new ConnectionRefusal("authentication_failed", way + reason);
  }

  get #isPeers(): boolean {
    return this.#mechanism === PEER_MECHANISM;
  }

  #mayBecome({ type, name }: Principal): boolean {
    const own = this.#principal;
    return own === null || (own.type === type && own.name === name);
  }

  #who(): string {
    return this.#principal === null ? "" : `${this.#principal.type}:${this.#principal.name}`;
  }
}

/** What follows waits for it: the next frame may be readable only then. */
class LoginJob implements Job {
  readonly overlap = "serial";
  readonly dataBytesMax = 0;
  readonly run: () => Promise<Reply>;
  constructor(run: () => Promise<Reply>) {
    this.run = run;
  }
}

/** Whether a handshake asks for the mechanism of brokers. @throws {DecodeError} */
function asksForPeer(frame: Frame): boolean {
  const version = apiVersionOf(frame.bytes);
  if (version < SaslHandshake.lowest || version > SaslHandshake.highestStable) return false;
  return decodeRequest(SaslHandshake, frame.bytes).body.mechanism === PEER_MECHANISM;
}

function read<const A extends Api>(api: A, frame: Frame) {
  const version = apiVersionOf(frame.bytes);
  if (version < api.lowest || version > api.highestStable) {
    throw new ConnectionRefusal("request_version_unsupported", `${api.name} version ${version}`);
  }
  const { header, body } = decodeRequest(api, frame.bytes);
  return { version, header, body };
}

function ending(reply: Reply, refusal: ConnectionRefusal | undefined): Reply {
  return refusal === undefined ? reply : { ...reply, closeAfter: refusal };
}

/** A token behind its length alone. */
function bareReply(token: Uint8Array): Reply {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setInt32(0, token.length);
  return { chunks: [length, token], sizeBytes: 4 + token.length };
}
