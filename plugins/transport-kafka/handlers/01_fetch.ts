// Fetch, API key 1, versions 4–18.
//
// Serves: reading record batches with long poll; sessions (KIP-227) from v7; topic ids from v13.
// Limits: replica ids only of brokers that have logged in as such, from v15 on; one answer carries at most fetchBytesMax, but always one batch.
// v5: log start offset.   v7: sessions.   v9: leader epoch.   v12: flexible, diverging epochs.   v13: topic ids.
// v11: racks, and the replica to read from (KIP-392).   v15: the replica id moves into replicaState.
// v16: who leads instead (KIP-951).   v18: high watermark of a follower.
// Kafka: KafkaApis.handleFetchRequest, FetchSession.FullFetchContext and IncrementalFetchContext.

import { PEER_TYPE } from "../../../src/contracts/auth.ts";
import type { FetchOutcome, FetchPartition } from "../../../src/contracts/broker.ts";
import { wireCodeOf } from "../../../src/protocol/errors.ts";
import {
  Fetch,
  type FetchRequest,
  type FetchResponseInput,
} from "../../../src/protocol/messages/01_fetch.ts";
import { syncedEndOf } from "../../../src/protocol/synced_end.ts";
import { attributesAt } from "../../../src/record/batch_header.ts";
import { divergenceOf } from "../fetch_divergence.ts";
import type { FetchSession, FetchSessions, WantedPartition } from "../fetch_sessions.ts";
import { type Answer, type HandlerContext, handlerOf } from "../handler.ts";
import { LeaderHints } from "../leader_hints.ts";

type TopicResponse = FetchResponseInput["responses"][number];
type PartitionResponse = TopicResponse["partitions"][number];
type WirePartition = FetchRequest["topics"][number]["partitions"][number];

const SESSIONS_SINCE = 7;
const TOPIC_IDS_SINCE = 13;
const ZSTD_SINCE = 10;
const RACKS_SINCE = 11;
const HINTS_SINCE = 16;
/** Epoch of a request that opens a session, and of one that ends it. */
const OPEN_EPOCH = 0;
const FINAL_EPOCH = -1;
/** The request says from then on of which registration the replica is. */
const REPLICA_STATE_SINCE = 15;
const CODEC_MASK = 7;
const ZSTD = 4;
const UNKNOWN_TOPIC_OR_PARTITION = wireCodeOf("unknown_topic_or_partition");
const UNKNOWN_TOPIC_ID = wireCodeOf("unknown_topic_id");
const noRecords = new Uint8Array(0);

/** What a request comes to once its session has been looked up. */
interface Plan {
  readonly wanted: readonly WantedPartition[];
  /** The session whose next step this is; null for a full fetch. */
  readonly session: FetchSession | null;
  /** True when a full fetch asks for a session. */
  readonly opens: boolean;
}

export const fetch = handlerOf<typeof Fetch>({
  api: Fetch,
  overlap: "parallel",
  takesBigints: true,
  dataBytesMax: (context, request) => Math.max(1, dataBytesMaxOf(context, request)),
  async handle(context, caller, request, version) {
    const replicaId = version >= 15 ? request.replicaState.replicaId : request.replicaId;
    const isReplica = replicaId >= 0;
    if (isReplica) {
      const { type, name } = caller.principal;
      const isThatBroker = type === PEER_TYPE && name === String(replicaId);
      if (!isThatBroker || version < REPLICA_STATE_SINCE) {
        return refusal(request, "invalid_request", version);
      }
    } else if (replicaId !== -1 && replicaId !== -2) {
      return refusal(request, "invalid_request", version);
    }
    const plan = planOf(context.fetchSessions, request, version);
    if (typeof plan === "string") return refusal(request, plan, version);

    const { wanted } = plan;
    const log = context.broker.log;
    /** The answers known without reading, by place; sparse. */
    const known: (PartitionResponse | undefined)[] = new Array(wanted.length);
    const partitions: FetchPartition[] = [];
    let topic: string | null = null;
    let topicId: string | null = null;
    for (let place = 0; place < wanted.length; place++) {
      const each = wanted[place]!;
      if (version < TOPIC_IDS_SINCE) topic = each.topic;
      else if (topicId !== each.topicId) {
        topicId = each.topicId;
        topic = log.topicNameOf(topicId);
      }
      if (topic === null) known[place] = failed(each.partition, UNKNOWN_TOPIC_ID);
      else if (typeof each.fetchOffset !== "number") {
        known[place] = failed(each.partition, wireCodeOf("offset_out_of_range"));
      } else if (each.lastFetchedEpoch >= 0 && !isReplica) {
        known[place] = divergenceOf(log, caller, topic, each);
      }
      if (known[place] !== undefined) continue;
      partitions.push({
        topic: topic!,
        ...(version < TOPIC_IDS_SINCE ? {} : { topicId: each.topicId }),
        partition: each.partition,
        fetchOffset: each.fetchOffset,
        bytesMax: each.bytesMax,
        leaderEpoch: each.leaderEpoch,
        ...(isReplica ? { follower: each } : {}),
      });
    }
    const hints = new LeaderHints(log, caller);
    if (partitions.length === 0) {
      return { response: responseOf(context, plan, known, [], version, hints) };
    }
    const bytesMax = bytesMaxOf(context, request);
    const fetched = await log.fetch(caller, {
      isolation: request.isolationLevel === 1 ? "read_committed" : "read_uncommitted",
      waitMsMax: Math.max(0, request.maxWaitMs),
      bytesMin: Math.min(Math.max(0, request.minBytes), bytesMax),
      bytesMax,
      partitions,
      ...(isReplica
        ? { replica: { id: replicaId, epoch: request.replicaState.replicaEpoch } }
        : {}),
      ...(version >= RACKS_SINCE && !isReplica ? { rack: request.rackId } : {}),
    });
    const response = responseOf(context, plan, known, fetched.partitions, version, hints, request);
    return { response, release: () => fetched.release() };
  },
});

function bytesMaxOf(context: HandlerContext, request: FetchRequest): number {
  return Math.max(0, Math.min(request.maxBytes, context.fetchBytesMax));
}

/** What an answer may weigh: a full fetch cannot bring more than its partitions allow. */
function dataBytesMaxOf(context: HandlerContext, request: FetchRequest): number {
  const bytesMax = bytesMaxOf(context, request);
  if (request.sessionEpoch !== OPEN_EPOCH && request.sessionEpoch !== FINAL_EPOCH) return bytesMax;
  let sum = 0;
  for (const { partitions } of request.topics) {
    for (const { partitionMaxBytes } of partitions) sum += Math.max(0, partitionMaxBytes);
  }
  return Math.min(bytesMax, sum);
}

/** Finds or ends the session that a request speaks of. A string is the error to answer. */
function planOf(
  sessions: FetchSessions,
  request: FetchRequest,
  version: number,
):
  | Plan
  | "fetch_session_id_not_found"
  | "invalid_fetch_session_epoch"
  | "fetch_session_topic_id_error" {
  const { sessionId, sessionEpoch } = request;
  if (version < SESSIONS_SINCE) return { wanted: wantedOf(request), session: null, opens: false };
  if (sessionEpoch === OPEN_EPOCH || sessionEpoch === FINAL_EPOCH) {
    // A full fetch ends the session it names, if any.
    if (sessionId !== 0) sessions.close(sessionId);
    return { wanted: wantedOf(request), session: null, opens: sessionEpoch === OPEN_EPOCH };
  }
  const session = sessions.find(sessionId);
  if (session === undefined) return "fetch_session_id_not_found";
  if (session.epoch !== sessionEpoch) return "invalid_fetch_session_epoch";
  if (session.usesTopicIds !== version >= TOPIC_IDS_SINCE) return "fetch_session_topic_id_error";
  for (const each of wantedOf(request)) {
    if (sessions.want(session, each)) continue;
    // No room for more partitions: without its session the client asks for all of them each time.
    sessions.close(sessionId);
    return "fetch_session_id_not_found";
  }
  for (const { topic, topicId, partitions } of request.forgottenTopicsData) {
    for (const partition of partitions) sessions.forget(session, topic, topicId, partition);
  }
  if (session.partitions.size === 0) {
    sessions.close(sessionId);
    return { wanted: [], session: null, opens: false };
  }
  sessions.touch(session);
  sessions.advance(session);
  return { wanted: [...session.partitions.values()], session, opens: false };
}

function wantedOf(request: FetchRequest): WantedPartition[] {
  const wanted: WantedPartition[] = [];
  for (const { topic, topicId, partitions } of request.topics) {
    for (const each of partitions) wanted.push(wantedPartition(topic, topicId, each));
  }
  return wanted;
}

function wantedPartition(topic: string, topicId: string, wire: WirePartition): WantedPartition {
  return {
    topic,
    topicId,
    partition: wire.partition,
    fetchOffset: wire.fetchOffset,
    bytesMax: Math.max(0, wire.partitionMaxBytes),
    leaderEpoch: wire.currentLeaderEpoch,
    lastFetchedEpoch: wire.lastFetchedEpoch,
    logStartOffset: wire.logStartOffset,
    syncedEnd: syncedEndOf(wire),
    highWatermark: typeof wire.highWatermark === "number" ? wire.highWatermark : -1,
    toldHighWatermark: -1,
    toldLogStartOffset: -1,
  };
}

function responseOf(
  context: HandlerContext,
  plan: Plan,
  known: readonly (PartitionResponse | undefined)[],
  fetched: readonly FetchOutcome[],
  version: number,
  hints: LeaderHints,
  request?: FetchRequest,
): FetchResponseInput {
  const { wanted, session } = plan;
  const isCommitted = request?.isolationLevel === 1;
  const responses: TopicResponse[] = [];
  /** The list being filled, and the topic it belongs to: neighbours of one topic share an entry. */
  let list: PartitionResponse[] = [];
  let last: WantedPartition | null = null;
  const served: WantedPartition[] = [];
  let next = 0;
  for (let place = 0; place < wanted.length; place++) {
    const each = wanted[place]!;
    let response =
      known[place] ?? partitionResponse(each.partition, fetched[next++]!, isCommitted, version);
    if (response.errorCode !== 0 && version >= HINTS_SINCE) {
      const topic = hints.topicNameOf(each.topicId);
      response = { ...response, ...hints.of(response.errorCode, topic, each.partition) };
    }
    const isNews = remember(each, response);
    if (session !== null && !isNews) continue;
    if (session !== null && sizeOf(response) > 0) served.push(each);
    if (last === null || last.topic !== each.topic || last.topicId !== each.topicId) {
      list = [];
      responses.push({ topic: each.topic, topicId: each.topicId, partitions: list });
      last = each;
    }
    list.push(response);
  }
  if (session !== null) for (const each of served) session.moveToEnd(each);
  let sessionId = session?.id ?? 0;
  if (plan.opens) {
    sessionId = context.fetchSessions.open(wanted, version >= TOPIC_IDS_SINCE)?.id ?? 0;
  }
  const { nodeEndpoints } = hints;
  return {
    throttleTimeMs: 0,
    errorCode: 0,
    sessionId,
    responses,
    ...(nodeEndpoints.length === 0 ? {} : { nodeEndpoints }),
  };
}

/** Notes what the client is told, and whether it is news within a session. */
function remember(each: WantedPartition, response: PartitionResponse): boolean {
  const highWatermark = response.highWatermark as number;
  const logStartOffset = response.logStartOffset as number;
  const isNews =
    response.errorCode !== 0 ||
    response.divergingEpoch !== undefined ||
    response.preferredReadReplica !== undefined ||
    sizeOf(response) > 0 ||
    highWatermark !== each.toldHighWatermark ||
    logStartOffset !== each.toldLogStartOffset;
  // Who is refused, or has to cut its log first, takes nothing else in: it is told again.
  const isTakenIn = response.errorCode === 0 && response.divergingEpoch === undefined;
  each.toldHighWatermark = isTakenIn ? highWatermark : -1;
  each.toldLogStartOffset = logStartOffset;
  return isNews;
}

function sizeOf(response: PartitionResponse): number {
  return response.records === null ? 0 : response.records.length;
}

function partitionResponse(
  partitionIndex: number,
  outcome: FetchOutcome,
  isCommitted: boolean,
  version: number,
): PartitionResponse {
  if (!outcome.ok) {
    const { wireCode, logStartOffset = -1 } = outcome.error;
    return { ...failed(partitionIndex, wireCode), logStartOffset };
  }
  const { highWatermark, lastStableOffset, logStartOffset, abortedTransactions, batches } =
    outcome.value;
  const { divergingEpoch, preferredReplica } = outcome.value;
  const first = batches[0];
  if (
    version < ZSTD_SINCE &&
    first !== undefined &&
    (attributesAt(first, 0) & CODEC_MASK) === ZSTD
  ) {
    return failed(partitionIndex, wireCodeOf("unsupported_compression_type"));
  }
  return {
    partitionIndex,
    errorCode: 0,
    highWatermark,
    lastStableOffset,
    logStartOffset,
    abortedTransactions: isCommitted ? abortedTransactions : null,
    // Never null for a healthy partition: clients take null for a fault.
    records: batches.length === 0 ? noRecords : batches,
    ...(divergingEpoch === undefined ? {} : { divergingEpoch }),
    ...(preferredReplica === undefined ? {} : { preferredReadReplica: preferredReplica }),
  };
}

function failed(partitionIndex: number, errorCode: number): PartitionResponse {
  const isUnknown = errorCode === UNKNOWN_TOPIC_OR_PARTITION || errorCode === UNKNOWN_TOPIC_ID;
  return {
    partitionIndex,
    errorCode,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    // As Kafka has it: an empty list for what it does not know, else null.
    abortedTransactions: isUnknown ? [] : null,
    records: noRecords,
  };
}

/** The whole request is refused: at the top where the version has room for it, else partition by partition. */
function refusal(
  request: FetchRequest,
  error: Parameters<typeof wireCodeOf>[0],
  version: number,
): Answer<FetchResponseInput> {
  const errorCode = wireCodeOf(error);
  if (version >= SESSIONS_SINCE) {
    return { response: { throttleTimeMs: 0, errorCode, sessionId: 0, responses: [] } };
  }
  const responses = request.topics.map(({ topic, topicId, partitions }) => ({
    topic,
    topicId,
    partitions: partitions.map(({ partition }) => failed(partition, errorCode)),
  }));
  return { response: { throttleTimeMs: 0, errorCode, sessionId: 0, responses } };
}
