// Calls to another broker of the cluster over one connection: opened when first needed, logged in by the cluster's
// secret, requests pipelined, answers in order. Invariant: at most CALLS_MAX calls are unanswered; a connection is
// given up once a call of it has timed out, as that answer would be taken for another's.
// Kafka: NetworkClient as ReplicaFetcherBlockingSend and InterBrokerSendThread use it.

import { DecodeError } from "../../base/byte_reader.ts";
import { EncodeError } from "../../base/byte_writer.ts";
import { PEER_MECHANISM } from "../../contracts/auth.ts";
import { NetworkError } from "../../contracts/errors.ts";
import type { Connection, Runtime, Timer, TlsTrust } from "../../contracts/runtime.ts";
import { SaslHandshake } from "../../protocol/messages/17_sasl_handshake.ts";
import { ApiVersions } from "../../protocol/messages/18_api_versions.ts";
import { SaslAuthenticate } from "../../protocol/messages/36_sasl_authenticate.ts";
import {
  type Api,
  decodeResponse,
  encodeRequest,
  type RequestInputOf,
  type ResponseOf,
} from "../../protocol/mod.ts";
import {
  calleeProof,
  callerProof,
  decodeChallenge,
  encodeHello,
  PEER_NONCE_BYTES,
} from "../../protocol/peer_login.ts";
import { FrameReader } from "../../protocol/response_frames.ts";

/** Calls of one connection that wait for an answer; further ones are refused as "busy". */
const CALLS_MAX = 256;
/** Bytes of one answer; a longer one ends the connection. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;
/** After a connection failed, calls fail at once for so long: doubled at each failure. */
const RECONNECT_MS = 20;
const RECONNECT_MS_MAX = 500;
/** The version of ApiVersions that every broker answers. */
const VERSIONS_VERSION = 0;

/** Where a peer is reached now, as the image has it. */
export interface PeerAddress {
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsTrust;
}

export interface PeerOptions {
  readonly runtime: Runtime;
  /** Who calls: this broker's id and its epoch, asked at each login. */
  readonly brokerId: number;
  readonly brokerEpoch: () => number;
  readonly peerId: number;
  /** Null while it is not registered. */
  readonly address: () => PeerAddress | null;
  readonly secret: () => Uint8Array | null;
  /** Until the connection is open and logged in, in ms. */
  readonly connectMs: () => number;
}

/** Why a call has no answer. Whether it was done is not known, but for "unreachable", "unsupported", "refused" and "busy". */
export type PeerFailure =
  | "unreachable"
  | "broken"
  | "timed_out"
  | "unsupported"
  | "refused"
  | "busy"
  | "closed";

export type PeerAnswer<A extends Api> =
  | { readonly ok: true; readonly body: ResponseOf<A>; readonly version: number }
  | { readonly ok: false; readonly failure: PeerFailure; readonly message: string };

/** How one call is made. */
export interface PeerCall {
  readonly timeoutMs: number;
  /** The highest version to speak, inclusive. */
  readonly versionMax?: number;
}

type Settled = Uint8Array | { readonly failure: PeerFailure; readonly message: string };

interface Pending {
  readonly correlationId: number;
  readonly settle: (answer: Settled) => void;
  readonly timer: Timer;
}

/** Who calls for a broker in the name of this one. */
export class Peer {
  readonly peerId: number;
  readonly #options: PeerOptions;
  #line: PeerLine | null = null;
  #opening: Promise<PeerLine | PeerFailed> | null = null;
  #retryAtMs = Number.NEGATIVE_INFINITY;
  #retryMs = RECONNECT_MS;
  #lastFailed: PeerFailed | null = null;
  #waiting = 0;
  #isClosed = false;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.peerId = options.peerId;
  }

  /** Whether a connection is open and logged in. */
  get isConnected(): boolean {
    return this.#line?.isOpen ?? false;
  }

  /**
   * Sends a request and returns its answer; never rejects. Calls made one after the other on an open connection go out in
   * that order. Bytes of the answer are the caller's.
   *
   * @param body What to send, or what makes it for the version agreed on.
   */
  async call<const A extends Api>(
    api: A,
    body: RequestInputOf<A> | ((version: number) => RequestInputOf<A>),
    { timeoutMs, versionMax = api.highestStable }: PeerCall,
  ): Promise<PeerAnswer<A>> {
    if (this.#isClosed) return failed("closed", "The connection to the broker was closed");
    if (this.#waiting >= CALLS_MAX) return failed("busy", `${CALLS_MAX} calls wait already`);
    this.#waiting++;
    try {
      const line = this.#line?.isOpen ? this.#line : await this.#open();
      if (!(line instanceof PeerLine)) return line;
      const version = line.versionOf(api, versionMax);
      if (version === null) {
        return failed("unsupported", `Broker ${this.peerId} has no version of ${api.name} of ours`);
      }
      const made = typeof body === "function" ? body(version) : body;
      const answer = await line.exchange(api, version, made, timeoutMs);
      return answer.ok ? { ok: true, body: answer.body, version } : answer;
    } finally {
      this.#waiting--;
    }
  }

  /** Ends the connection, so that the next call opens another: the peer has registered anew. */
  reset(reason: string): void {
    this.#line?.close("broken", reason);
    this.#line = null;
    this.#retryAtMs = Number.NEGATIVE_INFINITY;
    this.#retryMs = RECONNECT_MS;
  }

  /** Calls under way and all later ones fail as "closed". Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#line?.close("closed", "The connection to the broker was closed");
    this.#line = null;
  }

  #open(): Promise<PeerLine | PeerFailed> {
    const { runtime } = this.#options;
    if (this.#opening !== null) return this.#opening;
    if (this.#lastFailed !== null && runtime.clock.monotonicMs() < this.#retryAtMs) {
      return Promise.resolve(this.#lastFailed);
    }
    this.#opening = this.#openOnce().then((line) => {
      this.#opening = null;
      if (line instanceof PeerLine) {
        if (this.#isClosed) line.close("closed", "The connection to the broker was closed");
        this.#line = line;
        this.#retryMs = RECONNECT_MS;
        this.#lastFailed = null;
      } else {
        this.#lastFailed = line;
        this.#retryAtMs = runtime.clock.monotonicMs() + this.#retryMs;
        this.#retryMs = Math.min(this.#retryMs * 2, RECONNECT_MS_MAX);
      }
      return line;
    });
    return this.#opening;
  }

  async #openOnce(): Promise<PeerLine | PeerFailed> {
    const { runtime, peerId } = this.#options;
    const address = this.#options.address();
    const secret = this.#options.secret();
    if (address === null) return failed("unreachable", `Broker ${peerId} is not registered`);
    if (secret === null) return failed("unreachable", "The cluster's secret is not known yet");
    const timeoutMs = this.#options.connectMs();
    const deadlineMs = runtime.clock.monotonicMs() + timeoutMs;
    let connection: Connection;
    try {
      connection = await runtime.network.connect({ ...address, timeoutMs });
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      return failed("unreachable", error.message);
    }
    const line = new PeerLine(runtime, connection, `millrace-broker-${this.#options.brokerId}`);
    const leftMs = () => Math.max(deadlineMs - runtime.clock.monotonicMs(), 1);
    const failure = await this.#greet(line, secret, leftMs);
    if (failure === null) return line;
    line.close(failure.failure, failure.message);
    return failure;
  }

  /** Versions, then the login; null when both are done. */
  async #greet(
    line: PeerLine,
    secret: Uint8Array,
    leftMs: () => number,
  ): Promise<PeerFailed | null> {
    const { runtime, brokerId, brokerEpoch, peerId } = this.#options;
    const versions = await line.exchange(ApiVersions, VERSIONS_VERSION, {}, leftMs());
    if (!versions.ok) return versions;
    line.agree(versions.body.apiKeys);
    const handshake = await line.exchange(
      SaslHandshake,
      1,
      { mechanism: PEER_MECHANISM },
      leftMs(),
    );
    if (!handshake.ok) return handshake;
    if (handshake.body.errorCode !== 0) {
      return failed("refused", `Broker ${peerId} does not know the login of brokers`);
    }
    const hello = {
      brokerId,
      brokerEpoch: brokerEpoch(),
      calleeId: peerId,
      nonce: runtime.random.fill(new Uint8Array(PEER_NONCE_BYTES)),
    };
    const first = await line.exchange(
      SaslAuthenticate,
      1,
      { authBytes: encodeHello(hello) },
      leftMs(),
    );
    if (!first.ok) return first;
    if (first.body.errorCode !== 0) {
      return failed("refused", `Broker ${peerId} refused the login: ${first.body.errorMessage}`);
    }
    let challenge: ReturnType<typeof decodeChallenge>;
    try {
      challenge = decodeChallenge(first.body.authBytes);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return failed("refused", error.message);
    }
    const { crypto: cryptography } = runtime;
    const expected = calleeProof(cryptography, secret, hello, challenge.nonce);
    if (!cryptography.timingSafeEqual(expected, challenge.proof)) {
      return failed("refused", `What answers for broker ${peerId} is not of this cluster`);
    }
    const authBytes = callerProof(cryptography, secret, hello, challenge.nonce);
    const second = await line.exchange(SaslAuthenticate, 1, { authBytes }, leftMs());
    if (!second.ok) return second;
    if (second.body.errorCode === 0) return null;
    return failed("refused", `Broker ${peerId} refused the login: ${second.body.errorMessage}`);
  }
}

interface PeerFailed {
  readonly ok: false;
  readonly failure: PeerFailure;
  readonly message: string;
}

function failed(failure: PeerFailure, message: string): PeerFailed {
  return { ok: false, failure, message };
}

/** One open connection. */
class PeerLine {
  readonly #runtime: Runtime;
  readonly #connection: Connection;
  readonly #clientId: string;
  readonly #pending: Pending[] = [];
  #outbox: Uint8Array[] = [];
  #isWriting = false;
  #correlationId = 0;
  #versions: ReadonlyMap<number, number> = new Map();
  #failed: PeerFailed | null = null;

  constructor(runtime: Runtime, connection: Connection, clientId: string) {
    this.#runtime = runtime;
    this.#connection = connection;
    this.#clientId = clientId;
    runtime.scheduler.spawn("peer_read", () => this.#readAll());
  }

  get isOpen(): boolean {
    return this.#failed === null;
  }

  agree(apiKeys: readonly { readonly apiKey: number; readonly maxVersion: number }[]): void {
    this.#versions = new Map(apiKeys.map((each) => [each.apiKey, each.maxVersion]));
  }

  versionOf(api: Api, versionMax: number): number | null {
    const theirs = this.#versions.get(api.apiKey);
    if (theirs === undefined) return null;
    const version = Math.min(theirs, versionMax, api.highest);
    return version >= api.lowest ? version : null;
  }

  async exchange<const A extends Api>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    timeoutMs: number,
  ): Promise<{ readonly ok: true; readonly body: ResponseOf<A> } | PeerFailed> {
    if (this.#failed !== null) return this.#failed;
    const correlationId = this.#correlationId;
    this.#correlationId = (correlationId + 1) & 0x7fffffff;
    let parts: Uint8Array[];
    try {
      parts = encodeRequest(api, version, correlationId, this.#clientId, body);
    } catch (error) {
      if (!(error instanceof EncodeError)) throw error;
      return failed("unsupported", error.message);
    }
    const answer = await new Promise<Settled>((settle) => {
      const timer = this.#runtime.scheduler.after(timeoutMs, "peer_call", () => {
        this.close("timed_out", `${api.name} was not answered within ${timeoutMs} ms`);
      });
      this.#pending.push({ correlationId, settle, timer });
      this.#outbox.push(...parts);
      if (!this.#isWriting) void this.#writeAll();
    });
    if (!(answer instanceof Uint8Array)) return { ok: false, ...answer };
    try {
      return { ok: true, body: decodeResponse(api, version, answer).body };
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.close("broken", error.message);
      return failed("broken", error.message);
    }
  }

  /** Everything that waits fails. Idempotent. */
  close(failure: PeerFailure, message: string): void {
    if (this.#failed !== null) return;
    this.#failed = failed(failure, message);
    this.#outbox = [];
    for (const { settle, timer } of this.#pending.splice(0)) {
      timer.cancel();
      settle({ failure, message });
    }
    this.#connection.close(message);
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#outbox.length > 0) {
        const parts = this.#outbox;
        this.#outbox = [];
        await this.#connection.write(parts);
      }
    } catch (error) {
      this.#broken(error);
    }
    this.#isWriting = false;
  }

  async #readAll(): Promise<void> {
    const frames = new FrameReader(ANSWER_BYTES_MAX, (frame) => this.#received(frame));
    try {
      for (;;) {
        const chunk = await this.#connection.read();
        if (chunk === null) break;
        frames.push(chunk);
      }
      this.close("broken", "The peer ended the connection");
    } catch (error) {
      this.#broken(error);
    }
  }

  #received(frame: Uint8Array): void {
    const pending = this.#pending.shift();
    const correlationId = (frame[0]! << 24) | (frame[1]! << 16) | (frame[2]! << 8) | frame[3]!;
    if (pending === undefined) throw new DecodeError("An answer came that nobody waits for");
    pending.timer.cancel();
    if (pending.correlationId !== correlationId) {
      const message = `The answer is to request ${correlationId}, not ${pending.correlationId}`;
      pending.settle({ failure: "broken", message });
      throw new DecodeError(message);
    }
    pending.settle(frame);
  }

  #broken(error: unknown): void {
    if (!(error instanceof NetworkError) && !(error instanceof DecodeError)) throw error;
    this.close("broken", error.message);
  }
}
