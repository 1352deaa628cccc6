// The faces of a broker as faces.test.ts uses them: produce and fetch over Kafka's wire or in process (our client), over
// HTTP, and over TCP, with records in one shape. A refusal is an error with a `code`, whichever face gave it.

import { expect } from "bun:test";
import { Buffer } from "node:buffer";
import type { Client } from "../../mod.ts";
import { hostRuntime } from "../../src/runtime/host_runtime.ts";
import { int, TcpClient } from "../support/tcp_client.ts";

/** A record as all faces have it. */
export interface Row {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array | null }[];
  readonly timestampMs: number;
}
export interface Face {
  /** Appends to partition 0, in order. */
  produce(topic: string, rows: readonly Row[]): Promise<void>;
  /** All of partition 0. */
  fetch(topic: string): Promise<Row[]>;
  close(): Promise<void>;
}
// biome-ignore lint/suspicious/noExplicitAny: what comes is looked at by the test.
type Json = any;
/** A refusal of HTTP, by the code of its problem. */
class HttpRefusal extends Error {
  readonly code: string;
  readonly status: number;
  constructor(status: number, problem: { readonly code: string; readonly detail: string }) {
    super(problem.detail);
    this.status = status;
    this.code = problem.code;
  }
}

const utf8 = new TextEncoder();
const runtime = hostRuntime({ log: { configure: false } }).runtime;

export function clientFace(client: Client, close: () => Promise<void>): Face {
  return {
    async produce(topic, rows) {
      const producer = client.producer({ idempotent: false });
      await Promise.all(rows.map((row) => producer.send({ topic, partition: 0, ...row })));
    },
    async fetch(topic) {
      const rows: Row[] = [];
      for await (const record of client.consumer({ topics: [topic], untilEnd: true }))
        rows.push(record);
      return rows;
    },
    close,
  };
}

export function httpFace(url: string, token: string | null): Face {
  const ask = async (
    path: string,
    init: { method?: string; headers?: object; body?: string } = {},
  ): Promise<Json> => {
    const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
    const headers = { ...init.headers, ...authorization } as Record<string, string>;
    const answer = await fetch(`${url}/v1/topics/${path}`, { ...init, headers });
    const json = (await answer.json()) as Json;
    const [first] = (json.results ?? []) as { error?: { code: string; detail: string } }[];
    if (first?.error !== undefined) throw new HttpRefusal(answer.status, first.error);
    if (answer.status >= 300) {
      expect(answer.headers.get("content-type")).toContain("application/problem+json");
      throw new HttpRefusal(answer.status, json);
    }
    return json;
  };
  return {
    async produce(topic, rows) {
      const records = rows.map(({ key, value, headers, timestampMs: timestamp }) => ({
        partition: 0,
        key: toJson(key),
        value: toJson(value),
        headers: headers.map((each) => ({ key: each.key, value: toJson(each.value) })),
        timestamp,
      }));
      const headers = { "content-type": "application/vnd.millrace.batch+json" };
      const body = JSON.stringify({ records });
      await ask(`${topic}/records`, { method: "POST", headers, body });
    },
    async fetch(topic) {
      const rows: Row[] = [];
      for (let offset = 0; ; ) {
        const answer = await ask(`${topic}/partitions/0/records?offset=${offset}`);
        for (const { key, value, headers, timestamp } of answer.records) {
          rows.push({
            key: fromJson(key),
            value: fromJson(value),
            headers: headers.map((each: { key: string; value: BytesInJson }) => ({
              key: each.key,
              value: fromJson(each.value),
            })),
            timestampMs: timestamp,
          });
        }
        offset = answer.nextOffset;
        if (offset >= answer.highWatermark) return rows;
      }
    },
    close: () => Promise.resolve(),
  };
}

export async function tcpFace(port: number, token: string | null): Promise<Face> {
  const client = await TcpClient.connect(runtime.network, port, token === null ? {} : { token });
  return {
    async produce(topic, rows) {
      const records = rows.map(({ key, value, headers, timestampMs }) => [
        key,
        value,
        headers.map((each) => [each.key, each.value]),
        int(timestampMs),
        0,
      ]);
      const { results } = await client.ask("produce", { topic, records });
      requireServed(results[0]);
    },
    async fetch(topic) {
      const rows: Row[] = [];
      for (let offset = 0; ; ) {
        const { partitions } = await client.ask("fetch", { topic, partitions: [[0, offset]] });
        const [found] = partitions;
        requireServed(found.error);
        for (const [, , timestampMs, key, value, headers] of found.records) {
          const pairs = headers as [string, Uint8Array | null][];
          rows.push({
            key,
            value,
            headers: pairs.map(([name, each]) => ({ key: name, value: each })),
            timestampMs,
          });
        }
        offset = found.nextOffset;
        if (offset >= found.highWatermark) return rows;
      }
    },
    async close() {
      client.close();
      await client.closed;
    },
  };
}

/** A refusal stands where a result would. */
function requireServed(result: { readonly code?: string } | undefined): void {
  if (typeof result?.code === "string")
    throw Object.assign(new Error(result.code), { code: result.code });
}

type BytesInJson = string | { readonly base64: string } | null;

/** Text as text every second time, and as base64 the others: both are to mean the same. */
let turn = 0;
function toJson(value: Uint8Array | null): BytesInJson {
  if (value === null) return null;
  const text = Buffer.from(value).toString("utf8");
  const isText = Buffer.from(text, "utf8").equals(value);
  return isText && turn++ % 2 === 0 ? text : { base64: Buffer.from(value).toString("base64") };
}

function fromJson(value: BytesInJson): Uint8Array | null {
  if (value === null) return null;
  return typeof value === "string" ? utf8.encode(value) : Buffer.from(value.base64, "base64");
}

/** Bytes as hex, so that a difference can be read, and that views and their copies are equal. */
export function readable({ key, value, headers, timestampMs }: Row) {
  const hex = (each: Uint8Array | null) =>
    each === null ? null : Buffer.from(each).toString("hex");
  return {
    key: hex(key),
    value: hex(value),
    headers: headers.map((each) => [each.key, hex(each.value)]),
    timestampMs,
  };
}
