// What the audit makes of what coordinators say when all is over.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../src/base/prng.ts";
import { ListTransactions } from "../../../../src/protocol/messages/66_list_transactions.ts";
import type { SimConnection } from "../../../../src/testing/simulator/sim_client.ts";
import { Trace } from "../../../../src/testing/simulator/trace.ts";
import { checkCoordinators } from "../../../../src/testing/simulator/transactions/audit.ts";
import { TransactionModel } from "../../../../src/testing/simulator/transactions/model.ts";
import { World } from "../../../../src/testing/simulator/world.ts";

const ID = "loop-0-0";
const NOT_FOUND = 105;
const BACK_OFF_US = 100_000;

/** Judges a coordinator that lists the id as long as `isListed`, and describes it as `described`. */
async function judge(
  idsExpire: boolean,
  isListed: (asked: number) => boolean,
  described: { readonly transactionState: string; readonly errorCode: number },
): Promise<{ readonly failure: string | null; readonly asked: number }> {
  const world = new World(SeededRandom.of(1), new Trace(false));
  const model = new TransactionModel({
    world,
    timesOutEarly: false,
    idsExpire,
    producersExpire: false,
  });
  const id = model.idOf(ID);
  id.taken.push({ ask: id.ask(0), toldUs: 0 });
  let asked = 0;
  const request = async (api: object): Promise<unknown> => {
    const each = { transactionalId: ID, transactionState: "CompleteCommit" };
    if (api !== ListTransactions) return { transactionStates: [{ ...each, ...described }] };
    return { errorCode: 0, transactionStates: isListed(asked++) ? [each] : [] };
  };
  const backOff = async (): Promise<void> => {
    world.nowUs += BACK_OFF_US;
  };
  await checkCoordinators({ backOff }, { request: request as SimConnection["request"] }, model);
  return { failure: world.failure?.message ?? null, asked };
}

describe("coordinators when all is over", () => {
  const gone = { transactionState: "", errorCode: NOT_FOUND };
  const there = { transactionState: "CompleteCommit", errorCode: 0 };

  test("an id may expire after it was listed and before it is described", async () => {
    const { failure, asked } = await judge(true, (times) => times === 0, gone);
    expect(failure).toBeNull();
    expect(asked).toBe(2);
  });

  test("an id that is listed for good and never described is a contradiction", async () => {
    const { failure, asked } = await judge(true, () => true, gone);
    expect(failure).toBe(`${ID} is forgotten (listed as CompleteCommit)`);
    expect(asked).toBeGreaterThan(2);
  });

  test("where ids do not expire, none may be forgotten", async () => {
    for (const isListed of [true, false]) {
      const { failure, asked } = await judge(false, () => isListed, gone);
      expect(failure).toContain(`${ID} is forgotten`);
      expect(asked).toBe(1);
    }
  });

  test("what is described is listed", async () => {
    expect((await judge(true, () => true, there)).failure).toBeNull();
    expect((await judge(true, () => false, there)).failure).toContain("listed as undefined");
  });
});
