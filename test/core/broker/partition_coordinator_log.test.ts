// A shard over the broker's own log: what is acknowledged is there after a restart, what a failing disk took is refused,
// and a large log is loaded quickly, also in small batches.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ZERO_UUID } from "../../../src/base/uuid.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import { PartitionCoordinatorLog } from "../../../src/core/broker/partition_coordinator_log.ts";
import type { GroupRecord } from "../../../src/core/coordinator/group/group_record.ts";
import { groupRecordSerde } from "../../../src/core/coordinator/group/group_record_serde.ts";
import {
  answer,
  type Decision,
  NO_DECISION,
  type Reply,
  type Shard,
} from "../../../src/core/coordinator/runtime/shard.ts";
import { ShardHost } from "../../../src/core/coordinator/runtime/shard_host.ts";
import { hookedStorage } from "../../support/hooked_storage.ts";
import { LogRig, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

class Offsets implements Shard<GroupRecord> {
  readonly committed = new Map<string, number>();

  replay(record: GroupRecord): void {
    if (record.kind !== "offset_commit") return;
    const { group, topic: name, partition } = record.key;
    const key = `${group}/${name}/${partition}`;
    if (record.value === null) this.committed.delete(key);
    else this.committed.set(key, record.value.offset);
  }

  loaded(): Decision<GroupRecord> {
    return NO_DECISION;
  }

  dropped(): void {}

  commit(group: string, offset: number, reply: Reply<string>, count = 1): Decision<GroupRecord> {
    const records = Array.from({ length: count }, (_, partition) =>
      commitOf(group, partition, offset),
    );
    return { records, answers: [answer(reply, "committed")] };
  }
}

function commitOf(group: string, partition: number, offset: number): GroupRecord {
  return {
    kind: "offset_commit",
    key: { group, topic: "a-topic-of-usual-length", partition },
    value: {
      offset,
      leaderEpoch: -1,
      metadata: "",
      commitTimestamp: 1_700_000_000_000,
      expireTimestamp: -1,
      topicId: ZERO_UUID,
    },
  };
}

const topics = [topic("__consumer_offsets", 1, { "cleanup.policy": "compact" })];
const signal = new AbortController().signal;

function hostOf(rig: LogRig) {
  const shards: Offsets[] = [];
  const { runtime } = rig.test;
  const held = rig.logs.logIn(rig.logs.topicNamed("__consumer_offsets")!, 0)!;
  const host = new ShardHost<Offsets, GroupRecord>({
    log: new PartitionCoordinatorLog(rig.logs, runtime, held),
    serde: groupRecordSerde,
    runtime,
    makeShard: () => {
      const shard = new Offsets();
      shards.push(shard);
      return shard;
    },
    codec: () => "none",
    pendingMax: 100_000,
  });
  const run = async (decide: (shard: Offsets, reply: Reply<string>) => Decision<GroupRecord>) => {
    const outcome = await host.run<string>((shard, _now, reply) => decide(shard, reply), signal);
    return outcome.ok ? outcome.value : outcome.error.code;
  };
  return { host, run, shards, log: held };
}

describe("a shard over a partition of this broker", () => {
  test("what was acknowledged is there after a restart", async () => {
    const plugin = storageMemory();
    const first = await LogRig.open(plugin, { topics });
    const before = hostOf(first);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        before.run((shard, reply) => shard.commit(`g${i % 7}`, i, reply)),
      ),
    );
    expect(new Set(answers)).toEqual(new Set(["committed"]));
    expect(before.log.highWatermark).toBe(50);
    // One turn, one batch.
    expect(before.log.extents!.count).toBe(1);
    before.host.close();
    await first.close();

    const second = await LogRig.open(plugin, { topics });
    const after = hostOf(second);
    expect(
      await after.run((_shard, reply) => ({ records: [], answers: [answer(reply, "x")] })),
    ).toBe("x");
    expect(after.shards[0]!.committed).toEqual(before.shards[0]!.committed);
    await second.close();
  });

  test("a disk that fails refuses who waits; then there is no coordinator", async () => {
    let isFailing = false;
    const plugin = hookedStorage(storageMemory(), (call) =>
      call === "sync" && isFailing
        ? Promise.reject(new StorageError("io", "the disk is gone"))
        : undefined,
    );
    const rig = await LogRig.open(plugin, { topics });
    const { run } = hostOf(rig);
    expect(await run((shard, reply) => shard.commit("g", 1, reply))).toBe("committed");
    isFailing = true;
    expect(await run((shard, reply) => shard.commit("g", 2, reply))).toBe("not_coordinator");
    await settle();
    expect(rig.logs.isOnline).toBe(false);
    expect(await run((shard, reply) => shard.commit("g", 3, reply))).toBe(
      "coordinator_not_available",
    );
    await rig.close().catch(() => {});
  });

  test("a topic that is deleted takes its shard along", async () => {
    const rig = await LogRig.open(storageMemory(), { topics });
    const { run } = hostOf(rig);
    expect(await run((shard, reply) => shard.commit("g", 1, reply))).toBe("committed");
    await rig.logs.topicDeleted(topics[0]!);
    expect(await run((shard, reply) => shard.commit("g", 2, reply))).toBe("not_coordinator");
    expect(await run((shard, reply) => shard.commit("g", 3, reply))).toBe(
      "coordinator_not_available",
    );
    await rig.close();
  });

  test("100,000 offsets are loaded, in large batches and in small ones", async () => {
    const rig = await LogRig.open(storageMemory(), { topics, journalFileBytes: 64 * 1024 * 1024 });
    const { run, host, shards } = hostOf(rig);
    for (let i = 0; i < 90; i++) {
      expect(await run((shard, reply) => shard.commit(`g${i}`, i, reply, 1000))).toBe("committed");
    }
    for (let i = 0; i < 10_000; i += 100) {
      const burst = Array.from({ length: 100 }, (_, k) =>
        run((shard, reply) => shard.commit(`s${i + k}`, i, reply)),
      );
      await Promise.all(burst);
    }
    host.close();
    const again = hostOf(rig);
    const startedMs = performance.now();
    await again.run((_shard, reply) => ({ records: [], answers: [answer(reply, "x")] }));
    const tookMs = performance.now() - startedMs;
    expect(again.shards[0]!.committed.size).toBe(100_000);
    expect(again.shards[0]!.committed).toEqual(shards[0]!.committed);
    // The bar is a second on an idle machine.
    expect(tookMs).toBeLessThan(5000);
    await rig.close();
  });
});
