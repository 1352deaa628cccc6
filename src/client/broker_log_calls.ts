// The data plane in process: Produce, Fetch, ListOffsets and OffsetForLeaderEpoch as calls of the LogApi.
// Invariant: a refusal carries the code that Kafka's transport of ours gives it; what a fetch borrows is given
// back by `release`, once it has been copied.
// Kafka: KafkaApis.handleProduceRequest, handleFetchRequest, handleListOffsetRequest.

import type {
  AppendPartition,
  Broker,
  Caller,
  EpochQuery,
  FetchPartition,
  KafkaError,
  OffsetQuery,
  RecordError,
} from "../contracts/broker.ts";
import { type KafkaErrorName, kafkaError, NONE, wireCodeOf } from "../protocol/errors.ts";
import { Produce, type ProduceResponseInput } from "../protocol/messages/00_produce.ts";
import {
  Fetch,
  type FetchRequest,
  type FetchResponseInput,
} from "../protocol/messages/01_fetch.ts";
import {
  ListOffsets,
  type ListOffsetsResponseInput,
} from "../protocol/messages/02_list_offsets.ts";
import { OffsetForLeaderEpoch } from "../protocol/messages/23_offset_for_leader_epoch.ts";
import {
  attributesAt,
  BATCH_HEADER_BYTES,
  MAGIC_V2,
  magicAt,
  TRANSACTIONAL_BIT,
} from "../record/batch_header.ts";
import { callOf } from "./broker_call.ts";

/** A refusal that may name records. */
type AppendError = KafkaError & { readonly recordErrors?: readonly RecordError[] };

/** The first batch takes its partition into the transaction (KIP-890). */
const ADDS_SINCE = 12;
const TOPIC_IDS_SINCE = 13;
const RECORD_ERRORS_SINCE = 8;
const INVALID_ACKS = kafkaError("invalid_required_acks");
const UNKNOWN_TOPIC_ID = kafkaError("unknown_topic_id");
const NO_RECORDS = kafkaError("invalid_record", "Cannot append null records");
/** What a transactional batch comes to in a request without a transactional id. */
const NO_TRANSACTIONAL_ID = kafkaError("transactional_id_authorization_failed");
/** Codes of partitions that nobody knows. */
const UNKNOWN = [wireCodeOf("unknown_topic_or_partition"), wireCodeOf("unknown_topic_id")];
const noRecords = new Uint8Array(0);

export const produce = callOf<typeof Produce>({
  api: Produce,
  async handle(broker, caller, request, version) {
    const { acks, timeoutMs, transactionalId } = request;
    const appends: AppendPartition[] = [];
    /** What is refused unasked, by its place in the request. */
    const refused = new Map<number, KafkaError>();
    let place = 0;
    for (const topic of request.topicData) {
      const name = version < TOPIC_IDS_SINCE ? topic.name : broker.log.topicNameOf(topic.topicId);
      for (const { index, records } of topic.partitionData) {
        if (acks !== -1 && acks !== 0 && acks !== 1) refused.set(place, INVALID_ACKS);
        else if (name === null) refused.set(place, UNKNOWN_TOPIC_ID);
        else if (records === null) refused.set(place, NO_RECORDS);
        else if (transactionalId === null && isTransactional(records)) {
          refused.set(place, NO_TRANSACTIONAL_ID);
        } else appends.push({ topic: name, partition: index, batches: records, singleBatch: true });
        place++;
      }
    }
    const outcomes =
      appends.length === 0
        ? []
        : await broker.log.append(caller, {
            acks: acks as 0 | 1 | -1,
            timeoutMs,
            transactionalId,
            addsToTransaction: version >= ADDS_SINCE,
            partitions: appends,
          });
    // Nobody is told of failures, as on the wire; waiting for the append is what holds a producer back.
    if (acks === 0) return { response: null };
    let at = 0;
    let next = 0;
    const responses = request.topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(({ index }): PartitionProduced => {
        const error = refused.get(at++);
        if (error !== undefined) return notAppended(index, error, version);
        const outcome = outcomes[next++]!;
        if (outcome.ok) return { index, errorCode: NONE, ...outcome.value };
        return notAppended(index, outcome.error, version);
      }),
    }));
    return { response: { responses, throttleTimeMs: 0 } };
  },
});

/** Of the first batch; what is no batch of magic 2 the log refuses itself. */
function isTransactional(records: Uint8Array): boolean {
  if (records.length < BATCH_HEADER_BYTES || magicAt(records, 0) !== MAGIC_V2) return false;
  return (attributesAt(records, 0) & TRANSACTIONAL_BIT) !== 0;
}

type PartitionProduced = ProduceResponseInput["responses"][number]["partitionResponses"][number];

function notAppended(index: number, error: AppendError, version: number): PartitionProduced {
  const { wireCode: errorCode, message: errorMessage } = error;
  if (version < RECORD_ERRORS_SINCE) return { index, errorCode, baseOffset: -1 };
  const named = error.recordErrors ?? [];
  const recordErrors = named.map(({ batchIndex, message }) => {
    return { batchIndex, batchIndexErrorMessage: message };
  });
  return { index, errorCode, baseOffset: -1, recordErrors, errorMessage };
}

type TopicFetched = FetchResponseInput["responses"][number];
type PartitionFetched = TopicFetched["partitions"][number];
type PartitionWanted = FetchRequest["topics"][number]["partitions"][number];

export const fetch = callOf<typeof Fetch>({
  api: Fetch,
  takesBigints: true,
  async handle(broker, caller, request, version) {
    // Sessions save bytes on a wire, and there is none: asking for one is answered with none.
    if (request.sessionEpoch > 0) return { response: fetchRefused("fetch_session_id_not_found") };
    const partitions: FetchPartition[] = [];
    /** Answers known without reading, in order with holes for those that are read. */
    const known: (PartitionFetched | null)[] = [];
    for (const { topic, topicId, partitions: wanted } of request.topics) {
      const name = version < TOPIC_IDS_SINCE ? topic : broker.log.topicNameOf(topicId);
      for (const each of wanted) {
        const answer =
          name === null
            ? notFetched(each.partition, wireCodeOf("unknown_topic_id"))
            : answerUnread(broker, caller, name, each);
        known.push(answer);
        if (answer !== null) continue;
        partitions.push({
          topic: name!,
          ...(version < TOPIC_IDS_SINCE ? {} : { topicId }),
          partition: each.partition,
          fetchOffset: each.fetchOffset,
          bytesMax: Math.max(0, each.partitionMaxBytes),
          leaderEpoch: each.currentLeaderEpoch,
        });
      }
    }
    const isCommitted = request.isolationLevel === 1;
    const bytesMax = Math.max(0, request.maxBytes);
    const isRefused = known.some((answer) => answer !== null);
    const fetched =
      partitions.length === 0
        ? null
        : await broker.log.fetch(caller, {
            isolation: isCommitted ? "read_committed" : "read_uncommitted",
            // A refusal is news: the answer does not wait for more.
            waitMsMax: isRefused ? 0 : Math.max(0, request.maxWaitMs),
            bytesMin: Math.min(Math.max(0, request.minBytes), bytesMax),
            bytesMax,
            partitions,
          });
    let at = 0;
    let next = 0;
    const responses = request.topics.map(({ topic, topicId, partitions: wanted }) => ({
      topic,
      topicId,
      partitions: wanted.map(({ partition }): PartitionFetched => {
        const answer = known[at++]!;
        if (answer !== null) return answer;
        const outcome = fetched!.partitions[next++]!;
        if (!outcome.ok) return notFetched(partition, outcome.error.wireCode);
        const { batches, abortedTransactions, highWatermark, lastStableOffset, logStartOffset } =
          outcome.value;
        return {
          partitionIndex: partition,
          errorCode: NONE,
          highWatermark,
          lastStableOffset,
          logStartOffset,
          abortedTransactions: isCommitted ? abortedTransactions : null,
          records: batches.length === 0 ? noRecords : batches,
        };
      }),
    }));
    const response = { throttleTimeMs: 0, errorCode: NONE, sessionId: 0, responses };
    return fetched === null ? { response } : { response, release: () => fetched.release() };
  },
});

/** What is answered without reading: an offset no log reaches, or a history that is not ours (KIP-595). */
function answerUnread(
  broker: Broker,
  caller: Caller,
  topic: string,
  wanted: PartitionWanted,
): PartitionFetched | null {
  const { partition, fetchOffset, lastFetchedEpoch, currentLeaderEpoch } = wanted;
  const outOfRange = wireCodeOf("offset_out_of_range");
  if (typeof fetchOffset !== "number") return notFetched(partition, outOfRange);
  if (lastFetchedEpoch < 0) return null;
  const query = { topic, partition, leaderEpoch: lastFetchedEpoch, currentLeaderEpoch };
  const [outcome] = broker.log.endOffsetForEpoch(caller, [query]);
  if (!outcome!.ok) return notFetched(partition, outcome!.error.wireCode);
  const { leaderEpoch: epoch, endOffset } = outcome!.value;
  if (epoch === -1 || endOffset === -1) return notFetched(partition, outOfRange);
  if (epoch === lastFetchedEpoch && endOffset >= fetchOffset) return null;
  return { ...notFetched(partition, NONE), divergingEpoch: { epoch, endOffset } };
}

function notFetched(partitionIndex: number, errorCode: number): PartitionFetched {
  return {
    partitionIndex,
    errorCode,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    // As Kafka has it: an empty list for what it does not know, else null.
    abortedTransactions: UNKNOWN.includes(errorCode) ? [] : null,
    records: noRecords,
  };
}

function fetchRefused(code: KafkaErrorName): FetchResponseInput {
  return { throttleTimeMs: 0, errorCode: wireCodeOf(code), sessionId: 0, responses: [] };
}

type OffsetListed = ListOffsetsResponseInput["topics"][number]["partitions"][number];

const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
const EARLIEST_LOCAL = -4;
/** What is tiered, or on its way there: nothing. */
const LATEST_TIERED = -5;
const EARLIEST_PENDING = -6;
/** First version in which a special timestamp may be asked for, by minus the timestamp. */
const SPECIAL_SINCE = [0, 1, 1, 7, 8, 9, 11];

export const listOffsets = callOf<typeof ListOffsets>({
  api: ListOffsets,
  takesBigints: true,
  async handle(broker, caller, request, version) {
    const isolation = request.isolationLevel === 1 ? "read_committed" : "read_uncommitted";
    const queries: OffsetQuery[] = [];
    /** Answers known without asking, in order with holes for those that are asked for. */
    const known: (OffsetListed | null)[] = [];
    const asked = request.topics.map(({ name, partitions }) => {
      // A partition asked for twice is answered once, with a refusal, as Kafka does.
      const byIndex = new Map(partitions.map((each) => [each.partitionIndex, each]));
      const isTwice = (index: number) =>
        byIndex.size < partitions.length &&
        partitions.filter(({ partitionIndex }) => partitionIndex === index).length > 1;
      const once = [...byIndex.values()];
      for (const { partitionIndex, timestamp, currentLeaderEpoch: leaderEpoch } of once) {
        const at = isTwice(partitionIndex) ? "invalid_request" : placeOf(timestamp, version);
        if (at === "none") known.push(notListed(partitionIndex, NONE));
        else if (isRefusal(at)) known.push(notListed(partitionIndex, wireCodeOf(at)));
        else {
          known.push(null);
          queries.push({ topic: name, partition: partitionIndex, at, isolation, leaderEpoch });
        }
      }
      return { name, partitions: once };
    });
    const outcomes = queries.length === 0 ? [] : await broker.log.offsetFor(caller, queries);
    let at = 0;
    let next = 0;
    const topics = asked.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }): OffsetListed => {
        const answer = known[at++]!;
        if (answer !== null) return answer;
        const outcome = outcomes[next++]!;
        if (!outcome.ok) return notListed(partitionIndex, outcome.error.wireCode);
        const { offset, timestampMs: timestamp, leaderEpoch } = outcome.value;
        const listed = { partitionIndex, errorCode: NONE, timestamp, offset };
        return version < EPOCHS_SINCE ? listed : { ...listed, leaderEpoch };
      }),
    }));
    return { response: { throttleTimeMs: 0, topics } };
  },
});

/** First version of ListOffsets that tells leader epochs. */
const EPOCHS_SINCE = 4;

type Refusal = "invalid_request" | "unsupported_version";

function isRefusal(at: OffsetQuery["at"] | Refusal): at is Refusal {
  return at === "invalid_request" || at === "unsupported_version";
}

/** What a timestamp asks for in this version; "none" where the answer is known to be that. */
function placeOf(timestamp: number, version: number): OffsetQuery["at"] | Refusal | "none" {
  // Beyond 2^53: later than every record, or without meaning.
  if (typeof timestamp !== "number") return timestamp < 0 ? "unsupported_version" : "none";
  if (timestamp >= 0) return { timestampMs: timestamp };
  const since = SPECIAL_SINCE[-timestamp];
  if (since === undefined || version < since) return "unsupported_version";
  switch (timestamp) {
    case LATEST:
      return "latest";
    case EARLIEST:
    case EARLIEST_LOCAL:
      return "earliest";
    case MAX_TIMESTAMP:
      return "max_timestamp";
    case LATEST_TIERED:
    case EARLIEST_PENDING:
      return "none";
    default:
      return "unsupported_version";
  }
}

function notListed(partitionIndex: number, errorCode: number): OffsetListed {
  return { partitionIndex, errorCode, timestamp: -1, offset: -1 };
}

export const offsetForLeaderEpoch = callOf<typeof OffsetForLeaderEpoch>({
  api: OffsetForLeaderEpoch,
  async handle(broker, caller, request) {
    const queries: EpochQuery[] = request.topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, leaderEpoch, currentLeaderEpoch }) => {
        return { topic, partition, leaderEpoch, currentLeaderEpoch };
      }),
    );
    const outcomes = broker.log.endOffsetForEpoch(caller, queries);
    let next = 0;
    const topics = request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition }) => {
        const outcome = outcomes[next++]!;
        if (!outcome.ok) return { errorCode: outcome.error.wireCode, partition, endOffset: -1 };
        return { errorCode: NONE, partition, ...outcome.value };
      }),
    }));
    return { response: { throttleTimeMs: 0, topics } };
  },
});
