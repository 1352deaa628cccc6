import { describe, expect, test } from "bun:test";
import { SyncGate } from "../../../plugins/storage-fs/sync_gate.ts";

/** A gate whose syncs the test ends by hand. */
function handTurned() {
  const running: { resolve(): void; reject(error: Error): void }[] = [];
  const gate = new SyncGate(
    () => new Promise<void>((resolve, reject) => running.push({ resolve, reject })),
  );
  return { gate, running };
}

describe("SyncGate", () => {
  test("begins with something to sync, then is clean", async () => {
    const { gate, running } = handTurned();
    expect(gate.isClean).toBe(false);
    const sync = gate.sync();
    running[0]!.resolve();
    await sync;
    expect(gate.isClean).toBe(true);
    await gate.sync();
    expect(running.length).toBe(1);
  });

  test("a change during a sync waits for another, which all late callers share", async () => {
    const { gate, running } = handTurned();
    const order: string[] = [];
    const first = gate.sync().then(() => order.push("first"));
    const same = gate.sync().then(() => order.push("same"));
    gate.mark();
    const second = gate.sync().then(() => order.push("second"));
    const third = gate.sync().then(() => order.push("third"));
    expect(running.length).toBe(1);
    running[0]!.resolve();
    await Promise.all([first, same]);
    expect(order).toEqual(["first", "same"]);
    expect(gate.isClean).toBe(false);
    while (running.length < 2) await Promise.resolve();
    running[1]!.resolve();
    await Promise.all([second, third]);
    expect([running.length, gate.isClean]).toEqual([2, true]);
  });

  test("a failure is every later caller's, and no sync is tried again", async () => {
    const { gate, running } = handTurned();
    const first = gate.sync();
    gate.mark();
    const second = gate.sync();
    running[0]!.reject(new Error("broken"));
    const outcomes = await Promise.allSettled([first, second]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await expect(gate.sync()).rejects.toThrow("broken");
    await gate.settled();
    expect(running.length).toBe(1);
  });
});
