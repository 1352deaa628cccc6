// Markers: when they are written, what becomes of those that are refused, and that a crash between decision and completion
// changes nothing.

import { describe, expect, test } from "bun:test";
import { replayAfterEach } from "../shard_rig.ts";
import { OK, TransactionRig } from "./transaction_rig.ts";

replayAfterEach();

function begun(...partitions: string[]): TransactionRig {
  const rig = new TransactionRig();
  rig.init();
  rig.add(partitions);
  return rig;
}

const written = (rig: TransactionRig) => rig.markers.written.map(({ partition }) => partition);

describe("in one journal", () => {
  test("markers and completion follow the decision in its turn, and one commit answers", () => {
    const rig = begun("a/0", "a/1", "b/0");
    rig.commitsAtOnce = false;
    const asked = rig.askEnd(true);
    expect(rig.told).toBe("complete_commit 100/1");
    expect(written(rig)).toEqual(["a/0", "a/1", "b/0"]);
    expect(asked.isDone).toBe(false);
    rig.commit();
    expect(asked.value).toEqual({ ok: true, value: { producerId: 100, producerEpoch: 1 } });
    rig.checkReplay();
  });

  test("a partition that has to be waited for holds up the completion, not the answer", async () => {
    const rig = begun("a/0", "b/0");
    rig.markers.waits.add("b");
    expect(rig.end(true)).toEqual({ producerId: 100, producerEpoch: 1 });
    expect(rig.told).toBe("prepare_commit 100/1 a/0 b/0");
    expect(rig.add("a/0", { producerEpoch: 1 })).toBe("concurrent_transactions");
    await rig.markers.answer();
    rig.advance(0);
    expect(rig.told).toBe("complete_commit 100/1");
    expect(written(rig)).toEqual(["a/0", "b/0"]);
    rig.checkReplay();
  });
});

describe("in another journal", () => {
  test("markers wait until the decision is committed", async () => {
    const rig = begun("a/0", "far/0");
    rig.markers.unordered.add("far");
    rig.markers.waits.add("far");
    rig.commitsAtOnce = false;
    rig.markers.isCommitted = () => rig.commitsAtOnce;
    const asked = rig.askEnd(false);
    expect(written(rig)).toEqual([]);
    rig.commitsAtOnce = true;
    rig.commit();
    expect(asked.isDone).toBe(true);
    expect(written(rig)).toEqual(["a/0", "far/0"]);
    await rig.markers.answer();
    rig.advance(0);
    expect(rig.told).toBe("complete_abort 100/1");
    rig.checkReplay();
  });
});

describe("a marker that is refused", () => {
  for (const code of [
    "not_leader_or_follower",
    "unknown_topic_or_partition",
    "not_enough_replicas",
    "not_enough_replicas_after_append",
    "request_timed_out",
    "kafka_storage_error",
    "coordinator_load_in_progress",
    "coordinator_not_available",
    "not_coordinator",
    "unknown_server_error",
  ] as const) {
    test(`with ${code} is written again, later and later`, async () => {
      const rig = begun("a/0", "b/0");
      rig.markers.waits.add("a");
      rig.end(true);
      await rig.markers.answer(code);
      rig.advance(19);
      expect(rig.markers.waiting).toBe(0);
      rig.advance(1);
      expect(written(rig)).toEqual(["a/0", "b/0", "a/0"]);
      await rig.markers.answer(code);
      rig.advance(39);
      expect(rig.markers.waiting).toBe(0);
      rig.advance(1);
      expect(rig.markers.waiting).toBe(1);
      for (let tries = 0; tries < 8; tries++) {
        await rig.markers.answer(code);
        rig.advance(1000);
        expect(rig.markers.waiting).toBe(1);
      }
      await rig.markers.answer(OK);
      rig.advance(0);
      expect(rig.told).toBe("complete_commit 100/1");
      const said = rig.lines.filter(({ event }) => event === "transaction_marker_failed").length;
      expect(said).toBe(code === "unknown_server_error" ? 10 : 0);
      rig.checkReplay();
    });
  }

  for (const code of [
    "invalid_producer_epoch",
    "unsupported_for_message_format",
    "unsupported_version",
  ] as const) {
    test(`with ${code} is not tried again: the partition has moved on`, async () => {
      const rig = begun("a/0");
      rig.markers.waits.add("a");
      rig.end(true);
      await rig.markers.answer(code);
      rig.advance(0);
      expect(rig.told).toBe("complete_commit 100/1");
      expect(rig.lines.map(({ event }) => event)).toEqual(["transaction_marker_refused"]);
      rig.checkReplay();
    });
  }

  test("by a newer coordinator is somebody else's", async () => {
    const rig = begun("a/0", "b/0");
    rig.markers.waits.add("a").add("b");
    rig.end(true);
    await rig.markers.answer("transaction_coordinator_fenced");
    rig.advance(60_000);
    expect(rig.told).toBe("prepare_commit 100/1 a/0 b/0");
    expect(written(rig)).toEqual(["a/0", "b/0"]);
    rig.checkReplay();
  });
});

describe("after a crash", () => {
  for (const isCommit of [true, false]) {
    test(`a ${isCommit ? "commit" : "abort"} that is decided is written again, everywhere`, async () => {
      const rig = begun("a/0", "b/0");
      rig.markers.waits.add("b");
      rig.end(isCommit);
      rig.reload();
      rig.markers.waits.clear();
      expect(written(rig)).toEqual(["a/0", "b/0"]);
      rig.advance(0);
      expect(written(rig)).toEqual(["a/0", "b/0", "a/0", "b/0"]);
      expect(rig.markers.written[2]!.marker).toEqual(rig.markers.written[0]!.marker);
      expect(rig.told).toBe(`complete_${isCommit ? "commit" : "abort"} 100/1`);
      rig.checkReplay();
    });
  }

  test("answers to an earlier life's markers change nothing", async () => {
    const rig = begun("a/0");
    rig.markers.waits.add("a");
    rig.end(true);
    rig.reload();
    await rig.markers.answer();
    rig.advance(0);
    expect(rig.told).toBe("prepare_commit 100/1 a/0");
    await rig.markers.answer();
    rig.advance(0);
    expect(rig.told).toBe("complete_commit 100/1");
    rig.checkReplay();
  });

  test("an open transaction stays open, and its producer goes on", () => {
    const rig = begun("a/0");
    rig.reload();
    expect(rig.told).toBe("ongoing 100/0 a/0");
    expect(rig.admit("b/0", true)).toBe("ok");
    expect(rig.end(true)).toEqual({ producerId: 100, producerEpoch: 1 });
    expect(written(rig)).toEqual(["a/0", "b/0"]);
    rig.checkReplay();
  });

  test("a repeated end is known by its epoch", () => {
    const rig = begun("a/0");
    rig.end(true);
    rig.reload();
    expect(rig.end(true)).toEqual({ producerId: 100, producerEpoch: 1 });
    rig.checkReplay();
  });
});
