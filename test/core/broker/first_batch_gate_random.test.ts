// Producers, zombies among them, whose first batches ask a coordinator that answers late, out of order or not now, and whose markers come
// after it has answered that a transaction ended, as in a cluster. Whatever happens, nothing stays open; and by the newer protocol no
// batch lies behind the marker that ends its epoch, and each producer's batches are in order.

import { expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { TopicPartition } from "../../../src/contracts/broker.ts";
import type { TransactionGate } from "../../../src/core/coordinator/transaction/ports.ts";
import type { PartitionLog } from "../../../src/core/log/partition_log.ts";
import { type KafkaErrorName, type Outcome, refuse } from "../../../src/protocol/errors.ts";
import { batchesIn } from "../../../src/record/record_batch.ts";
import { batchOf, caller, LogRig, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

const PRODUCERS = 3;
const PARTITIONS = 3;
const STEPS = 60;
const SEEDS = 60;
const NO_BYTES = new Uint8Array(0);
const OK: Outcome<null> = { ok: true, value: null };
/** A client sends the batch again. */
const PASSING: readonly string[] = ["not_enough_replicas", "concurrent_transactions"];

/** A coordinator of producers 0, 1, 2 under the transactional ids of the same names; by KIP-890, or without an epoch for each end. */
class Coordinator implements TransactionGate {
  readonly states = Array.from({ length: PRODUCERS }, () => ({
    epoch: 0,
    isEnding: false,
    partitions: new Set<number>(),
  }));
  readonly #random: SeededRandom;
  readonly #later: (task: () => void) => void;
  logs: readonly PartitionLog[] = [];

  readonly #bumps: boolean;

  constructor(random: SeededRandom, later: (task: () => void) => void, bumps: boolean) {
    this.#random = random;
    this.#bumps = bumps;
    this.#later = later;
  }

  admit(
    _id: string,
    producerId: number,
    epoch: number,
    partitions: readonly TopicPartition[],
    adds: boolean,
  ): Outcome<null> | Promise<Outcome<null>> {
    const decide = () => this.#decide(producerId, epoch, partitions, adds);
    switch (this.#random.below(4)) {
      case 0:
        return decide();
      case 1:
        return refuse("coordinator_load_in_progress");
      case 2: {
        // Decided now, and told late.
        const said = decide();
        return new Promise((resolve) => this.#later(() => resolve(said)));
      }
      default:
        return new Promise((resolve) => this.#later(() => resolve(decide())));
    }
  }

  #decide(
    producerId: number,
    epoch: number,
    partitions: readonly TopicPartition[],
    adds: boolean,
  ): Outcome<null> {
    const state = this.states[producerId]!;
    if (state.isEnding) return refuse("concurrent_transactions");
    if (state.epoch !== epoch) return refuse("producer_fenced");
    const numbers = partitions.map(({ partition }) => partition);
    if (adds) this.add(producerId, numbers);
    else if (!numbers.every((each) => state.partitions.has(each))) {
      return refuse("transaction_abortable");
    }
    return OK;
  }

  add(producerId: number, partitions: readonly number[]): void {
    const state = this.states[producerId]!;
    if (state.isEnding) return;
    for (const partition of partitions) state.partitions.add(partition);
  }

  /** @returns the epoch that the producer goes on with, at once: the markers come later */
  end(producerId: number, isCommit: boolean, wallMs: number): number | null {
    const state = this.states[producerId]!;
    if (state.isEnding) return null;
    state.isEnding = true;
    const epoch = this.#bumps ? state.epoch + 1 : state.epoch;
    const transactionVersion = this.#bumps ? 2 : 1;
    let left = state.partitions.size;
    const complete = () => Object.assign(state, { epoch, isEnding: false, partitions: new Set() });
    if (left === 0) complete();
    for (const partition of state.partitions) {
      this.#later(() => {
        const marker = { producerId, producerEpoch: epoch, coordinatorEpoch: 0, isCommit };
        const log = this.logs[partition]!;
        const { kind } = log.appendMarker({ ...marker, transactionVersion }, wallMs);
        expect(kind).toBe("appended");
        if (--left === 0) complete();
      });
    }
    return epoch;
  }
}

async function run(seed: number): Promise<void> {
  const random = SeededRandom.of(`first batches ${seed}`);
  const bumps = seed % 2 === 0;
  const holder: { rig: LogRig | null } = { rig: null };
  const gate = new Coordinator(
    random,
    (task) => {
      holder.rig!.test.runtime.scheduler.after(random.below(40), "test", task);
    },
    bumps,
  );
  const rig = await LogRig.open(storageMemory(), { topics: [topic("t", PARTITIONS)], gate });
  holder.rig = rig;
  const logs = Array.from(
    { length: PARTITIONS },
    (_, each) => rig.logs.logIn(rig.logs.topicNamed("t")!, each)!,
  );
  gate.logs = logs;
  const epochs = Array.from({ length: PRODUCERS }, () => 0);
  /** Next sequence by producer and partition, of the epoch that is. */
  const sequences = Array.from({ length: PRODUCERS }, () => Array(PARTITIONS).fill(0) as number[]);
  /** What producers were refused with in the epoch that is. */
  const refused = new Set<string>();
  let pending = 0;

  const send = async (producerId: number, epoch: number, partitions: readonly number[]) => {
    const isOwn = () => epochs[producerId] === epoch;
    const sequenceOf = (partition: number) => {
      if (bumps) return isOwn() ? sequences[producerId]![partition]!++ : 0;
      const last = logs[partition]!.producers?.get(producerId)?.batches.at(-1);
      return last === undefined ? 0 : last.lastSequence + 1;
    };
    if (!bumps && random.below(3) > 0) gate.add(producerId, partitions);
    let left = partitions.map((partition) => ({ partition, sequence: sequenceOf(partition) }));
    const triesMax = bumps ? 200 : 5;
    for (let tries = 0; left.length > 0 && tries < triesMax; tries++) {
      const outcomes = await rig.api.append(caller, {
        acks: -1,
        timeoutMs: 1000,
        transactionalId: String(producerId),
        addsToTransaction: bumps,
        partitions: left.map(({ partition, sequence }) => ({
          topic: "t",
          partition,
          batches: batchOf([`${epoch}:${sequence}`], {
            producerId,
            producerEpoch: epoch,
            baseSequence: sequence,
            isTransactional: true,
          }),
        })),
      });
      left = left.filter((_, i) => {
        const outcome = outcomes[i]!;
        if (outcome.ok) return false;
        const code: KafkaErrorName = outcome.error.code;
        if (bumps && isOwn()) refused.add(code);
        // What its producer sent before may not be there yet.
        const isEarly = bumps && code === "out_of_order_sequence_number";
        return isOwn() && (PASSING.includes(code) || isEarly);
      });
    }
  };

  for (let step = 0; step < STEPS; step++) {
    const producerId = random.below(PRODUCERS);
    const what = random.below(10);
    if (what < 6) {
      const all = [0, 1, 2].filter(() => random.below(2) === 0);
      pending++;
      void send(producerId, epochs[producerId]!, all).then(() => pending--);
    } else if (what < 8 && epochs[producerId]! > 0) {
      // Of a life that is over.
      pending++;
      void send(producerId, epochs[producerId]! - 1, [random.below(PARTITIONS)]).then(
        () => pending--,
      );
    } else if (what === 8) {
      const epoch = gate.end(producerId, random.below(2) === 0, rig.test.wallMs);
      if (epoch !== null && bumps) {
        epochs[producerId] = epoch;
        sequences[producerId] = Array(PARTITIONS).fill(0);
      }
    }
    await rig.test.advance(random.below(15));
  }
  for (let i = 0; i < 400 && pending > 0; i++) await rig.test.advance(50);
  expect({ seed, pending }).toEqual({ seed, pending: 0 });
  for (let producerId = 0; producerId < PRODUCERS; producerId++) {
    for (; gate.end(producerId, false, rig.test.wallMs) === null; ) await rig.test.advance(50);
  }
  await rig.test.advance(1000);
  await settle();
  // The end of the transaction before is not the end of this one.
  expect({ seed, code: refused.has("invalid_txn_state") }).toEqual({ seed, code: false });
  for (const log of logs) check(seed, log, bumps ? await bytesOf(rig, log.partition) : NO_BYTES);
  await rig.close();
}

async function bytesOf(rig: LogRig, partition: number): Promise<Uint8Array> {
  const bytesMax = 1 << 24;
  const response = await rig.api.fetch(caller, {
    isolation: "read_uncommitted",
    waitMsMax: 0,
    bytesMin: 0,
    bytesMax,
    partitions: [{ topic: "t", partition, fetchOffset: 0, bytesMax, leaderEpoch: -1 }],
  });
  const [outcome] = response.partitions;
  if (!outcome!.ok) throw new Error(outcome!.error.code);
  const bytes = (outcome!.value.batches[0] ?? new Uint8Array(0)).slice();
  response.release();
  return bytes;
}

function check(seed: number, log: PartitionLog, bytes: Uint8Array): void {
  const where = { seed, partition: log.partition };
  /** By producer: the epoch of the last marker, and of the last batch with its sequence. */
  const ended = new Map<number, number>();
  const last = new Map<number, { epoch: number; sequence: number }>();
  for (const { isControl, producerId, producerEpoch, baseSequence } of batchesIn(bytes).batches) {
    if (isControl) {
      ended.set(producerId, producerEpoch);
      continue;
    }
    expect({ ...where, isLate: producerEpoch < (ended.get(producerId) ?? 0) }).toEqual({
      ...where,
      isLate: false,
    });
    const before = last.get(producerId);
    const next = before?.epoch === producerEpoch ? before.sequence + 1 : 0;
    expect({ ...where, baseSequence }).toEqual({ ...where, baseSequence: next });
    last.set(producerId, { epoch: producerEpoch, sequence: baseSequence });
  }
  expect({ ...where, open: log.transactions?.openCount ?? 0 }).toEqual({ ...where, open: 0 });
  expect({ ...where, stable: log.lastStableOffset }).toEqual({
    ...where,
    stable: log.highWatermark,
  });
}

test(`${SEEDS} seeds`, async () => {
  for (let seed = 0; seed < SEEDS; seed++) await run(seed);
}, 60_000);
