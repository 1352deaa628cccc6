// Admission of OffsetFetch: the group is described, and so is each topic. What is listed without being named is left out
// in silence; what is named is refused. Invariant: groups and topics come back in the order of the request.
// Kafka: KafkaApis.handleOffsetFetchRequest, fetchOffsetsForGroup, fetchAllOffsetsForGroup.

import { ZERO_UUID } from "../../base/uuid.ts";
import type { Broker, Caller } from "../../contracts/broker.ts";
import { NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  OffsetFetchRequest,
  OffsetFetchResponse,
} from "../../protocol/messages/09_offset_fetch.ts";
import type { Gate } from "./admission_gate.ts";

/** First version that names topics by id. */
const IDS_FROM = 10;
/** First version with several groups in one request. */
const GROUPS_FROM = 8;
/** First version with an error for all of a group. */
const ERROR_FROM = 2;
const GROUP_DENIED = wireCodeOf("group_authorization_failed");
const TOPIC_DENIED = wireCodeOf("topic_authorization_failed");

type AskedGroup = OffsetFetchRequest["groups"][number];
type AskedTopic = NonNullable<AskedGroup["topics"]>[number];
type FetchedGroup = OffsetFetchResponse["groups"][number];
type FetchedTopic = FetchedGroup["topics"][number];

/** What of one group is handed on. */
interface Admitted {
  readonly asked: AskedGroup;
  readonly isGroupOpen: boolean;
  /** For each topic named, whether it may be described; null where all are asked for. */
  readonly isOpen: readonly boolean[] | null;
}

export async function fetchAdmittedOffsets(
  broker: Broker,
  gate: Gate,
  caller: Caller,
  request: OffsetFetchRequest,
  version: number,
): Promise<OffsetFetchResponse> {
  const hasGroups = version >= GROUPS_FROM;
  const asked = hasGroups ? request.groups : [onlyGroup(request)];
  const open = gate.allowed(
    caller,
    "describe",
    "group",
    asked.map(({ groupId }) => groupId),
  );
  const admitted = asked.map((group) =>
    admittedGroup(broker, gate, caller, group, open.has(group.groupId), version),
  );
  const handedOn = admitted
    .filter(({ isGroupOpen }) => isGroupOpen)
    .map(({ asked: group, isOpen }) =>
      isOpen === null ? group : { ...group, topics: group.topics!.filter((_, i) => isOpen[i]) },
    );
  const answered =
    handedOn.length === 0 ? [] : await ask(broker, caller, request, handedOn, version);
  let next = 0;
  const groups = admitted.map((each): FetchedGroup => {
    if (each.isGroupOpen) return completed(broker, gate, caller, each, answered[next++]!, version);
    const { groupId, topics } = each.asked;
    const rows =
      version < ERROR_FROM ? (topics ?? []).map((topic) => refused(topic, GROUP_DENIED)) : [];
    return { groupId, topics: rows, errorCode: GROUP_DENIED };
  });
  if (hasGroups) return { throttleTimeMs: 0, topics: [], errorCode: NONE, groups };
  const { topics, errorCode } = groups[0]!;
  return { throttleTimeMs: 0, topics, errorCode, groups: [] };
}

async function ask(
  broker: Broker,
  caller: Caller,
  request: OffsetFetchRequest,
  groups: readonly AskedGroup[],
  version: number,
): Promise<readonly FetchedGroup[]> {
  if (version >= GROUPS_FROM) {
    return (await broker.groups.offsetFetch(caller, { ...request, groups }, version)).groups;
  }
  const [{ groupId, topics: asked }] = groups as readonly [AskedGroup];
  const { topics, errorCode } = await broker.groups.offsetFetch(
    caller,
    { ...request, topics: asked },
    version,
  );
  return [
    { groupId, topics: topics.map((topic) => ({ ...topic, topicId: ZERO_UUID })), errorCode },
  ];
}

/** The one group of an older version, as newer ones write it. */
function onlyGroup({ groupId, topics }: OffsetFetchRequest): AskedGroup {
  return {
    groupId,
    memberId: null,
    memberEpoch: -1,
    topics: topics?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null,
  };
}

function admittedGroup(
  broker: Broker,
  gate: Gate,
  caller: Caller,
  asked: AskedGroup,
  isGroupOpen: boolean,
  version: number,
): Admitted {
  if (!isGroupOpen || asked.topics === null) return { asked, isGroupOpen, isOpen: null };
  const names = asked.topics.map(({ name, topicId }) =>
    version >= IDS_FROM ? broker.log.topicNameOf(topicId) : name,
  );
  const known = names.filter((name) => name !== null);
  const allowed = gate.allowed(caller, "describe", "topic", known);
  // An id that nobody knows has nothing to hide.
  return { asked, isGroupOpen, isOpen: names.map((name) => name === null || allowed.has(name)) };
}

/** The answer with refusals where they belong, or, of a list of all, with what may be described. */
function completed(
  broker: Broker,
  gate: Gate,
  caller: Caller,
  { asked, isOpen }: Admitted,
  fetched: FetchedGroup,
  version: number,
): FetchedGroup {
  if (fetched.errorCode !== NONE) return fetched;
  if (isOpen === null) {
    const nameOf = ({ name, topicId }: FetchedTopic) =>
      version >= IDS_FROM ? broker.log.topicNameOf(topicId) : name;
    const names = fetched.topics.map(nameOf).filter((name) => name !== null);
    const visible = gate.allowed(caller, "describe", "topic", names);
    const topics = fetched.topics.filter((topic) => {
      const name = nameOf(topic);
      return name !== null && visible.has(name);
    });
    return { ...fetched, topics };
  }
  let next = 0;
  const topics = asked.topics!.map((topic, i) =>
    isOpen[i] ? fetched.topics[next++]! : refused(topic, TOPIC_DENIED),
  );
  return { ...fetched, topics };
}

function refused({ name, topicId, partitionIndexes }: AskedTopic, errorCode: number): FetchedTopic {
  return {
    name,
    topicId,
    partitions: partitionIndexes.map((partitionIndex) => ({
      partitionIndex,
      committedOffset: -1,
      committedLeaderEpoch: -1,
      metadata: "",
      errorCode,
    })),
  };
}
