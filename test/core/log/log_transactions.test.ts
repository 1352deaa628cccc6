import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import {
  AbortedList,
  type AbortedTransaction,
  collectAborted,
  decodeAborted,
  encodeAborted,
} from "../../../src/core/log/aborted_list.ts";
import { LogTransactions } from "../../../src/core/log/log_transactions.ts";
import { ProducerState } from "../../../src/core/log/producer_state.ts";

/** One entry of a made-up log. */
interface Entry {
  readonly offset: number;
  readonly producerId: number;
  readonly epoch: number;
  readonly kind: "data" | "commit" | "abort";
}

class Rig {
  producers = new ProducerState();
  transactions = new LogTransactions();

  apply({ offset, producerId, epoch, kind }: Entry): void {
    if (kind === "data") {
      const entry = this.producers.record(producerId, epoch, 0, 1, offset, offset, 0, 0);
      if (entry.transactionStartOffset < 0) this.transactions.begin(producerId, entry, offset);
      return;
    }
    const entry = this.producers.get(producerId);
    if (entry !== undefined) {
      this.transactions.end(producerId, entry, offset, kind === "commit", false);
    }
    this.producers.recordMarker(producerId, epoch, 0, 0, 0);
  }

  /** What matters of it. */
  seen() {
    const { aborted, firstUnstableOffset, openCount } = this.transactions;
    return {
      firstUnstableOffset,
      openCount,
      aborted: aborted.between(0, Number.POSITIVE_INFINITY),
      open: [...this.producers.entries()]
        .filter(([, entry]) => entry.transactionStartOffset >= 0)
        .map(([id, { epoch, transactionStartOffset: start }]) => ({ id, epoch, start }))
        .sort((a, b) => a.id - b.id),
    };
  }
}

function replayed(entries: readonly Entry[]): Rig {
  const rig = new Rig();
  for (const entry of entries) rig.apply(entry);
  return rig;
}

describe("the transactions of a log", () => {
  test("are after a cut what the entries before the cut made them", () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = SeededRandom.of(`cut ${seed}`);
      const rig = new Rig();
      let entries: Entry[] = [];
      const epochs = [0, 0, 0, 0];
      let committed = 0;
      for (let offset = 0; offset < 60; ) {
        const producerId = random.below(4);
        const draw = random.below(12);
        if (draw === 11) {
          const cut = committed + random.below(offset - committed + 1);
          rig.transactions.truncate(cut, rig.producers);
          entries = entries.filter((entry) => entry.offset < cut);
          offset = cut;
          for (const id of epochs.keys()) {
            epochs[id] = entries.findLast((entry) => entry.producerId === id)?.epoch ?? 0;
          }
          continue;
        }
        if (draw === 10) {
          committed += random.below(offset - committed + 1);
          rig.transactions.onCommitted(committed);
          continue;
        }
        const kind = draw < 7 ? "data" : draw < 9 ? "abort" : "commit";
        // The epoch grows with the marker, or stays.
        if (kind !== "data" && random.below(2) === 0) epochs[producerId]!++;
        const entry: Entry = { offset, producerId, epoch: epochs[producerId]!, kind };
        rig.apply(entry);
        entries.push(entry);
        offset++;
        const wanted = replayed(entries);
        wanted.transactions.onCommitted(committed);
        expect([seed, rig.seen()]).toEqual([seed, wanted.seen()]);
      }
    }
  });
});

describe("a list of aborted transactions", () => {
  const list = (count: number): AbortedTransaction[] =>
    Array.from({ length: count }, (_, i) => ({
      producerId: i % 3,
      firstOffset: i * 10,
      lastOffset: i * 10 + 5,
      lastStableOffset: i * 10 + 6,
    }));

  test("gives what stands in a range, and lets go of both ends", () => {
    for (const count of [0, 1, 5, 300]) {
      const kept = new AbortedList();
      let wanted: AbortedTransaction[] = [];
      const random = SeededRandom.of(`list ${count}`);
      for (const each of list(count)) {
        kept.push(each);
        wanted.push(each);
        if (random.below(20) === 0) {
          const from = random.below(each.lastOffset + 20);
          kept.dropBefore(from);
          wanted = wanted.filter(({ lastOffset }) => lastOffset >= from);
        }
        if (random.below(30) === 0) {
          const from = random.below(each.lastOffset + 100);
          kept.dropFrom(from);
          wanted = wanted.filter(({ lastOffset }) => lastOffset < from);
        }
      }
      for (const [start, end] of [
        [0, Number.POSITIVE_INFINITY],
        [500, 900],
        [505, 506],
        [7, 3],
      ] as const) {
        const found = wanted.filter(({ lastOffset: at }) => at >= start && at < end);
        expect(kept.between(start, end)).toEqual(found);
      }
      expect(kept.count).toBe(wanted.length);
      expect([...kept.from(33)]).toEqual(wanted.filter(({ lastOffset }) => lastOffset >= 33));
    }
  });

  test("is looked through no further than where a later one could overlap", () => {
    const found: AbortedTransaction[] = [];
    expect(collectAborted(list(100), 12, 30, found)).toBe(true);
    expect(found.map(({ firstOffset }) => firstOffset)).toEqual([10, 20]);
    found.length = 0;
    expect(collectAborted(list(3), 12, 300, found)).toBe(false);
    expect(found.length).toBe(2);
  });

  test("is read from a file as it was written, and not at all when a bit of it changed", () => {
    const bytes = encodeAborted(list(5));
    expect(decodeAborted(bytes)).toEqual(list(5));
    expect(decodeAborted(bytes.subarray(0, bytes.length - 1))).toBeNull();
    for (let at = 0; at < bytes.length; at++) {
      const flipped = bytes.slice();
      flipped[at]! ^= 0x20;
      expect(decodeAborted(flipped)).toBeNull();
    }
  });
});
