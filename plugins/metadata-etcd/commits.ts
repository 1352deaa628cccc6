// Commits to etcd: those that touch no key in common run at once, the others in the order they came.
// Invariant: each commit moves a slot of ours from one nonce to the next in the same transaction, so that where
// an answer was lost it is known whether it was made, and one that was not can never be made later.

import { MetadataStoreError } from "../../src/contracts/errors.ts";
import type { CommitResult, Transaction } from "../../src/contracts/metadata_store.ts";
import { type Answer, closedError, type EtcdClient, GRPC } from "./etcd_client.ts";
import {
  base64Of,
  base64OfText,
  int64Of,
  type Json,
  listOf,
  objectOf,
  rowOf,
} from "./gateway_json.ts";
import { grantLease, type LeaseSession } from "./lease_session.ts";

/** Commits on their way at once, each with a slot. */
const UNDER_WAY_MAX = 16;
/** Commits that wait, at most: beyond it etcd is hopelessly behind. */
const WAITING_MAX = 10_000;
/** Slots lie on a lease that is not renewed, and are made anew on another one long before it runs out. */
const SLOTS_TTL_MS = 600_000;
const SLOTS_USED_MS = 300_000;

/** What the next commit on a slot finds there; null: nothing. */
interface Slot {
  readonly key: string;
  readonly leaseId: string;
  nonce: string | null;
}

interface Slots {
  readonly id: string;
  readonly leaseId: string;
  readonly grantedMs: number;
  readonly free: Slot[];
  made: number;
}

interface Job {
  readonly conditions: Transaction["conditions"];
  readonly writes: readonly Json[];
  readonly keys: ReadonlySet<string>;
  readonly sessions: readonly LeaseSession[];
  resolve(result: CommitResult): void;
  reject(error: unknown): void;
}

/** What became of a commit whose answer was lost: its revision, or null where it was not made. */
type Outcome = { readonly revision: number | null } | "unknown";

export class Commits {
  readonly #client: EtcdClient;
  readonly #keyPrefix: string;
  readonly #slotPrefix: string;
  readonly #busyKeys = new Set<string>();
  #waiting: Job[] = [];
  #underWay = 0;
  #slots: Promise<Slots> | null = null;
  #newest: Slots | null = null;
  #nonces = 0;
  #onIdle: (() => void)[] = [];

  constructor(client: EtcdClient, keyPrefix: string, slotPrefix: string) {
    this.#client = client;
    this.#keyPrefix = keyPrefix;
    this.#slotPrefix = slotPrefix;
  }

  /** Takes a copy of the values. @throws {MetadataStoreError} "unavailable", "too_large", "closed" */
  commit(transaction: Transaction, sessions: readonly LeaseSession[]): Promise<CommitResult> {
    if (this.#waiting.length >= WAITING_MAX) {
      const text = `Cannot commit as ${WAITING_MAX} commits wait already`;
      return Promise.reject(new MetadataStoreError("unavailable", text));
    }
    const conditions = [...transaction.conditions];
    const { writes } = transaction;
    const job = {
      conditions,
      writes: writes.map((write) => this.#write(write)),
      keys: new Set([...conditions, ...writes].map(({ key }) => key)),
      sessions,
    };
    for (const session of sessions) session.beginCommit();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...job, resolve, reject });
      this.#startReady();
    });
  }

  /** Resolves when none is under way. */
  async idle(): Promise<void> {
    if (this.#underWay + this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  /** Takes our slots away. They would go by themselves; never rejects. */
  async close(deadlineMs: number): Promise<void> {
    if (this.#newest === null) return;
    const request = { ID: this.#newest.leaseId };
    try {
      await this.#client.ask("end", "/v3/lease/revoke", request, deadlineMs);
    } catch {
      // Etcd cannot be reached: their lease runs out.
    }
  }

  /** Those at the front whose keys nobody is writing. */
  #startReady(): void {
    while (this.#underWay < UNDER_WAY_MAX) {
      const [job] = this.#waiting;
      if (job === undefined || [...job.keys].some((key) => this.#busyKeys.has(key))) return;
      this.#waiting.shift();
      this.#underWay++;
      for (const key of job.keys) this.#busyKeys.add(key);
      void this.#run(job);
    }
  }

  /** Never rejects: a failure goes to who waits. */
  async #run(job: Job): Promise<void> {
    try {
      job.resolve(job.writes.length === 0 ? await this.#compare(job) : await this.#make(job));
    } catch (error) {
      job.reject(error);
    } finally {
      this.#underWay--;
      for (const key of job.keys) this.#busyKeys.delete(key);
      for (const session of job.sessions) session.endCommit();
      this.#startReady();
      if (this.#underWay === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
    }
  }

  /** Conditions alone: nothing is made, so it may be asked as often as needed. */
  async #compare(job: Job): Promise<CommitResult> {
    const request = {
      compare: job.conditions.map((condition) => this.#condition(condition)),
      failure: job.conditions.map(({ key }) => this.#look(key)),
    };
    const answer = await this.#client.ask("commit", "/v3/kv/txn", request);
    if (answer.kind !== "answered") throw this.#client.refusal("commit", answer);
    return this.#client.checked("commit", () => {
      const { succeeded, responses, header } = answer.body;
      if (succeeded === true) return { ok: true, revision: revisionOf(header) };
      return { ok: false, conflicts: conflictsOf(job, listOf(responses)) };
    });
  }

  async #make(job: Job): Promise<CommitResult> {
    const deadlineMs = this.#client.nowMs + this.#client.requestTimeoutMs;
    let why = "no endpoint may be tried yet";
    while (await this.#client.ready(deadlineMs)) {
      const slots = await this.#currentSlots();
      const slot = slots.free.pop() ?? this.#newSlot(slots);
      const nonce = `${++this.#nonces}`;
      // Looked at last: nothing is waited for between here and the sending.
      const gone = job.sessions.find((session) => !session.isHeld);
      if (gone !== undefined) {
        slots.free.push(slot);
        throw sessionEnded(gone);
      }
      const answer = await this.#try(job, slot, nonce, deadlineMs);
      if (answer.kind === "answered") {
        const result = this.#client.checked("commit", () => read(job, slot, nonce, answer.body));
        if (result === null) {
          // Somebody took the slot away, and with it nothing else: the commit was not made.
          this.#forget(slots);
          why = "its slot is gone";
          continue;
        }
        if (result.ok) slot.nonce = nonce;
        slots.free.push(slot);
        return result;
      }
      if (answer.kind === "refused") {
        if (answer.code !== GRPC.notFound) {
          slots.free.push(slot);
          throw refused(answer);
        }
        // One of the leases: the session's, or that of the slots.
        this.#forget(slots);
        for (const session of job.sessions) await this.#dropIfGone(session);
        why = answer.why;
        continue;
      }
      why = answer.kind === "lost" ? answer.why : "the answer is too long";
      if (answer.kind === "lost" && !answer.wasSent) {
        slots.free.push(slot);
        continue;
      }
      const outcome = await this.#settle(slot, nonce, deadlineMs + this.#client.attemptMs);
      if (outcome === "unknown") {
        this.#forget(slots);
        const text = `Cannot say whether a commit was made, or will be, as etcd does not answer: ${why}`;
        throw new MetadataStoreError("unavailable", text);
      }
      slots.free.push(slot);
      if (outcome.revision !== null) return { ok: true, revision: outcome.revision };
    }
    if (this.#client.isClosed) throw closedError();
    throw new MetadataStoreError("unavailable", `Cannot commit, and nothing was made: ${why}`);
  }

  async #try(job: Job, slot: Slot, nonce: string, deadlineMs: number): Promise<Answer> {
    const request = {
      compare: [
        slotCompare(slot),
        ...job.conditions.map((condition) => this.#condition(condition)),
      ],
      success: [slotPut(slot, nonce), ...job.writes],
      failure: [slotLook(slot), ...job.conditions.map(({ key }) => this.#look(key))],
    };
    const timeoutMs = Math.min(this.#client.attemptMs, deadlineMs - this.#client.nowMs);
    return await this.#client.attempt("/v3/kv/txn", request, timeoutMs);
  }

  /**
   * Finds out what became of a commit, and sees to it that it is not made from here on: either its nonce is in the slot, or
   * another one is put there, after which its comparison with the slot fails for ever.
   */
  async #settle(slot: Slot, nonce: string, deadlineMs: number): Promise<Outcome> {
    const instead = `${nonce} not made`;
    const request = {
      compare: [slotCompare(slot)],
      success: [slotPut(slot, instead)],
      failure: [slotLook(slot)],
    };
    try {
      const answer = await this.#client.ask("settle a commit", "/v3/kv/txn", request, deadlineMs);
      if (answer.kind !== "answered") return "unknown";
      return this.#client.checked("settle a commit", () => {
        if (answer.body["succeeded"] === true) {
          slot.nonce = instead;
          return { revision: null };
        }
        const found = slotFound(listOf(answer.body["responses"])[0]);
        if (found.nonce === nonce) {
          slot.nonce = nonce;
          return { revision: found.revision };
        }
        // An earlier try of ours to settle it, whose answer was lost as well.
        if (found.nonce !== instead) return "unknown";
        slot.nonce = instead;
        return { revision: null };
      });
    } catch (error) {
      if (error instanceof MetadataStoreError) return "unknown";
      throw error;
    }
  }

  async #dropIfGone(session: LeaseSession): Promise<void> {
    const request = { ID: session.id };
    const answer = await this.#client.ask("commit", "/v3/lease/timetolive", request);
    const isGone =
      (answer.kind === "answered" && Number(answer.body["TTL"] ?? -1) <= 0) ||
      (answer.kind === "refused" && answer.code === GRPC.notFound);
    if (isGone) session.lose("etcd does not know it");
  }

  async #currentSlots(): Promise<Slots> {
    const newest = this.#newest;
    if (newest !== null && this.#client.nowMs - newest.grantedMs < SLOTS_USED_MS) return newest;
    this.#slots ??= this.#grantSlots().finally(() => {
      this.#slots = null;
    });
    return await this.#slots;
  }

  async #grantSlots(): Promise<Slots> {
    const { id: leaseId, sentMs } = await grantLease(this.#client, SLOTS_TTL_MS);
    // The lease's id is nobody else's: etcd gives each once.
    const slots = { id: leaseId, leaseId, grantedMs: sentMs, free: [], made: 0 };
    this.#newest = slots;
    return slots;
  }

  #newSlot(slots: Slots): Slot {
    const key = `${this.#slotPrefix}${slots.id}/${slots.made++}`;
    return { key, leaseId: slots.leaseId, nonce: null };
  }

  #forget(slots: Slots): void {
    if (this.#newest === slots) this.#newest = null;
  }

  #condition({ key, revision }: Transaction["conditions"][number]): Json {
    const name = base64OfText(this.#keyPrefix + key);
    return { key: name, target: "MOD", mod_revision: String(revision) };
  }

  #look(key: string): Json {
    const name = base64OfText(this.#keyPrefix + key);
    return { request_range: { key: name, keys_only: true } };
  }

  #write({ key, value, session }: Transaction["writes"][number]): Json {
    const name = base64OfText(this.#keyPrefix + key);
    if (value === null) return { request_delete_range: { key: name } };
    const lease = session === undefined ? {} : { lease: session.id };
    return { request_put: { key: name, value: base64Of(value), ...lease } };
  }
}

function slotCompare({ key, nonce }: Slot): Json {
  const name = base64OfText(key);
  return nonce === null
    ? { key: name, target: "MOD", mod_revision: "0" }
    : { key: name, target: "VALUE", value: base64OfText(nonce) };
}

function slotPut({ key, leaseId }: Slot, nonce: string): Json {
  return { request_put: { key: base64OfText(key), value: base64OfText(nonce), lease: leaseId } };
}

function slotLook({ key }: Slot): Json {
  return { request_range: { key: base64OfText(key) } };
}

function slotFound(response: unknown): { nonce: string | null; revision: number } {
  const [row] = listOf(objectOf(objectOf(response)["response_range"])["kvs"]);
  if (row === undefined) return { nonce: null, revision: 0 };
  const { value, modRevision } = rowOf(row);
  return { nonce: new TextDecoder().decode(value), revision: modRevision };
}

/** @returns Null when the slot was not as we left it, and the commit therefore not made. */
function read(job: Job, slot: Slot, nonce: string, body: Json): CommitResult | null {
  if (body["succeeded"] === true) return { ok: true, revision: revisionOf(body["header"]) };
  const [slotResponse, ...responses] = listOf(body["responses"]);
  const found = slotFound(slotResponse);
  // Whatever carried it may have carried it twice: then the first one was it.
  if (found.nonce === nonce) return { ok: true, revision: found.revision };
  return found.nonce === slot.nonce ? { ok: false, conflicts: conflictsOf(job, responses) } : null;
}

function revisionOf(header: unknown): number {
  return int64Of(objectOf(header)["revision"]);
}

function conflictsOf(
  { conditions }: Job,
  responses: readonly unknown[],
): { key: string; revision: number }[] {
  const conflicts: { key: string; revision: number }[] = [];
  for (const [at, condition] of conditions.entries()) {
    const [row] = listOf(objectOf(objectOf(responses[at])["response_range"])["kvs"]);
    const revision = row === undefined ? 0 : rowOf(row).modRevision;
    if (revision !== condition.revision) conflicts.push({ key: condition.key, revision });
  }
  return conflicts;
}

function refused(answer: { readonly code: number; readonly why: string }): MetadataStoreError {
  // What we send is well formed: etcd takes less than the contract's bounds.
  const code = answer.code === GRPC.invalidArgument ? "too_large" : "unavailable";
  return new MetadataStoreError(code, `Cannot commit: ${answer.why}`);
}

function sessionEnded({ id }: LeaseSession): MetadataStoreError {
  return new MetadataStoreError("closed", `Cannot write with session ${id}, which has ended`);
}
