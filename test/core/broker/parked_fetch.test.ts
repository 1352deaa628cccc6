// A read_committed fetch whose bytes take a while: what is said of aborted transactions belongs to them, or nothing is served.

import { expect, test } from "bun:test";
import { ParkedFetch } from "../../../src/core/broker/parked_fetch.ts";
import { RecordBatchBuilder } from "../../../src/record/record_builder.ts";

test("retention that takes the segment away between the read and the look at what was aborted", async () => {
  const producer = { producerId: 1, producerEpoch: 0, baseSequence: 0, isTransactional: true };
  const builder = new RecordBatchBuilder(producer);
  builder.append(0, null, new Uint8Array(4));
  const batches = builder.build();
  let hasRead = (): void => {};
  const log = {
    topic: { isDeleted: false, leaderEpoch: 0 },
    logStartOffset: 0,
    logEndOffset: 2,
    highWatermark: 2,
    lastStableOffset: 2,
    replacements: 0,
    transactions: {},
    waiters: null,
  };
  let aborted = [{ producerId: 1, firstOffset: 0, lastOffset: 1, lastStableOffset: 2 }];
  const logs = {
    isOnline: true,
    pool: { lentBytes: 0, release: () => {} },
    topicNamed: () => ({ id: "" }),
    logIn: () => log,
    reader: {
      read: () =>
        new Promise((resolve) => {
          hasRead = () => resolve({ fault: null, buffer: null, batches });
        }),
    },
    aborted: { collect: () => aborted },
  };
  const fetch = () =>
    new ParkedFetch(
      logs as never,
      { clock: { monotonicMs: () => 0 } } as never,
      { signal: new AbortController().signal } as never,
      {
        isolation: "read_committed",
        waitMsMax: 0,
        bytesMin: 1,
        bytesMax: 1000,
        partitions: [{ topic: "t", partition: 0, fetchOffset: 0, bytesMax: 1000, leaderEpoch: -1 }],
      } as never,
    ).run();

  const whole = fetch();
  hasRead();
  const [told] = (await whole).partitions;
  expect(told!.ok && told!.value.abortedTransactions.length).toBe(1);

  const late = fetch();
  // The segment goes, and what it knew of aborted transactions with it.
  log.logStartOffset = 2;
  aborted = [];
  hasRead();
  const [refused] = (await late).partitions;
  expect(refused!.ok).toBe(false);
  expect(!refused!.ok && refused!.error.code).toBe("offset_out_of_range");
});
