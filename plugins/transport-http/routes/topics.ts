// Topics over HTTP: listed, made, made unless they are there, described, deleted.
// Kafka: CreateTopics, DeleteTopics, Metadata, DescribeConfigs.

import { type Context, Hono } from "hono";
import {
  createTopic,
  deleteTopic,
  describeTopic,
  listTopics,
  type TopicDescription,
  type TopicInput,
  type TopicSummary,
} from "../../../src/gateway/topics.ts";
import { withBody } from "../body.ts";
import type { Env, Exchange } from "../exchange.ts";
import { parseJson } from "../json.ts";
import { badRequest, Refusal, refusalOf } from "../problem.ts";
import { Query } from "../query.ts";
import { objectFrom, wholeFrom, wrong } from "../record_shapes.ts";

/** How much more parsed JSON takes than its text. */
export const JSON_WEIGHT = 4;

export function topicRoutes(): Hono<Env> {
  return new Hono<Env>()
    .get("/v1/topics", async (c) => {
      new Query(c.req.url, []);
      const { broker } = c.env.context;
      const topics = await listTopics(broker, c.env.caller);
      return c.json({ topics: topics.map(summaryToJson) });
    })
    .post("/v1/topics", async (c) => {
      new Query(c.req.url, []);
      return withJson(c, async (json) => {
        const fields = objectFrom(json, "body", ["name", "partitions", "config"]);
        const { name } = fields;
        if (typeof name !== "string") throw wrong("body.name", "a string");
        const made = await createTopic(c.env.context.broker, c.env.caller, input(name, fields));
        if (!made.ok) throw refusalOf(made.error);
        return created(c, made.value);
      });
    })
    .get("/v1/topics/:topic", async (c) => {
      new Query(c.req.url, []);
      const { broker } = c.env.context;
      const found = await describeTopic(broker, c.env.caller, c.req.param("topic"));
      if (!found.ok) throw refusalOf(found.error);
      return c.json(descriptionToJson(found.value));
    })
    .put("/v1/topics/:topic", async (c) => {
      new Query(c.req.url, []);
      const name = c.req.param("topic");
      const isEmpty = c.req.raw.body === null || c.req.header("content-length") === "0";
      const put = (json: unknown) =>
        putTopic(c, input(name, objectFrom(json, "body", ["partitions", "config"])));
      if (isEmpty) return put({});
      if (c.req.header("content-type") !== undefined) return withJson(c, put);
      // curl does not speak of a body that it has not, and Deno makes an empty one of that.
      return withBody(c.req.raw, bodyContext(c.env), 1, async (bytes) => {
        if (bytes.length > 0) throw untyped();
        return await put({});
      });
    })
    .delete("/v1/topics/:topic", async (c) => {
      new Query(c.req.url, []);
      const { broker } = c.env.context;
      const deleted = await deleteTopic(broker, c.env.caller, c.req.param("topic"));
      if (!deleted.ok) throw refusalOf(deleted.error);
      return c.body(null, 204);
    });
}

/** Reads a body of content type JSON. */
function withJson(c: Context<Env>, use: (json: unknown) => Promise<Response>): Promise<Response> {
  const type = c.req.header("content-type");
  if (type !== undefined && !/^application\/json\s*(;|$)/i.test(type)) {
    throw new Refusal(415, "unsupported_media_type", "Send the topic as application/json");
  }
  if (type === undefined) throw untyped();
  return withBody(c.req.raw, bodyContext(c.env), JSON_WEIGHT, (bytes) => use(parseJson(bytes)));
}

function untyped(): Refusal {
  return new Refusal(415, "unsupported_media_type", "Say Content-Type: application/json");
}

export function bodyContext({ options, traffic, context }: Exchange) {
  const { scheduler } = context.runtime;
  return { limits: options, traffic, scheduler, budget: context.requestMemory };
}

/** Makes the topic; one that is there is as good when it is as asked. */
async function putTopic(c: Context<Env>, topic: TopicInput): Promise<Response> {
  const { caller, context } = c.env;
  const made = await createTopic(context.broker, caller, topic);
  if (made.ok) return created(c, made.value);
  if (made.error.code !== "topic_already_exists") throw refusalOf(made.error);
  const found = await describeTopic(context.broker, caller, topic.name);
  if (!found.ok) throw refusalOf(found.error);
  const { partitions, config } = found.value;
  if (topic.partitions !== undefined && topic.partitions !== partitions) {
    throw refusalOf({ ...made.error, message: `The topic exists with ${partitions} partitions` });
  }
  for (const [name, value] of Object.entries(topic.config ?? {})) {
    if (config === null || config[name] === value) continue;
    const has = config[name] === undefined ? "has none of its own" : `is "${config[name]}"`;
    throw refusalOf({ ...made.error, message: `The topic exists, and its ${name} ${has}` });
  }
  return c.json(descriptionToJson(found.value));
}

function input(name: string, fields: Readonly<Record<string, unknown>>): TopicInput {
  const { partitions, config } = fields;
  return {
    name,
    ...(partitions === undefined
      ? {}
      : { partitions: wholeFrom(partitions, "body.partitions", 1, 0x7fffffff) }),
    ...(config === undefined ? {} : { config: configFrom(config) }),
  };
}

/** Settings as text; numbers and booleans as they are written. */
function configFrom(json: unknown): Record<string, string> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw wrong("body.config", "an object of settings by Kafka's names");
  }
  const entries = Object.entries(json).map(([name, value]): [string, string] => {
    if (typeof value === "string") return [name, value];
    if (typeof value === "number" || typeof value === "boolean") return [name, String(value)];
    throw badRequest(`body.config[${JSON.stringify(name)}] must be a string, number or boolean`);
  });
  return Object.fromEntries(entries);
}

function created(c: Context<Env>, topic: TopicDescription): Response {
  c.header("location", `/v1/topics/${encodeURIComponent(topic.name)}`);
  return c.json(descriptionToJson(topic), 201);
}

function summaryToJson({ name, id, partitions, isInternal }: TopicSummary) {
  return { name, id, partitions, internal: isInternal };
}

function descriptionToJson(topic: TopicDescription) {
  return { ...summaryToJson(topic), config: topic.config };
}
