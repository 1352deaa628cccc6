// What may be asked, one function an op: the fields of a request in, those of its answer out.
// Invariant: a request is checked, and an append made, before the first await: appends keep the order in
// which their requests came. A refusal is a value; BadRequest alone is thrown.

import { ok } from "../../src/base/outcome.ts";
import type { Broker, Caller } from "../../src/contracts/broker.ts";
import type { Runtime } from "../../src/contracts/runtime.ts";
import {
  type FetchedRecords,
  fetchWithRoom,
  type PartitionPosition,
  weightBytesOf,
} from "../../src/gateway/fetch_records.ts";
import { resolveOffsets } from "../../src/gateway/offsets.ts";
import { appendRecords } from "../../src/gateway/records.ts";
import {
  createTopic,
  deleteTopic,
  describeTopic,
  listTopics,
  type TopicSummary,
} from "../../src/gateway/topics.ts";
import type { KafkaError, Outcome } from "../../src/protocol/errors.ts";
import { CODECS, type Codec } from "../../src/record/compression.ts";
import { int } from "./cbor.ts";
import {
  BadRequest,
  errorShape,
  type Fields,
  flagOf,
  intOf,
  optionalTextOf,
  positionsOf,
  recordShape,
  recordsOf,
  startsOf,
  textOf,
  textsOf,
} from "./shapes.ts";

const MIB = 1024 * 1024;
/** Room for one read: the log gives whole batches, of which records are cut. */
export const READ_BYTES_MIN = MIB;
const WAIT_MS_MAX = 300_000;
const TIMEOUT_MS_MAX = 300_000;
const RECORDS_MAX = 100_000;
const RECORDS_DEFAULT = 10_000;
const PARTITIONS_HIGHEST = 0x7fffffff;

/** Room for an answer, taken before what goes into it is read. */
export interface Room {
  /** Makes it so large instead. @returns false, and leaves it as it is, where there is not so much */
  resize(sizeBytes: number): boolean;
  /** Idempotent. */
  release(): void;
}

/** Whom a request comes from, and what it may use. */
export interface Call {
  readonly broker: Broker;
  readonly runtime: Runtime;
  readonly caller: Caller;
  readonly fetchBytesMax: number;
  /**
   * Resolves when there is room for an answer of this size, which is kept until it is released, or the request was
   * answered; null at the end.
   */
  room(sizeBytes: number): Promise<Room | null>;
}

/** Fields of the answer, or a refusal; null where there is no answer. */
export type Answer = Outcome<object> | null;

/** Serves one kind of request. */
export interface Operation {
  /** Whether byte strings of the request are looked at until the answer is there. */
  readonly holdsFrame: boolean;
  run(call: Call, fields: Fields): Promise<Answer>;
}

/** The ops that need nothing of their connection but a call. */
export const operations: ReadonlyMap<string, Operation> = new Map<string, Operation>([
  ["ping", { holdsFrame: false, run: async () => ok({}) }],
  ["produce", { holdsFrame: true, run: produce }],
  ["fetch", { holdsFrame: false, run: fetch }],
  ["offsets", { holdsFrame: false, run: offsets }],
  ["create_topic", { holdsFrame: false, run: create }],
  ["delete_topic", { holdsFrame: false, run: remove }],
  ["list_topics", { holdsFrame: false, run: list }],
  ["describe_topic", { holdsFrame: false, run: describe }],
]);

async function produce(call: Call, fields: Fields): Promise<Answer> {
  const { broker, runtime, caller } = call;
  const acks = intOf(fields, "acks", -1, 1, -1) as -1 | 0 | 1;
  const expectedOffset =
    fields["expectedOffset"] === undefined
      ? undefined
      : intOf(fields, "expectedOffset", 0, Number.MAX_SAFE_INTEGER);
  const outcome = await appendRecords(broker, runtime, caller, {
    topic: textOf(fields, "topic"),
    records: recordsOf(fields),
    acks,
    timeoutMs: intOf(fields, "timeoutMs", 0, TIMEOUT_MS_MAX, 30_000),
    compression: codecOf(fields),
    ...(expectedOffset === undefined ? {} : { expectedOffset }),
  });
  if (!outcome.ok) return outcome;
  if (acks === 0) {
    // Who does not wait is told of failures alone.
    return outcome.value.find((each) => !each.ok) ?? null;
  }
  const results = outcome.value.map((each) => {
    if (!each.ok) return errorShape(each.error);
    const { partition, offset, timestampMs } = each.value;
    return [partition, int(offset), int(timestampMs)];
  });
  return ok({ results });
}

async function fetch(call: Call, fields: Fields): Promise<Answer> {
  const { broker, runtime, caller, fetchBytesMax } = call;
  const partitions = positionsOf(fields);
  const wantedBytes = intOf(fields, "bytesMax", 1, 0x7fffffff, MIB);
  const request = {
    topic: textOf(fields, "topic"),
    partitions,
    waitMsMax: intOf(fields, "waitMs", 0, WAIT_MS_MAX, 0),
    bytesMin: intOf(fields, "bytesMin", 0, 0x7fffffff, 1),
    recordsMax: intOf(fields, "recordsMax", 1, RECORDS_MAX, RECORDS_DEFAULT),
    isolation: isolationOf(fields),
  };
  const aimBytes = Math.min(wantedBytes, fetchBytesMax);
  let refusedBytes = 0;
  for (;;) {
    // Room before reading, and none while it waits. One record may be as large as the least.
    const roomBytes = Math.max(aimBytes, READ_BYTES_MIN, refusedBytes);
    const bounded = { ...request, bytesMax: aimBytes };
    const fetched = await fetchWithRoom(broker, runtime, caller, bounded, {
      take: async () => {
        const room = await call.room(roomBytes);
        return room === null ? null : { bytesMax: aimBytes, kept: room };
      },
      give: (room) => room.release(),
    });
    if (fetched === null) return null;
    const { outcomes, kept: room } = fetched;
    if (room === null) return ok(fetchShape(partitions, outcomes));
    let sizeBytes = 0;
    for (const each of outcomes) if (each.ok) sizeBytes += weightBytesOf(each.value.records);
    if (room.resize(sizeBytes)) return ok(fetchShape(partitions, outcomes));
    // Larger than what there was room for: what was read goes, until the peer has read.
    room.release();
    refusedBytes = sizeBytes;
  }
}

function fetchShape(
  asked: readonly PartitionPosition[],
  outcomes: readonly Outcome<FetchedRecords>[],
): object {
  return {
    partitions: outcomes.map((outcome, i) => {
      const { partition } = asked[i]!;
      if (!outcome.ok) return { partition, error: errorShape(outcome.error) };
      const { records, nextOffset, highWatermark, logStartOffset } = outcome.value;
      return {
        partition,
        records: records.map(recordShape),
        nextOffset: int(nextOffset),
        highWatermark: int(highWatermark),
        logStartOffset: int(logStartOffset),
      };
    }),
  };
}

async function offsets(call: Call, fields: Fields): Promise<Answer> {
  const { broker, caller } = call;
  const starts = startsOf(fields);
  const topic = textOf(fields, "topic");
  const outcomes = await resolveOffsets(broker, caller, topic, starts, isolationOf(fields));
  return ok({
    partitions: outcomes.map((outcome, i) => {
      const { partition } = starts[i]!;
      if (!outcome.ok) return { partition, error: errorShape(outcome.error) };
      const { offset, timestampMs } = outcome.value;
      return { partition, offset: int(offset), timestampMs: int(timestampMs) };
    }),
  });
}

async function create(call: Call, fields: Fields): Promise<Answer> {
  const partitions = intOf(fields, "partitions", 1, PARTITIONS_HIGHEST, -1);
  const made = await createTopic(call.broker, call.caller, {
    name: textOf(fields, "topic"),
    config: textsOf(fields, "config"),
    partitions,
  });
  return made.ok ? ok(topicShape(made.value)) : made;
}

async function remove(call: Call, fields: Fields): Promise<Answer> {
  const deleted = await deleteTopic(call.broker, call.caller, textOf(fields, "topic"));
  if (!deleted.ok) return deleted;
  const { name, id } = deleted.value;
  return ok({ topic: name, topicId: id });
}

async function list(call: Call): Promise<Answer> {
  const topics = await listTopics(call.broker, call.caller);
  return ok({ topics: topics.map(topicShape) });
}

async function describe(call: Call, fields: Fields): Promise<Answer> {
  const found = await describeTopic(call.broker, call.caller, textOf(fields, "topic"));
  return found.ok ? ok(topicShape(found.value)) : found;
}

/** A topic as it is answered: "id" is the request's, and "topic" the name in requests too. */
function topicShape(found: TopicSummary): object {
  const { name: topic, id: topicId, isInternal: internal, ...rest } = found;
  return { topic, topicId, internal, ...rest };
}

/** What of the log is read. */
export function isolationOf(fields: Fields): "read_uncommitted" | "read_committed" {
  return flagOf(fields, "committed") ? "read_committed" : "read_uncommitted";
}

function codecOf(fields: Fields): Codec {
  const name = optionalTextOf(fields, "compression") ?? "none";
  const codec = CODECS.find((each) => each === name);
  if (codec !== undefined) return codec;
  throw new BadRequest(`"compression" must be one of ${CODECS.join(", ")}`);
}

/** The answer to something that was refused. */
export function refusal(error: KafkaError): object {
  return { error: errorShape(error) };
}
