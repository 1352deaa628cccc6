// Records of `produce` in transactions: all of the input in one, or so many records in each.
// Invariant: what is counted as committed is; on the way out of a failure or Ctrl-C nothing stays open.

import { ClientError, type ProducerRecord, type TransactionalProducer } from "../client/mod.ts";
import { CommandError } from "./cli_error.ts";
import { counted } from "./table.ts";

export class TransactionSink {
  /** Records, and transactions, that are committed. */
  records = 0;
  transactions = 0;
  readonly #producer: TransactionalProducer;
  readonly #recordsMax: number;
  #open = 0;

  /** @param recordsMax of one transaction; Infinity: all of the input is one */
  constructor(producer: TransactionalProducer, recordsMax: number) {
    this.#producer = producer;
    this.#recordsMax = recordsMax;
  }

  /** Takes a record: null while there is room for more, else a promise to await before the next. */
  put(record: ProducerRecord): Promise<void> | null {
    if (this.#open > 0 && this.#open < this.#recordsMax) {
      this.#open++;
      return this.#producer.enqueue(record);
    }
    return this.#putInNext(record);
  }

  async #putInNext(record: ProducerRecord): Promise<void> {
    await this.commit();
    await this.#producer.begin();
    this.#open = 1;
    await this.#producer.enqueue(record);
  }

  /** Commits what is open. */
  async commit(): Promise<void> {
    if (this.#open === 0) return;
    await this.#producer.commit();
    this.transactions++;
    this.records += this.#open;
    this.#open = 0;
  }

  /** Gives up what is open. @returns how it is told */
  async abort(): Promise<string> {
    const isOpen = this.#producer.phase === "open";
    const isUnknown = this.#producer.phase === "committing" || this.#producer.isOutcomeOpen;
    if (isOpen) await this.#producer.abort().catch(() => {});
    const last = isUnknown
      ? "it is not known whether the last one was"
      : "the last one was aborted";
    if (this.transactions === 0) return isUnknown ? last : "nothing is committed";
    const { records, transactions } = this;
    return `${counted(records, "record")} in ${counted(transactions, "transaction")} are committed, ${last}`;
  }

  /** The same failure, with what became of the records. */
  async failed(error: unknown): Promise<unknown> {
    const told = await this.abort();
    if (!(error instanceof Error)) return error;
    // What to do with the producer is not for people who produce from a shell.
    const cause = error.cause;
    const isAbortable = error instanceof ClientError && error.remedy === "abort";
    const first = isAbortable && cause instanceof ClientError ? cause : error;
    if (first instanceof ClientError && first.remedy === "close") {
      const text = `${first.message} (${told}). --transaction-timeout SECONDS gives a transaction longer`;
      return new CommandError(first.code, text, { cause: first });
    }
    first.message += ` (${told})`;
    return first;
  }
}
