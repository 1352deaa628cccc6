// Offsets in transactions as Apache Kafka 4.3.1 has them in __consumer_offsets: what we write is what it wrote, byte for
// byte, and what we read is what it said, of transactions committed, aborted and left open, before and after its cleaner.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { PartitionCoordinatorLog } from "../../../src/core/broker/partition_coordinator_log.ts";
import type { GroupRecord } from "../../../src/core/coordinator/group/group_record.ts";
import { groupRecordSerde } from "../../../src/core/coordinator/group/group_record_serde.ts";
import type { FetchedGroup } from "../../../src/core/coordinator/group/group_requests.ts";
import { GroupShard } from "../../../src/core/coordinator/group/group_shard.ts";
import type { CoordinatorLog } from "../../../src/core/coordinator/runtime/coordinator_log.ts";
import { ShardHost } from "../../../src/core/coordinator/runtime/shard_host.ts";
import { CONTROL_COMMIT, readControlBatch } from "../../../src/record/control_record.ts";
import { batchesIn, type RecordBatch } from "../../../src/record/record_batch.ts";
import { readRecords } from "../../../src/record/record_reader.ts";
import { hostCompression } from "../../../src/runtime/compression.ts";
import { LogRig, topic } from "../../support/log_rig.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";
import { bytesOfHex, hexOfBytes } from "../../vectors/load.ts";
import { ScriptedLog } from "../coordinator/scripted_log.ts";
import { RigTopics, rigSettings } from "../coordinator/shard_rig.ts";

const NAME = "__consumer_offsets";
const signal = new AbortController().signal;

interface OffsetsTopic {
  readonly topicId: string;
  readonly partitions: readonly string[];
  readonly fetched: Readonly<
    Record<string, { readonly any: readonly string[]; readonly stable: readonly string[] }>
  >;
}

function kafkas(): Readonly<Record<"asWritten" | "cleaned", OffsetsTopic>> {
  const file = new URL("../../vectors/kafka/offsets_topic.json.gz", import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(fileURLToPath(file))).toString());
}

const { asWritten, cleaned } = kafkas();

function batchesOf(hex: string): readonly RecordBatch[] {
  return batchesIn(bytesOfHex(hex)).batches;
}

function hostOver(log: CoordinatorLog, test: TestRuntime, topicId: string) {
  const { runtime } = test;
  const topics = new RigTopics();
  topics.create("t", 3, [], topicId);
  return new ShardHost<GroupShard, GroupRecord>({
    log,
    serde: groupRecordSerde,
    runtime,
    makeShard: (timers) =>
      new GroupShard({
        timers,
        topics: () => topics,
        settings: rigSettings(),
        random: runtime.random,
        log: runtime.log,
      }),
    codec: () => "none",
    pendingMax: 1000,
  });
}

/** Writes what a batch of Kafka's says as we do it: what belongs to transactions through a shard. */
async function write(
  batch: RecordBatch,
  log: CoordinatorLog,
  host: ShardHost<GroupShard, GroupRecord>,
): Promise<void> {
  const { producerId, producerEpoch, isControl, isTransactional } = batch;
  if (isControl) {
    const { type, coordinatorEpoch } = readControlBatch(batch)!;
    const ended = host.endTransaction({
      producerId,
      producerEpoch,
      coordinatorEpoch: coordinatorEpoch!,
      isCommit: type === CONTROL_COMMIT,
      // Its markers have the epoch of their batches, or a newer one.
      transactionVersion: 1,
    });
    if (!ended.ok) throw new Error(ended.error.code);
    expect(await ended.value.committed).toBe(true);
  } else if (isTransactional) {
    const rules = { compression: hostCompression, sizeBytesMax: 1 << 20 };
    const records = readRecords(batch, rules).records.map(
      ({ key, value }) => groupRecordSerde.decode(key!, value)!,
    );
    const outcome = await host.runInTransaction<string>(
      { producer: { producerId, producerEpoch }, admit: () => ({ ok: true, value: null }) },
      (_shard, _now, reply) => ({ records, answers: [{ reply, response: "written" }] }),
      signal,
    );
    if (!outcome.ok) throw new Error(outcome.error.code);
  } else {
    expect(await log.append(batch.view().slice())!.committed).toBe(true);
  }
}

async function bytesIn(log: CoordinatorLog): Promise<Uint8Array[]> {
  const read = await log.read(log.logStartOffset, 1 << 20);
  if (!read.ok) throw new Error(read.reason);
  const found = batchesIn(read.batches.slice()).batches.map((batch) => batch.view().slice());
  read.release();
  return found;
}

describe("what we write of transactions", () => {
  for (const [partition, hex] of asWritten.partitions.entries()) {
    test(`is what Kafka wrote, partition ${partition}`, async () => {
      const rig = await LogRig.open(storageMemory(), {
        topics: [topic(NAME, 1, { "cleanup.policy": "compact" })],
      });
      const held = rig.logs.logIn(rig.logs.topicNamed(NAME)!, 0)!;
      const log = new PartitionCoordinatorLog(rig.logs, rig.test.runtime, held);
      const host = hostOver(log, rig.test, asWritten.topicId);
      host.start();
      const batches = batchesOf(hex);
      for (const batch of batches) {
        rig.test.wallMs = batch.baseTimestampMs;
        await write(batch, log, host);
      }
      const ours = await bytesIn(log);
      expect(ours.length).toBe(batches.length);
      for (const [i, batch] of batches.entries()) {
        // Nothing but the leader epoch is this broker's own.
        const kafka = batch.view().slice();
        kafka.set(ours[i]!.subarray(12, 16), 12);
        expect([i, hexOfBytes(ours[i]!)]).toEqual([i, hexOfBytes(kafka)]);
      }
      host.close();
      await rig.close();
    });
  }

  test("was there to be compared", () => {
    const kinds = asWritten.partitions
      .flatMap(batchesOf)
      .filter((batch) => batch.isTransactional)
      .map((batch) => (batch.isControl ? readControlBatch(batch)!.type : "offsets"));
    expect(new Set(kinds)).toEqual(new Set(["offsets", 0, 1]));
  });
});

describe("what we read of transactions", () => {
  for (const [what, kafka] of Object.entries({ asWritten, cleaned })) {
    test(`is what Kafka says, ${what}`, async () => {
      const test = new TestRuntime();
      const seen = new Set<string>();
      for (const hex of kafka.partitions) {
        const log = new ScriptedLog();
        for (const batch of batchesOf(hex)) {
          log.batches.push(batch.view().slice());
          log.logEndOffset = batch.lastOffset + 1;
        }
        log.highWatermark = log.logEndOffset;
        const host = hostOver(log, test, kafka.topicId);
        for (const isStable of [false, true]) {
          for (const [groupId, rows] of Object.entries(kafka.fetched)) {
            const found = await fetched(host, groupId, isStable);
            // A group of another partition.
            if (found.length === 0) continue;
            seen.add(groupId);
            const expected = isStable ? rows.stable : rows.any;
            expect([groupId, isStable, found]).toEqual([groupId, isStable, [...expected].sort()]);
          }
        }
        host.close();
      }
      const withOffsets = Object.entries(kafka.fetched).filter(([, { any }]) => any.length > 0);
      expect([...seen].sort()).toEqual(withOffsets.map(([groupId]) => groupId).sort());
      expect(test.events("coordinator_load_failed")).toEqual([]);
      await settle();
    });
  }
});

async function fetched(
  host: ShardHost<GroupShard, GroupRecord>,
  groupId: string,
  isStable: boolean,
): Promise<string[]> {
  const asked = [{ groupId, memberId: null, memberEpoch: -1, topics: null }];
  const outcome = await host.run<readonly FetchedGroup[]>(
    (shard, now, reply) =>
      shard.fetchOffsets(
        { now, version: 9, clientId: "c", clientHost: "/h" },
        asked,
        isStable,
        reply,
      ),
    signal,
  );
  if (!outcome.ok) throw new Error(outcome.error.code);
  return outcome.value[0]!.topics.flatMap(({ name, partitions }) =>
    partitions.map(
      ({ partitionIndex, committedOffset, committedLeaderEpoch, metadata, errorCode }) =>
        `${name}-${partitionIndex}=${committedOffset}/${committedLeaderEpoch}/${metadata}/${errorCode}`,
    ),
  ).sort();
}
