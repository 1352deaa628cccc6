// Calls to etcd's JSON gateway over several endpoints: which one is asked, the login, time-outs, tries.
// Invariant: an outcome that nobody knows is told as "lost" with `wasSent`, whether the network lost it or etcd
// itself; "refused" was not carried out. Every wait has an end. Kafka: the raft client of a broker's listener.

import { MetadataStoreError } from "../../src/contracts/errors.ts";
import type { Runtime, Timer } from "../../src/contracts/runtime.ts";
import { Endpoint, type Exchange, type Stream } from "./endpoint.ts";
import {
  base64OfText,
  GarbageAnswer,
  int64Of,
  type Json,
  objectOf,
  parsed,
} from "./gateway_json.ts";
import type { CheckedOptions } from "./options.ts";

/** Codes of gRPC that we tell apart. */
export const GRPC = {
  invalidArgument: 3,
  notFound: 5,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  unauthenticated: 16,
} as const;
/** What is answered with these may have been carried out nevertheless, or may work at another time. */
const PASSING_CODES: readonly number[] = [1, 2, 4, 8, 10, 13, 14, 15];
/** Of the time for a request, what one try may take: others are asked in the rest. */
const TRIES_IN_TIME = 4;
/** A member that runs streams and has not answered for so long is asked something. */
const PROBE_MS = 2_000;

const EXCERPT_BYTES_MAX = 200;

export type Answer =
  /** `sentMs`: monotonic, from before it was sent. */
  | { readonly kind: "answered"; readonly body: Json; readonly sentMs: number }
  | { readonly kind: "refused"; readonly code: number; readonly why: string }
  | { readonly kind: "lost"; readonly wasSent: boolean; readonly why: string }
  | { readonly kind: "too_long" };

/** The answer of one that was tried until it was given. */
export type Settled = Exclude<Answer, { kind: "lost" }>;

export class EtcdClient {
  readonly requestTimeoutMs: number;
  readonly runtime: Runtime;
  readonly #endpoints: readonly Endpoint[];
  readonly #login: CheckedOptions["login"];
  readonly #probe: Uint8Array;
  readonly #probes = new Map<Endpoint, Timer | null>();
  readonly #sleepers = new Set<() => void>();
  #current = 0;
  #token: string | null = null;
  #loggingIn: Promise<Answer | null> | null = null;
  #clusterId: string | null = null;
  #isClosed = false;

  constructor(options: CheckedOptions, runtime: Runtime) {
    this.runtime = runtime;
    this.requestTimeoutMs = options.requestTimeoutMs;
    this.#login = options.login;
    this.#endpoints = options.endpoints.map(({ host, port }) => {
      const { tls } = options;
      const trust = tls === null ? {} : { tls: { ...tls, serverName: tls.serverName ?? host } };
      return new Endpoint({ name: `${host}:${port}`, host, port, ...trust }, runtime);
    });
    this.#probe = bodyOf({ key: base64OfText(`${options.prefix}format`), keys_only: true });
  }

  get nowMs(): number {
    return this.runtime.clock.monotonicMs();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The time that one try of a request has. */
  get attemptMs(): number {
    return this.requestTimeoutMs / TRIES_IN_TIME;
  }

  /** One try at one endpoint, within `timeoutMs`; after a login, where one is needed. */
  async attempt(path: string, request: Json, timeoutMs = this.attemptMs): Promise<Answer> {
    return await this.#attemptAt(this.#choose(), path, bodyOf(request), timeoutMs);
  }

  /**
   * Tries until there is an answer, over all endpoints: for what may be carried out twice.
   * @throws {MetadataStoreError} "unavailable" when none came by `deadlineMs`, "closed"
   */
  async ask(
    action: string,
    path: string,
    request: Json,
    deadlineMs = this.nowMs + this.requestTimeoutMs,
  ): Promise<Settled> {
    const body = bodyOf(request);
    let why = "no endpoint may be tried yet";
    while (await this.ready(deadlineMs)) {
      const timeoutMs = Math.min(this.attemptMs, deadlineMs - this.nowMs);
      const answer = await this.#attemptAt(this.#choose(), path, body, timeoutMs);
      if (answer.kind !== "lost") return answer;
      why = answer.why;
    }
    if (this.#isClosed) throw closedError();
    throw new MetadataStoreError("unavailable", `Cannot ${action} as etcd does not answer: ${why}`);
  }

  /** What an answer that is not what was asked for is to the contract. */
  refusal(action: string, answer: Exclude<Settled, { kind: "answered" }>): MetadataStoreError {
    const why = answer.kind === "refused" ? answer.why : "the answer is too long";
    return new MetadataStoreError("unavailable", `Cannot ${action}: ${why}`);
  }

  garbage(action: string, what: string): MetadataStoreError {
    const text = `Cannot ${action} as etcd does not answer as it should: ${what}`;
    return new MetadataStoreError("unavailable", text);
  }

  /** What `read` makes of an answer. @throws {MetadataStoreError} where it is garbage */
  checked<T>(action: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof GarbageAnswer) throw this.garbage(action, error.message);
      throw error;
    }
  }

  /** A stream at one endpoint; null when there is none, and why was noted by the endpoint. */
  async stream(path: string, request: Json): Promise<Stream | null> {
    const endpoint = this.#choose();
    const login = await this.#logIn(endpoint, this.attemptMs);
    if (login !== null) return null;
    const stream = await endpoint.stream(path, this.#token, bodyOf(request), this.attemptMs);
    if (stream !== null && stream.status === 200) {
      this.#watchOver(endpoint);
      return stream;
    }
    stream?.close();
    // An expired token is one of the reasons.
    this.#token = null;
    this.failed(endpoint);
    return null;
  }

  /** Waits until an endpoint may be tried. @returns False when that is not before `deadlineMs`, or it was closed. */
  async ready(deadlineMs: number, signal?: AbortSignal): Promise<boolean> {
    const waitMs = this.#choose().retryAtMs - this.nowMs;
    if (this.#isClosed || this.nowMs + Math.max(waitMs, 0) >= deadlineMs) return false;
    if (waitMs > 0) await this.sleep(waitMs, signal);
    return !this.#isClosed && this.nowMs < deadlineMs;
  }

  /** Ends early at the close, and when `signal` aborts. */
  async sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    if (this.#isClosed || signal?.aborted === true) return;
    await new Promise<void>((resolve) => {
      const wake = () => {
        timer.cancel();
        this.#sleepers.delete(wake);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const timer = this.runtime.scheduler.after(delayMs, "etcd wait", wake);
      this.#sleepers.add(wake);
      signal?.addEventListener("abort", wake);
    });
  }

  /** It is left alone for a while, its streams are broken off, and others are asked. */
  failed(endpoint: Endpoint): void {
    if (this.#isClosed) return;
    endpoint.failed();
    if (this.#endpoints[this.#current] !== endpoint) return;
    this.#current = (this.#current + 1) % this.#endpoints.length;
  }

  /** The next call logs in anew. */
  forgetLogin(): void {
    this.#token = null;
  }

  close(): void {
    this.#isClosed = true;
    for (const endpoint of this.#endpoints) endpoint.close();
    for (const timer of this.#probes.values()) timer?.cancel();
    for (const wake of this.#sleepers) wake();
  }

  /** The one that answered last, or else the first after it that may be tried. */
  #choose(): Endpoint {
    const turned = [
      ...this.#endpoints.slice(this.#current),
      ...this.#endpoints.slice(0, this.#current),
    ];
    const ready = turned.find(({ retryAtMs }) => retryAtMs <= this.nowMs);
    return ready ?? turned.reduce((a, b) => (b.retryAtMs < a.retryAtMs ? b : a));
  }

  async #attemptAt(
    endpoint: Endpoint,
    path: string,
    body: Uint8Array,
    timeoutMs: number,
  ): Promise<Answer> {
    const endMs = this.nowMs + timeoutMs;
    let answer: Answer = { kind: "lost", wasSent: false, why: "it was not tried" };
    // Twice, where the login has expired: what is refused for that was not carried out.
    for (let login = 0; login < 2; login++) {
      const refusal = await this.#logIn(endpoint, endMs - this.nowMs);
      if (refusal !== null) return refusal;
      const token = this.#token;
      answer = await this.#exchange(endpoint, path, token, body, endMs - this.nowMs);
      if (answer.kind !== "refused" || token === null) return answer;
      const isOld = answer.code === GRPC.unauthenticated || answer.code === GRPC.invalidArgument;
      if (!isOld) return answer;
      if (this.#token === token) this.#token = null;
    }
    return answer;
  }

  /** @returns Null when we are logged in, or need not be. */
  async #logIn(endpoint: Endpoint, timeoutMs: number): Promise<Answer | null> {
    if (this.#login === null || this.#token !== null) return null;
    this.#loggingIn ??= this.#authenticate(endpoint, timeoutMs).finally(() => {
      this.#loggingIn = null;
    });
    return await this.#loggingIn;
  }

  async #authenticate(endpoint: Endpoint, timeoutMs: number): Promise<Answer | null> {
    const body = bodyOf({ ...this.#login });
    const answer = await this.#exchange(endpoint, "/v3/auth/authenticate", null, body, timeoutMs);
    if (answer.kind === "answered") {
      const { token } = answer.body;
      if (typeof token === "string" && /^[\x21-\x7e]{1,8192}$/.test(token)) {
        this.#token = token;
        return null;
      }
      return { kind: "lost", wasSent: false, why: `${endpoint.name} logs in without a token` };
    }
    // What was to follow was not sent.
    if (answer.kind === "lost") return { ...answer, wasSent: false };
    if (answer.kind === "refused") {
      const why = `the login as "${this.#login!.name}" is refused: ${answer.why}`;
      return { ...answer, code: GRPC.unauthenticated, why };
    }
    return answer;
  }

  async #exchange(
    endpoint: Endpoint,
    path: string,
    token: string | null,
    body: Uint8Array,
    timeoutMs: number,
  ): Promise<Answer> {
    const sentMs = this.nowMs;
    const exchange = await endpoint.exchange(path, token, body, Math.max(timeoutMs, 1));
    const answer = this.#read(endpoint, exchange, sentMs);
    if (answer.kind === "lost") this.failed(endpoint);
    else endpoint.succeeded();
    return answer;
  }

  #read({ name }: Endpoint, exchange: Exchange, sentMs: number): Answer {
    if (exchange.kind !== "answered") return exchange;
    const { status, body } = exchange;
    try {
      const json = parsed(body);
      if (status === 200) {
        // The gateway's streams wrap what they say.
        const said = json["result"] === undefined ? json : objectOf(json["result"]);
        this.#checkCluster(said);
        if (json["error"] === undefined) return { kind: "answered", body: said, sentMs };
      }
      const nested = typeof json["error"] === "object" ? objectOf(json["error"]) : json;
      const code = int64Of(nested["code"] ?? nested["grpc_code"]);
      const why = `${name}: ${String(nested["message"] ?? nested["error"] ?? `HTTP ${status}`)}`;
      if (code === 0 || PASSING_CODES.includes(code)) return { kind: "lost", wasSent: true, why };
      return { kind: "refused", code, why };
    } catch (error) {
      if (!(error instanceof GarbageAnswer)) throw error;
      if (status === 404) {
        const why = `${name} does not know /v3 (etcd before 3.4, or something else)`;
        return { kind: "refused", code: GRPC.unimplemented, why };
      }
      const why = `${name} does not answer as etcd does (HTTP ${status}, ${error.message})${excerpt(body)}`;
      return { kind: "lost", wasSent: true, why };
    }
  }

  /** Endpoints of two clusters would be two truths. */
  #checkCluster(said: Json): void {
    const id = objectOf(said["header"])["cluster_id"];
    if (typeof id !== "string") throw new GarbageAnswer("no header");
    this.#clusterId ??= id;
    if (id !== this.#clusterId) throw new GarbageAnswer("another etcd cluster than before");
  }

  /** Asks a member that runs streams whether it is there and has a leader: a stream alone would be silent for ever. */
  #watchOver(endpoint: Endpoint): void {
    if (this.#probes.has(endpoint)) return;
    const look = async () => {
      this.#probes.set(endpoint, null);
      if (endpoint.streamCount > 0 && this.nowMs - endpoint.answeredMs >= PROBE_MS) {
        await this.#attemptAt(endpoint, "/v3/kv/range", this.#probe, PROBE_MS);
      }
      next();
    };
    const next = () => {
      if (this.#isClosed || endpoint.streamCount === 0) {
        this.#probes.delete(endpoint);
        return;
      }
      const timer = this.runtime.scheduler.after(PROBE_MS, "etcd probe", () => void look());
      this.#probes.set(endpoint, timer);
    };
    next();
  }
}

export function closedError(): MetadataStoreError {
  return new MetadataStoreError("closed", "Cannot use metadata-etcd after its close");
}

/** The beginning of an answer that is no JSON: it may say what is wrong. */
function excerpt(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(0, EXCERPT_BYTES_MAX));
  return text === "" ? "" : `: ${JSON.stringify(text)}`;
}

function bodyOf(request: Json): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(request));
}
