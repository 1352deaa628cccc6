// What runs inside workerd for drive.ts: the Durable Object with two doors for the test, and the plain core in a
// Worker without any. Answers are JSON.

import { type AuthTokenRule, authToken } from "../../../plugins/auth-token/mod.ts";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ByteReader } from "../../../src/base/byte_reader.ts";
import { ByteWriter } from "../../../src/base/byte_writer.ts";
import { xxh32 } from "../../../src/base/xxh32.ts";
import { loadXxhash } from "../../../src/base/xxhash.ts";
import type { Caller } from "../../../src/contracts/broker.ts";
import { createBroker } from "../../../src/core/mod.ts";
import {
  type DurableObjectContext,
  MillraceObject,
  type MillraceObjectOptions,
} from "../../../src/edge/mod.ts";
import { apis } from "../../../src/protocol/all_messages.ts";
import { codecOf } from "../../../src/protocol/compile.ts";
import type { Message } from "../../../src/protocol/schema.ts";
import { RecordBatch } from "../../../src/record/record_batch.ts";
import { openRecords } from "../../../src/record/record_block.ts";
import { RecordBatchBuilder } from "../../../src/record/record_builder.ts";
import { RecordCursor } from "../../../src/record/record_reader.ts";
import { edgeRuntime } from "../../../src/runtime/edge_runtime.ts";

interface ObjectStub {
  fetch(request: Request): Promise<Response>;
}

interface Namespace {
  idFromName(name: string): unknown;
  get(id: unknown): ObjectStub;
}

interface Env {
  readonly LOG: Namespace;
  readonly SECURE: Namespace;
  readonly IDLE: Namespace;
  readonly BROKEN: Namespace;
}

/** Golden vectors as drive.ts sends them: `[name, version, hex]` of requests and responses by API key. */
export type VectorQuestion = readonly (readonly [
  key: number,
  kind: "request" | "response",
  version: number,
  hex: string,
])[];

/**
 * The object under test. `/-/instance` names this instance, `/-/abort` ends it as the host would, `/-/openings` counts
 * the brokers there ever were on its storage. None of the three is a request to the broker.
 */
export class TestLog extends MillraceObject {
  readonly #context: DurableObjectContext;
  readonly #instance = crypto.randomUUID();

  constructor(context: DurableObjectContext, env: unknown, options: MillraceObjectOptions = {}) {
    super(context, env, options);
    this.#context = context;
  }

  override async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/-/instance") return Response.json({ instance: this.#instance });
    if (pathname === "/-/abort") {
      this.#context.abort("the test ends this instance");
      return new Response(null, { status: 204 });
    }
    if (pathname === "/-/openings") {
      const { sql } = this.#context.storage;
      const rows = sql.exec("SELECT value FROM millrace_kv WHERE key = ?", "log/owner").raw();
      const owner = new TextDecoder().decode(rows.toArray()[0]![0] as ArrayBuffer);
      return Response.json({ openings: Number.parseInt(owner, 10) });
    }
    return await super.fetch(request);
  }
}

/** The object that stops its broker as soon as there is a pause. */
export class IdleLog extends TestLog {
  constructor(context: DurableObjectContext, env: unknown) {
    // workerd says that a client has gone when the next bytes cannot be sent.
    super(context, env, { idleMs: 5, http: { heartbeatMs: 1000 } });
  }
}

/** SHA-256 of "open-sesame". */
const TOKEN_HASH = "sha256:d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";

/** The object as a user configures it: a token that may write and read topics that begin with "t". */
export class SecureLog extends MillraceObject {
  constructor(context: DurableObjectContext, env: unknown) {
    const rule = { principal: "User:alice", allow: ["create", "write", "read"], topics: ["t"] };
    super(context, env, {
      auth: [
        authToken({
          tokens: [{ principal: "User:alice", hash: TOKEN_HASH }],
          rules: [rule as AuthTokenRule],
        }),
      ],
      http: { bodyBytesMax: 1000 },
    });
  }
}

/** An object whose broker cannot be made: it must answer all the same. */
export class BrokenLog extends MillraceObject {
  constructor(context: DurableObjectContext, env: unknown) {
    super(context, env, { settings: { "message.max.bytes": "many" } });
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url);
    if (url.pathname === "/core") return Response.json(await plainCore());
    if (url.pathname === "/xxhash") return Response.json(await keyHashes());
    if (url.pathname === "/vectors") {
      return Response.json(vectorFaults((await request.json()) as VectorQuestion));
    }
    const [, kind, name, rest] =
      /^\/(o|secure|idle|broken)\/([^/]+)(\/.*)$/.exec(url.pathname) ?? [];
    if (name === undefined) return new Response("no such route", { status: 404 });
    url.pathname = rest!;
    const objects = { o: env.LOG, secure: env.SECURE, idle: env.IDLE, broken: env.BROKEN }[kind!]!;
    return await objects
      .get(objects.idFromName(name))
      .fetch(new Request(url.href, request as RequestInit));
  },
};

/** Made within a request: workerd refuses an AbortController while the script loads. */
function callerNow(): Caller {
  return {
    principal: { type: "User", name: "ANONYMOUS" },
    peer: { host: "", listener: "in_process", tlsPeerCertificate: null },
    clientId: "workerd",
    listener: "in_process",
    signal: new AbortController().signal,
  };
}

/** A broker of nothing but the core and memory, within one request: what it appended, it fetches. */
async function plainCore(): Promise<object> {
  const caller = callerNow();
  const edge = edgeRuntime({ logLevel: "warn" });
  const broker = await createBroker({
    broker: { id: 1 },
    runtime: edge.runtime,
    storage: storageMemory(),
    metadata: metadataMemory(),
    transports: [],
  });
  await broker.start();
  const topic = {
    name: "t",
    numPartitions: 1,
    replicationFactor: -1,
    assignments: [],
    configs: [],
  };
  const request = { topics: [topic], timeoutMs: 1000, validateOnly: false };
  const { topics } = await broker.topics.createTopics(caller, request, 7);
  const builder = new RecordBatchBuilder();
  const key = new TextEncoder().encode("k");
  for (const text of ["one", "two"]) {
    builder.append(Date.now(), key, new TextEncoder().encode(text));
  }
  const [appended] = await broker.log.append(caller, {
    acks: -1,
    timeoutMs: 1000,
    transactionalId: null,
    partitions: [{ topic: "t", partition: 0, batches: builder.build() }],
  });
  const fetched = await broker.log.fetch(caller, {
    isolation: "read_uncommitted",
    waitMsMax: 0,
    bytesMin: 1,
    bytesMax: 1_000_000,
    partitions: [
      { topic: "t", partition: 0, fetchOffset: 0, bytesMax: 1_000_000, leaderEpoch: -1 },
    ],
  });
  const [outcome] = fetched.partitions;
  const values: [number, string][] = [];
  if (outcome?.ok === true) {
    for (const bytes of outcome.value.batches) {
      const batch = new RecordBatch(bytes, 0, bytes.length);
      const { compression } = edge.runtime;
      const block = openRecords(batch, { compression, sizeBytesMax: 1_000_000 });
      if (typeof block === "string") throw new Error(block);
      const cursor = new RecordCursor(block);
      while (cursor.next()) {
        values.push([
          batch.baseOffset + cursor.offsetDelta,
          new TextDecoder().decode(cursor.value() ?? undefined),
        ]);
      }
    }
  }
  fetched.release();
  await broker.stop(1000);
  await edge.stop(1000);
  return { created: topics[0]?.errorCode, appended, values };
}

/** XXH32 by WebAssembly, which is compiled beforehand here, and by plain code. */
async function keyHashes(): Promise<object> {
  const bytes = new TextEncoder().encode("a key of more than sixteen bytes");
  return { wasm: (await loadXxhash()).hash32(bytes), plain: xxh32(bytes) };
}

/** Decodes and encodes each vector; what does not come out as it went in. */
function vectorFaults(vectors: VectorQuestion): {
  readonly count: number;
  readonly faults: string[];
} {
  const byKey = new Map(apis.map((api) => [api.apiKey, api]));
  const faults: string[] = [];
  for (const [key, kind, version, hex] of vectors) {
    const message = byKey.get(key)![kind] as Message;
    const reader = new ByteReader(bytesOf(hex));
    const codec = codecOf(message, version);
    const decoded = codec.read(reader);
    const writer = new ByteWriter();
    codec.write(writer, decoded as never);
    const written = hexOf(writer.toBytes());
    if (reader.remaining !== 0 || written !== hex) faults.push(`${message.name} v${version}`);
  }
  return { count: vectors.length, faults };
}

const bytesOf = (hex: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const hexOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
