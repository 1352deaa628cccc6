// First batches of transactions, while it is asked whether they may be appended here.
// Invariants: batches of one producer enter in the order they came; what was let in does not enter any more once a marker of
// its producer has come in between, so that no late batch opens a transaction which nobody ends.
// Kafka: VerificationStateEntry, VerificationGuard.

import { type KafkaError, kafkaError, type Outcome } from "../../../protocol/errors.ts";
import type { CoordinatorLog } from "./coordinator_log.ts";
import type { Producer } from "./shard.ts";

/** Asks whoever keeps the transaction. Never rejects. */
export type AskAdmission = () => Outcome<null> | Promise<Outcome<null>>;

/** Called once, with why the batch may not be appended; null: it may, until the end of this turn. */
export type Enter = (refusal: KafkaError | null) => void;

/** A batch that cannot enter yet. */
interface Waiting {
  /** Of one producer id, but maybe of another epoch than those before. */
  readonly producer: Producer;
  readonly ask: AskAdmission;
  readonly enter: Enter;
  /** A marker of its producer has come since. */
  hasEnded: boolean;
}

interface Asking extends Waiting {
  /** Later batches of the producer, in order. */
  readonly behind: Waiting[];
}

export class Admissions {
  readonly #log: CoordinatorLog;
  /** By producer id. */
  readonly #asking = new Map<number, Asking>();

  constructor(log: CoordinatorLog) {
    this.#log = log;
  }

  /** Enters before it returns, where nobody has to be waited for. */
  admit(producer: Producer, ask: AskAdmission, enter: Enter): void {
    const { producerId } = producer;
    const before = this.#asking.get(producerId);
    if (before !== undefined) {
      before.behind.push({ producer, ask, enter, hasEnded: false });
      return;
    }
    const refusal = this.#log.refusalOf(producer);
    if (refusal !== null) {
      enter(kafkaError(refusal));
      return;
    }
    if (this.#log.isOpen(producer)) {
      enter(null);
      return;
    }
    const asked = ask();
    if (!(asked instanceof Promise)) {
      enter(asked.ok ? null : asked.error);
      return;
    }
    const asking: Asking = { producer, ask, enter, hasEnded: false, behind: [] };
    this.#asking.set(producerId, asking);
    void asked.then((outcome) => {
      this.#asking.delete(producerId);
      enter(outcome.ok ? this.#afterwards(asking) : outcome.error);
      for (const next of asking.behind) {
        // What came before the end is not for the transaction that may be open by now.
        if (next.hasEnded) next.enter(this.refusalAfterEnd(next.producer));
        else this.admit(next.producer, next.ask, next.enter);
      }
    });
  }

  /** A marker of that producer was appended. */
  ended(producerId: number): void {
    const asking = this.#asking.get(producerId);
    if (asking === undefined) return;
    for (const waiting of [asking, ...asking.behind]) waiting.hasEnded = true;
  }

  /** Why a batch may not enter that waited while a marker of its producer came. */
  refusalAfterEnd(producer: Producer): KafkaError {
    return kafkaError(this.#log.refusalOf(producer) ?? "invalid_txn_state");
  }

  /** What may have come while it was asked: an end, or a batch of a newer epoch from elsewhere. */
  #afterwards({ producer, hasEnded }: Waiting): KafkaError | null {
    if (hasEnded) return this.refusalAfterEnd(producer);
    const refusal = this.#log.refusalOf(producer);
    return refusal === null ? null : kafkaError(refusal);
  }
}
