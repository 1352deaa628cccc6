// Calls to storage that fail once while a log with transactions is cleaned: the next cleaning comes to its end, and no file
// is left that no state names.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import type { SegmentInfo } from "../../../src/core/log/partition_state.ts";
import { compacted, keyedBatch, logOf, rowsIn } from "../../support/compacted_log.ts";
import { hookedStorage, type StorageCall } from "../../support/hooked_storage.ts";
import { caller, LogRig } from "../../support/log_rig.ts";
import { fetchCommitted, visibleBatches } from "../../support/transaction_model.ts";

const WRITES: readonly string[] = ["append", "sync", "truncate"];

/** A log to be cleaned over storage that fails where `mayFail` says so; a file that has failed to take a write takes no other. */
class Failing {
  rig!: LogRig;
  mayFail: (call: StorageCall, name: string) => boolean = () => false;
  readonly #poisoned = new Set<string>();

  async open(): Promise<void> {
    const plugin = hookedStorage(storageMemory(), (call, name) => {
      if (call === "close" || call === "remove") this.#poisoned.delete(name);
      const isRefused = WRITES.includes(call) && this.#poisoned.has(name);
      if (!isRefused && !this.mayFail(call, name)) return undefined;
      if (WRITES.includes(call)) this.#poisoned.add(name);
      return Promise.reject(new StorageError("io", "the disk says no"));
    });
    const gate = { admit: () => ok(null) };
    this.rig = await LogRig.open(plugin, { ...compacted(), gate });
  }

  /** Transactions of three keys each, every other one aborted, and no end of the last segment. */
  async write(round: number): Promise<void> {
    const { rig } = this;
    for (let i = 0; i < 24; i++) {
      const epoch = round * 24 + i;
      const of = { producerId: 9, producerEpoch: epoch, baseSequence: 0, isTransactional: true };
      const value = `${i % 2 === 0 ? "right" : "wrong"} ${round} ${i}`.padEnd(300, ".");
      const entries = [0, 1, 2].map((key) => ({ key: `${(i + key) % 7}`, value }));
      await rig.api.append(caller, {
        acks: -1,
        timeoutMs: 1000,
        transactionalId: "tx",
        addsToTransaction: true,
        partitions: [{ topic: "t", partition: 0, batches: keyedBatch(entries, of) }],
      });
      const end = { producerId: 9, producerEpoch: epoch + 1, coordinatorEpoch: 0 };
      const verdict = logOf(rig).appendMarker(
        { ...end, isCommit: i % 2 === 0, transactionVersion: 2 },
        rig.test.wallMs,
      );
      if (verdict.kind === "appended") await verdict.group.settled();
    }
  }

  /** Newest value of each key, to a read_committed reader. */
  async table(): Promise<Record<string, string>> {
    const table: Record<string, string> = {};
    for (let next = 0; next < logOf(this.rig).lastStableOffset; ) {
      const fetched = await fetchCommitted(this.rig, next, 3000);
      for (const batch of visibleBatches(fetched)) {
        for (const { key, value } of rowsIn(batch.view())) table[key!] = value!;
      }
      next = fetched.endOffset;
    }
    return table;
  }

  /** Files that belong to no segment in force, or to one that has no such file. */
  async left(): Promise<string[]> {
    const stem = ({ baseOffset, generation }: SegmentInfo) =>
      `${String(baseOffset).padStart(20, "0")}${generation > 0 ? `.${generation}` : ""}`;
    const known = new Set<string>();
    for (const segment of logOf(this.rig).segments) {
      if (segment.settledBytes === 0) continue;
      known.add(`${stem(segment)}.log`).add(`${stem(segment)}.index`);
      if (segment.abortedCount > 0) known.add(`${stem(segment)}.aborted`);
    }
    const files = await this.rig.storage.segments!.list("segments/");
    return files
      .map(({ name }) => name.slice(name.lastIndexOf("/") + 1))
      .filter((name) => !known.has(name));
  }
}

describe("a call to storage that fails once while a log is cleaned", () => {
  // What there was of a list of aborted transactions stayed until the next start.
  test("leaves no file, and holds the next cleaning up in nothing, at any of them", async () => {
    const seen = new Set<string>();
    for (let at = 0; ; at++) {
      const life = new Failing();
      await life.open();
      for (let round = 0; round < 2; round++) {
        await life.write(round);
        if (round === 0) expect(await life.rig.logs.clean()).toBe(1);
      }
      const before = await life.table();
      let calls = 0;
      let hit = "";
      life.mayFail = (call, name) => {
        // What fails to be removed is removed by the next start.
        if (!name.startsWith("segments/") || call === "remove" || call === "close") return false;
        if (calls++ !== at) return false;
        hit = `${call} ${name.slice(name.lastIndexOf(".") + 1)}`;
        return true;
      };
      const cleaned = await life.rig.logs.clean();
      life.mayFail = () => false;
      if (hit !== "") {
        seen.add(hit);
        expect([hit, cleaned, await life.left()]).toEqual([hit, cleaned, []]);
        // However long a list that could not be read is left.
        life.rig.test.monotonicMs += 60_000;
        if (cleaned === 0) expect([hit, await life.rig.logs.clean()]).toEqual([hit, 1]);
        expect(await life.table()).toEqual(before);
        expect([hit, await life.left()]).toEqual([hit, []]);
        expect(life.rig.test.events("log_not_cleanable")).toEqual([]);
        expect(life.rig.offlineReason).toBe(null);
      }
      await life.rig.close();
      if (hit === "") break;
    }
    for (const hit of ["append log", "sync log", "append aborted", "sync aborted", "read log"]) {
      expect(seen.has(hit)).toBe(true);
    }
  }, 60_000);

  // The file stayed open, and a file that has failed to take a write takes no other: no cleaning of the log came to its
  // end any more before the next start.
  test("leaves no open file that takes nothing any more, where one of its name was left behind", async () => {
    const life = new Failing();
    await life.open();
    await life.write(0);
    let step: "none" | "leave" | "cut" = "leave";
    life.mayFail = (call, name) => {
      if (!name.endsWith(".1.log")) return false;
      if (step === "leave") return call === "sync" || call === "remove";
      return step === "cut" && call === "truncate";
    };
    expect(await life.rig.logs.clean()).toBe(0);
    expect((await life.left()).length).toBe(1);
    step = "cut";
    expect(await life.rig.logs.clean()).toBe(0);
    step = "none";
    expect(await life.rig.logs.clean()).toBe(1);
    expect(await life.left()).toEqual([]);
    await life.rig.close();
  });
});
