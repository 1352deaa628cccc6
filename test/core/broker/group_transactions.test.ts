// TxnOffsetCommit above and below the shard: what is asked before it, what each version is told, and offsets of
// transactions over a log of this broker, through restarts.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { GroupTransaction } from "../../../src/core/broker/group_coordinator.ts";
import type { GroupContext } from "../../../src/core/broker/group_dispatch.ts";
import { commitOffsetsInTransaction } from "../../../src/core/broker/group_transactions.ts";
import { PartitionCoordinatorLog } from "../../../src/core/broker/partition_coordinator_log.ts";
import { withDefaults } from "../../../src/protocol/defaults.ts";
import { errorByCode, type KafkaErrorName, refuse } from "../../../src/protocol/errors.ts";
import { TxnOffsetCommit } from "../../../src/protocol/messages/28_txn_offset_commit.ts";
import { caller, LogRig, topic } from "../../support/log_rig.ts";
import { TransactionsRig } from "../coordinator/group/transactions_rig.ts";

/** Shards that refuse everything, and write down what they are asked. */
function refusing(code: KafkaErrorName) {
  const asked: GroupTransaction[] = [];
  const context = {
    api: { cluster: { image: { topicsByName: new Map([["t", { partitionCount: 2 }]]) } } },
    groups: {
      async runInTransaction(_groupId: string, transaction: GroupTransaction) {
        asked.push(transaction);
        return refuse(code);
      },
    },
  } as unknown as GroupContext;
  return { context, asked };
}

/** @returns error names by "topic/partition" */
async function told(
  context: GroupContext,
  version: number,
  places: readonly (readonly [string, number])[],
  groupId = "g",
  producer: { readonly producerId?: number; readonly producerEpoch?: number } = {},
): Promise<string[]> {
  const request = withDefaults(TxnOffsetCommit.request, {
    transactionalId: "tx",
    groupId,
    producerId: 7,
    producerEpoch: 3,
    ...producer,
    topics: places.map(([name, partitionIndex]) => ({
      name,
      partitions: [{ partitionIndex, committedOffset: 1, committedMetadata: null }],
    })),
  });
  const { topics } = await commitOffsetsInTransaction(context, caller, request, version);
  return topics.map(({ name, partitions }) => {
    const [{ partitionIndex, errorCode }] = partitions as [(typeof partitions)[number]];
    return `${name}/${partitionIndex} ${errorByCode(errorCode)?.code}`;
  });
}

describe("TxnOffsetCommit", () => {
  test("asks nobody when nothing of it is there", async () => {
    const { context, asked } = refusing("not_coordinator");
    const absent = [
      ["t", 2],
      ["t", -1],
      ["u", 0],
    ] as const;
    for (const groupId of ["g", ""]) {
      expect(await told(context, 5, absent, groupId)).toEqual([
        "t/2 unknown_topic_or_partition",
        "t/-1 unknown_topic_or_partition",
        "u/0 unknown_topic_or_partition",
      ]);
    }
    expect(await told(context, 5, [], "")).toEqual([]);
    expect(asked).toEqual([]);
  });

  test("says of each partition by itself that it is not there, whatever becomes of the others", async () => {
    const { context, asked } = refusing("concurrent_transactions");
    const places = [
      ["u", 0],
      ["t", 1],
    ] as const;
    expect(await told(context, 5, places)).toEqual([
      "u/0 unknown_topic_or_partition",
      "t/1 concurrent_transactions",
    ]);
    expect(asked).toEqual([{ transactionalId: "tx", producerId: 7, producerEpoch: 3, adds: true }]);
    expect(await told(context, 5, places, "")).toEqual([
      "u/0 unknown_topic_or_partition",
      "t/1 invalid_group_id",
    ]);
    expect(asked.length).toBe(1);
  });

  test("takes the group into the transaction from v5 on", async () => {
    for (let version = 0; version <= 5; version++) {
      const { context, asked } = refusing("not_coordinator");
      await told(context, version, [["t", 0]]);
      expect(asked.map(({ adds }) => adds)).toEqual([version === 5]);
    }
  });

  test("asks nobody about producers that there cannot be", async () => {
    const { context, asked } = refusing("not_coordinator");
    expect(await told(context, 5, [["t", 0]], "g", { producerId: -1 })).toEqual([
      "t/0 invalid_producer_id_mapping",
    ]);
    expect(await told(context, 5, [["t", 0]], "g", { producerEpoch: -1 })).toEqual([
      "t/0 invalid_producer_epoch",
    ]);
    expect(asked).toEqual([]);
  });

  const tells: readonly [KafkaErrorName, number, KafkaErrorName][] = [
    ["coordinator_load_in_progress", 1, "coordinator_not_available"],
    ["coordinator_load_in_progress", 2, "coordinator_load_in_progress"],
    ["transaction_abortable", 3, "invalid_txn_state"],
    ["transaction_abortable", 4, "transaction_abortable"],
    ["not_enough_replicas", 5, "coordinator_not_available"],
    ["kafka_storage_error", 5, "not_coordinator"],
    ["producer_fenced", 5, "invalid_producer_epoch"],
    ["invalid_producer_epoch", 3, "invalid_producer_epoch"],
    ["invalid_producer_id_mapping", 5, "invalid_producer_id_mapping"],
    ["not_coordinator", 0, "not_coordinator"],
  ];
  for (const [code, version, expected] of tells) {
    test(`says ${expected} for ${code} to v${version}`, async () => {
      expect(await told(refusing(code).context, version, [["t", 0]])).toEqual([`t/0 ${expected}`]);
    });
  }
});

const topics = [
  topic("__consumer_offsets", 1, {
    "cleanup.policy": "compact",
    "internal.segment.bytes": "600",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "1000",
  }),
];

/** The same storage, opened again and again. */
class Lives {
  readonly plugin = storageMemory();
  logs!: LogRig;
  rig!: TransactionsRig;

  async open(): Promise<void> {
    this.rig = new TransactionsRig();
    this.logs = await LogRig.open(this.plugin, { topics, test: this.rig.test });
    this.rig.host = this.rig.hostOf(
      new PartitionCoordinatorLog(this.logs.logs, this.rig.test.runtime, this.log),
    );
  }

  get log() {
    return this.logs.logs.logIn(this.logs.logs.topicNamed("__consumer_offsets")!, 0)!;
  }

  async restart(): Promise<void> {
    this.rig.host.close();
    await this.logs.close();
    // Topics of the rig have ids of their own chance: the same every time.
    await this.open();
  }
}

describe("offsets of transactions in a log of this broker", () => {
  test("are there, or gone, or open, after a restart; the last stable offset says so", async () => {
    const lives = new Lives();
    await lives.open();
    const [a, b] = [1, 2].map((producerId) => ({ producerId, producerEpoch: 0 })) as [
      { producerId: number; producerEpoch: number },
      { producerId: number; producerEpoch: number },
    ];
    expect(await lives.rig.commit(1)).toBe("none");
    expect(lives.log.lastStableOffset).toBe(1);
    expect(await lives.rig.commitIn(a, 5)).toBe("none");
    expect(await lives.rig.commitIn(b, 6, { partition: 1 })).toBe("none");
    expect(await lives.rig.commitIn(a, 7, { partition: 2 })).toBe("none");
    expect([lives.log.lastStableOffset, lives.log.highWatermark]).toEqual([1, 4]);
    expect(await lives.rig.end(b, false)).toBe("none");
    expect([lives.log.lastStableOffset, lives.log.highWatermark]).toEqual([1, 5]);
    await lives.restart();
    expect(await lives.rig.read()).toEqual(["unstable", -1, "unstable", -1]);
    expect(lives.log.lastStableOffset).toBe(1);
    // Zombies are known after a restart, too.
    expect(await lives.rig.commitIn({ ...b, producerEpoch: 0 }, 9)).toBe("invalid_producer_epoch");
    expect(await lives.rig.commitIn(a, 8)).toBe("none");
    expect(await lives.rig.end(a, true)).toBe("none");
    expect(lives.log.lastStableOffset).toBe(lives.log.logEndOffset);
    expect(await lives.rig.read()).toEqual([8, -1, 7, -1]);
    await lives.restart();
    expect(await lives.rig.read()).toEqual([8, -1, 7, -1]);
    // The end is written again after a crash of the coordinator.
    expect(await lives.rig.end({ ...a, producerEpoch: a.producerEpoch - 1 }, true)).toBe("none");
    lives.rig.coordinatorEpoch = 3;
    expect(await lives.rig.end(a, true)).toBe("none");
    lives.rig.coordinatorEpoch = 2;
    expect(await lives.rig.end(a, true)).toBe("transaction_coordinator_fenced");
    expect(await lives.rig.read()).toEqual([8, -1, 7, -1]);
    lives.rig.host.close();
    await lives.logs.close();
  });

  for (let seed = 0; seed < 10; seed++) {
    test(`are the same once the log was cleaned, seed ${seed}`, async () => {
      const random = SeededRandom.of(`cleaned transactions ${seed}`);
      const lives = new Lives();
      await lives.open();
      const producers = [1, 2, 3].map((producerId) => ({ producerId, producerEpoch: 0 }));
      const at = () => ({ partition: random.below(4) });
      let cleaned = 0;
      for (let i = 0; i < 200; i++) {
        const { rig } = lives;
        const producer = producers[random.below(3)]!;
        const roll = random.below(100);
        if (roll < 25) expect(await rig.commit(i, at())).toBe("none");
        else if (roll < 65) expect(await rig.commitIn(producer, i, at())).toBe("none");
        else if (roll < 85) {
          expect(await rig.end(producer, random.below(2) === 0, 1 + random.below(2))).toBe("none");
        } else if (roll < 92) await rig.delete("t", random.below(4));
        else {
          const before = [await rig.read("t", true), await rig.read("t", false)];
          await lives.logs.test.advance(random.below(3000));
          cleaned += await lives.logs.logs.clean();
          if (roll < 96) await lives.restart();
          const after = [await lives.rig.read("t", true), await lives.rig.read("t", false)];
          expect([i, after]).toEqual([i, before]);
        }
      }
      for (const producer of producers) await lives.rig.end(producer, true);
      const before = await lives.rig.read();
      cleaned += await lives.logs.logs.clean();
      await lives.restart();
      expect(await lives.rig.read()).toEqual(before);
      expect(cleaned).toBeGreaterThan(0);
      expect(lives.rig.test.events("coordinator_load_failed")).toEqual([]);
      lives.rig.host.close();
      await lives.logs.close();
    });
  }

  test("batches of one producer are no duplicates of one another", async () => {
    const lives = new Lives();
    await lives.open();
    const p = { producerId: 1, producerEpoch: 0 };
    for (let i = 0; i < 10; i++) {
      expect(await lives.rig.commitIn(p, i)).toBe("none");
      if (i === 4) await lives.restart();
    }
    expect(lives.log.logEndOffset).toBe(10);
    await lives.rig.end(p, true);
    expect(await lives.rig.read()).toEqual([9, -1, -1, -1]);
    lives.rig.host.close();
    await lives.logs.close();
  });
});
