import { beforeEach, describe, expect, test } from "bun:test";
import type { PartitionImage } from "../../../src/core/cluster/image.ts";
import {
  type CommitWait,
  type IsrProposal,
  PartitionLeader,
  type ProposalAnswer,
} from "../../../src/core/partition/partition_leader.ts";
import { TestRuntime } from "../../support/test_runtime.ts";

const LAG_MS = 30_000;

/** A log of which the test says where it stands. */
class ScriptedLog {
  logStartOffset = 0;
  logEndOffset = 0;
  syncedEnd = 0;
  highWatermark = 0;

  advanceHighWatermark(offset: number): void {
    expect(offset).toBeGreaterThan(this.highWatermark);
    expect(offset).toBeLessThanOrEqual(this.logEndOffset);
    this.highWatermark = offset;
  }
}

let time: TestRuntime;
let log: ScriptedLog;
let minInSync: number;
/** Registered brokers by id. */
let registered: Map<number, { epoch: number; isStopping: boolean }>;
let proposals: { proposal: IsrProposal; answer: (answer: ProposalAnswer) => void }[];

beforeEach(() => {
  time = new TestRuntime();
  log = new ScriptedLog();
  minInSync = 1;
  proposals = [];
  registered = new Map([1, 2, 3].map((id) => [id, { epoch: 100 + id, isStopping: false }]));
});

function image(changed: Partial<PartitionImage> = {}): PartitionImage {
  return {
    leader: 1,
    leaderEpoch: 5,
    partitionEpoch: 10,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    adding: [],
    removing: [],
    elr: [],
    ...changed,
  };
}

function lead(changed: Partial<PartitionImage> = {}): PartitionLeader {
  return new PartitionLeader(
    {
      log,
      brokerId: 1,
      nowMs: () => time.monotonicMs,
      lagMsMax: () => LAG_MS,
      minInSync: () => minInSync,
      registration: (id) => registered.get(id) ?? null,
      propose: (proposal) =>
        new Promise((answer) => {
          proposals.push({ proposal, answer });
        }),
      after: (delayMs, label, task) => time.runtime.scheduler.after(delayMs, label, task),
    },
    image(changed),
  );
}

function append(leader: PartitionLeader, endOffset: number, isSynced = true): void {
  log.logEndOffset = endOffset;
  if (!isSynced) return;
  log.syncedEnd = endOffset;
  leader.onSynced();
}

function fetched(
  leader: PartitionLeader,
  brokerId: number,
  fetchOffset: number,
  syncedEnd = fetchOffset,
  brokerEpoch = 100 + brokerId,
): boolean {
  return leader.followerFetched({
    brokerId,
    brokerEpoch,
    fetchOffset,
    syncedEnd,
    logStartOffset: 0,
  });
}

/** Lets what was answered go on. */
async function turn(): Promise<void> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
}

describe("the high watermark", () => {
  test("is what everyone in sync has synced, not what they have appended", () => {
    const leader = lead();
    append(leader, 10);
    expect(log.highWatermark).toBe(0);
    fetched(leader, 2, 10);
    fetched(leader, 3, 10, 4);
    expect(log.highWatermark).toBe(4);
    fetched(leader, 3, 10);
    expect(log.highWatermark).toBe(10);
  });

  test("waits for the leader's own disk too", () => {
    const leader = lead();
    append(leader, 10, false);
    fetched(leader, 2, 10);
    fetched(leader, 3, 10);
    expect(log.highWatermark).toBe(0);
    log.syncedEnd = 7;
    leader.onSynced();
    expect(log.highWatermark).toBe(7);
  });

  test("does not wait for who is out of sync, and alone it is the synced end", () => {
    const leader = lead({ isr: [1] });
    append(leader, 10);
    expect(log.highWatermark).toBe(10);
  });

  test("stands still below min.insync.replicas", () => {
    minInSync = 2;
    const leader = lead({ isr: [1] });
    append(leader, 10);
    expect(leader.isUnderMinIsr).toBe(true);
    expect(log.highWatermark).toBe(0);
  });

  test("more in sync than there are replicas cannot be asked for", () => {
    minInSync = 3;
    const leader = lead({ replicas: [1], isr: [1] });
    append(leader, 10);
    expect(log.highWatermark).toBe(10);
  });

  test("does not go back when a follower tells less than before", () => {
    const leader = lead({ replicas: [1, 2], isr: [1, 2] });
    append(leader, 10);
    fetched(leader, 2, 10);
    fetched(leader, 2, 3);
    expect(log.highWatermark).toBe(10);
  });

  test("does not count what a follower claims to have synced beyond what it has", () => {
    const leader = lead({ replicas: [1, 2], isr: [1, 2] });
    append(leader, 10);
    fetched(leader, 2, 5, 10);
    expect(log.highWatermark).toBe(5);
  });

  test("waits for who has caught up and is about to come in", () => {
    const leader = lead({ replicas: [1, 2], isr: [1] });
    append(leader, 10);
    fetched(leader, 2, 10);
    expect(proposals.length).toBe(1);
    append(leader, 20);
    expect(log.highWatermark).toBe(10);
    fetched(leader, 2, 20);
    expect(log.highWatermark).toBe(20);
  });
});

describe("who comes in", () => {
  test("has synced all that is committed, under this leader", async () => {
    log.logEndOffset = log.syncedEnd = log.highWatermark = 50;
    const leader = lead({ isr: [1, 3] });
    fetched(leader, 2, 50, 49);
    expect(proposals.length).toBe(0);
    fetched(leader, 2, 50);
    expect(proposals[0]!.proposal.isr).toEqual([1, 3, 2]);
    expect(proposals[0]!.proposal.expandedEpochs).toEqual(new Map([[2, 102]]));
    proposals[0]!.answer({
      kind: "settled",
      image: image({ isr: [1, 2, 3], partitionEpoch: 11 }),
    });
    await turn();
    expect(leader.isr).toEqual([1, 2, 3]);
    expect(leader.isProposing).toBe(false);
  });

  test("is registered as it fetches, and not stopping", () => {
    const leader = lead({ isr: [1, 3] });
    registered.set(2, { epoch: 500, isStopping: false });
    expect(fetched(leader, 2, 0, 0, 102)).toBe(false);
    registered.set(2, { epoch: 500, isStopping: true });
    expect(fetched(leader, 2, 0, 0, 500)).toBe(true);
    registered.delete(2);
    fetched(leader, 2, 0, 0, 500);
    expect(proposals.length).toBe(0);
  });

  test("is waited for from the proposal on, whatever the store says in the end", async () => {
    const leader = lead({ replicas: [1, 2], isr: [1] });
    fetched(leader, 2, 0);
    time.monotonicMs += LAG_MS + 1;
    append(leader, 10);
    expect(log.highWatermark).toBe(0);
    // The store did not answer: it may have been taken, so the wait goes on and the same is asked again.
    proposals[0]!.answer({ kind: "unknown" });
    await turn();
    leader.onSynced();
    expect(log.highWatermark).toBe(0);
    await time.advance(1_000);
    expect(proposals[1]!.proposal).toBe(proposals[0]!.proposal);
    proposals[1]!.answer({ kind: "settled", image: image({ replicas: [1, 2], isr: [1] }) });
    await turn();
    expect(log.highWatermark).toBe(10);
  });

  test("one who does not replicate the partition is nobody", () => {
    const leader = lead({ replicas: [1, 2], isr: [1, 2] });
    expect(fetched(leader, 3, 0)).toBe(false);
  });
});

describe("who goes", () => {
  test("has not had all for so long", () => {
    const leader = lead();
    append(leader, 10);
    fetched(leader, 2, 10);
    fetched(leader, 3, 5);
    time.monotonicMs += LAG_MS;
    leader.checkLag();
    expect(proposals.length).toBe(0);
    time.monotonicMs += 1;
    leader.checkLag();
    expect(proposals[0]!.proposal.isr).toEqual([1, 2]);
    // One at a time.
    leader.checkLag();
    expect(proposals.length).toBe(1);
  });

  test("stays while each fetch has what there was at the one before", () => {
    const leader = lead({ replicas: [1, 2], isr: [1, 2] });
    for (let end = 10; end <= 60; end += 10) {
      append(leader, end);
      fetched(leader, 2, end - 10);
      time.monotonicMs += LAG_MS / 3;
      leader.checkLag();
    }
    expect(proposals.length).toBe(0);
  });

  test("is waited for until the store has said so", async () => {
    const leader = lead({ replicas: [1, 2], isr: [1, 2] });
    append(leader, 10);
    time.monotonicMs += LAG_MS + 1;
    leader.checkLag();
    leader.onSynced();
    expect(log.highWatermark).toBe(0);
    proposals[0]!.answer({
      kind: "settled",
      image: image({ replicas: [1, 2], isr: [1], partitionEpoch: 11 }),
    });
    await turn();
    expect(log.highWatermark).toBe(10);
  });
});

describe("who waits for acks=all", () => {
  test("is told once all in sync have it", async () => {
    const leader = lead({ replicas: [1, 2], isr: [1, 2] });
    append(leader, 10);
    const ends: CommitWait[] = [];
    void leader.committed(10, 1_000).then((end) => ends.push(end));
    await turn();
    expect(ends).toEqual([]);
    fetched(leader, 2, 10);
    await turn();
    expect(ends).toEqual(["committed"]);
    expect(await leader.committed(10, 1_000)).toBe("committed");
  });

  test("is told when its time is up, or the leadership is over", async () => {
    const leader = lead({ replicas: [1, 2], isr: [1, 2] });
    append(leader, 10);
    const late = leader.committed(10, 1_000);
    const lost = leader.committed(10, 60_000);
    await time.advance(1_000);
    expect(await late).toBe("timed_out");
    leader.end();
    expect(await lost).toBe("not_leader");
    expect(await leader.committed(10, 1)).toBe("not_leader");
    fetched(leader, 2, 10);
    expect(log.highWatermark).toBe(0);
  });

  test("is told when the in-sync set has become too small meanwhile", async () => {
    minInSync = 2;
    const leader = lead({ replicas: [1, 2], isr: [1, 2] });
    append(leader, 10);
    const wait = leader.committed(10, 60_000);
    leader.imageChanged(image({ replicas: [1, 2], isr: [1], partitionEpoch: 11 }));
    expect(await wait).toBe("not_enough_replicas");
    expect(log.highWatermark).toBe(0);
  });
});
