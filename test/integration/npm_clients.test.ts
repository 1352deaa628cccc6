// kafkajs and @platformatic/kafka, the clients that npm brings, against the program as a user starts it: a process on
// this runtime, on disk. What they write is read back by an independent decoder (the second client's parsers) through
// Fetch with topic ids; their admin calls must do what they say. The same programs run with more data in test/compat.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import * as js from "../compat/kafkajs/client.ts";
import type { Check, RecordLine } from "../compat/npm_checks.ts";
import * as platformatic from "../compat/platformatic/client.ts";

const repo = join(import.meta.dirname!, "../..");
const folder = mkdtempSync(join(tmpdir(), "millrace-npm-clients-"));
let child: ChildProcess;
let exit: Promise<number | null>;
let bootstrap = "";
let log = "";

/** Starts the program on the folder and waits for its ready line. */
async function start(): Promise<void> {
  const program = "Deno" in globalThis ? ["run", "-A", "mod.ts"] : ["run", "src/main.ts"];
  const flags = ["start", "--data", join(folder, "data"), "--kafka", "127.0.0.1:0"];
  child = spawn(process.execPath, [...program, ...flags], {
    cwd: repo,
    stdio: ["ignore", "pipe", "pipe"],
  });
  exit = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  bootstrap = await new Promise<string>((resolve, reject) => {
    let out = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      const ready = out.match(/ready kafka=(\S+)/);
      if (ready !== null) resolve(ready[1]!);
    });
    child.once("exit", (code) => reject(new Error(`the broker ended with ${code}: ${out}${log}`)));
  });
}

beforeAll(start);

afterAll(() => {
  child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const bytes = (text: string): Buffer => Buffer.from(text, "utf8");
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

/** Nulls, empties, headers, every byte, text in many scripts, and one large value. */
function sampleRecords(): RecordLine[] {
  const empty = Buffer.alloc(0);
  const records: RecordLine[] = [
    { key: null, value: null, headers: [] },
    { key: empty, value: empty, headers: [] },
    { key: null, value: empty, headers: [["empty", empty]] },
    { key: empty, value: null, headers: [["naïve 🚚", bytes("größer")]] },
    { key: everyByte, value: everyByte, headers: [["bytes", everyByte]] },
    { key: bytes("large"), value: Buffer.alloc(400_000, "заказ 注文 order "), headers: [] },
  ];
  for (let i = 0; i < 500; i++) {
    const headers = i % 3 === 0 ? [["n", bytes(String(i))] as const] : [];
    records.push({
      key: i % 2 === 0 ? bytes(`k${i}`) : null,
      value: bytes("x".repeat(i % 97) + i),
      headers,
    });
  }
  return records;
}

const hex = (data: Uint8Array | null | undefined): string =>
  data === null || data === undefined ? "null" : Buffer.from(data).toString("hex");

async function readBack(topic: string): Promise<string[]> {
  const records = await platformatic.fetchAll(bootstrap, topic);
  return records.map(({ key, value, headers }) =>
    [hex(key), hex(value), ...headers.map(([name, data]) => `${hex(name)}=${hex(data)}`)].join(" "),
  );
}

const written = (records: readonly RecordLine[]): string[] =>
  records.map(({ key, value, headers }) =>
    [
      hex(key),
      hex(value),
      ...headers.map(([name, data]) => `${hex(bytes(name))}=${hex(data)}`),
    ].join(" "),
  );

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"];

/** Lines of a log, 40,000 of them in batches as a client sends them. */
function lineBatches(): Buffer[][] {
  const batches: Buffer[][] = [];
  for (let batch = 0; batch < 20; batch++) {
    batches.push(
      Array.from({ length: 2000 }, (_, i) =>
        bytes(`${batch}:${i} ${"größer 注文 ".repeat(i % 13)}`),
      ),
    );
  }
  return batches;
}

function admin(checks: (bootstrap: string, topic: string) => Check[], topic: string): void {
  const names = checks("", topic).map(([name]) => name);
  for (const [at, name] of names.entries()) {
    test(name, async () => {
      await checks(bootstrap, topic)[at]![1]();
    });
  }
}

describe("kafkajs", () => {
  for (const codec of CODECS) {
    test(`what it writes with ${codec} is read back`, async () => {
      const topic = `kafkajs-${codec}`;
      const records = sampleRecords();
      await js.create(bootstrap, topic, 1, []);
      await js.send(bootstrap, topic, codec, [records.map(js.toMessage)]);
      expect(await readBack(topic)).toEqual(written(records));
    });
  }

  test("an idempotent producer's batches arrive in order", async () => {
    const batches = lineBatches();
    await js.create(bootstrap, "kafkajs-idempotent", 1, []);
    await js.send(
      bootstrap,
      "kafkajs-idempotent",
      "gzip",
      batches.map((batch) => batch.map((value) => ({ value }))),
      true,
    );
    const values = (await platformatic.fetchAll(bootstrap, "kafkajs-idempotent")).map((r) =>
      r.value!.toString(),
    );
    expect(values).toEqual(batches.flat().map(String));
  });

  test("a record above max.message.bytes is refused by name, one below is not", async () => {
    await js.create(bootstrap, "kafkajs-size", 1, ["max.message.bytes=100000"]);
    await js.send(bootstrap, "kafkajs-size", "none", [[{ value: Buffer.alloc(99_900) }]]);
    await expect(
      js.send(bootstrap, "kafkajs-size", "none", [[{ value: Buffer.alloc(100_000) }]]),
    ).rejects.toThrow(/larger than the max message size/);
  });

  describe("admin", () => admin(js.adminChecks, "kafkajs-admin"));
});

describe("@platformatic/kafka", () => {
  for (const codec of CODECS) {
    test(`what it writes with ${codec} is read back`, async () => {
      const topic = `platformatic-${codec}`;
      const records = sampleRecords();
      await platformatic.create(bootstrap, topic, 1, []);
      await platformatic.send(bootstrap, topic, codec, [records.map(platformatic.toMessage)]);
      expect(await readBack(topic)).toEqual(written(records));
    });
  }

  test("an idempotent producer's batches arrive in order", async () => {
    const batches = lineBatches();
    await platformatic.create(bootstrap, "platformatic-idempotent", 1, []);
    await platformatic.send(
      bootstrap,
      "platformatic-idempotent",
      "zstd",
      batches.map((batch) => batch.map((value) => ({ value }))),
      true,
    );
    const values = (await platformatic.fetchAll(bootstrap, "platformatic-idempotent")).map((r) =>
      r.value!.toString(),
    );
    expect(values).toEqual(batches.flat().map(String));
  });

  test("a record above max.message.bytes is refused by name, one below is not", async () => {
    await platformatic.create(bootstrap, "platformatic-size", 1, ["max.message.bytes=100000"]);
    const send = (size: number) =>
      platformatic.send(bootstrap, "platformatic-size", "none", [[{ value: Buffer.alloc(size) }]]);
    await send(99_900);
    const refusal = await send(100_000).then(() => "accepted", platformatic.describe);
    expect(refusal).toContain("MESSAGE_TOO_LARGE");
  });

  describe("admin", () => admin(platformatic.adminChecks, "platformatic-admin"));
});

describe("the program", () => {
  test("ends with code 0 after SIGTERM, and a second start finds everything", async () => {
    const before = await readBack("kafkajs-zstd");
    process.kill(child.pid!, "SIGTERM"); // after child.kill, Deno reports the signal and not the code
    expect(await exit).toBe(0);
    await start();
    expect(await readBack("kafkajs-zstd")).toEqual(before);
    expect((await platformatic.fetchAll(bootstrap, "platformatic-idempotent")).length).toBe(40_000);
  });
});
