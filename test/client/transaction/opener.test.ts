// What an answer says of aborted transactions holds for that answer alone.

import { expect, test } from "bun:test";
import { BatchOpener } from "../../../src/client/fetched.ts";
import { CONTROL_ABORT, CONTROL_COMMIT } from "../../../src/record/control_record.ts";
import { RecordBatchBuilder } from "../../../src/record/record_builder.ts";
import { hostCompression } from "../../../src/runtime/compression.ts";
import { MemoryNetwork } from "../../../src/testing/memory_network.ts";
import { clientRuntime, text, utf8 } from "../rig.ts";

const place = { topic: "t", partition: 0 };
const whole = { end: Number.POSITIVE_INFINITY, highWatermark: 100 };

function batch(baseOffset: number, producerId: number, value: string): Uint8Array {
  const builder = new RecordBatchBuilder({
    baseOffset,
    producerId,
    producerEpoch: 0,
    baseSequence: 0,
    isTransactional: true,
    compression: hostCompression,
  });
  builder.append(1, null, utf8(value), []);
  return builder.build();
}

function marker(baseOffset: number, producerId: number, type: number): Uint8Array {
  const builder = new RecordBatchBuilder({
    baseOffset,
    producerId,
    producerEpoch: 0,
    isTransactional: true,
    isControl: true,
  });
  const key = new Uint8Array([0, 0, 0, type]);
  builder.append(1, key, new Uint8Array(6), []);
  return builder.build();
}

const joined = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));

function opener(): (
  bytes: Uint8Array,
  from: number,
  aborted: readonly { producerId: number; firstOffset: number }[],
) => { values: (string | null)[]; nextOffset: number } {
  const own = new BatchOpener(place, clientRuntime(new MemoryNetwork()), {
    sizeBytesMax: 1_000_000,
    isCommittedOnly: true,
  });
  return (bytes, from, aborted) => {
    const { batches, nextOffset } = own.open(bytes, from, whole, aborted);
    const records = batches.flatMap((each) => each.open().records());
    return { values: records.map(({ value }) => text(value)), nextOffset };
  };
}

test("a producer goes on being shown when the marker of its aborted transaction was compacted away", () => {
  const open = opener();
  const first = open(batch(0, 7, "no"), 0, [{ producerId: 7, firstOffset: 0 }]);
  expect(first).toEqual({ values: [], nextOffset: 1 });
  // Offsets 1 to 4, the marker among them, are not there any more.
  const second = open(joined(batch(5, 7, "yes"), marker(6, 7, CONTROL_COMMIT)), 1, []);
  expect(second).toEqual({ values: ["yes"], nextOffset: 7 });
});

test("a transaction that spans answers is left out of each, and what others write is not", () => {
  const open = opener();
  const aborted = [{ producerId: 7, firstOffset: 0 }];
  expect(open(joined(batch(0, 7, "no"), batch(1, 8, "a")), 0, aborted).values).toEqual(["a"]);
  const rest = joined(
    batch(2, 7, "no"),
    batch(3, 8, "b"),
    marker(4, 7, CONTROL_ABORT),
    batch(5, 7, "c"),
    marker(6, 8, CONTROL_COMMIT),
    marker(7, 7, CONTROL_COMMIT),
  );
  expect(open(rest, 2, aborted)).toEqual({ values: ["b", "c"], nextOffset: 8 });
  // From the middle of it.
  expect(opener()(rest, 3, aborted)).toEqual({ values: ["b", "c"], nextOffset: 8 });
});

test("of one producer two transactions, aborted and not, are told apart by where they begin", () => {
  const bytes = joined(
    batch(0, 7, "a"),
    marker(1, 7, CONTROL_COMMIT),
    batch(2, 7, "no"),
    marker(3, 7, CONTROL_ABORT),
    batch(4, 7, "b"),
    marker(5, 7, CONTROL_COMMIT),
    batch(6, 7, "no"),
    marker(7, 7, CONTROL_ABORT),
  );
  const aborted = [
    { producerId: 7, firstOffset: 6 },
    { producerId: 7, firstOffset: 2 },
  ];
  expect(opener()(bytes, 0, aborted)).toEqual({ values: ["a", "b"], nextOffset: 8 });
});

test("an answer of markers alone leads on", () => {
  const bytes = joined(marker(0, 7, CONTROL_ABORT), marker(1, 8, CONTROL_COMMIT));
  expect(opener()(bytes, 0, [])).toEqual({ values: [], nextOffset: 2 });
});
