// Consumers in groups, as clients are: members of either protocol that read, commit, rebalance and leave, by raw requests
// on sockets. Invariant: whoever takes a partition must find it free, and its committed offset where it was left or later.

import { NetworkError } from "../../src/contracts/errors.ts";
import {
  ConsumerProtocolAssignment,
  ConsumerProtocolSubscription,
} from "../../src/protocol/internal_records/consumer_protocol.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { JoinGroup, type JoinGroupResponse } from "../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../src/protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../../src/protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../../src/protocol/messages/14_sync_group.ts";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { decodeStoredValue, encodeStoredValue } from "../../src/protocol/stored.ts";
import { lastOffsetAt } from "../../src/record/batch_header.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import type { WireClient } from "./live.ts";

export const protocols = ["classic", "consumer"] as const;
export type Protocol = (typeof protocols)[number];

/** Longer than any test: members leave by saying so. */
const SESSION_MS = 60_000;
const NONE = 0;
const Code = {
  illegalGeneration: 22,
  unknownMember: 25,
  rebalanceInProgress: 27,
  memberIdRequired: 79,
  fencedMemberEpoch: 110,
  staleMemberEpoch: 113,
} as const;
const REJOIN: readonly number[] = [
  Code.illegalGeneration,
  Code.unknownMember,
  Code.rebalanceInProgress,
];

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Waits for a condition; what it waited for is told when it never comes. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 15_000,
): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`never came: ${what}`);
    await pause(5);
  }
}

/** A topic with so many partitions, as its readers know it. */
export interface ReadTopic {
  readonly name: string;
  readonly id: string;
  readonly partitionCount: number;
}

/** What one group does with a topic: who owns what, what was read, and how far is committed. */
export class GroupRun {
  readonly groupId: string;
  readonly topic: ReadTopic;
  readonly members: Member[] = [];
  /** Ownerships begun so far. */
  takenCount = 0;
  readonly #connect: () => Promise<WireClient>;
  readonly #owners = new Map<number, string>();
  /** By partition: the offset behind all that was read without a gap. */
  readonly readEnds: number[];
  /** By partition: the highest offset that a commit was acknowledged for. */
  readonly committed: number[];
  readonly #runs: Promise<void>[] = [];
  #failure: { readonly error: unknown } | null = null;

  constructor(groupId: string, topic: ReadTopic, connect: () => Promise<WireClient>) {
    this.groupId = groupId;
    this.topic = topic;
    this.#connect = connect;
    this.readEnds = new Array<number>(topic.partitionCount).fill(0);
    this.committed = new Array<number>(topic.partitionCount).fill(0);
  }

  /** Members come until there are so many, or the last ones leave. Resolves once those have left. */
  async resize(protocol: Protocol, count: number): Promise<void> {
    while (this.members.length < count) {
      const member = newMember(protocol, this, this.members.length);
      this.members.push(member);
      this.#runs.push(
        member.run(this.#connect).catch((error: unknown) => {
          this.#failure ??= { error };
        }),
      );
    }
    await Promise.all(this.members.splice(count).map((member) => member.leave()));
  }

  /** How many partitions each member has, in ascending order. Fails with whatever went wrong with any. */
  shares(): number[] {
    if (this.#failure !== null) throw this.#failure.error;
    return this.members.map(({ owned }) => owned.size).sort((a, b) => a - b);
  }

  /** Everybody leaves; fails with whatever went wrong on the way. */
  async end(): Promise<void> {
    await Promise.all(this.members.splice(0).map((member) => member.leave()));
    await Promise.all(this.#runs);
    if (this.#failure !== null) throw this.#failure.error;
  }

  take(partition: number, memberId: string, committed: number): void {
    const owner = this.#owners.get(partition);
    if (owner !== undefined) {
      throw new Error(`${this.groupId}: ${memberId} has partition ${partition} beside ${owner}`);
    }
    if (committed < this.committed[partition]!) {
      throw new Error(
        `${this.groupId}: partition ${partition} went back from ${this.committed[partition]} to ${committed}`,
      );
    }
    this.#owners.set(partition, memberId);
    this.takenCount++;
  }

  drop(partition: number): void {
    this.#owners.delete(partition);
  }

  read(partition: number, from: number, end: number): void {
    const readEnd = this.readEnds[partition]!;
    if (from > readEnd) throw new Error(`${this.groupId}: nobody read ${readEnd} of ${partition}`);
    this.readEnds[partition] = Math.max(readEnd, end);
  }

  acknowledged(partition: number, offset: number): void {
    this.committed[partition] = Math.max(this.committed[partition]!, offset);
  }
}

export function newMember(protocol: Protocol, group: GroupRun, number: number): Member {
  return protocol === "classic"
    ? new ClassicMember(group, `classic-${number}`)
    : new ConsumerMember(group, `consumer-${number}`);
}

/** A connection again, once there is a broker again. @throws {unknown} what is no loss of a connection */
async function reconnected(
  error: unknown,
  connect: () => Promise<WireClient>,
): Promise<WireClient> {
  for (let failure = error; ; ) {
    if (!isLoss(failure)) throw failure;
    await pause(20);
    try {
      return await connect();
    } catch (next) {
      failure = next;
    }
  }
}

/** Whether an error says no more than that the broker is gone. */
export function isLoss(error: unknown): boolean {
  return error instanceof NetworkError || /closing the connection/.test(String(error));
}

abstract class Member {
  /** Next offset by partition. */
  readonly owned = new Map<number, number>();
  protected readonly group: GroupRun;
  protected readonly name: string;
  protected client!: WireClient;
  #isLeaving = false;
  #hasLeft: () => void = () => {};
  readonly #left = new Promise<void>((resolve) => {
    this.#hasLeft = resolve;
  });

  constructor(group: GroupRun, name: string) {
    this.group = group;
    this.name = name;
  }

  async run(connect: () => Promise<WireClient>): Promise<void> {
    try {
      this.client = await connect();
      while (!this.#isLeaving) {
        try {
          this.client.clientId = this.name;
          await this.keep();
          if (this.owned.size === 0) await pause(10);
          else await this.#read();
        } catch (error) {
          this.client.close();
          this.client = await reconnected(error, connect);
          this.hasReconnected();
        }
      }
      this.dropAll();
      await this.sayGoodbye();
    } finally {
      this.client?.close();
      this.#hasLeft();
    }
  }

  leave(): Promise<void> {
    this.#isLeaving = true;
    return this.#left;
  }

  /** Joins, or says that it is there, and takes and gives what the answer says. */
  protected abstract keep(): Promise<void>;
  protected abstract sayGoodbye(): Promise<void>;
  /** Nobody knows what of the last request was done: the member is who it was, and goes on. */
  protected abstract hasReconnected(): void;
  /** Who it is in the group, as commits say it. */
  protected abstract identity(): { readonly memberId: string; readonly epoch: number };
  /** A commit was refused since the member is not what it was. */
  protected abstract refused(code: number): void;

  protected dropAll(): void {
    for (const partition of this.owned.keys()) this.group.drop(partition);
    this.owned.clear();
  }

  protected async take(partitions: readonly number[]): Promise<void> {
    if (partitions.length === 0) return;
    const { groupId, topic } = this.group;
    const { memberId, epoch } = this.identity();
    const { groups } = await this.client.ask(OffsetFetch, 9, {
      groups: [
        {
          groupId,
          memberId,
          memberEpoch: epoch,
          topics: [{ name: topic.name, partitionIndexes: [...partitions] }],
        },
      ],
      requireStable: true,
    });
    if (groups[0]!.errorCode !== NONE) return this.refused(groups[0]!.errorCode);
    for (const { partitionIndex, committedOffset } of groups[0]!.topics[0]!.partitions) {
      const offset = Math.max(0, committedOffset);
      this.group.take(partitionIndex, memberId, offset);
      this.owned.set(partitionIndex, offset);
    }
  }

  async #read(): Promise<void> {
    const { topic } = this.group;
    const { responses } = await this.client.ask(Fetch, 12, {
      maxWaitMs: 10,
      minBytes: 1,
      maxBytes: 1_000_000,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic: topic.name,
          partitions: [...this.owned].map(([partition, fetchOffset]) => ({
            partition,
            fetchOffset,
            partitionMaxBytes: 100_000,
          })),
        },
      ],
    });
    const commits = [];
    for (const { partitionIndex, errorCode, records } of responses[0]?.partitions ?? []) {
      if (errorCode !== NONE) throw new Error(`fetch: ${errorCode}`);
      const end = endOf(records as Uint8Array);
      const from = this.owned.get(partitionIndex)!;
      if (end <= from) continue;
      this.group.read(partitionIndex, from, end);
      this.owned.set(partitionIndex, end);
      commits.push({ partitionIndex, committedOffset: end, committedMetadata: "" });
    }
    if (commits.length > 0) await this.#commit(commits);
  }

  async #commit(
    partitions: { partitionIndex: number; committedOffset: number; committedMetadata: string }[],
  ): Promise<void> {
    const { groupId, topic } = this.group;
    const { memberId, epoch } = this.identity();
    const { topics } = await this.client.ask(OffsetCommit, 9, {
      groupId,
      generationIdOrMemberEpoch: epoch,
      memberId,
      topics: [{ name: topic.name, partitions }],
    });
    for (const [i, { partitionIndex, errorCode }] of topics[0]!.partitions.entries()) {
      if (errorCode === NONE) {
        this.group.acknowledged(partitionIndex, partitions[i]!.committedOffset);
      } else this.refused(errorCode);
    }
  }
}

export type { Member };

class ClassicMember extends Member {
  #memberId = "";
  #generation = -1;
  #mustJoin = true;

  protected identity() {
    return { memberId: this.#memberId, epoch: this.#generation };
  }

  /** Where a join or a sync was cut off, another one follows: the member has nothing. */
  protected hasReconnected(): void {
    if (this.owned.size === 0) this.#mustJoin = true;
  }

  protected refused(code: number): void {
    if (!REJOIN.includes(code)) throw new Error(`${this.name} is refused: ${code}`);
    if (code === Code.unknownMember) this.#memberId = "";
    this.#mustJoin = true;
  }

  protected async keep(): Promise<void> {
    if (this.#mustJoin) {
      this.#mustJoin = false;
      // Eager: all is given up before anybody can have it anew.
      this.dropAll();
      await this.#joinAndSync();
      return;
    }
    const { errorCode } = await this.client.ask(Heartbeat, 4, {
      groupId: this.group.groupId,
      generationId: this.#generation,
      memberId: this.#memberId,
    });
    if (errorCode !== NONE) this.refused(errorCode);
  }

  protected async sayGoodbye(): Promise<void> {
    await this.client.ask(LeaveGroup, 5, {
      groupId: this.group.groupId,
      members: [{ memberId: this.#memberId, reason: "the test says so" }],
    });
  }

  async #joinAndSync(): Promise<void> {
    const { groupId, topic } = this.group;
    const joined = await this.client.ask(JoinGroup, 9, {
      groupId,
      sessionTimeoutMs: SESSION_MS,
      rebalanceTimeoutMs: SESSION_MS,
      memberId: this.#memberId,
      protocolType: "consumer",
      protocols: [
        {
          name: "range",
          metadata: encodeStoredValue(ConsumerProtocolSubscription, 0, { topics: [topic.name] }),
        },
      ],
    });
    if (joined.errorCode === Code.memberIdRequired) this.#memberId = joined.memberId;
    if (joined.errorCode !== NONE) {
      this.#mustJoin = true;
      if (joined.errorCode !== Code.memberIdRequired) this.refused(joined.errorCode);
      return;
    }
    this.#memberId = joined.memberId;
    this.#generation = joined.generationId;
    const synced = await this.client.ask(SyncGroup, 5, {
      groupId,
      generationId: joined.generationId,
      memberId: joined.memberId,
      protocolType: "consumer",
      protocolName: "range",
      assignments: joined.leader === joined.memberId ? assignments(joined, topic) : [],
    });
    if (synced.errorCode !== NONE) return this.refused(synced.errorCode);
    const { assignment } = synced;
    if (assignment.length === 0) return;
    const { assignedPartitions } = decodeStoredValue(ConsumerProtocolAssignment, assignment);
    await this.take(assignedPartitions.flatMap(({ partitions }) => partitions));
  }
}

/** What the leader gives everybody: partitions in turn, in the order of member ids. */
function assignments({ members }: JoinGroupResponse, topic: ReadTopic) {
  const ids = members.map(({ memberId }) => memberId).sort();
  return ids.map((memberId, place) => {
    const partitions = Array.from({ length: topic.partitionCount }, (_, i) => i).filter(
      (partition) => partition % ids.length === place,
    );
    const assignedPartitions = partitions.length === 0 ? [] : [{ topic: topic.name, partitions }];
    return {
      memberId,
      assignment: encodeStoredValue(ConsumerProtocolAssignment, 0, { assignedPartitions }),
    };
  });
}

class ConsumerMember extends Member {
  #epoch = 0;
  /** What it has to say of its partitions: changed since the last heartbeat. */
  #mustTell = false;
  /** An answer may have been lost, or could not be followed. */
  #mustTellAll = false;

  protected identity() {
    return { memberId: this.name, epoch: this.#epoch };
  }

  /** The broker may have gone further, and thinks that this was heard: who says all of itself is told all again. */
  protected hasReconnected(): void {
    this.#mustTellAll = true;
  }

  protected refused(code: number): void {
    // The next heartbeat brings the newer epoch, and what could not be taken by the older one.
    if (code === Code.staleMemberEpoch) {
      this.#mustTellAll = true;
      return;
    }
    if (code !== Code.unknownMember && code !== Code.fencedMemberEpoch) {
      throw new Error(`${this.name} is refused: ${code}`);
    }
    this.dropAll();
    this.#epoch = 0;
  }

  protected async keep(): Promise<void> {
    const isJoining = this.#epoch === 0;
    const isFull = isJoining || this.#mustTellAll;
    const { topic } = this.group;
    const topicPartitions =
      this.owned.size === 0 ? [] : [{ topicId: topic.id, partitions: [...this.owned.keys()] }];
    const answer = await this.client.ask(ConsumerGroupHeartbeat, 1, {
      groupId: this.group.groupId,
      memberId: this.name,
      memberEpoch: this.#epoch,
      rebalanceTimeoutMs: isFull ? SESSION_MS : -1,
      subscribedTopicNames: isFull ? [topic.name] : null,
      topicPartitions: isFull || this.#mustTell ? topicPartitions : null,
    });
    if (answer.errorCode !== NONE) return this.refused(answer.errorCode);
    this.#epoch = answer.memberEpoch;
    this.#mustTell = false;
    this.#mustTellAll = false;
    if (answer.assignment === null) return;
    const target = new Set(
      answer.assignment.topicPartitions.flatMap(({ partitions }) => partitions),
    );
    for (const partition of [...this.owned.keys()]) {
      if (target.has(partition)) continue;
      this.group.drop(partition);
      this.owned.delete(partition);
    }
    await this.take([...target].filter((partition) => !this.owned.has(partition)));
    this.#mustTell = true;
  }

  protected async sayGoodbye(): Promise<void> {
    await this.client.ask(ConsumerGroupHeartbeat, 1, {
      groupId: this.group.groupId,
      memberId: this.name,
      memberEpoch: -1,
      rebalanceTimeoutMs: -1,
    });
  }
}

/** The offset behind the last record of whole batches; -1 for none. */
function endOf(batches: Uint8Array): number {
  const view = new DataView(batches.buffer, batches.byteOffset, batches.length);
  let end = -1;
  for (let at = 0; at + 12 <= batches.length; at += 12 + view.getInt32(at + 8)) {
    end = lastOffsetAt(batches, at) + 1;
  }
  return end;
}

/** Writes a few records to every partition, again and again, until it is stopped. */
export class DataFlow {
  /** By partition: the offset behind the last record that was acknowledged. */
  readonly ends: number[];
  readonly #topic: ReadTopic;
  readonly #connect: () => Promise<WireClient>;
  #isStopped = false;
  readonly #run: Promise<void>;

  constructor(topic: ReadTopic, connect: () => Promise<WireClient>) {
    this.#topic = topic;
    this.#connect = connect;
    this.ends = new Array<number>(topic.partitionCount).fill(0);
    this.#run = this.#flow();
  }

  /** Ends of all partitions once nothing more comes. */
  async stop(): Promise<readonly number[]> {
    this.#isStopped = true;
    await this.#run;
    return this.ends;
  }

  async #flow(): Promise<void> {
    let client = await this.#connect();
    // What was sent last may be there unacknowledged: the end is known by another one behind it.
    for (let isSure = true; !this.#isStopped || !isSure; ) {
      try {
        await this.#produce(client);
        isSure = true;
        await pause(2);
      } catch (error) {
        isSure = false;
        client.close();
        client = await reconnected(error, this.#connect);
      }
    }
    client.close();
  }

  async #produce(client: WireClient): Promise<void> {
    const { responses } = await client.ask(Produce, 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 10_000,
      topicData: [
        {
          name: this.#topic.name,
          partitionData: this.ends.map((_, index) => ({ index, records: batchOf(3) })),
        },
      ],
    });
    for (const { index, errorCode, baseOffset } of responses[0]!.partitionResponses) {
      if (errorCode !== NONE) throw new Error(`produce: ${errorCode}`);
      this.ends[index] = baseOffset + 3;
    }
  }
}

function batchOf(count: number): Uint8Array {
  const builder = new RecordBatchBuilder();
  for (let i = 0; i < count; i++) builder.append(Date.now(), null, new Uint8Array([i]));
  return builder.build();
}
