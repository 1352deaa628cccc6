import { describe, expect, test } from "bun:test";
import { ok } from "../../../src/base/outcome.ts";
import { PeerQueue } from "../../../src/core/broker/peer_queue.ts";
import type { Outcome } from "../../../src/protocol/errors.ts";
import { settle } from "../../support/test_runtime.ts";

interface Request {
  readonly items: readonly string[];
  readonly answer: (outcomes: readonly Outcome<null>[] | null) => void;
}

function open() {
  const requests: Request[] = [];
  const queue = new PeerQueue<string>({
    keyOf: (item) => item[0]!,
    send: (items) => new Promise((answer) => requests.push({ items, answer })),
    unanswered: "request_timed_out",
  });
  return { queue, requests };
}

const fine = ({ items }: Request) => items.map(() => ok(null));

describe("questions to a broker", () => {
  test("of one turn travel together, and what comes meanwhile with the next request", async () => {
    const { queue, requests } = open();
    const first = [queue.ask("a"), queue.ask("b")];
    await settle();
    const second = [queue.ask("c"), queue.ask("d")];
    await settle();
    expect(requests.map(({ items }) => items)).toEqual([["a", "b"]]);
    requests[0]!.answer(fine(requests[0]!));
    expect((await Promise.all(first)).every((each) => each.ok)).toBe(true);
    await settle();
    expect(requests.map(({ items }) => items)).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
    requests[1]!.answer(fine(requests[1]!));
    expect((await Promise.all(second)).every((each) => each.ok)).toBe(true);
    // It is idle again: the next one is not left behind.
    const third = queue.ask("e");
    await settle();
    requests[2]!.answer(fine(requests[2]!));
    expect((await third).ok).toBe(true);
  });

  test("of one key come one after the other", async () => {
    const { queue, requests } = open();
    const asked = [queue.ask("a1"), queue.ask("a2"), queue.ask("b1"), queue.ask("a3")];
    for (let i = 0; i < 3; i++) {
      await settle();
      requests[i]!.answer(fine(requests[i]!));
    }
    await Promise.all(asked);
    expect(requests.map(({ items }) => items)).toEqual([["a1", "b1"], ["a2"], ["a3"]]);
  });

  test("that are not answered, or not all of them, are told so", async () => {
    const { queue, requests } = open();
    const lost = [queue.ask("a"), queue.ask("b")];
    await settle();
    requests[0]!.answer(null);
    const codes = (await Promise.all(lost)).map((each) => (each.ok ? "ok" : each.error.code));
    expect(codes).toEqual(["request_timed_out", "request_timed_out"]);
    const half = [queue.ask("a"), queue.ask("b")];
    await settle();
    requests[1]!.answer([ok(null)]);
    const rest = (await Promise.all(half)).map((each) => (each.ok ? "ok" : each.error.code));
    expect(rest).toEqual(["ok", "request_timed_out"]);
  });

  test("beyond the bound are refused at once", async () => {
    const { queue } = open();
    const outcomes: Outcome<null>[] = [];
    for (let i = 0; i < 100_001; i++) void queue.ask("a").then((each) => outcomes.push(each));
    await settle();
    expect(outcomes.map((each) => (each.ok ? "ok" : each.error.code))).toEqual([
      "request_timed_out",
    ]);
  });
});
