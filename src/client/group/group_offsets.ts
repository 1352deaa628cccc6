// Offsets of a group: committed and asked for, by members and by operators.
// Invariant: a member's request says who it is, so that one that is out cannot move the group's offsets.
// Kafka: ConsumerCoordinator, CommitRequestManager.

import { ok } from "../../base/outcome.ts";
import type { Outcome } from "../../protocol/errors.ts";
import { OffsetCommit } from "../../protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../protocol/messages/09_offset_fetch.ts";
import { kafkaErrorOf, refusal, requireNone } from "../client_error.ts";
import type { ClusterMetadata } from "../metadata.ts";
import type { AskOptions, GroupCoordinator } from "./coordinator.ts";
import type { CommittedOffset, OffsetToCommit } from "./group_options.ts";
import { byTopic, keyOf, type TopicPartition } from "./partition_key.ts";

/** A member as the coordinator knows it. */
export interface MemberIdentity {
  readonly memberId: string;
  /** Generation of the classic protocol, member epoch of the next-generation one. */
  readonly epoch: number;
  readonly instanceId: string | null;
  /** Whether `epoch` is a member epoch. */
  readonly isConsumerProtocol: boolean;
}

/** Topic ids say which topic of a name is meant; names alone do up to here. */
const NAMES_VERSION_MAX = 9;
const MOVED: readonly number[] = [14, 15, 16];
const UNSTABLE_OFFSET_COMMIT = 88;
const UNKNOWN_TOPIC = 3;

/**
 * Commits offsets, one outcome each, in order.
 *
 * @param who null for one that is no member: the group must be empty, or of the kind that only commits
 * @param topicIds of the topics that the offsets are of; the present ones where it does not say
 */
export async function commitOffsets(
  coordinator: GroupCoordinator,
  metadata: ClusterMetadata,
  who: MemberIdentity | null,
  offsets: readonly OffsetToCommit[],
  options: AskOptions = {},
  topicIds: ReadonlyMap<string, string> = new Map(),
): Promise<readonly Outcome<null>[]> {
  if (offsets.length === 0) return [];
  const topics = byTopic(offsets, (each) => ({
    partitionIndex: each.partition,
    committedOffset: each.offset,
    committedMetadata: each.metadata ?? "",
    committedLeaderEpoch: each.leaderEpoch ?? -1,
  }));
  const ids = new Map<string, string>();
  for (const name of topics.keys()) {
    const id = topicIds.get(name) ?? metadata.known(name)?.topicId;
    if (id !== null && id !== undefined) ids.set(name, id);
  }
  const response = await coordinator.ask(
    OffsetCommit,
    (version) => ({
      groupId: coordinator.group,
      generationIdOrMemberEpoch: who?.epoch ?? -1,
      memberId: who?.memberId ?? "",
      ...(version >= 7 ? { groupInstanceId: who?.instanceId ?? null } : {}),
      topics: [...topics].map(([name, partitions]) =>
        version > NAMES_VERSION_MAX
          ? { topicId: ids.get(name)!, partitions }
          : { name, partitions },
      ),
    }),
    ({ topics }) => {
      const codes = topics.flatMap(({ partitions }) => partitions.map((each) => each.errorCode));
      return codes.find((code) => MOVED.includes(code)) ?? 0;
    },
    { ...options, ...(ids.size === topics.size ? {} : { versionMax: NAMES_VERSION_MAX }) },
  );
  const codes = new Map<string, number>();
  for (const { name, topicId, partitions } of response.topics) {
    const topic = name === "" ? [...ids].find(([, id]) => id === topicId)?.[0] : name;
    for (const { partitionIndex, errorCode } of partitions) {
      if (topic !== undefined) codes.set(keyOf({ topic, partition: partitionIndex }), errorCode);
    }
  }
  return offsets.map((each) => {
    const error = kafkaErrorOf(codes.get(keyOf(each)) ?? -1);
    return error === null ? ok(null) : { ok: false, error };
  });
}

/**
 * What a group has committed, of the partitions given, in order; of all that it has with null.
 *
 * @throws {ClientError} "unknown_member_id", "stale_member_epoch", "group_authorization_failed", …
 */
export async function committedOffsets(
  coordinator: GroupCoordinator,
  who: MemberIdentity | null,
  partitions: readonly TopicPartition[] | null,
  options: AskOptions = {},
): Promise<readonly CommittedOffset[]> {
  if (partitions !== null && partitions.length === 0) return [];
  const doing = `Cannot read the offsets of group "${coordinator.group}"`;
  const topics =
    partitions === null
      ? null
      : [...byTopic(partitions, ({ partition }) => partition)].map(([name, partitionIndexes]) => {
          return { name, partitionIndexes };
        });
  const isMember = who?.isConsumerProtocol === true;
  const response = await coordinator.ask(
    OffsetFetch,
    (version) => {
      // Offsets of transactions that are still open are waited for.
      const stable = version >= 7 ? { requireStable: true } : {};
      const { group: groupId } = coordinator;
      if (version < 8) return { groupId, topics, ...stable };
      const identity =
        version >= 9 && isMember ? { memberId: who.memberId, memberEpoch: who.epoch } : {};
      return { groups: [{ groupId, ...identity, topics }], ...stable };
    },
    (body) => {
      const group = body.groups[0] ?? body;
      if (group.errorCode !== 0) return group.errorCode;
      const codes = group.topics.flatMap((each) => each.partitions.map((one) => one.errorCode));
      if (codes.includes(UNSTABLE_OFFSET_COMMIT)) return 14;
      return codes.find((code) => MOVED.includes(code)) ?? 0;
    },
    {
      ...options,
      versionMax: NAMES_VERSION_MAX,
      ...(partitions === null ? { versionMin: 2 } : {}),
    },
  );
  const group = response.groups[0] ?? response;
  requireNone(group.errorCode, doing);
  const found: CommittedOffset[] = [];
  for (const { name: topic, partitions: answers } of group.topics) {
    for (const answer of answers) {
      const { partitionIndex, committedOffset, metadata, errorCode } = answer;
      const error = kafkaErrorOf(errorCode);
      if (error !== null && errorCode !== UNKNOWN_TOPIC) {
        throw refusal(error, `${doing} in ${topic}-${partitionIndex}`);
      }
      const isThere = errorCode === 0 && committedOffset >= 0;
      const offset = isThere ? committedOffset : null;
      const epoch = answer.committedLeaderEpoch ?? -1;
      found.push({
        topic,
        partition: partitionIndex,
        offset,
        metadata: isThere ? metadata : null,
        ...(isThere && epoch >= 0 ? { leaderEpoch: epoch } : {}),
      });
    }
  }
  if (partitions === null) return found.filter(({ offset }) => offset !== null);
  const byKey = new Map(found.map((each) => [keyOf(each), each]));
  return partitions.map((each) => {
    const { topic, partition } = each;
    return byKey.get(keyOf(each)) ?? { topic, partition, offset: null, metadata: null };
  });
}
