// Drives real workerd through miniflare: drive.ts FOLDER PEERS NAME, where FOLDER holds the bundled worker and PEERS
// the installed miniflare. Prints "ok …" and "not ok …" lines; exit code 1 when a check failed.
// Runs on Bun, Deno and Node alike; processes are looked up in /proc.

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import type { VectorQuestion } from "./worker.ts";

const [folder, peers, driver] = process.argv.slice(2) as [string, string, string];
const data = mkdtempSync(join(tmpdir(), "millrace-objects-"));
const vectors = new URL("../../vectors/kafka/apis.json.gz", pathToFileURL(sourceFolder()));

/** What is used of miniflare. */
interface Workerd {
  readonly ready: Promise<URL>;
  dispatchFetch(url: string, init?: RequestInit): Promise<Response>;
  dispose(): Promise<void>;
}

type Check = readonly [name: string, run: () => Promise<void>];

/** The bundle for Node lies elsewhere than this file. */
function sourceFolder(): string {
  return `${process.env["MILLRACE_REPO"] ?? process.cwd()}/test/hosts/workerd/`;
}

const said: string[] = [];

async function start(
  script = "worker.js",
  options: Readonly<Record<string, unknown>> = {
    durableObjects: {
      LOG: { className: "TestLog", useSQLite: true },
      SECURE: { className: "SecureLog", useSQLite: true },
      IDLE: { className: "IdleLog", useSQLite: true },
      BROKEN: { className: "BrokenLog", useSQLite: true },
    },
    durableObjectsPersist: data,
  },
): Promise<Workerd> {
  const entry = createRequire(join(peers, "package.json")).resolve("miniflare");
  const { Miniflare, Log, LogLevel } = await import(pathToFileURL(entry).href);
  const read = (name: string) => readFileSync(join(folder, name));
  const workerd = new Miniflare({
    modules: [
      { type: "ESModule", path: script, contents: read(script).toString("utf8") },
      { type: "CompiledWasm", path: "xxhash.wasm", contents: new Uint8Array(read("xxhash.wasm")) },
    ],
    compatibilityDate: "2026-01-01",
    ...options,
    host: "127.0.0.1",
    port: 0,
    log: new Log(LogLevel.NONE),
    // Shown where a check fails: much of it is about instances that the test ends.
    handleRuntimeStdio(out: NodeJS.ReadableStream, err: NodeJS.ReadableStream) {
      for (const stream of [out, err]) stream.on("data", (chunk) => said.push(String(chunk)));
    },
  }) as Workerd;
  await workerd.ready;
  return workerd;
}

let workerd = await start();

/** The workerd processes that this one started. */
function workerdPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const [, command, parent] = /^\d+ \((.*)\) \S (\d+)/.exec(
          readFileSync(`/proc/${pid}/stat`, "utf8"),
        )!;
        return Number(parent) === process.pid && command === "workerd";
      } catch {
        return false; // Gone meanwhile.
      }
    })
    .map(Number);
}

async function call(
  path: string,
  init: RequestInit = {},
): Promise<{ readonly status: number; readonly type: string; readonly body: unknown }> {
  const response = await workerd.dispatchFetch(`http://edge.test${path}`, init);
  const text = await response.text();
  const type = response.headers.get("content-type") ?? "";
  return { status: response.status, type, body: type.includes("json") ? JSON.parse(text) : text };
}

function equal(found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${a?.slice(0, 300)}, wanted ${b?.slice(0, 300)}`);
}

const BATCH_TYPE = "application/vnd.millrace.batch+json";

interface Appended {
  readonly offset: number;
}
interface Fetched {
  readonly records: readonly { readonly offset: number; readonly value: string }[];
  readonly nextOffset: number;
  readonly highWatermark: number;
}

function post(path: string, body: unknown, type = "application/json") {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return call(path, { method: "POST", headers: { "content-type": type }, body: text });
}

/** One record as `curl -d` sends it. @returns its offset */
async function append(path: string, text: string): Promise<number> {
  const { status, body } = await post(`${path}/records?partition=0`, text, "text/plain");
  equal(status, 201);
  return (body as Appended).offset;
}

/** Every value of a partition by fetches of 300, which must lie at offsets 0, 1, 2, … */
async function readAll(path: string): Promise<string[]> {
  const values: string[] = [];
  for (let offset = 0; ; ) {
    const { status, body } = await call(`${path}/partitions/0/records?offset=${offset}&max=300`);
    equal(status, 200);
    const { records, nextOffset, highWatermark } = body as Fetched;
    for (const record of records) {
      equal(record.offset, values.length);
      values.push(record.value);
    }
    offset = nextOffset;
    if (offset >= highWatermark) return values;
  }
}

async function problem(
  answer: Promise<{ status: number; type: string; body: unknown }>,
  status: number,
  code: string,
): Promise<void> {
  const { status: found, type, body } = await answer;
  const { code: foundCode, status: foundInBody } = body as { code?: string; status?: number };
  equal([found, type, foundCode, foundInBody], [status, "application/problem+json", code, status]);
}

/** What each topic of an object must hold, by path: checks below add to it, restarts must keep it. */
const acknowledged = new Map<string, string[]>();

async function mustHoldAll(): Promise<void> {
  for (const [path, values] of acknowledged) equal(await readAll(path), values);
}

async function kill(): Promise<void> {
  const pids = workerdPids();
  equal(pids.length > 0, true);
  for (const pid of pids) process.kill(pid, "SIGKILL");
  while (workerdPids().length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

const checks: readonly Check[] = [
  [
    "plain core in a Worker appends and fetches",
    async () => {
      const { status, body } = await call("/core");
      equal(status, 200);
      equal(body, {
        created: 0,
        appended: { ok: true, value: { baseOffset: 0, logAppendTimeMs: -1, logStartOffset: 0 } },
        values: [
          [0, "one"],
          [1, "two"],
        ],
      });
    },
  ],
  [
    "keys are hashed by WebAssembly that was compiled beforehand",
    async () => {
      const { body } = await call("/xxhash");
      const { wasm, plain } = body as { wasm: number; plain: number };
      equal(wasm, plain);
      equal(Number.isInteger(plain), true);
    },
  ],
  [
    "golden vectors of all APIs decode and encode to the byte, without eval",
    async () => {
      const question: VectorQuestion[number][] = [];
      for (const api of JSON.parse(gunzipSync(readFileSync(vectors)).toString("utf8"))) {
        for (const kind of ["request", "response"] as const) {
          for (const { v, hex } of api[kind]) question.push([api.apiKey, kind, v, hex]);
        }
      }
      const { body } = await call("/vectors", { method: "POST", body: JSON.stringify(question) });
      equal(body, { count: question.length, faults: [] });
      equal(question.length, 3844);
    },
  ],
  [
    "an object makes a topic, takes a record and gives it back",
    async () => {
      const { status, body } = await post("/o/a/v1/topics", { name: "t", partitions: 1 });
      equal([status, (body as { name: string }).name], [201, "t"]);
      const values = ["hello"];
      equal(await append("/o/a/v1/topics/t", "hello"), 0);
      acknowledged.set("/o/a/v1/topics/t", values);
      await mustHoldAll();
      equal((await call("/o/a/healthz")).body, { status: "ok" });
    },
  ],
  [
    "1,000 records in batches lie at offsets without a gap",
    async () => {
      const values = acknowledged.get("/o/a/v1/topics/t")!;
      const batches = Array.from({ length: 10 }, (_, batch) =>
        Array.from({ length: 100 }, (_, i) => ({
          value: `record ${batch * 100 + i}`,
          partition: 0,
        })),
      );
      for (const records of batches) {
        const { status, body } = await post("/o/a/v1/topics/t/records", { records }, BATCH_TYPE);
        equal(status, 200);
        const { results } = body as { results: Appended[] };
        equal(
          results.map(({ offset }) => offset),
          records.map((_, i) => values.length + i),
        );
        values.push(...records.map(({ value }) => value));
      }
      equal(values.length, 1001);
      await mustHoldAll();
    },
  ],
  [
    "a record of 900 kB, and of bytes that are no text, come back as they were",
    async () => {
      const bytes = Uint8Array.from({ length: 900_000 }, (_, at) => (at * 7 + (at >> 9)) & 0xff);
      equal((await post("/o/a/v1/topics", { name: "large", partitions: 1 })).status, 201);
      const headers = { "content-type": "application/octet-stream" };
      const path = "/o/a/v1/topics/large";
      const { status } = await call(`${path}/records`, { method: "POST", headers, body: bytes });
      equal(status, 201);
      const response = await workerd.dispatchFetch(
        `http://edge.test${path}/partitions/0/records/0`,
        { headers: { accept: "application/octet-stream" } },
      );
      const found = new Uint8Array(await response.arrayBuffer());
      equal(found.length, bytes.length);
      equal(
        found.every((byte, at) => byte === bytes[at]),
        true,
      );
    },
  ],
  [
    "a fetch that waits is answered by the append of another request",
    async () => {
      const path = "/o/a/v1/topics/t";
      const values = acknowledged.get(path)!;
      const offset = values.length;
      const waiting = call(`${path}/partitions/0/records?offset=${offset}&waitMs=20000`);
      // So that it is parked: the object takes requests in turn.
      await call("/o/a/healthz");
      equal(await append(path, "awaited"), offset);
      values.push("awaited");
      const { records } = (await waiting).body as Fetched;
      equal(
        records.map(({ value }) => value),
        ["awaited"],
      );
    },
  ],
  [
    "an event stream follows the topic",
    async () => {
      const path = "/o/a/v1/topics/t";
      const values = acknowledged.get(path)!;
      const stop = new AbortController();
      const response = await workerd.dispatchFetch(`http://edge.test${path}/records?from=latest`, {
        headers: { accept: "text/event-stream" },
        signal: stop.signal,
      });
      equal(response.status, 200);
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      await append(path, "streamed");
      values.push("streamed");
      let text = "";
      while (!text.includes("streamed")) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`the stream ended: ${text}`);
        text += value;
      }
      stop.abort();
      await reader.cancel().catch(() => {});
    },
  ],
  [
    "two objects know nothing of each other",
    async () => {
      equal((await call("/o/b/v1/topics")).body, { topics: [] });
      equal((await post("/o/b/v1/topics", { name: "t", partitions: 1 })).status, 201);
      acknowledged.set("/o/b/v1/topics/t", ["of b"]);
      equal(await append("/o/b/v1/topics/t", "of b"), 0);
      const ids = await Promise.all(
        ["a", "b"].map(async (name) => (await call(`/o/${name}/v1/cluster`)).body),
      );
      const [a, b] = ids as { clusterId: string }[];
      equal(a!.clusterId === b!.clusterId, false);
      await mustHoldAll();
    },
  ],
  [
    "bad input is a problem, and does no harm",
    async () => {
      const t = "/o/a/v1/topics/t";
      await problem(post("/o/a/v1/topics", "{"), 400, "invalid_json");
      await problem(post("/o/a/v1/topics", `${"[".repeat(100_000)}`), 400, "invalid_json");
      await problem(post("/o/a/v1/topics", { name: 7 }), 400, "invalid_request");
      await problem(post("/o/a/v1/topics", { name: "t" }), 409, "topic_already_exists");
      await problem(post("/o/a/v1/topics", { name: "no/slash" }), 400, "invalid_topic_exception");
      await problem(post("/o/a/v1/topics/none/records", "x"), 400, "invalid_json");
      await problem(post(`${t}/records`, { records: [{}] }, BATCH_TYPE), 400, "invalid_request");
      await problem(call("/o/a/nowhere"), 404, "not_found");
      await problem(call(t, { method: "PATCH" }), 405, "method_not_allowed");
      await problem(call(`${t}/partitions/0/records?offset=999999`), 416, "offset_out_of_range");
      await problem(call(`${t}/partitions/9/records`), 404, "unknown_topic_or_partition");
      await problem(
        post(`${t}/records`, "x".repeat(1_100_000), "text/plain"),
        413,
        "message_too_large",
      );
      await mustHoldAll();
    },
  ],
  [
    "a token is asked for, and its rules hold",
    async () => {
      const topic = JSON.stringify({ name: "t", partitions: 1 });
      const send = (authorization: string | null, path: string, body: string) =>
        call(`/secure/s${path}`, {
          method: "POST",
          headers: {
            "content-type": "application/json",
            ...(authorization === null ? {} : { authorization }),
          },
          body,
        });
      const right = "Bearer open-sesame";
      await problem(send(null, "/v1/topics", topic), 401, "sasl_authentication_failed");
      await problem(send("Bearer shut", "/v1/topics", topic), 401, "sasl_authentication_failed");
      equal((await send(right, "/v1/topics", topic)).status, 201);
      equal((await send(right, "/v1/topics/t/records", "1")).status, 201);
      await problem(
        send(right, "/v1/topics", JSON.stringify({ name: "other" })),
        403,
        "topic_authorization_failed",
      );
      await problem(
        send(right, "/v1/topics/t/records", JSON.stringify("x".repeat(1000))),
        413,
        "body_too_large",
      );
    },
  ],
  [
    "an object whose log does not open says so, again and again",
    async () => {
      await problem(call("/broken/x/healthz"), 503, "kafka_storage_error");
      await problem(call("/broken/x/v1/topics"), 503, "kafka_storage_error");
    },
  ],
  [
    "an object that was ended wakes up as another instance and has everything",
    async () => {
      const instance = async () => (await call("/o/a/-/instance")).body;
      const before = await instance();
      await call("/o/a/-/abort").catch(() => {}); // It ends the call, too.
      equal(JSON.stringify(await instance()) === JSON.stringify(before), false);
      await mustHoldAll();
      const values = acknowledged.get("/o/a/v1/topics/t")!;
      equal(await append("/o/a/v1/topics/t", "awake"), values.length);
      values.push("awake");
    },
  ],
  [
    "workerd killed with SIGKILL amid appends: everything acknowledged is there",
    async () => {
      equal((await post("/o/a/v1/topics", { name: "killed", partitions: 1 })).status, 201);
      const path = "/o/a/v1/topics/killed";
      const acks = new Map<number, string>();
      let isKilled = false;
      const lane = async (name: number) => {
        for (let i = 0; !isKilled; i++) {
          const value = `lane ${name} record ${i}`;
          try {
            acks.set(await append(path, value), value);
          } catch (error) {
            if (!isKilled) throw error;
          }
        }
      };
      const lanes = Promise.all([0, 1, 2, 3].map(lane));
      while (acks.size < 200) await new Promise((resolve) => setTimeout(resolve, 1));
      isKilled = true;
      await kill();
      await lanes;
      await workerd.dispose().catch(() => {});
      workerd = await start();
      const values = await readAll(path);
      for (const [offset, value] of acks) equal(values[offset], value);
      equal(values.length >= acks.size, true);
      acknowledged.set(path, values);
      await mustHoldAll();
    },
  ],
  [
    "requests that race the first opening share it",
    async () => {
      const made = await Promise.all(
        Array.from({ length: 12 }, (_, i) =>
          post("/o/raced/v1/topics", { name: `t${i}`, partitions: 1 }),
        ),
      );
      equal(
        made.map(({ status }) => status),
        made.map(() => 201),
      );
      equal((await call("/o/raced/-/openings")).body, { openings: 1 });
    },
  ],
  [
    "an idle object stops its broker and opens it again; no request fails, nothing is lost",
    async () => {
      const path = "/idle/i/v1/topics/t";
      equal((await post("/idle/i/v1/topics", { name: "t", partitions: 1 })).status, 201);
      const values = new Map<number, string>();
      let seed = 7;
      // Pauses around the 5 ms after which the broker stops, so that requests meet every part of it.
      const lane = async (name: number) => {
        for (let i = 0; i < 60; i++) {
          const value = `lane ${name} record ${i}`;
          values.set(await append(path, value), value);
          seed = (seed * 1103515245 + 12345) % 2 ** 31;
          await new Promise((resolve) => setTimeout(resolve, seed % 12));
        }
      };
      await Promise.all([0, 1].map(lane));
      equal(values.size, 120);
      const openings = async () =>
        ((await call("/idle/i/-/openings")).body as { openings: number }).openings;
      // How often the lanes' pauses met is the host's affair; longer ones make up for it.
      while ((await openings()) < 10) {
        await new Promise((resolve) => setTimeout(resolve, 40));
        const value = `record ${values.size}`;
        values.set(await append(path, value), value);
      }
      const found = await readAll(path);
      equal(
        found,
        Array.from(found, (_, offset) => values.get(offset)),
      );
      acknowledged.set(path, found);
    },
  ],
  [
    "an object that is followed is not idle, and is again when the client has gone",
    async () => {
      const path = "/idle/i/v1/topics/t";
      const openings = async () =>
        ((await call("/idle/i/-/openings")).body as { openings: number }).openings;
      const pause = () => new Promise((resolve) => setTimeout(resolve, 40));
      const stop = new AbortController();
      const response = await workerd.dispatchFetch(`http://edge.test${path}/records?from=latest`, {
        headers: { accept: "text/event-stream" },
        signal: stop.signal,
      });
      const before = await openings();
      for (let i = 0; i < 3; i++) {
        await pause();
        equal((await call("/idle/i/healthz")).status, 200);
      }
      equal(await openings(), before);
      stop.abort();
      await response.body!.cancel().catch(() => {});
      // Whether the host tells at once is its own affair: until it does, the object is in use.
      while ((await openings()) === before) {
        await pause();
        equal((await call("/idle/i/healthz")).status, 200);
      }
    },
  ],
  [
    "examples/worker serves logs by name, for its token",
    async () => {
      const hash = createHash("sha256").update("open-sesame").digest("hex");
      const example = await start("example.js", {
        durableObjects: { LOG: { className: "Log", useSQLite: true } },
        bindings: { TOKEN_HASH: `sha256:${hash}` },
      });
      try {
        const send = (path: string, init: RequestInit, token = "open-sesame") =>
          example.dispatchFetch(`http://edge.test/logs/orders${path}`, {
            ...init,
            headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
          });
        const record = { method: "POST", body: '{"id":7}' };
        equal((await send("/v1/topics/t", { method: "PUT" })).status, 201);
        equal((await send("/v1/topics/t/records?partition=0", record)).status, 201);
        equal((await send("/v1/topics/t/records", record, "wrong")).status, 401);
        const found = await send("/v1/topics/t/partitions/0/records", {});
        const { records } = (await found.json()) as Fetched;
        equal(
          records.map(({ offset, value }) => [offset, value]),
          [[0, '{"id":7}']],
        );
        equal((await example.dispatchFetch("http://edge.test/")).status, 404);
      } finally {
        await example.dispose();
      }
    },
  ],
  [
    "stopped in order and started again: everything is there",
    async () => {
      await workerd.dispose();
      workerd = await start();
      await mustHoldAll();
    },
  ],
];

const CHECK_MS_MAX = 30_000;

async function within(timeoutMs: number, running: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${timeoutMs} ms`)), timeoutMs);
  });
  await Promise.race([running, late]).finally(() => clearTimeout(timer));
}

let failed = 0;
for (const [name, run] of checks) {
  const startMs = performance.now();
  try {
    await within(CHECK_MS_MAX, run());
    console.log(`ok workerd-${driver} ${name} (${Math.round(performance.now() - startMs)} ms)`);
  } catch (error) {
    failed++;
    console.log(`not ok workerd-${driver} ${name}: ${String(error).replaceAll("\n", " ")}`);
  }
}
await workerd.dispose();
rmSync(data, { recursive: true, force: true });
if (failed > 0) console.error(said.join("").slice(-4000));
console.log(`workerd-${driver}: ${checks.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
