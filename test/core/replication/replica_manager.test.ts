// What a broker is to partitions as images come: who leads, who follows whom, and what late answers find.

import { afterEach, beforeEach, expect, test } from "bun:test";
import type { PartitionImage } from "../../../src/core/cluster/image.ts";
import { PartitionFollower } from "../../../src/core/partition/partition_follower.ts";
import { PartitionLeader } from "../../../src/core/partition/partition_leader.ts";
import { ReplicaManager, type Role } from "../../../src/core/replication/replica_manager.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";

const TOPIC = "AAAAAAAAAAAAAAAAAAAAAQ";

let time: TestRuntime;
let replicas: ReplicaManager;
let images: PartitionImage[] | undefined;
let isHere: boolean;
/** What the log has heard, in order. */
let heard: string[];
let calls: {
  leaderId: number;
  request: { topics: readonly object[] };
  answer: (answer: object) => void;
}[];
let proposals: { isr: readonly number[] }[];
let peersToldOfBrokers: number;

const log = {
  logStartOffset: 0,
  logEndOffset: 10,
  syncedEnd: 10,
  highWatermark: 4,
  epochs: { latest: 3, endOf: () => null },
  advanceHighWatermark: (offset: number) => heard.push(`high watermark ${offset}`),
  beginEpoch: (epoch: number) => heard.push(`begin ${epoch}`),
  wakeWaiters: () => heard.push("wake"),
  appendAsFollower: () => {
    heard.push("append");
    return { kind: "corrupt" as const };
  },
};

beforeEach(() => {
  time = new TestRuntime();
  [heard, calls, proposals, isHere, peersToldOfBrokers] = [[], [], [], true, 0];
  images = [image({})];
  replicas = new ReplicaManager({
    runtime: time.runtime,
    brokerId: 1,
    brokerEpoch: () => 101,
    peers: {
      peer: (leaderId: number) => ({
        call: (_api: object, request: never) =>
          new Promise((answer) => calls.push({ leaderId, request, answer })),
      }),
      brokersChanged: () => peersToldOfBrokers++,
    } as never,
    brokers: () =>
      new Map([1, 2, 3].map((id) => [id, { id, epoch: 100 + id, isStopping: false }])) as never,
    partitionsOf: () => images,
    logOf: () => (isHere ? (log as never) : null),
    setRole: (_topicId, partition, role) => heard.push(`role ${partition} ${nameOf(role)}`),
    minInSync: () => 1,
    alterIsr: (_topicId, _partition, proposal) => {
      proposals.push(proposal);
      return new Promise(() => {});
    },
    lagMsMax: () => 30_000,
    waitMs: () => 500,
    bytesMin: () => 1,
    partitionBytesMax: () => 1000,
    bytesMax: () => 1000,
    backoffMs: () => 1000,
  });
});
afterEach(() => {
  replicas.close();
  expect(time.failures).toEqual([]);
});

function nameOf(role: Role | null): string {
  if (role === null) return "none";
  return role instanceof PartitionLeader
    ? `leads ${role.leaderEpoch}`
    : `follows ${role.leaderId} ${role.leaderEpoch}`;
}

function image(changed: Partial<PartitionImage>): PartitionImage {
  const base = {
    leader: 1,
    leaderEpoch: 5,
    partitionEpoch: 10,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
  };
  return { ...base, adding: [], removing: [], elr: [], ...changed };
}

function see(changed: Partial<PartitionImage>, partition = 0): void {
  images![partition] = image(changed);
  replicas.partitionsChanged(TOPIC, [partition]);
}

const roleHere = () => nameOf(replicas.roleOf(TOPIC, 0));

test("it leads what the image gives it: the epoch begins in the log before the role is taken", () => {
  see({});
  expect(roleHere()).toBe("leads 5");
  expect(heard).toEqual(["begin 5", "role 0 leads 5", "wake"]);
  expect(replicas.ledCount).toBe(1);
});

test("within an epoch the leadership stays and hears of the new in-sync set", () => {
  see({});
  const leader = replicas.leaderOf(TOPIC, 0);
  see({ isr: [1, 2], partitionEpoch: 11 });
  expect(replicas.leaderOf(TOPIC, 0)).toBe(leader);
  expect(leader!.isr).toEqual([1, 2]);
});

test("a new epoch is another leadership, also of the same broker: who waited for the first is told", async () => {
  see({});
  const first = replicas.leaderOf(TOPIC, 0)!;
  const waited = first.committed(11, 60_000);
  see({ leaderEpoch: 6, partitionEpoch: 11 });
  expect(await waited).toBe("not_leader");
  expect([first.isOver, roleHere()]).toEqual([true, "leads 6"]);
});

test("a leader that becomes a follower copies from who leads, and takes in no follower any more", async () => {
  see({});
  see({ leader: 2, leaderEpoch: 6, partitionEpoch: 11 });
  await settle();
  expect(roleHere()).toBe("follows 2 6");
  expect(calls.map(({ leaderId }) => leaderId)).toEqual([2]);
  expect(replicas.followerFetched(TOPIC, 0, {} as never)).toBe("not_leader_or_follower");
  expect(replicas.ledCount).toBe(0);
});

test("the answer of a leader that leads no more changes nothing, the next one is asked", async () => {
  see({ leader: 2 });
  await settle();
  const role = replicas.roleOf(TOPIC, 0) as PartitionFollower;
  see({ leader: 3, leaderEpoch: 6, partitionEpoch: 11 });
  await settle();
  expect(calls.map(({ leaderId }) => leaderId)).toEqual([2, 3]);
  const partitions = [
    {
      partitionIndex: 0,
      errorCode: 0,
      highWatermark: 9,
      logStartOffset: 0,
      divergingEpoch: { epoch: -1, endOffset: -1 },
      records: new Uint8Array(9),
    },
  ];
  const body = { errorCode: 0, sessionId: 1, responses: [{ topicId: TOPIC, partitions }] };
  calls[0]!.answer({ ok: true, version: 17, body });
  await settle();
  expect([role.isOver, heard.includes("append"), heard.includes("high watermark 9")]).toEqual([
    true,
    false,
    false,
  ]);
  // The fetcher of the leader that is followed no more has ended.
  expect(calls.length).toBe(2);
});

test("an image that changes other things leaves a follower as it is", async () => {
  see({ leader: 2 });
  const role = replicas.roleOf(TOPIC, 0);
  expect(role).toBeInstanceOf(PartitionFollower);
  see({ leader: 2, isr: [2], partitionEpoch: 11 });
  expect(replicas.roleOf(TOPIC, 0)).toBe(role);
});

test("where nobody leads, where it replicates nothing any more, and where the topic is gone, it is nothing", () => {
  see({});
  see({ leader: -1, leaderEpoch: 6, partitionEpoch: 11 });
  expect(roleHere()).toBe("none");
  expect(heard.slice(-2)).toEqual(["role 0 none", "wake"]);
  see({ leaderEpoch: 7 });
  see({ leader: 2, leaderEpoch: 8, replicas: [2, 3], isr: [2, 3] });
  expect(roleHere()).toBe("none");
  see({ leaderEpoch: 9 });
  replicas.topicDeleted(TOPIC);
  expect(roleHere()).toBe("none");
  see({ leaderEpoch: 10 });
  images = undefined;
  replicas.partitionsChanged(TOPIC, [0]);
  expect(roleHere()).toBe("none");
});

test("without a log, as while an old one is being dropped, there is no role until it is asked again", () => {
  isHere = false;
  see({});
  expect(roleHere()).toBe("none");
  isHere = true;
  replicas.partitionsChanged(TOPIC, [0]);
  expect(roleHere()).toBe("leads 5");
});

test("partitions of one leader are in one request, those of another in another", async () => {
  images = [];
  see({ leader: 2 }, 0);
  see({ leader: 3 }, 1);
  see({ leader: 2 }, 2);
  await settle();
  expect(calls.map(({ leaderId }) => leaderId).sort()).toEqual([2, 3]);
});

test("who is behind for too long is found without being asked", async () => {
  see({});
  for (const brokerId of [2, 3]) {
    const at = {
      brokerId,
      brokerEpoch: 100 + brokerId,
      fetchOffset: 10,
      syncedEnd: 10,
      logStartOffset: 0,
    };
    expect(replicas.followerFetched(TOPIC, 0, at)).toBe(null);
  }
  log.logEndOffset = 20;
  await time.advance(60_000);
  log.logEndOffset = 10;
  expect(proposals).toMatchObject([{ isr: [1] }]);
});

test("brokers that come or go are told to connections, and once closed it does nothing more", () => {
  see({});
  replicas.brokersChanged();
  expect(peersToldOfBrokers).toBe(1);
  replicas.close();
  expect(roleHere()).toBe("none");
  see({ leaderEpoch: 6 });
  expect(roleHere()).toBe("none");
});
