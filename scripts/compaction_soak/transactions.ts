// The soak's transactional writer, with requests made by hand: small transactions over keys of its own, two in five of
// them aborted, over a broker that is killed. Invariant: what it says to be committed is; where no answer came it says so,
// and the record that every transaction writes under a key of its own tells afterwards.

import { setTimeout as pause } from "node:timers/promises";
import type { SeededRandom } from "../../src/base/prng.ts";
import type { KafkaConnection } from "../../src/client/connection.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { FindCoordinator } from "../../src/protocol/messages/10_find_coordinator.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { EndTxn } from "../../src/protocol/messages/26_end_txn.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { openConnection } from "../../test/compat/groups/committed.ts";
import { keyOf, type Reference, textOf, transactionKeyOf } from "./reference.ts";

const encoder = new TextEncoder();
/** Coordinator is loading, not there, elsewhere; the last transaction is still being ended. */
const SOON = new Set([14, 15, 16, 51]);

export interface TransactionWork {
  readonly bootstrap: string;
  readonly topic: string;
  readonly partitions: number;
  readonly transactionalId: string;
  readonly reference: Reference;
  /** A key that is this writer's. */
  readonly pickKey: () => number;
  readonly random: SeededRandom;
  readonly padding: number;
  readonly mayGoOn: () => boolean;
}

export class TransactionWriter {
  readonly #work: TransactionWork;
  #connection: KafkaConnection | null = null;
  #producerId = -1;
  #epoch = -1;
  #sequences: number[] = [];
  #count = 0;
  committed = 0;
  aborted = 0;
  unanswered = 0;
  records = 0;

  constructor(work: TransactionWork) {
    this.#work = work;
  }

  /** Until it may not go on. Never rejects for what a broker that dies does. */
  async run(pauseMs: number): Promise<void> {
    while (this.#work.mayGoOn()) {
      await this.#one();
      await pause(pauseMs);
    }
    this.#connection?.close("done");
  }

  async #one(): Promise<void> {
    const { random, reference, pickKey, partitions, padding, topic, transactionalId } = this.#work;
    const connection = await this.#open();
    if (connection === null) return;
    const isCommit = random.below(5) > 1;
    const transaction = this.#count++;
    const writes = new Map<number, number>();
    let isEnding = false;
    try {
      const builders = Array.from({ length: partitions }, (_, partition) => {
        return new RecordBatchBuilder({
          producerId: this.#producerId,
          producerEpoch: this.#epoch,
          baseSequence: this.#sequences[partition]!,
          isTransactional: true,
        });
      });
      const now = Date.now();
      for (let i = 10 + random.below(40); i > 0; i--) {
        const key = pickKey();
        const version = ++reference.version;
        const isDeletion = random.below(10) === 0;
        const value = isDeletion ? null : encoder.encode(textOf(version, key, !isCommit, padding));
        builders[key % partitions]!.append(now, encoder.encode(keyOf(key)), value);
        writes.set(key, isDeletion ? -version : version);
      }
      const own = encoder.encode(transactionKeyOf(transaction));
      builders[0]!.append(now, own, encoder.encode(isCommit ? "committed" : "aborted"));
      const used = builders.flatMap((builder, index) => (builder.count > 0 ? [index] : []));
      const answer = await connection.request(Produce, connection.versionOf(Produce, 12, 12), {
        transactionalId,
        acks: -1,
        timeoutMs: 30_000,
        topicData: [
          {
            name: topic,
            partitionData: used.map((index) => ({ index, records: builders[index]!.build() })),
          },
        ],
      });
      const rows = answer.responses[0]!.partitionResponses;
      const bad = rows.find(({ errorCode }) => errorCode !== 0);
      if (bad !== undefined) throw new Error(`Produce: error ${bad.errorCode}`);
      for (const index of used) this.#sequences[index]! += builders[index]!.count;
      this.records += builders.reduce((sum, { count }) => sum + count, 0);
      isEnding = true;
      const ended = await connection.request(EndTxn, connection.versionOf(EndTxn, 5), {
        transactionalId,
        producerId: BigInt(this.#producerId),
        producerEpoch: this.#epoch,
        committed: isCommit,
      });
      if (ended.errorCode !== 0) throw new Error(`EndTxn: error ${ended.errorCode}`);
      const { producerId, producerEpoch } = ended;
      this.#producerId = Number(producerId);
      this.#epoch = producerEpoch;
      this.#sequences = new Array<number>(partitions).fill(0);
      if (isCommit) {
        this.committed++;
        reference.committed(transaction, writes, true);
      } else this.aborted++;
    } catch {
      // Ended without an answer; one that was not asked to commit never is.
      if (isEnding && isCommit) {
        this.unanswered++;
        reference.committed(transaction, writes, false);
      }
      this.#connection?.close("it failed");
      this.#connection = null;
    }
  }

  /** A connection with a producer that has nothing open; null when there is none just now. */
  async #open(): Promise<KafkaConnection | null> {
    if (this.#connection?.isOpen === true) return this.#connection;
    const { transactionalId, partitions } = this.#work;
    let connection: KafkaConnection | null = null;
    try {
      connection = await openConnection(this.#work.bootstrap);
      for (let attempt = 0; attempt < 300; attempt++) {
        await connection.request(FindCoordinator, connection.versionOf(FindCoordinator, 4), {
          keyType: 1,
          coordinatorKeys: [transactionalId],
        });
        const made = await connection.request(
          InitProducerId,
          connection.versionOf(InitProducerId, 4, 5),
          { transactionalId, transactionTimeoutMs: 60_000 },
        );
        if (made.errorCode === 0) {
          this.#producerId = Number(made.producerId);
          this.#epoch = made.producerEpoch;
          this.#sequences = new Array<number>(partitions).fill(0);
          this.#connection = connection;
          return connection;
        }
        if (!SOON.has(made.errorCode)) throw new Error(`InitProducerId: error ${made.errorCode}`);
        await pause(50);
      }
      throw new Error("no producer id");
    } catch {
      connection?.close("it failed");
      await pause(100);
      return null;
    }
  }
}
