// What a cluster adds to the data plane: who may answer at all, and under which of Kafka's errors the others refuse.

import { beforeEach, describe, expect, test } from "bun:test";
import { LogApiImpl } from "../../../src/core/broker/log_api.ts";
import { ParkedFetch } from "../../../src/core/broker/parked_fetch.ts";
import { appendedToReplicas, refusalOf } from "../../../src/core/broker/replicated_append.ts";
import type { ReplicatedReads } from "../../../src/core/broker/replicated_reads.ts";
import { NO_ROLE_YET, type PartitionRole } from "../../../src/core/log/partition_role.ts";
import { callerOf } from "../../support/memory_broker.ts";
import { TestRuntime } from "../../support/test_runtime.ts";

const caller = callerOf("alice", new AbortController().signal);
let role: PartitionRole;
let isHeld: boolean;
let nearer: number | null;
let highWatermark: number;
let epochStartOffset: number;
let isHere: boolean;
let time: TestRuntime;

beforeEach(() => {
  role = { leaderEpoch: 5, isLeader: true, onSynced: () => {} };
  [isHeld, nearer, highWatermark, epochStartOffset, isHere] = [true, null, 8, 4, true];
  time = new TestRuntime();
});

/** One topic "users" of one partition, epoch 5, offsets 2 to 10. */
function parts() {
  const log = {
    partition: 0,
    topic: { isDeleted: false, settings: {} },
    role,
    leaderEpoch: role.leaderEpoch,
    logStartOffset: 2,
    logEndOffset: 10,
    highWatermark,
    lastStableOffset: highWatermark,
    epochs: { epochAt: () => 3, endOf: () => ({ epoch: 3, endOffset: 6 }) },
    segments: [],
    transactions: null,
    waiters: null,
  };
  const topic = { id: "U", partitionCount: 1 };
  const logs = {
    isOnline: true,
    topicNamed: (name: string) => (name === "users" ? topic : undefined),
    logIn: (_topic: object, partition: number) => (isHere && partition === 0 ? log : null),
    pool: { lentBytes: 0, release: () => {} },
    journal: { newestGroup: null },
    reader: {
      read: () => ({ fault: null, buffer: null, batches: new Uint8Array(7), endOffset: 8 }),
    },
  };
  const reads: ReplicatedReads = {
    isHeld: () => isHeld,
    nearerReplica: () => nearer,
    currentLeader: () => null,
  };
  return { log, logs, reads };
}

function api(): LogApiImpl {
  const { logs, reads, log } = parts();
  const leaderOf = () =>
    log.role.isLeader ? ({ isOver: false, isUnderMinIsr: false, epochStartOffset } as never) : null;
  const replicas = { leaderOf, isHeld: () => isHeld, refusalOf, appended: appendedToReplicas };
  return new LogApiImpl({
    logs: logs as never,
    runtime: time.runtime,
    xxhash: {} as never,
    decompressedBytesMax: () => 1000,
    opensCompressed: () => false,
    fetchBytesMax: () => 1000,
    replicas,
    reads,
  });
}

interface Asked {
  readonly topic?: string;
  readonly partition?: number;
  readonly leaderEpoch?: number;
  readonly fetchOffset?: number;
  /** Left out: only a leader may answer. */
  readonly rack?: string;
}

/** A fetch's error by name, else the bytes of its batches and the replica it sends to. */
async function fetched(asked: Asked = {}) {
  const { topic = "users", partition = 0, leaderEpoch = -1, fetchOffset = 5, rack } = asked;
  const { logs, reads } = parts();
  const request = {
    isolation: "read_uncommitted" as const,
    waitMsMax: 60_000,
    bytesMin: nearer === null ? 1 : 1_000,
    bytesMax: 1_000,
    partitions: [{ topic, partition, fetchOffset, leaderEpoch, bytesMax: 1_000 }],
    ...(rack === undefined ? {} : { rack }),
  };
  const answer = new ParkedFetch(logs as never, time.runtime, caller, request, reads);
  const [outcome] = (await answer.run()).partitions;
  if (!outcome!.ok) return outcome!.error.code;
  return [outcome!.value.sizeBytes, outcome!.value.preferredReplica];
}

async function offsetAt(at: "earliest" | "latest", leaderEpoch = -1) {
  const query = { topic: "users", partition: 0, at, isolation: "read_uncommitted", leaderEpoch };
  const [outcome] = await api().offsetFor(caller, [query as never]);
  return outcome!.ok ? outcome!.value.offset : outcome!.error.code;
}

function epochEnd(currentLeaderEpoch = -1) {
  const query = { topic: "users", partition: 0, leaderEpoch: 3, currentLeaderEpoch };
  const [outcome] = api().endOffsetForEpoch(caller, [query]);
  return outcome!.ok ? outcome!.value.endOffset : outcome!.error.code;
}

async function appended(topic = "users", partition = 0) {
  const [outcome] = await api().append(caller, {
    acks: -1,
    timeoutMs: 1000,
    transactionalId: null,
    partitions: [{ topic, partition, batches: new Uint8Array(0) }],
  });
  return outcome!.ok ? "appended" : outcome!.error.code;
}

describe("by the role of the partition", () => {
  test("the leader answers under its epoch, and fences others", async () => {
    expect(await fetched({ leaderEpoch: 5 })).toEqual([7, undefined]);
    expect(await fetched({ leaderEpoch: 4 })).toBe("fenced_leader_epoch");
    expect(await fetched({ leaderEpoch: 6 })).toBe("unknown_leader_epoch");
    expect(await offsetAt("latest", 4)).toBe("fenced_leader_epoch");
    expect(await offsetAt("latest", 6)).toBe("unknown_leader_epoch");
    expect(await offsetAt("latest", 5)).toBe(8);
    expect(epochEnd(4)).toBe("fenced_leader_epoch");
    expect(epochEnd(6)).toBe("unknown_leader_epoch");
    expect(epochEnd(5)).toBe(6);
  });

  test("a follower refuses whoever asks for a leader, and serves consumers that may be sent to it", async () => {
    role = { leaderEpoch: 5, isLeader: false, onSynced: () => {} };
    expect(await fetched()).toBe("not_leader_or_follower");
    expect(await fetched({ rack: "" })).toEqual([7, undefined]);
    expect(await fetched({ rack: "b", leaderEpoch: 5 })).toEqual([7, undefined]);
    expect(await fetched({ rack: "b", leaderEpoch: 4 })).toBe("fenced_leader_epoch");
    expect(await fetched({ rack: "b", leaderEpoch: 6 })).toBe("unknown_leader_epoch");
    expect(await fetched({ rack: "b", fetchOffset: 11 })).toBe("offset_out_of_range");
    expect(await offsetAt("earliest")).toBe("not_leader_or_follower");
    expect(epochEnd()).toBe("not_leader_or_follower");
    expect(await appended()).toBe("not_leader_or_follower");
  });

  test("who does not know yet what it is serves nobody", async () => {
    role = NO_ROLE_YET;
    expect(await fetched({ rack: "b" })).toBe("not_leader_or_follower");
    expect(await offsetAt("earliest")).toBe("not_leader_or_follower");
  });

  test("a partition that others replicate is told apart from one that is not there", async () => {
    isHere = false;
    expect(await fetched({ rack: "b" })).toBe("not_leader_or_follower");
    expect(await fetched({ partition: 1 })).toBe("unknown_topic_or_partition");
    expect(await fetched({ topic: "others" })).toBe("unknown_topic_or_partition");
    expect(await offsetAt("latest")).toBe("not_leader_or_follower");
    expect(await appended()).toBe("not_leader_or_follower");
    expect(await appended("users", 1)).toBe("unknown_topic_or_partition");
  });
});

test("a broker whose session may have ended answers no read: another may lead", async () => {
  isHeld = false;
  expect(await fetched({ leaderEpoch: 5 })).toBe("not_leader_or_follower");
  expect(await offsetAt("latest")).toBe("not_leader_or_follower");
  expect(epochEnd()).toBe("not_leader_or_follower");
  expect(await appended()).toBe("not_leader_or_follower");
});

test("a consumer is sent to the nearer replica at once, without records", async () => {
  nearer = 3;
  expect(await fetched({ rack: "b" })).toEqual([0, 3]);
  // Before v11 nobody says that it would go there.
  nearer = null;
  expect(await fetched()).toEqual([7, undefined]);
});

test("a new leader that does not know yet what of older epochs is committed gives out no end", async () => {
  epochStartOffset = 9;
  expect(await offsetAt("latest")).toBe("offset_not_available");
  expect(await offsetAt("earliest")).toBe(2);
  highWatermark = 9;
  expect(await offsetAt("latest")).toBe(9);
});
