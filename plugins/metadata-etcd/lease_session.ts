// A session: an etcd lease that is renewed until it ends, or is lost.
// Invariant: `lost` is told by our own monotonic clock, counted from before the renewal was sent, so that it comes
// before etcd may let the lease go, whatever the network does. Kafka: a broker's registration and its heartbeats.

import type { MetadataStoreError } from "../../src/contracts/errors.ts";
import type { Session } from "../../src/contracts/metadata_store.ts";
import type { Timer } from "../../src/contracts/runtime.ts";
import { closedError, type EtcdClient, GRPC } from "./etcd_client.ts";
import { int64Of } from "./gateway_json.ts";

/** Of the time to live, what two clocks may run apart. */
const DRIFT_PART = 0.05;
/** A session is renewed so many times in its time to live. */
const RENEWALS_IN_TTL = 3;
/** And one try may take this part of it, so that another endpoint still can answer. */
const TRIES_IN_TTL = 4;
/** A renewal that failed is tried again after this, at the latest. */
const AGAIN_MS_MAX = 100;

/** Asks etcd for a lease. @returns its id, how long it lives, and when it was asked for */
export async function grantLease(
  client: EtcdClient,
  ttlMs: number,
): Promise<{ id: string; ttlMs: number; sentMs: number }> {
  const request = { TTL: String(Math.max(1, Math.ceil(ttlMs / 1000))) };
  const answer = await client.ask("begin a session", "/v3/lease/grant", request);
  if (answer.kind !== "answered") throw client.refusal("begin a session", answer);
  const { ID: id, TTL } = answer.body;
  const grantedMs = client.checked("begin a session", () => int64Of(TTL)) * 1000;
  if (typeof id !== "string" || !/^\d+$/.test(id) || grantedMs <= 0) {
    throw client.garbage("begin a session", "a lease has no id");
  }
  return { id, ttlMs: grantedMs, sentMs: answer.sentMs };
}

export class LeaseSession implements Session {
  readonly id: string;
  readonly #client: EtcdClient;
  readonly #ttlMs: number;
  readonly #onGone: () => void;
  readonly #lost = new AbortController();
  #heldUntilMs: number;
  #timer: Timer | null = null;
  #ending: Promise<void> | null = null;
  #isLost = false;
  #commits = 0;
  #onQuiet: (() => void) | null = null;

  /** @param onGone Called once, when nothing can be written with it any more. */
  constructor(
    client: EtcdClient,
    lease: Awaited<ReturnType<typeof grantLease>>,
    onGone: () => void,
  ) {
    this.#client = client;
    this.id = lease.id;
    this.#ttlMs = lease.ttlMs;
    this.#onGone = onGone;
    this.#heldUntilMs = this.#endOf(lease.sentMs, lease.ttlMs);
    this.#arm();
    client.runtime.scheduler.spawn("etcd session", () => this.#renew(lease.sentMs));
  }

  get heldUntilMs(): number {
    return this.#lost.signal.aborted ? Number.NEGATIVE_INFINITY : this.#heldUntilMs;
  }

  /** A timer may be late, after a stop of the process for one: whoever looks is told by the clock. */
  get lost(): AbortSignal {
    this.#look();
    return this.#lost.signal;
  }

  /** Whether commits that came before its end may still be sent: the end waits for them. */
  get isHeld(): boolean {
    this.#look();
    return !this.#isLost;
  }

  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  /** Notes that a commit with it is under way: its end waits for that. */
  beginCommit(): void {
    this.#commits++;
  }

  endCommit(): void {
    this.#commits--;
    if (this.#commits === 0) this.#onQuiet?.();
  }

  /** It is gone, or may be: takes away what is left of it, if etcd can be reached. */
  lose(reason: string): void {
    this.#isLost = true;
    if (this.#lost.signal.aborted) return;
    this.#client.runtime.log.warn("metadata_session_lost", { session: this.id, reason });
    this.#gone();
    this.#client.runtime.scheduler.spawn("etcd session end", async () => {
      try {
        await this.#revoke();
      } catch {
        // It could not be told; etcd drops what is left when the lease runs out.
      }
    });
  }

  async #end(): Promise<void> {
    this.#gone();
    if (this.#commits > 0) {
      await new Promise<void>((resolve) => {
        this.#onQuiet = resolve;
      });
    }
    await this.#revoke();
  }

  /** @throws {MetadataStoreError} "unavailable": its entries go when the lease runs out */
  async #revoke(): Promise<void> {
    const deadlineMs = this.#client.nowMs + Math.min(this.#client.requestTimeoutMs, this.#ttlMs);
    const action = "end a session";
    const request = { ID: this.id };
    const answer = await this.#client.ask(action, "/v3/lease/revoke", request, deadlineMs);
    if (answer.kind === "answered") return;
    if (answer.kind === "refused" && answer.code === GRPC.notFound) return;
    throw this.#client.refusal(action, answer);
  }

  #gone(): void {
    if (this.#lost.signal.aborted) return;
    this.#timer?.cancel();
    this.#lost.abort();
    this.#onGone();
  }

  #endOf(sentMs: number, ttlMs: number): number {
    return sentMs + Math.min(ttlMs, this.#ttlMs) * (1 - DRIFT_PART);
  }

  #look(): void {
    if (this.#client.nowMs >= this.#heldUntilMs) this.lose("etcd was not reached in time");
  }

  #arm(): void {
    this.#timer?.cancel();
    const leftMs = Math.max(this.#heldUntilMs - this.#client.nowMs, 0);
    this.#timer = this.#client.runtime.scheduler.after(leftMs, "etcd session lost", () => {
      this.#look();
      if (!this.#lost.signal.aborted) this.#arm();
    });
  }

  /** Never rejects: a failure is a session that is lost in time. */
  async #renew(grantedMs: number): Promise<void> {
    const { signal } = this.#lost;
    let nextMs = grantedMs + this.#ttlMs / RENEWALS_IN_TTL;
    while (!this.lost.aborted) {
      await this.#client.sleep(Math.max(nextMs - this.#client.nowMs, 0), signal);
      if (this.#client.isClosed || this.lost.aborted) return;
      const leftMs = Math.max(this.#heldUntilMs - this.#client.nowMs, 1);
      const timeoutMs = Math.min(this.#ttlMs / TRIES_IN_TTL, leftMs);
      const request = { ID: this.id };
      const answer = await this.#client.attempt("/v3/lease/keepalive", request, timeoutMs);
      if (signal.aborted) return;
      nextMs = this.#client.nowMs + AGAIN_MS_MAX;
      if (answer.kind === "answered") {
        const ttlMs = Number(answer.body["TTL"] ?? 0) * 1000;
        if (!(ttlMs > 0)) {
          this.lose("etcd has dropped it");
          return;
        }
        // A renewal that came back too late does not bring back what was lost meanwhile.
        this.#look();
        if (signal.aborted) return;
        this.#heldUntilMs = Math.max(this.#heldUntilMs, this.#endOf(answer.sentMs, ttlMs));
        this.#arm();
        nextMs = answer.sentMs + this.#ttlMs / RENEWALS_IN_TTL;
      } else if (answer.kind === "refused" && answer.code === GRPC.notFound) {
        this.lose("etcd does not know it");
        return;
      }
    }
  }
}

/** The sessions that live, which the store's close ends. */
export class LeaseSessions {
  readonly #client: EtcdClient;
  readonly #live = new Set<LeaseSession>();

  constructor(client: EtcdClient) {
    this.#client = client;
  }

  async begin(ttlMs: number): Promise<Session> {
    const lease = await grantLease(this.#client, ttlMs);
    if (this.#client.isClosed) throw closedError();
    const session: LeaseSession = new LeaseSession(this.#client, lease, () =>
      this.#live.delete(session),
    );
    this.#live.add(session);
    return session;
  }

  /** Whether it began here, has not ended, and is not lost. */
  has(session: Session): boolean {
    return this.#live.has(session as LeaseSession) && !session.lost.aborted;
  }

  /** By the contract they are ours: `has` was asked before. */
  of(sessions: Iterable<Session>): LeaseSession[] {
    return [...new Set(sessions)].filter((session) => session instanceof LeaseSession);
  }

  async endAll(): Promise<MetadataStoreError | null> {
    const ends = await Promise.allSettled([...this.#live].map((session) => session.end()));
    return ends.find((end) => end.status === "rejected")?.reason ?? null;
  }
}
