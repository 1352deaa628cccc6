// __consumer_offsets as Apache Kafka 4.3.1 wrote it, in our log: groups of types that we know and of types that we do not,
// tombstones, and offsets of transactions that were committed, aborted or left open. What is listed and fetched is what
// that broker said itself, before our cleaner has gone over it, and after.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { PartitionCoordinatorLog } from "../../../src/core/broker/partition_coordinator_log.ts";
import type { GroupRecord } from "../../../src/core/coordinator/group/group_record.ts";
import { groupRecordSerde } from "../../../src/core/coordinator/group/group_record_serde.ts";
import type {
  FetchedGroup,
  ListedGroup,
} from "../../../src/core/coordinator/group/group_requests.ts";
import { GroupShard } from "../../../src/core/coordinator/group/group_shard.ts";
import type { TopicView } from "../../../src/core/coordinator/group/topic_view.ts";
import type { CoordinatorLog } from "../../../src/core/coordinator/runtime/coordinator_log.ts";
import { ShardHost } from "../../../src/core/coordinator/runtime/shard_host.ts";
import type { AppendVerdict, PartitionLog } from "../../../src/core/log/partition_log.ts";
import { withDefaults } from "../../../src/protocol/defaults.ts";
import { ListGroups } from "../../../src/protocol/messages/16_list_groups.ts";
import { storedRecordType } from "../../../src/protocol/stored.ts";
import { maxTimestampAt, recordCountAt } from "../../../src/record/batch_header.ts";
import { CONTROL_COMMIT, readControlBatch } from "../../../src/record/control_record.ts";
import { batchesIn, type RecordBatch } from "../../../src/record/record_batch.ts";
import { readRecords } from "../../../src/record/record_reader.ts";
import { hostCompression } from "../../../src/runtime/compression.ts";
import { LogRig, topic } from "../../support/log_rig.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";
import {
  bytesOfHex,
  hexOfBytes,
  loadOffsetsTopics,
  type OffsetsTopic,
} from "../../vectors/load.ts";
import { ScriptedLog } from "../coordinator/scripted_log.ts";
import { rigSettings } from "../coordinator/shard_rig.ts";

const NAME = "__consumer_offsets";
const { asWritten: written, cleaned } = loadOffsetsTopics();
/** Record types of share and streams groups begin here; those before are ours to know. */
const FOREIGN_FROM = 9;
const REGEX_TYPE = 16;
const signal = new AbortController().signal;

/** The topic that was committed to, under the id that it had. */
function topicsOf({ topicId: id }: OffsetsTopic): TopicView {
  const seen = { name: "t", id, partitionCount: 3, racks: () => [] };
  return {
    revision: 1,
    named: (name) => (name === seen.name ? seen : null),
    withId: (asked) => (asked === id ? seen : null),
    names: () => [seen.name],
  };
}

/** What Kafka listed, as we mean to: groups of types that are not served only if they have offsets, for which alone they are known. */
function listedBy({ listed }: OffsetsTopic): string[] {
  return listed
    .filter((row) => !/^\S+ share /.test(row))
    .map((row) => row.replace(/^g-streams .*/, "g-streams classic Empty "))
    .sort();
}

/** Ends of transactions come as markers, whose bytes are ours; what they end is told apart by its producer. */
function taken(log: PartitionLog, batch: RecordBatch, wallMs: number): AppendVerdict {
  const { isControl, isTransactional, producerId, producerEpoch } = batch;
  if (isControl) {
    const { type, coordinatorEpoch } = readControlBatch(batch)!;
    return log.appendMarker(
      {
        producerId,
        producerEpoch,
        coordinatorEpoch: coordinatorEpoch!,
        isCommit: type === CONTROL_COMMIT,
        transactionVersion: 1,
      },
      wallMs,
    );
  }
  const bytes = batch.view().slice();
  return log.append(
    {
      bytes,
      recordCount: recordCountAt(bytes, 0),
      maxTimestampMs: maxTimestampAt(bytes, 0),
      producerId,
      producerEpoch,
      baseSequence: -1,
      isTransactional,
      logAppendTimeMs: -1,
    },
    wallMs,
  );
}

async function opened(): Promise<LogRig> {
  const configs = {
    "cleanup.policy": "compact",
    "internal.segment.bytes": "400",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "1000",
  };
  const topics = [topic(NAME, written.partitions.length, configs)];
  const rig = await LogRig.open(storageMemory(), { topics });
  for (const [partition, hex] of written.partitions.entries()) {
    const log = logIn(rig, partition);
    for (const batch of batchesIn(bytesOfHex(hex)).batches) {
      const verdict = taken(log, batch, rig.test.wallMs);
      if (verdict.kind !== "appended") throw new Error(verdict.kind);
      // Offsets are part of what is told: a log that was copied has them as they were.
      expect(verdict.baseOffset).toBe(batch.baseOffset);
      await verdict.group.settled();
    }
  }
  return rig;
}

const logIn = (rig: LogRig, partition: number) =>
  rig.logs.logIn(rig.logs.topicNamed(NAME)!, partition)!;

/** What a broker over these logs says of its groups. */
async function said(
  test: TestRuntime,
  topics: TopicView,
  logOf: (partition: number) => CoordinatorLog,
) {
  const listed: string[] = [];
  const any: Record<string, string[]> = {};
  const stable: Record<string, string[]> = {};
  const { runtime } = test;
  for (const partition of written.partitions.keys()) {
    const host = new ShardHost<GroupShard, GroupRecord>({
      log: logOf(partition),
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
    const rows = await host.run<readonly ListedGroup[]>(
      (shard, now, reply) =>
        shard.listGroups(
          { now, version: 5, clientId: "c", clientHost: "/h" },
          withDefaults(ListGroups.request, {}),
          reply,
        ),
      signal,
    );
    if (!rows.ok) throw new Error(rows.error.code);
    for (const { groupId, groupType, groupState, protocolType } of rows.value) {
      listed.push(`${groupId} ${groupType} ${groupState} ${protocolType}`);
      for (const [isStable, into] of [
        [false, any],
        [true, stable],
      ] as const) {
        into[groupId] = await fetched(host, groupId, isStable);
      }
    }
    host.close();
  }
  return { listed: listed.sort(), any, stable };
}

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

const saidBy = (rig: LogRig) =>
  said(rig.test, topicsOf(written), (partition) => {
    return new PartitionCoordinatorLog(rig.logs, rig.test.runtime, logIn(rig, partition));
  });

/** The newest value of each key of a type that is not ours, in hex; tombstones left out. */
async function foreign(rig: LogRig): Promise<Map<string, string>> {
  const newest = new Map<string, string>();
  for (const partition of written.partitions.keys()) {
    const log = new PartitionCoordinatorLog(rig.logs, rig.test.runtime, logIn(rig, partition));
    for (let offset = log.logStartOffset; offset < log.highWatermark; ) {
      const read = await log.read(offset, 1 << 20);
      if (!read.ok) throw new Error(read.reason);
      for (const batch of batchesIn(read.batches).batches) {
        offset = batch.lastOffset + 1;
        if (batch.isControl) continue;
        const { records } = readRecords(batch, {
          compression: hostCompression,
          sizeBytesMax: 1 << 20,
        });
        for (const { key, value } of records) {
          const type = storedRecordType(key!);
          if (type < FOREIGN_FROM || type === REGEX_TYPE) continue;
          if (value === null) newest.delete(hexOfBytes(key!));
          else newest.set(hexOfBytes(key!), hexOfBytes(value));
        }
      }
      read.release();
    }
  }
  return newest;
}

const bytesIn = (rig: LogRig) =>
  [...written.partitions.keys()].reduce((sum, each) => sum + logIn(rig, each).sizeBytes, 0);

function expectKafkas(kafka: OffsetsTopic, ours: Awaited<ReturnType<typeof said>>): void {
  expect(ours.listed).toEqual(listedBy(kafka));
  for (const row of ours.listed) {
    const groupId = row.split(" ")[0]!;
    expect([groupId, ours.any[groupId]]).toEqual([groupId, [...kafka.fetched[groupId]!.any]]);
    expect([groupId, ours.stable[groupId]]).toEqual([groupId, [...kafka.fetched[groupId]!.stable]]);
  }
}

describe("__consumer_offsets of Apache Kafka 4.3.1", () => {
  test("is loaded as that broker had it", async () => {
    const rig = await opened();
    expectKafkas(written, await saidBy(rig));
    expect(rig.test.events("coordinator_load_failed")).toEqual([]);
    await rig.close();
  });

  test("says the same when it has been cleaned, and keeps what it does not know", async () => {
    const rig = await opened();
    const before = await foreign(rig);
    expect(before.size).toBeGreaterThan(5);
    const bytesBefore = bytesIn(rig);
    // Closes the segments, and lets tombstones grow old enough to go.
    for (let round = 0; round < 3; round++) {
      await rig.test.advance(5000);
      await rig.logs.clean();
      await settle();
    }
    expect(bytesIn(rig)).toBeLessThan(bytesBefore);
    expect(await foreign(rig)).toEqual(before);
    // A group that an aborted offset alone had made is gone with it.
    const listed = written.listed.filter((row) => !row.startsWith("g-txn-only-aborted "));
    expectKafkas({ ...written, listed }, await saidBy(rig));
    await rig.close();
  });

  test("is loaded as that broker had it where its own cleaner has been", async () => {
    const test = new TestRuntime();
    let gapCount = 0;
    const ours = await said(test, topicsOf(cleaned), (partition) => {
      const log = new ScriptedLog();
      for (const batch of batchesIn(bytesOfHex(cleaned.partitions[partition]!)).batches) {
        if (batch.baseOffset > log.logEndOffset) gapCount++;
        log.batches.push(batch.view().slice());
        log.logEndOffset = batch.lastOffset + 1;
        log.highWatermark = log.logEndOffset;
      }
      return log;
    });
    expect(gapCount).toBeGreaterThan(5);
    expectKafkas(cleaned, ours);
    expect(test.events("coordinator_load_failed")).toEqual([]);
  });
});
