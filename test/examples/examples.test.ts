// The examples run as they are printed, each in a process of its own on the runtime that runs this test.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Millrace } from "../../mod.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

function run(example: string, ...words: readonly string[]): Promise<Ended> {
  const isDeno = "Deno" in globalThis;
  const path = `examples/${example}.ts`;
  const argv = isDeno ? ["run", "-A", "--quiet", path, ...words] : [path, ...words];
  const child = spawn(process.execPath, argv, {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1" },
  });
  return new Promise((resolve, reject) => {
    let output = "";
    let errors = "";
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
    });
    child.stderr.on("data", (chunk) => {
      errors += String(chunk);
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output, errors }));
  });
}

test("quickstart: a broker, a topic, records in and out", async () => {
  const { code, output, errors } = await run("quickstart");
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  const lines = output.trim().split("\n");
  expect(lines[0]).toMatch(/^bob's bill is record \d of partition \d$/);
  const of = (name: string) => lines.slice(1).filter((line) => line.startsWith(name));
  // The order within a key holds; which key comes first is the partitions' affair.
  expect(of("alice")).toEqual(["alice ordered 1 coffee", "alice ordered 1 croissant"]);
  expect(of("bob")).toEqual(["bob ordered 2 teas", "bob ordered the bill"]);
  expect(lines.length).toBe(5);
});

test("group: three members share the work, one leaves, nothing is lost or done twice", async () => {
  const { code, output, errors } = await run("group");
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  const lines = output.trim().split("\n");
  expect(lines.some((line) => line.startsWith("Ada gives up"))).toBe(true);
  expect(output).not.toContain("was done before");
  expect(output).toMatch(/^(\d+) orders of \1 are done$/m);
  expect(lines.some((line) => /^the group is \w+ with 2 member\(s\)$/.test(line))).toBe(true);
});

test("table: the newest by key, watched, and read by another", async () => {
  const { code, output, errors } = await run("table");
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  const lines = output.trim().split("\n");
  const scanned = lines.indexOf("acct/1 Ada 700");
  expect(lines.slice(scanned, scanned + 2)).toEqual(["acct/1 Ada 700", "acct/2 Ben 50"]);
  expect(lines).toContain("acct/2: none -> 50");
  expect(lines).toContain("acct/2 was closed");
  expect(lines.at(-1)).toBe("1 account(s), acct/2 is there: false");
  expect(lines.length).toBe(5);
});

test("transaction: each order is billed once, though one attempt in three fails", async () => {
  const { code, output, errors } = await run("transaction");
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  const lines = output.trim().split("\n");
  const failed = lines.filter((line) => line.endsWith(": the printer is out of paper"));
  expect(failed.length).toBe(4);
  const bills = lines.filter((line) => line.startsWith("bill of "));
  expect(bills).toEqual(Array.from({ length: 9 }, (_, at) => `bill of order ${at + 1}`));
  expect(lines.at(-1)).toBe("13 attempts, 13 bills written, 9 that count");
});

describe("connect: any cluster by its address", () => {
  let millrace: Millrace;
  beforeAll(async () => {
    millrace = await Millrace.start({
      storage: "memory",
      metadata: "memory",
      transports: [{ use: "kafka", options: { listen: "127.0.0.1:0" } }],
      log: { level: "off" },
    });
  });
  afterAll(() => millrace.stop());

  test("writes a record and reads the last ones, twice over", async () => {
    const url = `kafka://127.0.0.1:${millrace.endpoints[0]!.port}?timeoutMs=20000`;
    for (const round of [0, 1]) {
      const { code, output, errors } = await run("connect", url, "lines");
      expect({ code, errors }).toEqual({ code: 0, errors: "" });
      const lines = output.trim().split("\n");
      expect(lines[0]).toBe(`cluster ${millrace.broker.clusterId} of 1 broker(s)`);
      expect(lines[1]).toBe(`written to lines-0 at offset ${round}`);
      expect(lines.slice(2).map((line) => line.slice(0, 8))).toEqual(
        ["0: It is", "1: It is"].slice(0, round + 1),
      );
    }
  });

  test("where nobody listens, and where the address is none, it says so and fails", async () => {
    const nobody = await run("connect", "kafka://127.0.0.1:1");
    expect(nobody).toMatchObject({ code: 1, output: "" });
    expect(nobody.errors).toStartWith("network_exception: ");
    const wrong = await run("connect", "amqp://127.0.0.1");
    expect(wrong.code).not.toBe(0);
    expect(wrong.errors).toContain("the schemes are kafka:// and kafkas:// (TLS)");
  });
});
