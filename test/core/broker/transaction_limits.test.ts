// Transactions as large as the coordinator's topic takes them: what could be begun can be ended; and where the topic takes less
// than it did, one that is too large holds nobody else up, and goes on when there is room again.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { createTopic } from "../../../src/gateway/topics.ts";
import { caller } from "../../support/log_rig.ts";
import { type MemoryBroker, memoryBroker } from "../../support/memory_broker.ts";
import { type Producer, TransactionCalls } from "../../support/transaction_calls.ts";
import { until } from "../../support/waiting.ts";

const PARTITIONS = 20_000;
/** So many fit into the smallest record that the topic may be held to, with some room left. */
const FITTING = 16_330;
const SMALLEST_BYTES = 65_536;
const TOPIC = 2;

let memory: MemoryBroker;
let calls: TransactionCalls;

beforeEach(async () => {
  memory = await memoryBroker({
    settings: {
      "transaction.state.log.num.partitions": 1,
      "transaction.abort.timed.out.transaction.cleanup.interval.ms": 20,
    },
  });
  calls = new TransactionCalls(memory.broker, caller);
  await createTopic(memory.broker, caller, { name: "a", partitions: PARTITIONS });
  await calls.init();
});
afterEach(async () => {
  await memory.stop();
});

/** How large a record of the coordinator's topic may be. */
async function takes(sizeBytes: number): Promise<void> {
  const config = { name: "max.message.bytes", configOperation: 0, value: String(sizeBytes) };
  const resources = [
    { resourceType: TOPIC, resourceName: "__transaction_state", configs: [config] },
  ];
  const request = { resources, validateOnly: false };
  const answer = await memory.broker.admin.incrementalAlterConfigs(caller, request, 1);
  expect(answer.responses.map(({ errorMessage }) => errorMessage)).toEqual([null]);
}

const first = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Adds partitions, one by one in the end, until no more fits. */
async function fill(by: Producer, isOld: boolean): Promise<void> {
  const add = (partitions: readonly number[]) =>
    isOld ? calls.add(by, { a: partitions }) : calls.addBatched(by, { a: partitions });
  expect(Object.values(await add(first(FITTING))).every((code) => code === "none")).toBe(true);
  for (let partition = FITTING; partition < PARTITIONS; partition++) {
    const [code] = Object.values(await add([partition]));
    if (code === "none") continue;
    expect(code).toBe("unknown_server_error");
    return;
  }
  throw new Error("all of them fit");
}

const becomes = (transactionalId: string, state: string) =>
  until(async () => {
    const [told] = await calls.describe(transactionalId);
    return told!.transactionState === state;
  }, `${transactionalId} is ${state}`);

for (const [added, endVersion, ended] of [
  ["older", 4, "older"],
  ["older", 5, "newer"],
  ["newer", 5, "newer"],
] as const) {
  test(`the largest transaction that can be begun, by the ${added} protocol, can be ended by the ${ended}`, async () => {
    await takes(SMALLEST_BYTES);
    const by = await calls.init();
    await fill(by, added === "older");
    expect(await calls.end(by, true, endVersion)).toMatchObject({ errorCode: 0 });
    expect((await calls.describe("t"))[0]!.transactionState).toBe("CompleteCommit");
  });
}

test("one that is too large by now is no reason for others not to time out, and does later", async () => {
  const large = await calls.init({ transactionTimeoutMs: 1000 });
  await calls.add(large, { a: first(PARTITIONS) });
  await takes(SMALLEST_BYTES);
  const transactionalId = "small";
  const small = await calls.init({ transactionalId, transactionTimeoutMs: 1000 });
  expect(await calls.produce(small, ["x"], { transactionalId })).toBe("ok");
  // Due after the large one.
  await becomes(transactionalId, "CompleteAbort");
  expect((await calls.describe("t"))[0]!.transactionState).toBe("Ongoing");
  expect(await calls.read()).toEqual([]);
  await takes(1_000_000);
  await becomes("t", "CompleteAbort");
});
