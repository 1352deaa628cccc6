// Records taken over HTTP: a body as one record, or a batch of them in JSON.
// Invariant: the content type alone says which: a record may have any bytes, those of a batch among them.
// Kafka: Produce.

import { type Context, Hono } from "hono";
import { resolveOffsets } from "../../../src/gateway/offsets.ts";
import {
  type AppendedRecord,
  type AppendRecordsRequest,
  appendRecords,
  type RecordInput,
} from "../../../src/gateway/records.ts";
import type { Outcome } from "../../../src/protocol/errors.ts";
import type { RecordHeader } from "../../../src/record/record_reader.ts";
import { withBody } from "../body.ts";
import type { Env } from "../exchange.ts";
import { parseJson } from "../json.ts";
import { badRequest, Refusal, refusalOf } from "../problem.ts";
import { Query } from "../query.ts";
import { fromBase64, objectFrom, recordFromJson, wrong } from "../record_shapes.ts";
import { bodyContext, JSON_WEIGHT } from "./topics.ts";

export const BATCH_TYPE = "application/vnd.millrace.batch+json";

const HEADER_PREFIX = "millrace-header-";
const ACKS = { "0": 0, "1": 1, "-1": -1, all: -1 } as const;
const CALL_PARAMETERS = ["acks", "timeoutMs", "expectedOffset"] as const;
const RECORD_PARAMETERS = ["key", "keyBase64", "partition", "timestamp", "tombstone"] as const;
/** No longer than the host keeps a quiet connection. */
const TIMEOUT_MS_MAX = 100_000;
const encoder = new TextEncoder();
const utf8 = new TextDecoder("utf-8", { fatal: true });

type Call = Omit<AppendRecordsRequest, "topic" | "records">;

export function appendRoutes(): Hono<Env> {
  return new Hono<Env>().post("/v1/topics/:topic/records", async (c) => {
    const type = (c.req.header("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
    if (type === BATCH_TYPE) return postBatch(c, c.req.param("topic"));
    if (type === "multipart/form-data") {
      throw new Refusal(
        415,
        "unsupported_media_type",
        `A form is no record: send the bytes themselves, or ${BATCH_TYPE}`,
      );
    }
    return postRecord(c, c.req.param("topic"), type);
  });
}

async function postRecord(c: Context<Env>, topic: string, type: string): Promise<Response> {
  const query = new Query(c.req.url, [...CALL_PARAMETERS, ...RECORD_PARAMETERS]);
  const call = callFrom(query);
  const isTombstone = query.oneOf("tombstone", ["true", "false"]) === "true";
  const partition = query.whole("partition", 0, 0x7fffffff);
  const timestampMs = query.whole("timestamp", -1, Number.MAX_SAFE_INTEGER);
  const key = keyFrom(query);
  const headers = headersFrom(c.req.raw.headers);
  return withBody(c.req.raw, bodyContext(c.env), 1, async (bytes) => {
    if (isTombstone && bytes.length > 0) throw badRequest("A tombstone has no body");
    if (type === "application/json") parseJson(bytes);
    const record: RecordInput = {
      key,
      value: isTombstone ? null : bytes,
      headers,
      ...(partition === null ? {} : { partition }),
      ...(timestampMs === null ? {} : { timestampMs }),
    };
    const [outcome] = await append(c, topic, [record], call);
    if (!outcome!.ok) throw await refusalWithOffset(c, topic, record, call, outcome!);
    if (call.acks === 0) return c.json({ topic, partition: outcome!.value.partition }, 202);
    const { value } = outcome!;
    c.header(
      "location",
      `/v1/topics/${encodeURIComponent(topic)}/partitions/${value.partition}/records/${value.offset}`,
    );
    return c.json({ topic, ...appendedToJson(value) }, 201);
  });
}

async function postBatch(c: Context<Env>, topic: string): Promise<Response> {
  const call = callFrom(new Query(c.req.url, CALL_PARAMETERS));
  const { recordsMax } = c.env.options;
  return withBody(c.req.raw, bodyContext(c.env), JSON_WEIGHT, async (bytes) => {
    const { records: list } = objectFrom(parseJson(bytes), "body", ["records"]);
    if (!Array.isArray(list)) throw wrong("body.records", "an array of records");
    if (list.length > recordsMax) {
      throw new Refusal(413, "too_many_records", `A batch may have ${recordsMax} records at most`);
    }
    const records = list.map((each, index) => recordFromJson(each, `body.records[${index}]`));
    const outcomes = await append(c, topic, records, call);
    let refusedCount = 0;
    const results = [];
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.ok) {
        results.push(
          call.acks === 0 ? { partition: outcome.value.partition } : appendedToJson(outcome.value),
        );
        continue;
      }
      refusedCount++;
      const refusal = await refusalWithOffset(c, topic, records[index]!, call, outcome);
      results.push({ error: refusal.problem });
    }
    // Some may be in the log already: that is no failure of the request, and no success either.
    if (refusedCount > 0) return c.json({ topic, results }, 207);
    return c.json({ topic, results }, call.acks === 0 ? 202 : 200);
  });
}

async function append(
  c: Context<Env>,
  topic: string,
  records: readonly RecordInput[],
  call: Call,
): Promise<readonly Outcome<AppendedRecord>[]> {
  const { context, caller } = c.env;
  const { broker, runtime } = context;
  const appended = await appendRecords(broker, runtime, caller, { topic, records, ...call });
  if (!appended.ok) throw refusalOf(appended.error);
  return appended.value;
}

/** A refusal; where the expected offset is not the next one, it says so by its status, and which is. */
async function refusalWithOffset(
  c: Context<Env>,
  topic: string,
  record: RecordInput,
  call: Call,
  { error }: Outcome<AppendedRecord> & { readonly ok: false },
): Promise<Refusal> {
  if (call.expectedOffset === undefined || error.code !== "invalid_record") return refusalOf(error);
  const { caller } = c.env;
  const { broker } = c.env.context;
  const chosen = broker.log.partitionFor(caller, topic, record.key);
  const partition = record.partition ?? (chosen.ok ? chosen.value : 0);
  const [end] = await resolveOffsets(broker, caller, topic, [{ partition, at: "latest" }]);
  const nextOffset = end?.ok === true ? end.value.offset : null;
  if (nextOffset === call.expectedOffset) return refusalOf(error);
  return new Refusal(412, error.code, error.message, {
    members: { expectedOffset: call.expectedOffset, nextOffset },
  });
}

function callFrom(query: Query): Call {
  const acks = query.oneOf("acks", ["0", "1", "-1", "all"]);
  const timeoutMs = query.whole("timeoutMs", 1, TIMEOUT_MS_MAX);
  const expectedOffset = query.whole("expectedOffset", 0, Number.MAX_SAFE_INTEGER);
  return {
    ...(acks === null ? {} : { acks: ACKS[acks] }),
    ...(timeoutMs === null ? {} : { timeoutMs }),
    ...(expectedOffset === null ? {} : { expectedOffset }),
  };
}

function keyFrom(query: Query): Uint8Array | null {
  const text = query.text("key");
  const base64 = query.text("keyBase64");
  if (text !== null && base64 !== null) throw badRequest("Give key or keyBase64, not both");
  if (base64 === null) return text === null ? null : encoder.encode(text);
  const bytes = fromBase64(base64);
  if (bytes === null) throw badRequest("keyBase64 must be base64 with its padding");
  return bytes;
}

function headersFrom(headers: Headers): RecordHeader[] {
  const list: RecordHeader[] = [];
  for (const [name, value] of headers) {
    if (!name.startsWith(HEADER_PREFIX)) continue;
    list.push({ key: name.slice(HEADER_PREFIX.length), value: headerBytes(value) });
  }
  return list;
}

/** The bytes on the wire, which hosts show one a character; those that are no UTF-8 are taken for Latin-1. */
function headerBytes(value: string): Uint8Array {
  const bytes = Uint8Array.from(value, (character) => character.charCodeAt(0));
  try {
    utf8.decode(bytes);
    return bytes;
  } catch {
    return encoder.encode(value);
  }
}

function appendedToJson({ partition, offset, timestampMs: timestamp }: AppendedRecord) {
  return { partition, offset, timestamp };
}
