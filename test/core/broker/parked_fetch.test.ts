// A read_committed fetch whose bytes take a while: what is said of aborted transactions belongs to them, or nothing is served.

import { expect, test } from "bun:test";
import { checkEpoch, ParkedFetch } from "../../../src/core/broker/parked_fetch.ts";
import { NO_ROLE_YET } from "../../../src/core/log/partition_role.ts";
import { RecordBatchBuilder } from "../../../src/record/record_builder.ts";

const producer = { producerId: 1, producerEpoch: 0, baseSequence: 0, isTransactional: true };
const builder = new RecordBatchBuilder(producer);
builder.append(0, null, new Uint8Array(4));
const batches = builder.build();

const newLog = () => ({
  topic: { isDeleted: false, leaderEpoch: 0 },
  leaderEpoch: 0,
  role: null,
  logStartOffset: 0,
  logEndOffset: 2,
  highWatermark: 2,
  lastStableOffset: 2,
  replacements: 0,
  transactions: {},
  waiters: null,
});

/** @param logs What a log manager is to such a fetch. */
const fetchFrom = (logs: object) =>
  new ParkedFetch(
    { isOnline: true, topicNamed: () => ({ id: "" }), ...logs } as never,
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

test("retention that takes the segment away between the read and the look at what was aborted", async () => {
  let hasRead = (): void => {};
  const log = newLog();
  let aborted = [{ producerId: 1, firstOffset: 0, lastOffset: 1, lastStableOffset: 2 }];
  const fetch = () =>
    fetchFrom({
      pool: { lentBytes: 0, release: () => {} },
      logIn: () => log,
      reader: {
        read: () =>
          new Promise((resolve) => {
            hasRead = () => resolve({ fault: null, buffer: null, batches });
          }),
      },
      aborted: { collect: () => aborted },
    });

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

test("a cleaning that moves segment after segment leaves a fetch with the bytes of its last try alone", async () => {
  const lent = new Set<Uint8Array>();
  let mostLent = 0;
  let moves = 10;
  const log = newLog();
  const response = await fetchFrom({
    pool: { lentBytes: 0, release: (buffer: Uint8Array) => lent.delete(buffer) },
    logIn: () => log,
    reader: {
      read: () => {
        const buffer = new Uint8Array(batches);
        lent.add(buffer);
        mostLent = Math.max(mostLent, lent.size);
        return { fault: null, buffer, batches: buffer };
      },
    },
    aborted: { collect: () => (moves-- > 0 ? "moved" : []) },
  });
  expect(response.partitions[0]!.ok).toBe(true);
  expect([moves, mostLent, lent.size]).toEqual([-1, 1, 1]);
  response.release();
  expect(lent.size).toBe(0);
});

test("in a cluster the epoch is the leadership's, not the topic's, and who does not lead serves nobody", () => {
  // Groups read nothing from partitions whose leader had changed: their epoch 1 was held against the topic's 0.
  const judge = (leaderEpoch: number, isLeader: boolean, asked: number) => {
    const role = { leaderEpoch, isLeader, onSynced: () => {} };
    return checkEpoch({ ...newLog(), role, leaderEpoch } as never, asked);
  };
  expect(judge(1, true, 1)).toBe(null);
  expect(judge(1, true, -1)).toBe(null);
  expect(judge(1, true, 0)).toBe("fenced_leader_epoch");
  expect(judge(1, true, 2)).toBe("unknown_leader_epoch");
  expect(judge(1, false, 1)).toBe("not_leader_or_follower");
  expect(judge(1, false, -1)).toBe("not_leader_or_follower");
  const unknown = { ...newLog(), role: NO_ROLE_YET, leaderEpoch: -1 } as never;
  expect(checkEpoch(unknown, -1)).toBe("not_leader_or_follower");
  expect(checkEpoch(newLog() as never, 0)).toBe(null);
});
