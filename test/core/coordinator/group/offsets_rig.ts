// The offsets of a shard under test, with groups that answer as the test tells them to.

import { ZERO_UUID } from "../../../../src/base/uuid.ts";
import type { Group, OffsetCaller } from "../../../../src/core/coordinator/group/group.ts";
import type {
  ClassicGroupRecord,
  GroupRecord,
} from "../../../../src/core/coordinator/group/group_record.ts";
import type {
  FetchedGroup,
  FetchGroup,
} from "../../../../src/core/coordinator/group/group_requests.ts";
import type { GroupShardOptions } from "../../../../src/core/coordinator/group/group_shard_options.ts";
import { Groups } from "../../../../src/core/coordinator/group/groups.ts";
import { GroupOffsets } from "../../../../src/core/coordinator/group/offsets.ts";
import type { OffsetTable } from "../../../../src/core/coordinator/group/offsets_table.ts";
import type { TransactionOffsets } from "../../../../src/core/coordinator/group/offsets_transactions.ts";
import type { Decision, Now } from "../../../../src/core/coordinator/runtime/shard.ts";
import type { KafkaErrorName } from "../../../../src/protocol/errors.ts";
import { errorByCode } from "../../../../src/protocol/errors.ts";
import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../../../../src/protocol/messages/08_offset_commit.ts";
import type { OffsetDeleteResponse } from "../../../../src/protocol/messages/47_offset_delete.ts";
import { type Asked, type RigOptions, type RigSubject, ShardRig } from "../shard_rig.ts";

/** A group that says what it is told to say; as it is made, a simple one that nobody is in. */
export class ToldGroup implements Group {
  readonly groupId: string;
  type: "classic" | "consumer" = "classic";
  stateName = "Empty";
  protocolType = "";
  isEmpty = true;
  memberCount = 0;
  commitRefusal: KafkaErrorName | null = null;
  fetchRefusal: KafkaErrorName | null = null;
  deleteRefusal: KafkaErrorName | null = null;
  /** By partition: why it may not be committed. */
  readonly partitionRefusals = new Map<number, KafkaErrorName>();
  readonly subscribed = new Set<string>();
  /** Of topics that nobody reads. */
  ageFrom: number | "commit" | null = "commit";
  /** Who asked to commit. */
  readonly callers: OffsetCaller[] = [];
  /** Partitions that were asked about, as "topic id/partition". */
  readonly partitionsAsked: string[] = [];

  constructor(groupId: string) {
    this.groupId = groupId;
  }

  checkOffsetCommit(caller: OffsetCaller): KafkaErrorName | null {
    this.callers.push(caller);
    return this.commitRefusal;
  }

  checkPartitionCommit(
    _caller: OffsetCaller,
    topicId: string,
    partition: number,
  ): KafkaErrorName | null {
    this.partitionsAsked.push(`${topicId}/${partition}`);
    return this.partitionRefusals.get(partition) ?? null;
  }

  checkOffsetFetch(memberId: string | null, memberEpoch: number): KafkaErrorName | null {
    return memberId === null && memberEpoch < 0 ? null : this.fetchRefusal;
  }

  checkOffsetDelete(): KafkaErrorName | null {
    return this.deleteRefusal;
  }

  checkDelete(): KafkaErrorName | null {
    return this.isEmpty ? null : "non_empty_group";
  }

  isSubscribedTo(topic: string): boolean {
    return this.subscribed.has(topic);
  }

  offsetsAgeFrom(topic: string): number | "commit" | null {
    return this.isSubscribedTo(topic) ? null : this.ageFrom;
  }

  tombstones(): readonly GroupRecord[] {
    return [groupTombstone(this.groupId)];
  }
}

function groupTombstone(group: string): ClassicGroupRecord {
  return { kind: "classic_group", key: { group }, value: null };
}

const PRODUCER_ID = 7;

/** Open transactions by hand, behind the log's back. */
class ToldPending {
  readonly #pending: TransactionOffsets;

  constructor(pending: TransactionOffsets) {
    this.#pending = pending;
  }

  open(group: string, topic: string, partition: number): void {
    const value = {
      offset: 1,
      leaderEpoch: -1,
      metadata: "",
      commitTimestamp: 0,
      expireTimestamp: -1,
      topicId: ZERO_UUID,
    };
    this.#pending.put(PRODUCER_ID, group, topic, partition, value, 0);
  }

  has(group: string, topic: string, partition: number): boolean {
    return this.#pending.has(group, topic, partition);
  }

  hasAny(groupId: string): boolean {
    return this.#pending.hasAny(groupId);
  }

  of(groupId: string) {
    return this.#pending.of(groupId);
  }

  remove(group: string, topic: string, partition: number): void {
    this.#pending.remove(group, topic, partition);
  }
}

export class OffsetsSubject implements RigSubject {
  readonly groups = new Groups();
  readonly pending: ToldPending;
  readonly offsets: GroupOffsets;

  constructor(options: GroupShardOptions, sweepStepsMax: number) {
    this.offsets = new GroupOffsets({
      sweepStepsMax,
      options,
      groups: this.groups,
      ensureSimple: (groupId) => {
        if (this.groups.get(groupId) === undefined) this.groups.set(new ToldGroup(groupId));
      },
    });
    this.pending = new ToldPending(this.offsets.pending);
  }

  replay(record: GroupRecord, offset: number): void {
    if (record.kind === "offset_commit") this.offsets.replay(record, offset, null);
    else if (record.kind === "classic_group" && record.value === null) {
      this.groups.delete(record.key.group);
    }
  }

  loaded(now: Now): Decision<GroupRecord> {
    return this.offsets.loaded(now);
  }

  snapshot() {
    return snapshotOf(this.offsets.table);
  }
}

/** All offsets, by "group topic/partition". */
export function snapshotOf(table: OffsetTable): Map<string, unknown> {
  const all = new Map<string, unknown>();
  for (const groupId of table.groupIds()) {
    for (const [topic, list] of table.of(groupId)) {
      for (const each of list) all.set(`${groupId} ${topic}/${each.partition}`, { ...each });
    }
  }
  return all;
}

export interface CommitFields {
  readonly version: number;
  readonly groupId: string;
  readonly generationOrEpoch: number;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly retentionTimeMs: number;
}

/** A partition to commit: offset, and what else is said of it. */
export interface CommitPartition {
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch?: number;
  readonly metadata?: string | null;
}

export type CommitTopics = Readonly<Record<string, readonly CommitPartition[]>>;

export class OffsetsRig extends ShardRig<OffsetsSubject> {
  constructor(options: RigOptions & { readonly sweepStepsMax?: number } = {}) {
    const stepsMax = options.sweepStepsMax ?? 20_000;
    super((shardOptions) => new OffsetsSubject(shardOptions, stepsMax), options);
  }

  /** A group whose answers are the test's. */
  group(groupId: string): ToldGroup {
    const known = this.subject.groups.get(groupId);
    if (known instanceof ToldGroup) return known;
    const group = new ToldGroup(groupId);
    this.subject.groups.set(group);
    return group;
  }

  /** By default of nobody, in version 9 and into group "g". Topics by name, or by id where the version has ids. */
  askCommit(topics: CommitTopics, fields: Partial<CommitFields> = {}): Asked<OffsetCommitResponse> {
    const version = fields.version ?? 9;
    const request: OffsetCommitRequest = {
      groupId: fields.groupId ?? "g",
      generationIdOrMemberEpoch: fields.generationOrEpoch ?? -1,
      memberId: fields.memberId ?? "",
      groupInstanceId: fields.groupInstanceId ?? null,
      retentionTimeMs: fields.retentionTimeMs ?? -1,
      topics: Object.entries(topics).map(([key, partitions]) => ({
        name: version >= 10 ? "" : key,
        topicId: version >= 10 ? (this.topics.named(key)?.id ?? key) : ZERO_UUID,
        partitions: partitions.map((each) => ({
          partitionIndex: each.partition,
          committedOffset: each.offset,
          committedLeaderEpoch: each.leaderEpoch ?? -1,
          committedMetadata: each.metadata === undefined ? "" : each.metadata,
        })),
      })),
    };
    return this.ask((subject, reply) =>
      subject.offsets.commit(this.call({ version }), request, reply),
    );
  }

  /** @returns error names by "topic/partition", "none" for what was committed */
  commit(topics: CommitTopics, fields: Partial<CommitFields> = {}): Record<string, string> {
    const names = Object.keys(topics);
    const { topics: rows } = this.askCommit(topics, fields).value;
    return errorsOf(rows.map((row, i) => ({ ...row, name: names[i]! })));
  }

  fetch(asked: Partial<FetchGroup>, requireStable = false): FetchedGroup {
    return this.fetchAll([asked], requireStable)[0]!;
  }

  fetchAll(asked: readonly Partial<FetchGroup>[], requireStable = false): readonly FetchedGroup[] {
    const groups = asked.map((each) => ({
      groupId: "g",
      memberId: null,
      memberEpoch: -1,
      topics: null,
      ...each,
    }));
    return this.ask<readonly FetchedGroup[]>((subject, reply) =>
      subject.offsets.fetch(groups, requireStable, reply),
    ).value;
  }

  /** Every offset of a group, as its client reads it: by "topic/partition". */
  offsetsOf(groupId = "g"): Record<string, number> {
    const offsets: Record<string, number> = {};
    for (const { name, partitions } of this.fetch({ groupId }).topics) {
      for (const each of partitions) {
        offsets[`${name}/${each.partitionIndex}`] = each.committedOffset;
      }
    }
    return offsets;
  }

  delete(topics: Readonly<Record<string, readonly number[]>>, groupId = "g"): OffsetDeleteResponse {
    const request = {
      groupId,
      topics: Object.entries(topics).map(([name, partitions]) => ({
        name,
        partitions: partitions.map((partitionIndex) => ({ partitionIndex })),
      })),
    };
    return this.ask<OffsetDeleteResponse>((subject, reply) =>
      subject.offsets.delete(request, reply),
    ).value;
  }

  topicsDeleted(...names: string[]): Asked<number> {
    return this.ask<number>((subject, reply) => subject.offsets.topicsDeleted(names, reply));
  }
}

/** Error names by "topic/partition". */
export function errorsOf(
  rows: readonly {
    readonly name: string;
    readonly partitions: readonly {
      readonly partitionIndex: number;
      readonly errorCode: number;
    }[];
  }[],
): Record<string, string> {
  const errors: Record<string, string> = {};
  for (const { name, partitions } of rows) {
    for (const { partitionIndex, errorCode } of partitions) {
      errors[`${name}/${partitionIndex}`] = errorByCode(errorCode)?.code ?? "none";
    }
  }
  return errors;
}
