// Records given over HTTP: those of a partition from an offset on, waiting for more where asked to; and single ones.
// Invariant: an answer that waits for its reader is counted until it is read or given up.
// Kafka: Fetch, ListOffsets.

import { type Context, Hono } from "hono";
import {
  type FetchedRecords,
  fetchWithRoom,
  type GatewayRecord,
} from "../../../src/gateway/fetch_records.ts";
import { resolveOffsets, type StartPosition } from "../../../src/gateway/offsets.ts";
import type { KafkaError } from "../../../src/protocol/errors.ts";
import { type Env, parkedCaller } from "../exchange.ts";
import { badRequest, Refusal, refusalOf } from "../problem.ts";
import { Query } from "../query.ts";
import { recordToJson } from "../record_shapes.ts";
import { heldBody, jsonTexts, replyFull } from "../reply.ts";

const RECORDS_DEFAULT = 500;
const BYTES_DEFAULT = 1024 * 1024;
/** What JSON may take of what records may: base64 and short records stay below it. */
const JSON_GROWTH = 4;
const NONE = new Uint8Array(0);
const encoder = new TextEncoder();
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function fetchRoutes(): Hono<Env> {
  return new Hono<Env>()
    .get("/v1/topics/:topic/partitions/:partition/records", async (c) => {
      const { options } = c.env;
      const query = new Query(c.req.url, [
        "offset",
        "timestamp",
        "max",
        "maxBytes",
        "waitMs",
        "minBytes",
        "isolation",
      ]);
      const topic = c.req.param("topic");
      const partition = partitionFrom(c.req.param("partition"));
      const start = startFrom(query, "earliest");
      const waitMs = query.whole("waitMs", 0, options.waitMsMax) ?? 0;
      const isolation = query.oneOf("isolation", ["read_committed", "read_uncommitted"]);
      const bounds = {
        // A client that asks for the head alone does not want to wait for a body.
        waitMsMax: c.req.raw.method === "HEAD" ? 0 : waitMs,
        bytesMin: query.whole("minBytes", 1, options.fetchBytesMax) ?? 1,
        bytesMax: query.whole("maxBytes", 1, options.fetchBytesMax) ?? BYTES_DEFAULT,
        recordsMax:
          query.whole("max", 1, options.recordsMax) ??
          Math.min(RECORDS_DEFAULT, options.recordsMax),
        isolation: isolation ?? "read_uncommitted",
      } as const;
      return await read(c, topic, partition, start, bounds, async ({ value, error }) => {
        if (value === null) throw await outOfRange(c, topic, partition, error);
        const { records, highWatermark, logStartOffset } = value;
        const { traffic } = c.env;
        if (records.length > 0 && traffic.isReplyFull) throw replyFull();
        const texts = jsonTexts(
          records,
          JSON_GROWTH * traffic.fetchBytesMax(options.fetchBytesMax),
        );
        const nextOffset = records[texts.length]?.offset ?? value.nextOffset;
        const head = JSON.stringify({ topic, partition }).slice(0, -1);
        const rest = JSON.stringify({ nextOffset, highWatermark, logStartOffset }).slice(1);
        const bytes = encoder.encode(`${head},"records":[${texts.join(",")}],${rest}`);
        return send(c, bytes, { "content-type": "application/json" });
      });
    })
    .get("/v1/topics/:topic/partitions/:partition/records/:offset", async (c) => {
      new Query(c.req.url, []);
      const topic = c.req.param("topic");
      const partition = partitionFrom(c.req.param("partition"));
      const offset = offsetFrom(c.req.param("offset"));
      const one = {
        waitMsMax: 0,
        bytesMin: 1,
        bytesMax: 1,
        recordsMax: 1,
        isolation: "read_uncommitted",
      } as const;
      return await read(c, topic, partition, { offset }, one, async ({ value, error }) => {
        if (value === null && error.code !== "offset_out_of_range") throw refusalOf(error);
        const record = value?.records[0];
        if (record === undefined || record.offset !== offset) {
          throw new Refusal(404, "record_not_found", `There is no record at offset ${offset}`);
        }
        const isRaw = /\bapplication\/octet-stream\b/.test(c.req.header("accept") ?? "");
        if (isRaw) return send(c, record.value ?? NONE, rawHeaders(record));
        const json = encoder.encode(JSON.stringify({ topic, ...recordToJson(record) }));
        return send(c, json, { "content-type": "application/json", vary: "Accept" });
      });
    });
}

/** A word, an offset, or a time. @throws {Refusal} 400 */
export function startFrom(query: Query, otherwise: StartPosition, name = "offset"): StartPosition {
  const text = query.text(name);
  const timestampMs = query.whole("timestamp", 0, Number.MAX_SAFE_INTEGER);
  if (text !== null && timestampMs !== null)
    throw badRequest(`Give ${name} or timestamp, not both`);
  if (timestampMs !== null) return { timestampMs };
  if (text === null) return otherwise;
  if (text === "earliest" || text === "latest") return text;
  if (!/^\d{1,16}$/.test(text)) {
    throw badRequest(`${name} must be earliest, latest or an offset`, { parameter: name });
  }
  return { offset: Number(text) };
}

interface Bounds {
  readonly waitMsMax: number;
  readonly bytesMin: number;
  readonly bytesMax: number;
  readonly recordsMax: number;
  readonly isolation: "read_committed" | "read_uncommitted";
}

type Found =
  | { readonly value: FetchedRecords; readonly error: null }
  | { readonly value: null; readonly error: KafkaError };

/** Reads, and has `answer` make the answer while nobody else's is made. */
async function read(
  c: Context<Env>,
  topic: string,
  partition: number,
  start: StartPosition,
  bounds: Bounds,
  answer: (found: Found) => Promise<Response>,
): Promise<Response> {
  const { context, traffic } = c.env;
  const { broker, runtime } = context;
  if (traffic.isReplyFull) throw replyFull();
  const { expiresAtMs } = c.env;
  const parking = parkedCaller(c.env, bounds.waitMsMax > 0 ? c.req.raw.signal : null);
  // Nobody is told what came after their token's time.
  const expiry =
    bounds.waitMsMax === 0 || expiresAtMs === null
      ? null
      : runtime.scheduler.after(expiresAtMs - runtime.clock.wallMs(), "http_token", parking.end);
  try {
    const [from] = await resolveOffsets(
      broker,
      parking.caller,
      topic,
      [{ partition, at: start }],
      bounds.isolation,
    );
    if (!from!.ok) return await answer({ value: null, error: from!.error });
    const fetched = await fetchWithRoom(
      broker,
      runtime,
      parking.caller,
      { ...bounds, topic, partitions: [{ partition, offset: from!.value.offset }] },
      {
        take: async () => {
          const free = await traffic.reading();
          return { bytesMax: traffic.fetchBytesMax(bounds.bytesMax), kept: free };
        },
        give: (free) => free(),
      },
    );
    const { outcomes, kept: free } = fetched!;
    try {
      const [outcome] = outcomes;
      return await answer(
        outcome!.ok
          ? { value: outcome!.value, error: null }
          : { value: null, error: outcome!.error },
      );
    } finally {
      free?.();
    }
  } finally {
    expiry?.cancel();
    parking.end();
  }
}

/** The refusal, with the offsets that there are where the asked one is not. */
async function outOfRange(
  c: Context<Env>,
  topic: string,
  partition: number,
  error: KafkaError,
): Promise<Refusal> {
  if (error.code !== "offset_out_of_range") return refusalOf(error);
  const { context, caller } = c.env;
  const [first, end] = await resolveOffsets(context.broker, caller, topic, [
    { partition, at: "earliest" },
    { partition, at: "latest" },
  ]);
  return refusalOf(error, {
    ...(first!.ok ? { logStartOffset: first!.value.offset } : {}),
    ...(end!.ok ? { highWatermark: end!.value.offset } : {}),
  });
}

function send(c: Context<Env>, bytes: Uint8Array, headers: Record<string, string>): Response {
  if (c.req.raw.method === "HEAD") {
    return new Response(null, { headers: { ...headers, "content-length": String(bytes.length) } });
  }
  return new Response(heldBody(bytes, c.env.traffic, c.env.context.runtime.scheduler), { headers });
}

function rawHeaders(record: GatewayRecord): Record<string, string> {
  const { offset, timestampMs, key, value } = record;
  return {
    "content-type": "application/octet-stream",
    "content-disposition": "attachment",
    vary: "Accept",
    "millrace-offset": String(offset),
    "millrace-timestamp": String(timestampMs),
    ...(value === null ? { "millrace-tombstone": "true" } : {}),
    ...(key === null ? {} : keyHeader(key)),
  };
}

/** The key in percent-encoding, where it is text. */
function keyHeader(key: Uint8Array): Record<string, string> {
  if (key.length > 1024) return {};
  try {
    return { "millrace-key": encodeURIComponent(utf8.decode(key)) };
  } catch {
    return {}; // Not text: the JSON has it.
  }
}

export function partitionFrom(text: string): number {
  const partition = Number(text);
  if (/^\d{1,10}$/.test(text) && partition <= 0x7fffffff) return partition;
  throw badRequest("A partition is a whole number from 0");
}

function offsetFrom(text: string): number {
  const offset = Number(text);
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(offset)) return offset;
  throw badRequest("An offset is a whole number from 0");
}
