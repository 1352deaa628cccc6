// OffsetCommit and OffsetFetch: one group or several, topics by name or id, errors where the version has a place for them.
// Invariant: what is fetched by id is asked of the shard by name.
// Kafka: KafkaApis.handleOffsetCommitRequest, handleOffsetFetchRequest, OffsetFetchResponse.Builder.

import { ZERO_UUID } from "../../base/uuid.ts";
import type { Caller } from "../../contracts/broker.ts";
import { NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../../protocol/messages/08_offset_commit.ts";
import type {
  OffsetFetchRequest,
  OffsetFetchResponse,
} from "../../protocol/messages/09_offset_fetch.ts";
import type { FetchedGroup, FetchGroup } from "../coordinator/group/group_requests.ts";
import { ask, byShard, type GroupContext } from "./group_dispatch.ts";

/** First version of OffsetFetch that names topics by id. */
const FETCH_IDS_FROM = 10;
/** First version with several groups in one OffsetFetch. */
const FETCH_GROUPS_FROM = 8;
/** First version with an error for all of an OffsetFetch. */
const FETCH_ERROR_FROM = 2;

/** The shard holds each topic and partition against the topics there are. */
export async function commitOffsets(
  context: GroupContext,
  caller: Caller,
  request: OffsetCommitRequest,
  version: number,
): Promise<OffsetCommitResponse> {
  const outcome = await ask<OffsetCommitResponse>(
    context,
    request.groupId,
    caller,
    version,
    (shard, call, reply) => shard.commitOffsets(call, request, reply),
  );
  if (outcome.ok) return outcome.value;
  const errorCode = outcome.error.wireCode;
  const topics = request.topics.map(({ name, topicId, partitions }) => ({
    name,
    topicId,
    partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
  }));
  return { throttleTimeMs: 0, topics };
}

type FetchTopic = NonNullable<FetchGroup["topics"]>[number];
type FetchedTopic = FetchedGroup["topics"][number];

export async function fetchOffsets(
  context: GroupContext,
  caller: Caller,
  request: OffsetFetchRequest,
  version: number,
): Promise<OffsetFetchResponse> {
  const { requireStable } = request;
  const asked = version >= FETCH_GROUPS_FROM ? request.groups : [onlyGroup(request)];
  const named = asked.map((group) => withNames(context, group, version));
  const fetched = await byShard<FetchGroup, FetchedGroup>(
    context,
    named,
    (group) => group.groupId,
    (groupId, groups) =>
      ask<readonly FetchedGroup[]>(context, groupId, caller, version, (shard, call, reply) =>
        shard.fetchOffsets(call, groups, requireStable, reply),
      ),
    ({ groupId }, code): FetchedGroup => ({ groupId, topics: [], errorCode: wireCodeOf(code) }),
  );
  const groups = fetched.map((group, i) =>
    completed(context, asked[i]!, named[i]!, group, version),
  );
  if (version >= FETCH_GROUPS_FROM) {
    return { throttleTimeMs: 0, topics: [], errorCode: NONE, groups };
  }
  const [group] = groups;
  return { throttleTimeMs: 0, topics: group!.topics, errorCode: group!.errorCode, groups: [] };
}

/** The one group of an older version, as newer ones write it. */
function onlyGroup({ groupId, topics }: OffsetFetchRequest): FetchGroup {
  return {
    groupId,
    memberId: null,
    memberEpoch: -1,
    topics: topics?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null,
  };
}

/** The group with the names of the topics that it gives by id; those that are unknown are left out. */
function withNames({ api }: GroupContext, group: FetchGroup, version: number): FetchGroup {
  if (version < FETCH_IDS_FROM || group.topics === null) return group;
  const topics: FetchTopic[] = [];
  for (const topic of group.topics) {
    const known = api.cluster.image.topicsById.get(topic.topicId);
    if (known !== undefined) topics.push({ ...topic, name: known.name });
  }
  return { ...group, topics };
}

/** The answer for a group, with what the shard was not asked, in the form of the version. */
function completed(
  { api }: GroupContext,
  asked: FetchGroup,
  named: FetchGroup,
  fetched: FetchedGroup,
  version: number,
): FetchedGroup {
  const { groupId, errorCode } = fetched;
  if (errorCode !== NONE) {
    if (version >= FETCH_ERROR_FROM) return fetched;
    return { groupId, topics: asked.topics!.map((each) => unfetched(each, errorCode)), errorCode };
  }
  if (version < FETCH_IDS_FROM) return fetched;
  const { topicsByName } = api.cluster.image;
  if (asked.topics === null) {
    // A topic that is gone has no id to be told by.
    const topics = fetched.topics.flatMap((topic): FetchedTopic[] => {
      const known = topicsByName.get(topic.name);
      return known === undefined ? [] : [{ ...topic, topicId: known.id }];
    });
    return { groupId, topics, errorCode };
  }
  const next = fetched.topics.values();
  const isNamed = new Set(named.topics!.map((topic) => topic.topicId));
  const topics = asked.topics.map((topic): FetchedTopic => {
    const { topicId } = topic;
    if (!isNamed.has(topicId)) return unfetched(topic, wireCodeOf("unknown_topic_id"));
    return { ...next.next().value!, topicId };
  });
  return { groupId, topics, errorCode };
}

function unfetched(topic: FetchTopic, errorCode: number): FetchedTopic {
  return {
    name: topic.name,
    topicId: topic.topicId,
    partitions: topic.partitionIndexes.map((partitionIndex) => ({
      partitionIndex,
      committedOffset: -1,
      committedLeaderEpoch: -1,
      metadata: "",
      errorCode,
    })),
  };
}
