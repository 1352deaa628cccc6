import { describe, expect, test } from "bun:test";
import { markerBatch } from "../../../src/core/log/marker_batch.ts";
import { readControlBatch } from "../../../src/record/control_record.ts";
import { RecordBatch } from "../../../src/record/record_batch.ts";
import { type BatchesVector, fromHex, loadVectors, toHex } from "../../record/vectors.ts";

describe("the batch of a marker", () => {
  const named = (name: string) =>
    loadVectors<BatchesVector>("record-batches-v2").find((vector) => vector.name === name)!;

  for (const [name, isCommit] of [
    ["control-commit", true],
    ["control-abort", false],
  ] as const) {
    test(`${name} is Kafka's, byte for byte, and is read as it was written`, () => {
      const { hex, batches } = named(name);
      const [want] = batches;
      const { coordinatorEpoch } = want!.records[0]!.control!;
      const bytes = markerBatch(
        {
          producerId: Number(want!.producerId),
          producerEpoch: want!.producerEpoch,
          coordinatorEpoch: coordinatorEpoch!,
          isCommit,
          transactionVersion: 2,
        },
        Number(want!.baseOffset),
        want!.partitionLeaderEpoch,
        Number(want!.baseTimestamp),
        false,
      );
      expect(toHex(bytes)).toBe(hex);
      expect(readControlBatch(new RecordBatch(bytes, 0, bytes.length))).toEqual({
        version: 0,
        type: isCommit ? 1 : 0,
        coordinatorEpoch: coordinatorEpoch!,
      });
    });
  }

  test("is of the time it was appended at where the topic stamps", () => {
    const marker = {
      producerId: 7,
      producerEpoch: 2,
      coordinatorEpoch: 1,
      isCommit: true,
      transactionVersion: 2,
    };
    const bytes = markerBatch(marker, 10, 4, 1_700_000_000_000, true);
    const batch = new RecordBatch(bytes, 0, bytes.length);
    expect(batch.check()).toBeNull();
    expect(batch).toMatchObject({
      isLogAppendTime: true,
      isControl: true,
      isTransactional: true,
      maxTimestampMs: 1_700_000_000_000,
      baseSequence: -1,
      leaderEpoch: 4,
    });
  });

  test("of another kind, without its record, or cut is told", () => {
    const { hex } = named("control-leader-change");
    const bytes = fromHex(hex);
    expect(readControlBatch(new RecordBatch(bytes, 0, bytes.length))).toMatchObject({ type: 2 });
    const data = fromHex(named("gzip/transactional").hex);
    expect(readControlBatch(new RecordBatch(data, 0, data.length))).toBeNull();
    const empty = fromHex(named("control-commit").hex).subarray(0, 61);
    empty.fill(0, 57);
    expect(readControlBatch(new RecordBatch(empty, 0, empty.length))).toBeNull();
  });
});
