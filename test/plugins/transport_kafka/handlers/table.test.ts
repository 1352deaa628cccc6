// The APIs that are handed to the broker in the protocol's own shapes: each reaches its method, with its
// version, and its answer reaches the client.

import { describe, expect, test } from "bun:test";
import type { HandlerContext } from "../../../../plugins/transport-kafka/handler.ts";
import {
  handlers,
  transactionHandlers,
} from "../../../../plugins/transport-kafka/handlers/table.ts";
import type { Caller, EpochQuery } from "../../../../src/contracts/broker.ts";
import { FindCoordinator } from "../../../../src/protocol/messages/10_find_coordinator.ts";
import { DeleteRecords } from "../../../../src/protocol/messages/21_delete_records.ts";
import { InitProducerId } from "../../../../src/protocol/messages/22_init_producer_id.ts";
import { OffsetForLeaderEpoch } from "../../../../src/protocol/messages/23_offset_for_leader_epoch.ts";
import { EndTxn } from "../../../../src/protocol/messages/26_end_txn.ts";
import { ListTransactions } from "../../../../src/protocol/messages/66_list_transactions.ts";
import { decodeMessage, encodeMessage, withDefaults } from "../../../../src/protocol/mod.ts";
import { Harness, ok, refused } from "../scripted.ts";

const METHODS: Record<number, string> = {
  3: "metadata",
  8: "offsetCommit",
  9: "offsetFetch",
  10: "findCoordinator",
  11: "joinGroup",
  12: "heartbeat",
  13: "leaveGroup",
  14: "syncGroup",
  15: "describeGroups",
  16: "listGroups",
  19: "createTopics",
  20: "deleteTopics",
  21: "deleteRecords",
  22: "initProducerId",
  32: "describeConfigs",
  33: "alterConfigs",
  35: "describeLogDirs",
  37: "createPartitions",
  42: "deleteGroups",
  44: "incrementalAlterConfigs",
  47: "offsetDelete",
  57: "updateFeatures",
  60: "describeCluster",
  61: "describeProducers",
  68: "consumerGroupHeartbeat",
  69: "consumerGroupDescribe",
  75: "describeTopicPartitions",
};
const EXCLUSIVE = [19, 20, 21, 33, 37, 44, 57];
/** Those that may wait for others: later requests of the connection wait with them. */
const SERIAL = [11, 14];

describe("pass-through handlers", () => {
  for (const [key, method] of Object.entries(METHODS)) {
    const handler = handlers[Number(key)]!;
    test(`${handler.api.name}: every version reaches ${method}() and is answered`, async () => {
      const { api } = handler;
      expect(handler.overlap === "exclusive").toBe(EXCLUSIVE.includes(api.apiKey));
      if (SERIAL.includes(api.apiKey)) expect(handler.overlap).toBe("serial");
      for (let version = api.lowest; version <= api.highestStable; version++) {
        const harness = await Harness.start();
        const answer = decodeMessage(
          api.response,
          version,
          encodeMessage(api.response, version, withDefaults(api.response, {}) as never),
        );
        harness.scripted.answers.set(method, () => answer);
        const request = withDefaults(api.request, {});
        const response = await harness.connect().ask(api, version, request as never);
        expect(response as unknown).toEqual(answer as unknown);
        const [call] = harness.scripted.calls;
        expect([call!.name, call!.version]).toEqual([method, version]);
      }
    });
  }
});

const TRANSACTION_METHODS: Record<
  number,
  readonly [method: string, half: "transactions" | "groups"]
> = {
  24: ["addPartitionsToTxn", "transactions"],
  25: ["addOffsetsToTxn", "transactions"],
  26: ["endTxn", "transactions"],
  27: ["writeTxnMarkers", "transactions"],
  28: ["txnOffsetCommit", "groups"],
  65: ["describeTransactions", "transactions"],
  66: ["listTransactions", "transactions"],
};
/** A client's next request sees what these did. */
const TRANSACTION_SERIAL = [24, 25, 26, 27];

describe("handlers of transactions", () => {
  test("are those of Kafka, in all its versions", () => {
    const ranges = transactionHandlers.map(({ api }) => [
      api.apiKey,
      api.lowest,
      api.highestStable,
    ]);
    expect(ranges).toEqual([
      [24, 0, 5],
      [25, 0, 4],
      [26, 0, 5],
      [27, 1, 2],
      [28, 0, 5],
      [65, 0, 0],
      [66, 0, 2],
    ]);
  });

  test("are listed, all of them: with one of them clients take the others for granted", () => {
    for (const handler of transactionHandlers) {
      expect(handlers[handler.api.apiKey]).toBe(handler);
    }
  });

  for (const handler of transactionHandlers) {
    const { api } = handler;
    const [method] = TRANSACTION_METHODS[api.apiKey]!;
    test(`${api.name}: every version reaches ${method}() and is answered`, async () => {
      expect(handler.overlap).toBe(TRANSACTION_SERIAL.includes(api.apiKey) ? "serial" : "parallel");
      for (let version = api.lowest; version <= api.highestStable; version++) {
        const harness = await Harness.start();
        const answer = withDefaults(api.response, {});
        harness.scripted.answers.set(method, () => answer);
        const request = decodeMessage(
          api.request,
          version,
          encodeMessage(api.request, version, withDefaults(api.request, {}) as never),
        );
        const context = { broker: harness.scripted.broker } as HandlerContext;
        const { response } = await handler.handle(context, {} as Caller, request, version);
        expect(response).toBe(answer);
        expect(encodeMessage(api.response, version, response as never).length).toBeGreaterThan(0);
        const [call] = harness.scripted.calls;
        expect([call!.name, call!.version]).toEqual([method, version]);
        expect(call!.request).toBe(request);
      }
    });
  }

  test("offsets beyond 2^53 are refused, all of a commit", async () => {
    const harness = await Harness.start();
    const topics = [
      {
        name: "t",
        partitions: [1n << 60n, 5].map((committedOffset, partitionIndex) => ({
          partitionIndex,
          committedOffset,
          committedLeaderEpoch: -1,
          committedMetadata: null,
        })),
      },
    ];
    const handler = transactionHandlers.find(({ api }) => api.apiKey === 28)!;
    const context = { broker: harness.scripted.broker } as HandlerContext;
    const { response } = await handler.handle(context, {} as Caller, { topics } as never, 5);
    expect(response).toMatchObject({
      topics: [{ name: "t", partitions: [{ errorCode: 28 }, { errorCode: 28 }] }],
    });
    expect(harness.scripted.calls).toEqual([]);
  });
});

describe("what is for transactions and for others", () => {
  test("ids and bounds beyond 2^53 name nothing, and are asked for all the same", async () => {
    const harness = await Harness.start();
    const reached: unknown[] = [];
    const DONE = { throttleTimeMs: 0, errorCode: 0 };
    Object.assign(harness.scripted.broker.transactions, {
      endTxn: async (_caller: Caller, { producerId }: { producerId: unknown }) => {
        reached.push(producerId);
        return withDefaults(EndTxn.response, DONE);
      },
      listTransactions: async (_caller: Caller, request: object) => {
        const { producerIdFilters, durationFilter } = request as Record<string, unknown>;
        reached.push(producerIdFilters, durationFilter);
        return withDefaults(ListTransactions.response, {
          ...DONE,
          ...{ unknownStateFilters: [], transactionStates: [] },
        });
      },
    });
    const client = harness.connect();
    const huge = (1n << 62n) + 1n;
    const producer = { transactionalId: "x", producerId: huge, producerEpoch: 0 };
    await client.ask(EndTxn, 5, { ...producer, committed: true });
    const filters = { stateFilters: [], producerIdFilters: [7, huge], durationFilter: huge };
    await client.ask(ListTransactions, 2, filters);
    expect(reached).toEqual([2 ** 62, [7, 2 ** 62], 2 ** 62]);
  });

  test("coordinators of transactions are asked for elsewhere than those of groups", async () => {
    for (let version = 1; version <= 6; version++) {
      const harness = await Harness.start();
      const reached: unknown[] = [];
      const { broker } = harness.scripted;
      const noting = (what: string) => async () => {
        reached.push(what);
        return withDefaults(FindCoordinator.response, {});
      };
      Object.assign(broker.groups, { findCoordinator: noting("groups") });
      Object.assign(broker.transactions, { findCoordinator: noting("transactions") });
      const client = harness.connect();
      for (const keyType of [0, 1, 2]) {
        const keys = version >= 4 ? { coordinatorKeys: ["k"] } : { key: "k" };
        await client.ask(FindCoordinator, version, { keyType, ...keys });
      }
      expect(reached).toEqual(["groups", "transactions", "groups"]);
    }
  });

  test("a producer id is given by the coordinator where there is a transactional id", async () => {
    for (let version = 0; version <= 5; version++) {
      const harness = await Harness.start();
      const reached: unknown[] = [];
      const { broker } = harness.scripted;
      const noting = (what: string) => async () => {
        reached.push(what);
        return withDefaults(InitProducerId.response, { errorCode: 0, producerEpoch: 0 });
      };
      Object.assign(broker.admin, { initProducerId: noting("admin") });
      Object.assign(broker.transactions, { initProducerId: noting("transactions") });
      const client = harness.connect();
      for (const transactionalId of [null, "", "t"]) {
        await client.ask(InitProducerId, version, { transactionalId, transactionTimeoutMs: 1 });
      }
      expect(reached).toEqual(["admin", "transactions", "transactions"]);
    }
  });
});

describe("OffsetForLeaderEpoch", () => {
  test("translates queries and outcomes, place by place", async () => {
    for (const version of [2, 3, 4]) {
      const harness = await Harness.start();
      harness.scripted.endOffsetForEpoch = (query) =>
        query.partition === 1
          ? refused("fenced_leader_epoch")
          : ok({ leaderEpoch: 2, endOffset: 26 });
      const answer = await harness.connect().ask(OffsetForLeaderEpoch, version, {
        ...(version >= 3 ? { replicaId: -1 } : {}),
        topics: [
          {
            topic: "a",
            partitions: [
              { partition: 0, currentLeaderEpoch: 3, leaderEpoch: 2 },
              { partition: 1, currentLeaderEpoch: 1, leaderEpoch: 0 },
            ],
          },
        ],
      });
      expect(harness.scripted.of<EpochQuery[]>("endOffsetForEpoch")[0]).toEqual([
        { topic: "a", partition: 0, leaderEpoch: 2, currentLeaderEpoch: 3 },
        { topic: "a", partition: 1, leaderEpoch: 0, currentLeaderEpoch: 1 },
      ]);
      expect(answer.topics[0]!.partitions).toEqual([
        { errorCode: 0, partition: 0, leaderEpoch: 2, endOffset: 26 },
        { errorCode: 74, partition: 1, leaderEpoch: -1, endOffset: -1 },
      ]);
    }
  });
});

describe("DeleteRecords", () => {
  test("offsets beyond 2^53 reach the broker as numbers out of every range", async () => {
    const harness = await Harness.start();
    harness.scripted.answers.set("deleteRecords", () => ({ throttleTimeMs: 0, topics: [] }));
    await harness.connect().ask(DeleteRecords, 2, {
      topics: [
        {
          name: "a",
          partitions: [
            { partitionIndex: 0, offset: 1n << 60n },
            { partitionIndex: 1, offset: -(1n << 60n) },
            { partitionIndex: 2, offset: 5 },
          ],
        },
      ],
      timeoutMs: 1,
    });
    const [request] = harness.scripted.of<{ topics: { partitions: { offset: number }[] }[] }>(
      "deleteRecords",
    );
    expect(request!.topics[0]!.partitions.map((each) => each.offset)).toEqual([
      Number.MAX_SAFE_INTEGER,
      Number.MIN_SAFE_INTEGER,
      5,
    ]);
  });
});
