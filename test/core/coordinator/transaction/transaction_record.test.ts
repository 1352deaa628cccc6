// Records of transactional ids as Kafka stores them, byte for byte, and what is read of those that others wrote.

import { describe, expect, test } from "bun:test";
import { DecodeError } from "../../../../src/base/byte_reader.ts";
import type { Transaction } from "../../../../src/core/coordinator/transaction/transaction.ts";
import {
  recordOf,
  tombstoneOf,
  transactionRecordSerde,
} from "../../../../src/core/coordinator/transaction/transaction_record.ts";

const OPEN: Transaction = {
  transactionalId: "tx",
  producerId: 9,
  previousProducerId: 9,
  nextProducerId: -1,
  producerEpoch: 3,
  timeoutMs: 60_000,
  state: "ongoing",
  partitions: new Map([
    ["a", new Set([2, 0])],
    ["b", new Set([1])],
  ]),
  startMs: 1_000,
  updatedMs: 2_000,
  clientVersion: 0,
};

const hex = (bytes: Uint8Array | null) =>
  bytes === null ? null : Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytesOf = (text: string) =>
  new Uint8Array((text.match(/../g) ?? []).map((each) => Number.parseInt(each, 16)));

describe("what is written", () => {
  test("version 0 where the feature is off", () => {
    const record = recordOf(OPEN, 0);
    expect(record.version).toBe(0);
    const { key, value } = transactionRecordSerde.encode(record);
    expect(hex(key)).toBe("000000027478");
    expect(hex(value)).toBe(
      "0000" +
        "0000000000000009" +
        "0003" +
        "0000ea60" +
        "01" +
        "00000002" +
        "000161" +
        "00000002" +
        "00000002" +
        "00000000" +
        "000162" +
        "00000001" +
        "00000001" +
        "00000000000007d0" +
        "00000000000003e8",
    );
  });

  test("version 1 with what was and what comes", () => {
    const record = recordOf({ ...OPEN, nextProducerId: 10, clientVersion: 2 }, 2);
    expect(hex(transactionRecordSerde.encode(record).value)).toBe(
      "0001" +
        "0000000000000009" +
        "0003" +
        "0000ea60" +
        "01" +
        "03" +
        "0261" +
        "03" +
        "00000002" +
        "00000000" +
        "00" +
        "0262" +
        "02" +
        "00000001" +
        "00" +
        "00000000000007d0" +
        "00000000000003e8" +
        "03" +
        "0008" +
        "0000000000000009" +
        "0108" +
        "000000000000000a" +
        "0202" +
        "0002",
    );
  });

  test("no partitions, which is not the same as none, where nothing was begun", () => {
    const empty = { ...OPEN, state: "empty" as const, partitions: new Map(), startMs: -1 };
    const { value } = transactionRecordSerde.encode(recordOf(empty, 0));
    expect(hex(value)!.slice(4 + 16 + 4 + 8, 4 + 16 + 4 + 8 + 10)).toBe("00ffffffff");
    const complete = { ...OPEN, state: "complete_commit" as const, partitions: new Map() };
    const { value: other } = transactionRecordSerde.encode(recordOf(complete, 0));
    expect(hex(other)!.slice(4 + 16 + 4 + 8, 4 + 16 + 4 + 8 + 10)).toBe("0400000000");
  });

  test("a tombstone", () => {
    const { key, value } = transactionRecordSerde.encode(tombstoneOf("tx"));
    expect([hex(key), value]).toEqual(["000000027478", null]);
  });

  for (const level of [0, 1, 2]) {
    test(`is read back as it was, level ${level}`, () => {
      const values: Transaction[] = [
        OPEN,
        { ...OPEN, previousProducerId: 8 },
        { ...OPEN, nextProducerId: 10 },
        { ...OPEN, clientVersion: 2, state: "prepare_abort" },
        { ...OPEN, state: "empty", partitions: new Map(), startMs: -1 },
      ];
      for (const each of values) {
        const record = recordOf(each, level);
        const { key, value } = transactionRecordSerde.encode(record);
        expect(transactionRecordSerde.decode(key, value)).toEqual(record);
      }
    });
  }
});

describe("what is read", () => {
  const KEY = bytesOf("000000027478");

  test("a state that there is not is damage", () => {
    const { value } = transactionRecordSerde.encode(recordOf(OPEN, 0));
    value![2 + 8 + 2 + 4] = 8;
    expect(() => transactionRecordSerde.decode(KEY, value)).toThrow(DecodeError);
  });

  test("a version that is not known is damage: to skip it would lose a transaction", () => {
    const { value } = transactionRecordSerde.encode(recordOf(OPEN, 0));
    value![1] = 2;
    expect(() => transactionRecordSerde.decode(KEY, value)).toThrow(DecodeError);
  });

  test("a key of another type is skipped", () => {
    expect(transactionRecordSerde.decode(bytesOf("000100027478"), null)).toBe(null);
  });

  test("a tombstone", () => {
    expect(transactionRecordSerde.decode(KEY, null)).toEqual(tombstoneOf("tx"));
  });
});
