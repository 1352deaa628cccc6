// Who waits for a shard: each reply is given exactly one outcome, whoever is first of an answer, a refusal, and the
// caller's going away. Invariant: as many as `max` wait at once, and none is left when the shard goes.

import { ok } from "../../../base/outcome.ts";
import {
  type KafkaError,
  type KafkaErrorName,
  kafkaError,
  type Outcome,
  refuse,
} from "../../../protocol/errors.ts";
import type { Reply } from "./shard.ts";

/** A reply on its way. The shard sees `isDone`: true from the moment a decision answers it, given or not yet. */
export class PendingReply implements Reply<unknown> {
  isDone = false;
  readonly #all: PendingReplies;
  #resolve: ((outcome: Outcome<never>) => void) | null;
  #signal: AbortSignal | null = null;
  #onAbort: (() => void) | null = null;

  constructor(all: PendingReplies, resolve: (outcome: Outcome<never>) => void) {
    this.#all = all;
    this.#resolve = resolve;
  }

  /** The caller has been told something, or is gone. */
  get isOver(): boolean {
    return this.#resolve === null;
  }

  /** Tells the caller; nothing once it has been told. */
  settle(outcome: Outcome<unknown>): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.isDone = true;
    this.#resolve = null;
    this.#all.delete(this);
    if (this.#onAbort !== null) this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#signal = null;
    this.#onAbort = null;
    resolve(outcome as Outcome<never>);
  }

  answer(response: unknown): void {
    this.settle(ok(response));
  }

  refuse(code: KafkaErrorName, message?: string): void {
    this.fail(kafkaError(code, message));
  }

  fail(error: KafkaError): void {
    this.settle({ ok: false, error });
  }

  /** It may wait for long: it ends with its caller. Idempotent. */
  endWith(signal: AbortSignal): void {
    if (this.isOver || this.#onAbort !== null) return;
    const onAbort = () => this.refuse("not_coordinator");
    this.#signal = signal;
    this.#onAbort = onAbort;
    signal.addEventListener("abort", onAbort, { once: true });
  }
}

export class PendingReplies {
  readonly #replies = new Set<PendingReply>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#replies.size;
  }

  /** A reply with its promise; `take` gets it before this returns. Refused when too many wait already. */
  open<Response>(take: (reply: PendingReply) => void): Promise<Outcome<Response>> {
    if (this.#replies.size >= this.#max) {
      // Clients wait a little and ask the same broker again, which is what is wanted.
      return Promise.resolve(refuse("coordinator_load_in_progress", "Too many requests wait"));
    }
    return new Promise<Outcome<Response>>((resolve) => {
      const reply = new PendingReply(this, resolve as (outcome: Outcome<never>) => void);
      this.#replies.add(reply);
      take(reply);
    });
  }

  refuseAll(code: KafkaErrorName): void {
    for (const reply of [...this.#replies]) reply.refuse(code);
  }

  delete(reply: PendingReply): void {
    this.#replies.delete(reply);
  }
}
