// A shard's load in its host: the state after it is what was acknowledged, or there is none.

import { describe, expect, test } from "bun:test";
import { patchCrc } from "../../../src/record/batch_header.ts";
import { buildEndTransactionMarker, CONTROL_COMMIT } from "../../../src/record/control_record.ts";
import { settle } from "../../support/test_runtime.ts";
import type { ScriptedLog } from "./scripted_log.ts";
import { Rig, written } from "./shard_host_rig.ts";

describe("loading", () => {
  const entries = [
    { key: "a", value: "1" },
    { key: "b", value: "2" },
    { key: "a", value: "3" },
    { key: "b", value: null },
  ];

  test.each(["none", "gzip", "zstd"] as const)("replays the log in order (%s)", async (codec) => {
    const rig = new Rig(await written(entries, codec));
    expect(await rig.get("a").done).toBe("3");
    expect(rig.shard.map).toEqual(new Map([["a", "3"]]));
    expect(rig.shard.offsets).toEqual([0, 1, 2, 3]);
    expect(rig.shard.loadedAt).not.toBeNull();
    expect(rig.log.borrowed).toBe(0);
  });

  test("starts at the log's start, also in the middle of a batch", async () => {
    const source = new Rig();
    await source.run((shard, _now, reply) => shard.put(entries, reply)).done;
    source.log.logStartOffset = 2;
    const rig = new Rig(source.log);
    await rig.get("a").done;
    expect(rig.shard.offsets).toEqual([2, 3]);
  });

  test("skips what it does not know, and markers", async () => {
    const source = new Rig();
    await source.put("?share", "1").done;
    source.log.append(
      buildEndTransactionMarker({
        producerId: 7,
        producerEpoch: 0,
        type: CONTROL_COMMIT,
        coordinatorEpoch: 0,
        timestampMs: 1,
      }),
    );
    await source.put("a", "1").done;
    const rig = new Rig(source.log);
    expect(await rig.get("a").done).toBe("1");
    expect(rig.shard.offsets).toEqual([2]);
    expect(rig.test.events("coordinator_loaded")[0]!.fields).toMatchObject({
      records: 2,
      skipped: 1,
    });
  });

  test("requests wait for it in order; answers come after it", async () => {
    const rig = new Rig(await written(entries));
    const first = rig.put("a", "4");
    const second = rig.get("a");
    expect(first.seen).toBeNull();
    expect(await second.done).toBe("4");
    expect(rig.shards).toHaveLength(1);
  });

  test("that takes too long refuses who waits and who comes, then answers", async () => {
    const log = await written(entries);
    let release = () => {};
    const read = log.read.bind(log);
    log.read = async (offset, bytesMax) => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return read(offset, bytesMax);
    };
    const rig = new Rig(log);
    const waits = rig.get("a");
    await rig.test.advance(999);
    expect(waits.seen).toBeNull();
    await rig.test.advance(1);
    expect(waits.seen).toBe("coordinator_load_in_progress");
    expect(await rig.get("a").done).toBe("coordinator_load_in_progress");
    release();
    await settle();
    expect(await rig.get("a").done).toBe("3");
  });

  test("waits for what is not committed yet", async () => {
    const log = await written(entries);
    log.commitsAtOnce = false;
    const other = new Rig(log);
    const put = other.put("a", "5");
    await settle();
    expect(put.seen).toBeNull();
    other.host.close();
    const rig = new Rig(log);
    const read = rig.get("a");
    await settle();
    expect(read.seen).toBeNull();
    log.commit();
    expect(await read.done).toBe("5");
  });

  const damages: readonly [what: string, damage: (log: ScriptedLog) => void, reason: string][] = [
    ["a record that cannot be read", (log: ScriptedLog) => corruptKey(log), "cannot be read"],
    ["a damaged batch", (log: ScriptedLog) => void log.batches[1]!.fill(9, 16, 17), "is damaged"],
    ["a read that fails", (log: ScriptedLog) => void (log.readFault = "EIO"), "EIO"],
    ["a hole", (log: ScriptedLog) => void log.batches.splice(2), "Nothing can be read at offset 2"],
  ];

  test.each(damages.map((each) => [...each] as const))(
    "fails with %s, and says so, again and again",
    async (_what, damage, reason) => {
      const log = await written(entries);
      damage(log);
      const rig = new Rig(log);
      expect(await rig.get("a").done).toBe("not_coordinator");
      expect(await rig.put("a").done).toBe("not_coordinator");
      const failures = rig.test.events("coordinator_load_failed");
      expect(failures).toHaveLength(1);
      expect(String(failures[0]!.fields["reason"])).toContain(reason);
      expect(rig.shards).toHaveLength(1);
      expect(rig.shards[0]!.isDropped).toBe(true);
      await rig.test.advance(10_000);
      expect(await rig.get("a").done).toBe("not_coordinator");
      expect(rig.test.events("coordinator_load_failed")).toHaveLength(2);
      expect(log.borrowed).toBe(0);
      expect(log.counts.length <= 4).toBe(true);
    },
  );

  test("that failed is tried again by itself where time passes in the shard, less and less often", async () => {
    const log = await written(entries);
    log.readFault = "EIO";
    const rig = new Rig(log, 1000, true);
    const failures = () => rig.test.events("coordinator_load_failed").length;
    rig.host.start();
    await settle();
    expect(failures()).toBe(1);
    const seen: number[] = [];
    for (const seconds of [10, 10, 10, 20, 20, 39, 1]) {
      await rig.test.advance(seconds * 1000);
      seen.push(failures());
    }
    expect(seen).toEqual([2, 2, 3, 3, 4, 4, 4]);
    log.readFault = null;
    await rig.test.advance(80_000);
    expect(rig.host.isActive).toBe(true);
    expect(await rig.get("a").done).not.toBe("not_coordinator");
    // Nor for ever: once it is closed, nothing comes.
    const other = new Rig(await written(entries), 1000, true);
    other.log.readFault = "EIO";
    other.host.start();
    await settle();
    other.host.close();
    await other.test.advance(3_600_000);
    expect(other.test.events("coordinator_load_failed")).toHaveLength(1);
  });

  test("that is closed meanwhile ends, and nobody is answered", async () => {
    const rig = new Rig(await written(entries));
    const waits = rig.get("a");
    rig.host.close();
    expect(await waits.done).toBe("not_coordinator");
    await settle();
    expect(rig.host.isActive).toBe(false);
    expect(rig.shards[0]!.isDropped).toBe(true);
    expect(await rig.get("a").done).toBe("not_coordinator");
  });
});

function corruptKey(log: ScriptedLog): void {
  const bytes = log.batches[1]!;
  bytes[bytes.indexOf("b".charCodeAt(0), 61)] = "!".charCodeAt(0);
  patchCrc(bytes, 0, bytes.length);
}
