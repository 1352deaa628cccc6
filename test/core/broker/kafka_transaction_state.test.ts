// __transaction_state as Apache Kafka 4.3.1 wrote it at each level of transaction.version, in our log: what is listed and
// described is what that broker said itself, before our cleaner has gone over it and after; and what we write of a transactional
// id are Kafka's bytes.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { PartitionCoordinatorLog } from "../../../src/core/broker/partition_coordinator_log.ts";
import { ShardHost } from "../../../src/core/coordinator/runtime/shard_host.ts";
import {
  listOf,
  STATE_NAMES,
  type Transaction,
} from "../../../src/core/coordinator/transaction/transaction.ts";
import {
  recordOf,
  type TransactionRecord,
  transactionRecordSerde,
} from "../../../src/core/coordinator/transaction/transaction_record.ts";
import { TransactionShard } from "../../../src/core/coordinator/transaction/transaction_shard.ts";
import { maxTimestampAt, recordCountAt } from "../../../src/record/batch_header.ts";
import { batchesIn } from "../../../src/record/record_batch.ts";
import { readRecords } from "../../../src/record/record_reader.ts";
import { hostCompression } from "../../../src/runtime/compression.ts";
import { LogRig, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";
import {
  bytesOfHex,
  hexOfBytes,
  loadTransactionStates,
  type TransactionStateTopic,
} from "../../vectors/load.ts";

const NAME = "__transaction_state";
const states = loadTransactionStates();
const signal = new AbortController().signal;

async function opened({ partitions }: TransactionStateTopic): Promise<LogRig> {
  const configs = {
    "cleanup.policy": "compact",
    "internal.segment.bytes": "400",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "1000",
  };
  const rig = await LogRig.open(storageMemory(), {
    topics: [topic(NAME, partitions.length, configs)],
  });
  for (const [partition, hex] of partitions.entries()) {
    const log = logIn(rig, partition);
    for (const batch of batchesIn(bytesOfHex(hex)).batches) {
      const bytes = batch.view().slice();
      const verdict = log.append(
        {
          bytes,
          recordCount: recordCountAt(bytes, 0),
          maxTimestampMs: maxTimestampAt(bytes, 0),
          producerId: -1,
          producerEpoch: -1,
          baseSequence: -1,
          isTransactional: false,
          logAppendTimeMs: -1,
        },
        rig.test.wallMs,
      );
      if (verdict.kind !== "appended") throw new Error(verdict.kind);
      await verdict.group.settled();
    }
  }
  return rig;
}

const logIn = (rig: LogRig, partition: number) =>
  rig.logs.logIn(rig.logs.topicNamed(NAME)!, partition)!;

/** What a broker over these logs knows, as DescribeTransactions says it. */
async function described(rig: LogRig, level: number): Promise<unknown[]> {
  const found: Transaction[] = [];
  const { runtime } = rig.test;
  const count = rig.logs.topicNamed(NAME)!.partitionCount;
  for (let partition = 0; partition < count; partition++) {
    const host = new ShardHost<TransactionShard, TransactionRecord>({
      log: new PartitionCoordinatorLog(rig.logs, runtime, logIn(rig, partition)),
      serde: transactionRecordSerde,
      runtime,
      makeShard: (timers) =>
        new TransactionShard({
          timers,
          settings: {
            version: level,
            idExpirationMs: 1e15,
            timeoutCheckMs: 1e9,
            expiryCheckMs: 1e9,
          },
          markers: { isOrderedWith: () => true, write: () => null },
          coordinatorEpoch: 0,
          takeProducerId: () => null,
          log: runtime.log,
        }),
      codec: () => "none",
      pendingMax: 10,
    });
    const filter = { producerIds: new Set<number>(), states: null, durationMs: -1 };
    const listed = await host.run<readonly Transaction[]>(
      (shard, now, reply) => shard.list(filter, now, reply),
      signal,
    );
    if (!listed.ok) throw new Error(listed.error.code);
    found.push(...listed.value);
    host.close();
  }
  return found
    .sort((a, b) => (a.transactionalId < b.transactionalId ? -1 : 1))
    .map((each) => ({
      errorCode: 0,
      transactionalId: each.transactionalId,
      transactionState: STATE_NAMES[each.state],
      transactionTimeoutMs: each.timeoutMs,
      transactionStartTimeMs: each.startMs,
      producerId: each.producerId,
      producerEpoch: each.producerEpoch,
      partitions: Array.from(
        listOf(each.partitions),
        ({ topic: name, partition }) => `${name}/${partition}`,
      ).sort(),
    }));
}

for (const [text, state] of Object.entries(states)) {
  const level = Number(text);
  describe(`__transaction_state of Apache Kafka 4.3.1, transaction.version ${level}`, () => {
    test("is loaded as that broker had it, cleaned or not", async () => {
      const rig = await opened(state);
      const kafkas = [...state.described];
      expect(kafkas.length).toBeGreaterThan(8);
      expect(await described(rig, level)).toEqual(kafkas);
      const sizeOf = () => state.partitions.map((_, each) => logIn(rig, each).sizeBytes);
      const before = sizeOf();
      for (let round = 0; round < 3; round++) {
        await rig.test.advance(5000);
        await rig.logs.clean();
        await settle();
      }
      for (const [i, sizeBytes] of sizeOf().entries()) expect(sizeBytes).toBeLessThan(before[i]!);
      expect(await described(rig, level)).toEqual(kafkas);
      expect(rig.test.events("coordinator_load_failed")).toEqual([]);
      await rig.close();
    });

    test("is written by us byte for byte as by that broker", () => {
      const seen = new Set<string>();
      for (const hex of state.partitions) {
        for (const batch of batchesIn(bytesOfHex(hex)).batches) {
          const { records } = readRecords(batch, {
            compression: hostCompression,
            sizeBytesMax: 1 << 20,
          });
          for (const { key, value } of records) {
            const record = transactionRecordSerde.decode(key!, value)!;
            const { transaction } = record;
            const again = transaction === null ? record : recordOf(transaction, level);
            const ours = transactionRecordSerde.encode(again);
            expect(hexOfBytes(ours.key)).toBe(hexOfBytes(key!));
            const known = value === null ? null : hexOfBytes(value);
            expect(ours.value === null ? null : hexOfBytes(ours.value)).toBe(known);
            seen.add(transaction?.state ?? "tombstone");
          }
        }
      }
      expect([...seen].sort()).toEqual([
        "complete_abort",
        "complete_commit",
        "empty",
        "ongoing",
        "prepare_abort",
        "prepare_commit",
        "tombstone",
      ]);
    });
  });
}
