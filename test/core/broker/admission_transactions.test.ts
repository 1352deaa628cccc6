// Admission of transactions over an inner broker that grants everything: what is asked, what is refused and how, and what of
// a request reaches the coordinator at all.

import { beforeEach, describe, expect, test } from "bun:test";
import type { Question } from "../../../src/contracts/auth.ts";
import type { Broker, TransactionApi } from "../../../src/contracts/broker.ts";
import { admit } from "../../../src/core/broker/admission.ts";
import { createTransactionApi } from "../../../src/core/broker/transaction_api.ts";
import { errorByCode } from "../../../src/protocol/errors.ts";
import { FindCoordinator } from "../../../src/protocol/messages/10_find_coordinator.ts";
import { InitProducerId } from "../../../src/protocol/messages/22_init_producer_id.ts";
import { AddPartitionsToTxn } from "../../../src/protocol/messages/24_add_partitions_to_txn.ts";
import { AddOffsetsToTxn } from "../../../src/protocol/messages/25_add_offsets_to_txn.ts";
import { EndTxn } from "../../../src/protocol/messages/26_end_txn.ts";
import { WriteTxnMarkers } from "../../../src/protocol/messages/27_write_txn_markers.ts";
import { TxnOffsetCommit } from "../../../src/protocol/messages/28_txn_offset_commit.ts";
import { DescribeTransactions } from "../../../src/protocol/messages/65_describe_transactions.ts";
import { ListTransactions } from "../../../src/protocol/messages/66_list_transactions.ts";
import { withDefaults } from "../../../src/protocol/mod.ts";
import type { Api, Fields } from "../../../src/protocol/schema.ts";
import { callerOf, overTheWire } from "./api_bench.ts";

const APIS: Readonly<Record<keyof TransactionApi, Api<Fields, Fields>>> = {
  findCoordinator: FindCoordinator as never,
  initProducerId: InitProducerId as never,
  addPartitionsToTxn: AddPartitionsToTxn as never,
  addOffsetsToTxn: AddOffsetsToTxn as never,
  endTxn: EndTxn as never,
  writeTxnMarkers: WriteTxnMarkers as never,
  describeTransactions: DescribeTransactions as never,
  listTransactions: ListTransactions as never,
};
type Method = keyof TransactionApi;

// biome-ignore lint/suspicious/noExplicitAny: requests and answers of every API; tests look at what they expect.
type Json = any;

let reached: { readonly method: string; readonly request: Json }[];
let questions: Question[];
let answers: Partial<Record<Method | "txnOffsetCommit", (request: Json) => Json>>;
beforeEach(() => {
  reached = [];
  questions = [];
  answers = {};
});

/** Topics that are there, with their partitions. */
const PARTITIONS: Readonly<Record<string, number>> = { mine: 2, theirs: 2, __consumer_offsets: 50 };

function spied(apis: Readonly<Record<string, Api>>): Json {
  return Object.fromEntries(
    Object.entries(apis).map(([method, api]) => [
      method,
      async (_caller: unknown, request: Json) => {
        reached.push({ method, request });
        return answers[method as Method]?.(request) ?? withDefaults(api.response, {});
      },
    ]),
  );
}

function admitted(allows: (question: Question) => boolean): Broker {
  const inner = {
    log: {},
    topics: {},
    admin: {},
    groups: spied({ txnOffsetCommit: TxnOffsetCommit as never }),
    transactions: spied(APIS as Json),
  } as unknown as Broker;
  return admit(
    inner,
    {
      authorize(_principal, _peer, asked) {
        questions.push(...asked);
        return asked.map(allows);
      },
    },
    () => Object.keys(PARTITIONS),
    (topic) => PARTITIONS[topic] ?? 0,
  );
}

/** Calls a method as a client of that version would; the answer as it would see it. */
async function ask(
  { transactions }: Broker,
  method: Method,
  version: number,
  body: Json,
): Promise<Json> {
  const api = APIS[method] as Api;
  const request = overTheWire(api, "request", version, withDefaults(api.request, body));
  const answer = await transactions[method](callerOf("alice"), request as never, version);
  return overTheWire(api, "response", version, answer);
}

async function commit({ groups }: Broker, body: Json, version = 5): Promise<Json> {
  const api = TxnOffsetCommit as unknown as Api;
  const request = overTheWire(api, "request", version, withDefaults(api.request, body));
  const answer = await groups.txnOffsetCommit(callerOf("alice"), request as never, version);
  return overTheWire(api, "response", version, answer);
}

const named = (code: number): string => errorByCode(code)?.code ?? "ok";
const DENIED = "transactional_id_authorization_failed";
const TOPIC_DENIED = "topic_authorization_failed";
const GROUP_DENIED = "group_authorization_failed";
const CLUSTER_DENIED = "cluster_authorization_failed";

const topicsOf = (...names: string[]) => names.map((name) => ({ name, partitions: [0, 1] }));
/** A request of each API in its newest version. */
const REQUESTS: Readonly<Record<Method, Json>> = {
  findCoordinator: { keyType: 1, coordinatorKeys: ["t"] },
  initProducerId: { transactionalId: "t", transactionTimeoutMs: 1 },
  addPartitionsToTxn: { transactions: [{ transactionalId: "t", topics: topicsOf("mine") }] },
  addOffsetsToTxn: { transactionalId: "t", groupId: "g" },
  endTxn: { transactionalId: "t" },
  writeTxnMarkers: {
    markers: [{ producerId: 5, topics: [{ name: "mine", partitionIndexes: [0, 1] }] }],
  },
  describeTransactions: { transactionalIds: ["t"] },
  listTransactions: {},
};
const METHODS = Object.keys(REQUESTS) as Method[];
const newest = (method: Method): number => (APIS[method] as Api).highestStable;

/** The same in any version. */
function olderRequest(method: Method, version: number): Json {
  if (method === "findCoordinator" && version < 4) {
    return version === 0 ? { key: "t" } : { key: "t", keyType: 1 };
  }
  if (method === "addPartitionsToTxn" && version < 4) return clients("t", "mine");
  return REQUESTS[method];
}
const clients = (transactionalId: string, ...names: string[]) => ({
  v3AndBelowTransactionalId: transactionalId,
  v3AndBelowTopics: topicsOf(...names),
});

/** Where an answer of that version says what is wrong: another field of its struct says nothing. */
function ownRows(method: Method, version: number, answer: Json): Json {
  if (method === "findCoordinator" && version >= 4) return answer.coordinators;
  if (method === "addPartitionsToTxn" && version < 4) return answer.resultsByTopicV3AndBelow;
  return answer;
}

/** Every error code of an answer, by name. */
function codesOf(answer: Json): string[] {
  if (Array.isArray(answer)) return answer.flatMap(codesOf);
  if (typeof answer !== "object" || answer === null) return [];
  return Object.entries(answer).flatMap(([name, value]) =>
    /errorcode$/i.test(name) ? [named(value as number)] : codesOf(value),
  );
}

const state = (transactionalId: string, ...topics: string[]) => ({
  errorCode: 0,
  transactionalId,
  transactionState: "Ongoing",
  transactionTimeoutMs: 1,
  transactionStartTimeMs: 1,
  producerId: 1,
  producerEpoch: 0,
  topics: topics.map((topic) => ({ topic, partitions: [0] })),
});
const listing = (...ids: string[]) => ({
  throttleTimeMs: 0,
  errorCode: 0,
  unknownStateFilters: [],
  transactionStates: ids.map((transactionalId) => ({
    transactionalId,
    producerId: 1,
    transactionState: "Ongoing",
  })),
});

describe("admitTransactions() with nothing allowed", () => {
  test("covers every method of a TransactionApi", () => {
    const real = createTransactionApi({} as never);
    const names = Object.keys(admitted(() => false).transactions).sort();
    expect(names).toEqual(Object.keys(real).sort());
    expect(names).toEqual([...METHODS].sort());
  });

  test("every API refuses, and none but the list reaches the coordinator", async () => {
    answers.listTransactions = () => listing("t", "u");
    const broker = admitted(() => false);
    const seen: Record<string, string[]> = {};
    for (const method of METHODS) {
      const version = newest(method);
      const answer = await ask(broker, method, version, REQUESTS[method]);
      seen[method] = codesOf(ownRows(method, version, answer));
      if (method === "listTransactions") expect(answer.transactionStates).toEqual([]);
    }
    expect(seen).toEqual({
      findCoordinator: [DENIED],
      initProducerId: [DENIED],
      addPartitionsToTxn: [CLUSTER_DENIED],
      addOffsetsToTxn: [DENIED],
      endTxn: [DENIED],
      writeTxnMarkers: [CLUSTER_DENIED, CLUSTER_DENIED],
      describeTransactions: [DENIED],
      listTransactions: ["ok"],
    });
    expect(reached.map(({ method }) => method)).toEqual(["listTransactions"]);
  });

  test("refusals can be written in every version", async () => {
    const broker = admitted(() => false);
    for (const method of METHODS) {
      if (method === "listTransactions") continue;
      const { lowest, highestStable } = APIS[method] as Api;
      for (let version = lowest; version <= highestStable; version++) {
        // A key of version 0 is always a group's.
        const expected =
          method === "findCoordinator" && version === 0 ? GROUP_DENIED : expect.any(String);
        const answer = await ask(broker, method, version, olderRequest(method, version));
        const codes = codesOf(ownRows(method, version, answer));
        expect(codes).not.toContain("ok");
        expect(codes[0]).toEqual(expected);
      }
    }
    expect(reached).toEqual([]);
  });
});

describe("admitTransactions() with everything allowed", () => {
  test("asks the operation that Kafka asks, of the resource that Kafka asks", async () => {
    answers.listTransactions = () => listing("t", "u");
    answers.describeTransactions = () => ({
      throttleTimeMs: 0,
      transactionStates: [state("t", "mine")],
    });
    const broker = admitted(() => true);
    const asked: Record<string, string[]> = {};
    const note = (name: string) => {
      asked[name] = questions.map(
        ({ operation, resource }) => `${operation} ${resource.type} ${resource.name}`,
      );
      questions = [];
    };
    for (const method of METHODS) {
      await ask(broker, method, newest(method), REQUESTS[method]);
      note(method);
    }
    await ask(broker, "addPartitionsToTxn", 3, clients("t", "mine", "theirs"));
    note("addPartitionsToTxn of a client");
    expect(asked).toEqual({
      findCoordinator: ["describe transactional_id t"],
      initProducerId: ["write transactional_id t"],
      addPartitionsToTxn: ["cluster_action cluster kafka-cluster"],
      addOffsetsToTxn: ["write transactional_id t", "read group g"],
      endTxn: ["write transactional_id t"],
      writeTxnMarkers: ["alter cluster kafka-cluster"],
      describeTransactions: ["describe transactional_id t", "describe topic mine"],
      listTransactions: ["describe transactional_id t", "describe transactional_id u"],
      "addPartitionsToTxn of a client": [
        "write transactional_id t",
        "write topic mine",
        "write topic theirs",
      ],
    });
    expect(reached.map(({ method }) => method)).toEqual([...METHODS, "addPartitionsToTxn"]);
  });

  test("gives nobody transactions of two phases: there is no right for them", async () => {
    const broker = admitted(() => true);
    const request = { ...REQUESTS.initProducerId, enable2Pc: true };
    expect(named((await ask(broker, "initProducerId", 6, request)).errorCode)).toBe(DENIED);
    expect(reached).toEqual([]);
  });

  test("hands a call on before its first await", () => {
    const { transactions, groups } = admitted(() => true);
    const caller = callerOf("alice");
    void transactions.addPartitionsToTxn(caller, clients("t", "mine") as never, 3);
    void transactions.addOffsetsToTxn(caller, REQUESTS.addOffsetsToTxn, 4);
    void groups.txnOffsetCommit(caller, { ...offsetsOf("mine") } as never, 5);
    void transactions.endTxn(caller, REQUESTS.endTxn, 5);
    expect(reached.map(({ method }) => method)).toEqual([
      "addPartitionsToTxn",
      "addOffsetsToTxn",
      "txnOffsetCommit",
      "endTxn",
    ]);
  });
});

const offsetsOf = (...names: string[]) => ({
  transactionalId: "t",
  groupId: "g",
  topics: names.map((name) => ({
    name,
    partitions: [0, 1].map((partitionIndex) => ({ partitionIndex, committedOffset: 5 })),
  })),
});
/** May do everything but one thing. */
const without = (operation: string, type: string, name?: string) => (question: Question) =>
  question.operation !== operation ||
  question.resource.type !== type ||
  (name !== undefined && question.resource.name !== name);

describe("admitTransactions() with something allowed", () => {
  test("a partition that may not be written to refuses the whole transaction, each in its own words", async () => {
    const broker = admitted(without("write", "topic", "theirs"));
    const body = {
      v3AndBelowTransactionalId: "t",
      v3AndBelowTopics: [
        { name: "mine", partitions: [0, 2, -1] },
        { name: "theirs", partitions: [0, 9] },
        { name: "nobodys", partitions: [0] },
      ],
    };
    for (const version of [0, 1, 2, 3]) {
      const { resultsByTopicV3AndBelow: rows } = await ask(
        broker,
        "addPartitionsToTxn",
        version,
        body,
      );
      expect(rows.map(({ name }: Json) => name)).toEqual(["mine", "theirs", "nobodys"]);
      expect(rows.map(codesOf)).toEqual([
        ["operation_not_attempted", "unknown_topic_or_partition", "unknown_topic_or_partition"],
        [TOPIC_DENIED, TOPIC_DENIED],
        ["unknown_topic_or_partition"],
      ]);
    }
    expect(reached).toEqual([]);
  });

  test("nobody adds a topic of the broker's own, and what does not exist is the coordinator's to say", async () => {
    const broker = admitted(() => true);
    const internal = await ask(
      broker,
      "addPartitionsToTxn",
      3,
      clients("t", "mine", "__consumer_offsets"),
    );
    expect(internal.resultsByTopicV3AndBelow.map(codesOf)).toEqual([
      ["operation_not_attempted", "operation_not_attempted"],
      [TOPIC_DENIED, TOPIC_DENIED],
    ]);
    expect(reached).toEqual([]);
    await ask(broker, "addPartitionsToTxn", 3, clients("t", "mine", "nobodys"));
    expect(reached.length).toBe(1);
    // Brokers add the partitions of groups.
    const { transactions } = REQUESTS.addPartitionsToTxn;
    const brokers = [{ ...transactions[0], topics: topicsOf("__consumer_offsets") }];
    await ask(broker, "addPartitionsToTxn", 5, { transactions: brokers });
    expect(reached.length).toBe(2);
  });

  test("a transactional id that may not be written refuses every partition", async () => {
    const broker = admitted(without("write", "transactional_id"));
    const body = clients("t", "mine", "__consumer_offsets", "nobodys");
    const answer = await ask(broker, "addPartitionsToTxn", 3, body);
    expect(codesOf(ownRows("addPartitionsToTxn", 3, answer))).toEqual(Array(6).fill(DENIED));
    // Brokers are not asked for it.
    await ask(broker, "addPartitionsToTxn", 4, REQUESTS.addPartitionsToTxn);
    expect(reached.map(({ method }) => method)).toEqual(["addPartitionsToTxn"]);
  });

  test("offsets are added by those who may read the group", async () => {
    const broker = admitted(without("read", "group"));
    expect(codesOf(await ask(broker, "addOffsetsToTxn", 0, REQUESTS.addOffsetsToTxn))).toEqual([
      GROUP_DENIED,
    ]);
    expect(codesOf(await commit(broker, offsetsOf("mine")))).toEqual([GROUP_DENIED, GROUP_DENIED]);
    expect(reached).toEqual([]);
  });

  test("markers are written by those who may alter the cluster, or act for it", async () => {
    for (const operation of ["alter", "cluster_action"]) {
      const broker = admitted((question) => question.operation === operation);
      await ask(broker, "writeTxnMarkers", 2, REQUESTS.writeTxnMarkers);
    }
    expect(reached.map(({ method }) => method)).toEqual(["writeTxnMarkers", "writeTxnMarkers"]);
  });

  test("a description leaves out topics that may not be described, and keeps its rows in place", async () => {
    answers.describeTransactions = ({ transactionalIds }) => ({
      throttleTimeMs: 0,
      transactionStates: transactionalIds.map((id: string) => state(id, "mine", "theirs")),
    });
    const broker = admitted(({ resource }) =>
      resource.type === "topic" ? resource.name === "mine" : resource.name !== "secret",
    );
    const { transactionStates } = await ask(broker, "describeTransactions", 0, {
      transactionalIds: ["a", "secret", "b"],
    });
    expect(
      transactionStates.map((row: Json) => [
        row.transactionalId,
        named(row.errorCode),
        row.topics.map(({ topic }: Json) => topic),
      ]),
    ).toEqual([
      ["a", "ok", ["mine"]],
      ["secret", DENIED, []],
      ["b", "ok", ["mine"]],
    ]);
    expect(reached[0]!.request.transactionalIds).toEqual(["a", "b"]);
    // Of one that may not be described not even its state is told.
    expect(transactionStates[1]).toMatchObject({ transactionState: "", producerId: 0 });
  });

  test("a list leaves out transactions that may not be described", async () => {
    answers.listTransactions = () => ({
      ...listing("a", "secret", "b"),
      unknownStateFilters: ["x"],
    });
    const broker = admitted(({ resource }) => resource.name !== "secret");
    const answer = await ask(broker, "listTransactions", 2, {});
    expect(answer.transactionStates.map((row: Json) => row.transactionalId)).toEqual(["a", "b"]);
    expect(answer.unknownStateFilters).toEqual(["x"]);
  });

  test("offsets of topics that may not be read are refused, and the others are committed", async () => {
    answers.txnOffsetCommit = ({ topics }) => ({
      throttleTimeMs: 0,
      topics: topics.map(({ name, partitions }: Json) => ({
        name,
        partitions: partitions.map(({ partitionIndex }: Json) => ({
          partitionIndex,
          errorCode: 0,
        })),
      })),
    });
    const broker = admitted(without("read", "topic", "theirs"));
    for (let version = 0; version <= 5; version++) {
      reached = [];
      const answer = await commit(broker, offsetsOf("theirs", "mine"), version);
      expect(answer.topics.map(({ name }: Json) => name)).toEqual(["theirs", "mine"]);
      expect(answer.topics.map(codesOf)).toEqual([
        [TOPIC_DENIED, TOPIC_DENIED],
        ["ok", "ok"],
      ]);
      expect(reached.map(({ request }) => request.topics.length)).toEqual([1]);
    }
    reached = [];
    expect(codesOf(await commit(broker, offsetsOf("theirs")))).toEqual([
      TOPIC_DENIED,
      TOPIC_DENIED,
    ]);
    expect(reached).toEqual([]);
  });
});
