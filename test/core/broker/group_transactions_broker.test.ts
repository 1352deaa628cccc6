// Offsets in transactions in a whole broker, by both protocols: when a group's partition is in the transaction and when it is
// not, what readers are told meanwhile, and what a restart finds. Offsets and records end together, whatever comes between.

import { afterEach, describe, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { withDefaults } from "../../../src/protocol/defaults.ts";
import { OffsetCommit } from "../../../src/protocol/messages/08_offset_commit.ts";
import { TxnOffsetCommit } from "../../../src/protocol/messages/28_txn_offset_commit.ts";
import { hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { callerOf } from "../../support/memory_broker.ts";
import { codeName, type Producer, TransactionCalls } from "../../support/transaction_calls.ts";

/** A broker that is started again over what it has kept. */
class Lives {
  readonly #storage = storageMemory();
  readonly #metadata = metadataMemory();
  #host!: ReturnType<typeof hostRuntime>;
  broker!: RunningBroker;
  calls!: TransactionCalls;
  #gone!: AbortController;

  async start(): Promise<void> {
    this.#host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
    this.broker = await createBroker({
      broker: { id: 1 },
      runtime: this.#host.runtime,
      storage: this.#storage,
      metadata: this.#metadata,
      transports: [],
      settings: {
        "offsets.topic.num.partitions": 3,
        "transaction.state.log.num.partitions": 2,
      },
    });
    await this.broker.start();
    this.#gone = new AbortController();
    this.calls = new TransactionCalls(this.broker, callerOf("alice", this.#gone.signal));
  }

  async stop(): Promise<void> {
    this.#gone.abort();
    await this.broker.stop(1000);
    await this.#host.stop(1000);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async topic(name: string): Promise<void> {
    const made = await createTopic(this.broker, this.calls.caller, { name, partitions: 1 });
    if (!made.ok) throw new Error(made.error.message);
  }

  async init(transactionalId: string): Promise<Producer> {
    const answer = await this.calls.init({ transactionalId });
    if (answer.errorCode !== 0) throw new Error(codeName(answer.errorCode));
    return { producerId: Number(answer.producerId), producerEpoch: answer.producerEpoch };
  }

  /** Of partition 0 of "a". @returns "none", or the name of an error */
  async commitIn(
    producer: Producer,
    offset: number,
    { groupId = "g", transactionalId = "t", version = 5 } = {},
  ): Promise<string> {
    const request = withDefaults(TxnOffsetCommit.request, {
      transactionalId,
      groupId,
      ...producer,
      topics: topicsOf(offset),
    });
    const { groups } = this.broker;
    const answer = await groups.txnOffsetCommit(this.calls.caller, request, version);
    return codeName(answer.topics[0]!.partitions[0]!.errorCode);
  }

  async commit(offset: number, groupId: string): Promise<string> {
    const request = withDefaults(OffsetCommit.request, {
      groupId,
      generationIdOrMemberEpoch: -1,
      topics: topicsOf(offset),
    });
    const answer = await this.broker.groups.offsetCommit(this.calls.caller, request, 9);
    return codeName(answer.topics[0]!.partitions[0]!.errorCode);
  }

  async end(
    producer: Producer,
    isCommit: boolean,
    { transactionalId = "t", version = 5 } = {},
  ): Promise<Producer> {
    for (;;) {
      const answer = await this.calls.end(producer, isCommit, version, transactionalId);
      const code = codeName(answer.errorCode);
      // The last one is still being completed.
      if (code === "concurrent_transactions") continue;
      if (code !== "none") throw new Error(code);
      if (version < 5) return producer;
      return { producerId: Number(answer.producerId), producerEpoch: answer.producerEpoch };
    }
  }
}

function topicsOf(committedOffset: number) {
  return [
    { name: "a", partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: "" }] },
  ];
}

let lives: Lives | null = null;

afterEach(() => lives?.stop());

async function started(): Promise<Lives> {
  lives = new Lives();
  await lives.start();
  await lives.topic("a");
  return lives;
}

describe("offsets in a transaction", () => {
  test("by the older protocol have to have their group added", async () => {
    const live = await started();
    const p = await live.init("t");
    for (const [version, expected] of [
      [3, "invalid_txn_state"],
      [4, "transaction_abortable"],
    ] as const) {
      expect(await live.commitIn(p, 5, { version })).toBe(expected);
    }
    expect(await live.calls.addOffsets(p, "g")).toBe("none");
    expect(await live.commitIn(p, 5, { version: 3 })).toBe("none");
    expect(await live.calls.committedOffset("g", "a")).toBe("unstable_offset_commit");
    const old = { ...p, producerEpoch: p.producerEpoch - 1 };
    expect(await live.commitIn(old, 6, { version: 3 })).toBe("invalid_producer_epoch");
    await live.end(p, true, { version: 3 });
    expect(await live.calls.committedOffset("g", "a")).toBe(5);
    // Of the next transaction it has to be added anew.
    expect(await live.commitIn(p, 6, { version: 4 })).toBe("transaction_abortable");
  });

  test("by the newer one take their group along", async () => {
    const live = await started();
    const p = await live.init("t");
    expect(await live.commitIn(p, 5)).toBe("none");
    const next = await live.end(p, true);
    expect(next.producerEpoch).toBe(p.producerEpoch + 1);
    expect(await live.calls.committedOffset("g", "a")).toBe(5);
    expect(await live.commitIn(p, 6)).toBe("invalid_producer_epoch");
    expect(await live.commitIn(next, 7)).toBe("none");
    await live.end(next, false);
    expect(await live.calls.committedOffset("g", "a")).toBe(5);
  });

  test("of somebody else's, or of nobody, are refused", async () => {
    const live = await started();
    expect(await live.commitIn({ producerId: 1, producerEpoch: 0 }, 5)).toBe(
      "coordinator_not_available",
    );
    const p = await live.init("t");
    const other = { ...p, producerId: p.producerId + 100 };
    expect(await live.commitIn(other, 5)).toBe("invalid_producer_id_mapping");
    expect(await live.commitIn(p, 5, { transactionalId: "u" })).toBe("invalid_producer_id_mapping");
    expect(await live.calls.committedOffset("g", "a")).toBe(-1);
  });

  test("are ended by whoever takes over the transactional id", async () => {
    const live = await started();
    const p = await live.init("t");
    expect(await live.commitIn(p, 5)).toBe("none");
    let answer = await live.calls.init({ transactionalId: "t" });
    while (codeName(answer.errorCode) === "concurrent_transactions") {
      answer = await live.calls.init({ transactionalId: "t" });
    }
    expect(answer.errorCode).toBe(0);
    expect(await live.calls.committedOffset("g", "a")).toBe(-1);
    expect(await live.commitIn(p, 6)).toBe("invalid_producer_epoch");
  });

  test("stay open over a restart, and end after it", async () => {
    const live = await started();
    const p = await live.init("t");
    expect(await live.commitIn(p, 5)).toBe("none");
    await live.restart();
    expect(await live.calls.committedOffset("g", "a")).toBe("unstable_offset_commit");
    expect(await live.commitIn(p, 6)).toBe("none");
    const next = await live.end(p, true);
    await live.restart();
    expect(await live.calls.committedOffset("g", "a")).toBe(6);
    expect(await live.commitIn(next, 7)).toBe("none");
    await live.restart();
    // The shard of the group is not loaded when the marker comes.
    await live.end(next, true);
    expect(await live.calls.committedOffset("g", "a")).toBe(7);
  });

  for (let seed = 0; seed < 8; seed++) {
    test(`end as their records do, over restarts, seed ${seed}`, async () => {
      const random = SeededRandom.of(`offsets and records ${seed}`);
      const live = await started();
      const groups = ["g", "h"];
      const ids = ["t", "u", "v"];
      const producers = new Map<string, Producer>();
      const sequences = new Map<string, number>();
      for (const id of ids) producers.set(id, await live.init(id));
      const committed = new Map<string, { offset: number; order: number }>();
      const values: string[] = [];
      let next = 1;
      for (let round = 0; round < 25; round++) {
        const id = ids[random.below(ids.length)]!;
        const groupId = groups[random.below(groups.length)]!;
        const version = random.below(2) === 0 ? 3 : 5;
        let producer = producers.get(id)!;
        const offset = next++;
        if (version < 5) {
          let added = await live.calls.addOffsets(producer, groupId, 4, id);
          while (added === "concurrent_transactions") {
            added = await live.calls.addOffsets(producer, groupId, 4, id);
          }
          expect(added).toBe("none");
          expect(await live.calls.add(producer, { a: [0] }, 3, id)).toEqual({ "a/0": "none" });
        }
        let code = await live.commitIn(producer, offset, { groupId, transactionalId: id, version });
        while (code === "concurrent_transactions") {
          code = await live.commitIn(producer, offset, { groupId, transactionalId: id, version });
        }
        expect(code).toBe("none");
        const sequence = sequences.get(id) ?? 0;
        const given = { sequence, adds: version >= 5, transactionalId: id };
        expect(await live.calls.produce(producer, [String(offset)], given)).toBe("ok");
        if (random.below(3) === 0) await live.restart();
        // A plain commit that comes in between is newer.
        const plain = random.below(4) === 0 ? next++ : null;
        if (plain !== null) {
          expect(await live.commit(plain, groupId)).toBe("none");
          committed.set(groupId, { offset: plain, order: plain });
        }
        expect(await live.calls.committedOffset(groupId, "a")).toBe("unstable_offset_commit");
        const isCommit = random.below(3) > 0;
        producer = await live.end(producer, isCommit, { transactionalId: id, version });
        producers.set(id, producer);
        sequences.set(id, version < 5 ? sequence + 1 : 0);
        if (isCommit) {
          values.push(String(offset));
          if ((committed.get(groupId)?.order ?? 0) < offset) {
            committed.set(groupId, { offset, order: offset });
          }
        }
        if (random.below(5) === 0) await live.restart();
        for (const each of groups) {
          const expected = committed.get(each)?.offset ?? -1;
          expect([round, each, await live.calls.committedOffset(each, "a")]).toEqual([
            round,
            each,
            expected,
          ]);
        }
        expect(await live.calls.read()).toEqual(values);
      }
      expect(values.length).toBeGreaterThan(5);
    });
  }
});
