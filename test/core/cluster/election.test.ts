import { describe, expect, test } from "bun:test";
import {
  afterBrokersChanged,
  type ElectionContext,
  preferred,
} from "../../../src/core/cluster/election.ts";
import type { PartitionImage } from "../../../src/core/cluster/image.ts";
import { changed, newPartition } from "../../../src/core/cluster/partition_edits.ts";

const full = newPartition([1, 2, 3], [1, 2, 3]);

function context(
  live: readonly number[],
  more: { stopping?: readonly number[]; isUncleanAllowed?: boolean; minIsr?: number } = {},
): ElectionContext {
  return {
    isLive: (id) => live.includes(id),
    isStopping: (id) => more.stopping?.includes(id) === true,
    isUncleanAllowed: more.isUncleanAllowed ?? false,
    minIsr: more.minIsr ?? 1,
  };
}

/** As the controller applies it. */
function after(partition: PartitionImage, given: ElectionContext): PartitionImage {
  const change = afterBrokersChanged(partition, given);
  const next = change === null ? partition : changed(partition, change);
  // Repeating it changes nothing.
  expect(afterBrokersChanged(next, given)).toBeNull();
  return next;
}

describe("elections", () => {
  test("the next in sync leads; who is gone leaves the ISR", () => {
    const next = after(full, context([2, 3]));
    expect(next).toMatchObject({ leader: 2, leaderEpoch: 1, partitionEpoch: 1, isr: [2, 3] });
    expect(after(full, context([1, 2]))).toMatchObject({ leader: 1, leaderEpoch: 0, isr: [1, 2] });
    expect(after(full, context([1, 2, 3]))).toBe(full);
  });

  test("nobody out of sync leads, unless the topic allows it", () => {
    const one = { ...full, isr: [1] };
    expect(after(one, context([2, 3]))).toMatchObject({ leader: -1, isr: [1], leaderEpoch: 1 });
    const lossy = after(one, context([2, 3], { isUncleanAllowed: true }));
    expect(lossy).toMatchObject({ leader: 2, isr: [2], leaderEpoch: 1 });
    const gone = after(one, context([2, 3]));
    expect(after(gone, context([1, 2]))).toMatchObject({ leader: 1, isr: [1], leaderEpoch: 2 });
  });

  test("when all are gone at once, any of those in sync may return first", () => {
    const gone = after(full, context([]));
    expect(gone).toMatchObject({ leader: -1, isr: [1, 2, 3] });
    expect(after(gone, context([3]))).toMatchObject({ leader: 3, isr: [3] });
  });

  test("who is stopping hands over, and keeps what nobody else can lead", () => {
    expect(after(full, context([1, 2, 3], { stopping: [1] })).leader).toBe(2);
    const one = { ...full, isr: [1] };
    expect(after(one, context([1, 2, 3], { stopping: [1] })).leader).toBe(1);
  });

  test("below min.insync.replicas who left is eligible, and is elected where the ISR is lost", () => {
    const given = { minIsr: 2 };
    const one = after({ ...full, isr: [1, 2] }, context([1], given));
    expect(one).toMatchObject({ leader: 1, isr: [1], elr: [2] });
    const two = after(one, context([2, 3], given));
    expect(two).toMatchObject({ leader: 2, isr: [2], elr: [] });
    // Since min.insync.replicas was lowered the leader goes on without it.
    expect(after(one, context([2, 3]))).toMatchObject({ leader: -1, isr: [1] });
    // With enough in sync there is nobody beside them: the high watermark has gone on.
    expect(after(full, context([1, 2], given))).toMatchObject({ isr: [1, 2], elr: [] });
  });

  test("the preferred one leads when it is in sync and there", () => {
    const led = { ...full, leader: 2 };
    expect(preferred(led, context([1, 2, 3]))).toEqual({ leader: 1 });
    expect(preferred({ ...led, isr: [2, 3] }, context([1, 2, 3]))).toBeNull();
    expect(preferred(led, context([1, 2, 3], { stopping: [1] }))).toBeNull();
    expect(preferred(full, context([1, 2, 3]))).toBeNull();
  });
});
