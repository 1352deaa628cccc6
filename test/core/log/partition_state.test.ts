import { describe, expect, test } from "bun:test";
import {
  decodeState,
  encodeState,
  type PartitionState,
  type SegmentInfo,
} from "../../../src/core/log/partition_state.ts";
import { ProducerState } from "../../../src/core/log/producer_state.ts";

const segment = (baseOffset: number, generation: number): SegmentInfo => ({
  baseOffset,
  sizeBytes: 900 + baseOffset,
  settledBytes: 800,
  firstTimestampMs: 1_700_000_000_000,
  maxTimestampMs: 1_700_000_000_500,
  maxTimestampOffset: baseOffset + 3,
  createdMs: 1_700_000_000_700,
  generation,
  abortedCount: 0,
});

function stateOf(generations: readonly number[], cleanedEnd: number): PartitionState {
  const producers = new ProducerState();
  producers.record(7, 2, 0, 3, 10, 12, 1_700_000_000_000, 5);
  return {
    logStartOffset: 4,
    logEndOffset: 2 ** 40,
    settledEnd: 90,
    cleanedEnd,
    segments: generations.map((generation, i) => segment(i * 30, generation)),
    epochs: [
      { epoch: 0, startOffset: 0 },
      { epoch: 3, startOffset: 50 },
    ],
    producers,
    aborted: null,
  };
}

function plain(state: PartitionState | null) {
  return state && { ...state, producers: [...(state.producers?.entries() ?? [])] };
}

describe("the state of a partition", () => {
  for (const [name, state] of [
    ["never cleaned", stateOf([0, 0], 0)],
    ["cleaned in part", stateOf([12, 0, 0], 30)],
    ["cleaned to nothing", stateOf([1], 25)],
    ["cleaned, and its segments gone since", stateOf([], 25)],
  ] as const) {
    test(`is read as it was written: ${name}`, () => {
      const bytes = encodeState(state);
      expect(plain(decodeState(bytes, 5))).toEqual(plain(state));
    });
  }

  test("says nothing of cleaning where there was none, so that an older Millrace reads it", () => {
    expect(encodeState(stateOf([0, 0], 0))[0]).toBe(1);
    expect(encodeState(stateOf([0, 1], 0))[0]).toBe(2);
    expect(encodeState(stateOf([0], 1))[0]).toBe(2);
  });

  test("of a newer version is not guessed at", () => {
    const bytes = encodeState(stateOf([0], 0));
    bytes[0] = 4;
    expect(decodeState(bytes, 5)).toBe(null);
    expect(decodeState(new Uint8Array(3), 5)).toBe(null);
  });
});
