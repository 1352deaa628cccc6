// The route of event streams: which partitions to follow, and from where.
// Invariant: what a client saw last goes before where it asked to begin.

import { type Context, Hono } from "hono";
import type { PartitionPosition } from "../../../src/gateway/fetch_records.ts";
import { type PartitionStart, resolveOffsets } from "../../../src/gateway/offsets.ts";
import { readRefusal } from "../../../src/gateway/read_right.ts";
import { describeTopic } from "../../../src/gateway/topics.ts";
import { kafkaError } from "../../../src/protocol/errors.ts";
import type { Env } from "../exchange.ts";
import { badRequest, Refusal, refusalOf } from "../problem.ts";
import { Query } from "../query.ts";
import { eventStream, positionsOf } from "../server_sent_events.ts";
import { partitionFrom, startFrom } from "./fetch.ts";

/** Every event's id names every partition. */
const PARTITIONS_MAX = 256;
const EVENTS_TYPE = "text/event-stream";

export function eventRoutes(): Hono<Env> {
  return new Hono<Env>().get("/v1/topics/:topic/records", async (c) => {
    const query = new Query(c.req.url, ["partition", "from", "timestamp"]);
    if (!/\btext\/event-stream\b/.test(c.req.header("accept") ?? "")) {
      throw new Refusal(
        406,
        "not_acceptable",
        `Say Accept: ${EVENTS_TYPE} to follow the topic; records by offset are at /v1/topics/TOPIC/partitions/P/records`,
      );
    }
    const topic = c.req.param("topic");
    // Before its offsets: a topic that is made anew meanwhile must not be followed from those.
    const topicId = c.env.context.broker.log.topicIdOf(topic);
    const positions = await beginnings(c, topic, topicId, query);
    const refused = await readRefusal(c.env.context.broker, c.env.caller, topic);
    if (refused !== null) throw refusalOf(refused);
    const headers = { "content-type": EVENTS_TYPE, "x-accel-buffering": "no" };
    if (c.req.raw.method === "HEAD") return new Response(null, { headers });
    return new Response(eventStream(c.env, topic, topicId, positions), { headers });
  });
}

async function beginnings(
  c: Context<Env>,
  topic: string,
  topicId: string | null,
  query: Query,
): Promise<readonly PartitionPosition[]> {
  const { context, caller } = c.env;
  const at = startFrom(query, "latest", "from");
  const one = query.text("partition");
  const seenId = c.req.header("last-event-id") ?? "";
  const seen = seenId === "" ? null : positionsOf(seenId);
  if (one === null && typeof at === "object" && "offset" in at && seen === null) {
    throw badRequest("An offset is of one partition: say which, by ?partition=");
  }
  if (seen !== null && seen.topicId !== null && topicId !== null && seen.topicId !== topicId) {
    throw refusalOf(
      kafkaError(
        "unknown_topic_id",
        `Topic "${topic}" was made anew since Last-Event-ID was given`,
      ),
    );
  }
  const partitions = one === null ? await partitionsOf(c, topic) : [partitionFrom(one)];
  const starts = partitions.map((partition): PartitionStart => {
    if (seen === null) return { partition, at };
    const offset = seen.positions.get(partition);
    // A partition that was not there yet is new to the client from its first record on.
    return { partition, at: offset === undefined ? "earliest" : { offset } };
  });
  const outcomes = await resolveOffsets(context.broker, caller, topic, starts);
  return outcomes.map((outcome) => {
    if (!outcome.ok) throw refusalOf(outcome.error);
    return { partition: outcome.value.partition, offset: outcome.value.offset };
  });
}

async function partitionsOf(c: Context<Env>, topic: string): Promise<number[]> {
  const found = await describeTopic(c.env.context.broker, c.env.caller, topic);
  if (!found.ok) throw refusalOf(found.error);
  const { partitions } = found.value;
  if (partitions > PARTITIONS_MAX) {
    throw badRequest(
      `The topic has ${partitions} partitions, and a stream follows ${PARTITIONS_MAX} at most: say which, by ?partition=`,
    );
  }
  return Array.from({ length: partitions }, (_, partition) => partition);
}
