// Produce, API key 0, versions 3–13.
//
// Serves: appending one record batch a partition; acks 0, 1 and -1; topic ids from v13; batches of transactions.
// Limits: v0–2 are listed in ApiVersions and refused (decision 16). Null records are answered with
//   invalid_record, where Kafka never answers.
// v7: zstd is allowed.   v8: recordErrors and errorMessage.   v9: flexible.   v10: who leads instead (KIP-951).   v11: transaction_abortable is known.
// v12: the first batch takes its partition into the transaction (KIP-890).   v13: topic ids instead of names.
// Kafka: KafkaApis.handleProduceRequest, ReplicaManager.handleProduceAppend, ProduceRequest.validateRecords.

import type {
  AppendPartition,
  AppendResult,
  KafkaError,
  Outcome,
  RecordError,
} from "../../../src/contracts/broker.ts";
import { kafkaError } from "../../../src/protocol/errors.ts";
import {
  Produce,
  type ProduceRequest,
  type ProduceResponseInput,
} from "../../../src/protocol/messages/00_produce.ts";
import {
  attributesAt,
  BATCH_HEADER_BYTES,
  MAGIC_V2,
  magicAt,
  TRANSACTIONAL_BIT,
} from "../../../src/record/batch_header.ts";
import { ConnectionRefusal } from "../exchange.ts";
import { handlerOf } from "../handler.ts";
import { LeaderHints } from "../leader_hints.ts";

type TopicResponse = ProduceResponseInput["responses"][number];
type PartitionResponse = TopicResponse["partitionResponses"][number];

const CODEC_MASK = 7;
const ZSTD = 4;
const ZSTD_SINCE = 7;
const TOPIC_IDS_SINCE = 13;
const RECORD_ERRORS_SINCE = 8;
const HINTS_SINCE = 10;
const ABORTABLE_SINCE = 11;
const ADDS_SINCE = 12;
const INVALID_ACKS = kafkaError("invalid_required_acks");
const UNKNOWN_TOPIC_ID = kafkaError("unknown_topic_id");
const NO_RECORDS = kafkaError("invalid_record", "Cannot append null records");
/** What Kafka's authorization says of a transactional batch in a request without transactional id. */
const NO_TRANSACTIONAL_ID = kafkaError("transactional_id_authorization_failed");
const ZSTD_TOO_EARLY = kafkaError("unsupported_compression_type");

/** A refusal that may name records. */
type AppendError = KafkaError & { readonly recordErrors?: readonly RecordError[] };

export const produce = handlerOf<typeof Produce>({
  api: Produce,
  overlap: "parallel",
  holdsFrame: true,
  async handle(context, caller, request, version) {
    const { acks, transactionalId } = request;
    const isAcksKnown = acks === -1 || acks === 0 || acks === 1;
    const lacksId = lacksTransactionalId(request);
    const log = context.broker.log;
    const appends: AppendPartition[] = [];
    /** Why a partition goes no further, by its place in the request; sparse, empty as a rule. */
    const refused = new Map<number, KafkaError>();
    let place = 0;
    for (const topic of request.topicData) {
      const name = version < TOPIC_IDS_SINCE ? topic.name : log.topicNameOf(topic.topicId);
      for (const { index, records } of topic.partitionData) {
        if (lacksId) refused.set(place, NO_TRANSACTIONAL_ID);
        else if (!isAcksKnown) refused.set(place, INVALID_ACKS);
        else if (name === null) refused.set(place, UNKNOWN_TOPIC_ID);
        else if (records === null) refused.set(place, NO_RECORDS);
        else if (version < ZSTD_SINCE && (attributesOf(records) & CODEC_MASK) === ZSTD) {
          refused.set(place, ZSTD_TOO_EARLY);
        } else appends.push({ topic: name, partition: index, batches: records, singleBatch: true });
        place++;
      }
    }
    const outcomes =
      appends.length === 0
        ? []
        : await log.append(caller, {
            acks: acks as 0 | 1 | -1,
            timeoutMs: request.timeoutMs,
            transactionalId,
            addsToTransaction: version >= ADDS_SINCE,
            partitions: appends,
          });
    if (acks === 0) {
      refuseOnError(request, refused, outcomes);
      return { response: null };
    }
    const hints = new LeaderHints(log, caller);
    return { response: responseOf(request, version, refused, outcomes, hints) };
  },
});

/** Whether a batch belongs to a transaction that the request does not name: all of it is refused. */
function lacksTransactionalId({ transactionalId, topicData }: ProduceRequest): boolean {
  if (transactionalId !== null) return false;
  return topicData.some(({ partitionData }) =>
    partitionData.some(
      ({ records }) => records !== null && (attributesOf(records) & TRANSACTIONAL_BIT) !== 0,
    ),
  );
}

/** The attributes of the first batch; 0 when it is none of magic 2, which the log will say. */
function attributesOf(records: Uint8Array): number {
  if (records.length < BATCH_HEADER_BYTES || magicAt(records, 0) !== MAGIC_V2) return 0;
  return attributesAt(records, 0);
}

/** Without acks there is nothing to answer with: the closed connection tells the producer. */
function refuseOnError(
  request: ProduceRequest,
  refused: ReadonlyMap<number, KafkaError>,
  outcomes: readonly Outcome<AppendResult>[],
): void {
  let error: KafkaError | undefined = refused.values().next().value;
  for (const outcome of outcomes) if (!outcome.ok) error ??= outcome.error;
  if (error === undefined) return;
  const topic = request.topicData[0];
  throw new ConnectionRefusal(
    "unacknowledged_produce_failed",
    `${error.code}, first topic ${topic?.name === "" ? topic.topicId : topic?.name}`,
  );
}

function responseOf(
  request: ProduceRequest,
  version: number,
  refused: ReadonlyMap<number, KafkaError>,
  outcomes: readonly Outcome<AppendResult>[],
  hints: LeaderHints,
): ProduceResponseInput {
  const responses: TopicResponse[] = [];
  let place = 0;
  let nextOutcome = 0;
  for (const { name, topicId, partitionData } of request.topicData) {
    const partitionResponses: PartitionResponse[] = [];
    for (const { index } of partitionData) {
      const error = refused.size === 0 ? undefined : refused.get(place);
      place++;
      if (error !== undefined) {
        partitionResponses.push(refusalOf(index, version, error));
        continue;
      }
      const outcome = outcomes[nextOutcome++]!;
      if (!outcome.ok) {
        const { code, wireCode } = outcome.error;
        const answer = refusalOf(index, version, outcome.error);
        // Of a producer nothing is fenced by its epoch of the leader: it names none.
        const isHinted = version >= HINTS_SINCE && code === "not_leader_or_follower";
        const topic = version < TOPIC_IDS_SINCE ? name : hints.topicNameOf(topicId);
        partitionResponses.push(
          isHinted ? { ...answer, ...hints.of(wireCode, topic, index) } : answer,
        );
        continue;
      }
      const { baseOffset, logAppendTimeMs, logStartOffset } = outcome.value;
      partitionResponses.push({ index, errorCode: 0, baseOffset, logAppendTimeMs, logStartOffset });
    }
    responses.push({ name, topicId, partitionResponses });
  }
  const { nodeEndpoints } = hints;
  return { responses, throttleTimeMs: 0, ...(nodeEndpoints.length === 0 ? {} : { nodeEndpoints }) };
}

function refusalOf(index: number, version: number, refusal: AppendError): PartitionResponse {
  const error = asProducersKnow(refusal, version);
  const base = { index, errorCode: error.wireCode, baseOffset: -1 };
  if (version < RECORD_ERRORS_SINCE) return base;
  const recordErrors = (error.recordErrors ?? []).map(({ batchIndex, message }) => ({
    batchIndex,
    batchIndexErrorMessage: message,
  }));
  return { ...base, recordErrors, errorMessage: error.message };
}

/** Before v11 there was no word for a transaction that can only be aborted. */
function asProducersKnow(error: AppendError, version: number): AppendError {
  const isUnknown = error.code === "transaction_abortable" && version < ABORTABLE_SINCE;
  return isUnknown ? kafkaError("invalid_txn_state") : error;
}
