// What `topic describe` shows of cleaning: of a real broker, and of figures made up.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cleaningText, type PartitionCleaning } from "../../src/cli/topic_cleaning.ts";
import { type CliRig, startCliRig } from "./rig.ts";

let rig: CliRig;
beforeAll(async () => {
  rig = await startCliRig();
});
afterAll(() => rig.stop());

const FRESH: PartitionCleaning = {
  partition: 0,
  cleanedEnd: 0,
  cleanBytes: 0,
  dirtyBytes: 0,
  dirtyRatio: 0,
  cleanings: 0,
  last: null,
  running: null,
  uncleanable: null,
};

describe("topic describe", () => {
  test("shows of a compacted topic how much of it is dirty; of others nothing", async () => {
    await rig.ok(["topic", "create", "users", "-p", "2", "-c", "cleanup.policy=compact"]);
    await rig.ok(["topic", "create", "events", "-p", "1"]);
    await rig.ok(["produce", "users", "--key", "alice"], "one\ntwo\n");
    const table = await rig.ok(["topic", "describe", "users"]);
    expect(table).toMatch(/PARTITION +DIRTY +BYTES +LAST CLEANED/);
    expect(table).toMatch(/^ *[01] +100% +\d+ B +never$/m);
    const { cleaning } = JSON.parse(await rig.ok(["topic", "describe", "users", "--json"]));
    expect(cleaning).toMatchObject([{ dirtyRatio: 1, cleanings: 0, last: null, running: null }]);
    expect(await rig.ok(["topic", "describe", "events"])).not.toContain("DIRTY");
    const { cleaning: none } = JSON.parse(await rig.ok(["topic", "describe", "events", "--json"]));
    expect(none).toBeUndefined();
  });

  test("says what the last cleaning came to, how far one is, and why there is none", () => {
    const text = cleaningText([
      {
        ...FRESH,
        dirtyBytes: 5_000_000,
        dirtyRatio: 0.25,
        last: {
          endedMs: 0,
          tookMs: 7,
          bytesBefore: 60_000_000,
          bytesAfter: 15_000_000,
          recordsBefore: 1_000_000,
          recordsAfter: 200_000,
        },
        running: { phase: "rewrite", offset: 5, endOffset: 10 },
      },
      { ...FRESH, partition: 1, uncleanable: { reason: "it is damaged", retryMs: 60_000 } },
    ]);
    const [, first, second, fault] = text.split("\n");
    expect(first!.replaceAll(/ +/g, " ").trim()).toBe(
      "0 25% 5.0 MB 1970-01-01T00:00:00.000Z 60.0 MB to 15.0 MB 1,000,000 to 200,000 rewrite, at 5 of 10",
    );
    expect(second).toMatch(/^ *1 +0% +0 B +never$/);
    expect(fault).toBe(
      "partition 1 is not cleaned: it is damaged; next try 1970-01-01T00:01:00.000Z",
    );
  });
});
