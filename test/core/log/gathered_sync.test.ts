import { describe, expect, test } from "bun:test";
import { GatheredSync } from "../../../src/core/log/gathered_sync.ts";
import { settle } from "../../support/test_runtime.ts";

/** Syncs that end when told to. */
function syncs() {
  const ends: ((error?: Error) => void)[] = [];
  const sync = () =>
    new Promise<void>((resolve, reject) => {
      ends.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  return { ends, sync };
}

describe("GatheredSync", () => {
  test("syncs once enough has gathered, and does not hold up who writes on", async () => {
    const { ends, sync } = syncs();
    const gathered = new GatheredSync();
    await gathered.wrote(60, 100, false, sync);
    expect(ends.length).toBe(0);
    await gathered.wrote(60, 100, false, sync);
    expect(ends.length).toBe(1);
    await gathered.wrote(60, 100, false, sync);
    expect(ends.length).toBe(1);
    // The next one waits for it: there is one at a time.
    let isTaken = false;
    const taking = gathered.wrote(60, 100, false, sync).then(() => {
      isTaken = true;
    });
    await settle();
    expect([isTaken, ends.length]).toEqual([false, 1]);
    ends[0]!();
    await taking;
    expect(ends.length).toBe(2);
    let isSettled = false;
    const settling = gathered.settled().then(() => {
      isSettled = true;
    });
    await settle();
    expect(isSettled).toBe(false);
    ends[1]!();
    await settling;
    await gathered.settled();
  });

  test("holds up who must wait, until the sync is done", async () => {
    const { ends, sync } = syncs();
    const gathered = new GatheredSync();
    let isDone = false;
    const writing = gathered.wrote(100, 100, true, sync).then(() => {
      isDone = true;
    });
    await settle();
    expect([isDone, ends.length]).toEqual([false, 1]);
    ends[0]!();
    await writing;
    await gathered.wrote(1, 100, true, sync);
    expect(ends.length).toBe(1);
  });

  test("tells a failure once, to who comes next", async () => {
    const { ends, sync } = syncs();
    const gathered = new GatheredSync();
    await gathered.wrote(100, 100, false, sync);
    ends[0]!(new Error("no more disk"));
    await settle();
    await expect(gathered.wrote(100, 100, false, sync)).rejects.toThrow("no more disk");
    expect(ends.length).toBe(1);
    await gathered.settled();
    await gathered.wrote(100, 100, false, sync);
    ends[1]!(new Error("still none"));
    await expect(gathered.settled()).rejects.toThrow("still none");
  });
});
