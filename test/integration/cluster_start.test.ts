// `millrace cluster start` as a user starts it: a parent and three brokers, each a process of its own. One is killed under a producer
// and a reader, comes back by itself, and the end of the parent is the end of all.

import { afterEach, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type Client, connect } from "../../mod.ts";
import { until } from "../support/waiting.ts";

const repo = join(import.meta.dirname!, "../..");
const program = "Deno" in globalThis ? ["run", "-A", "mod.ts"] : ["run", "src/main.ts"];
const STEP_MS_MAX = 60_000;
const RECORDS = 20;

let parent: ChildProcess | null = null;
let client: Client | null = null;
let folder = "";
afterEach(async () => {
  await client?.close();
  // Its brokers see the end of their input.
  parent?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** Processes of the brokers so far, in the order in which they became ready. */
function processesIn(printed: string): { readonly broker: number; readonly pid: number }[] {
  const lines = printed.matchAll(/broker (\d+) is process (\d+)/g);
  return Array.from(lines, ([, broker, pid]) => ({ broker: Number(broker), pid: Number(pid) }));
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("three brokers start, one is killed under load and comes back, and all end with their parent", async () => {
  folder = mkdtempSync(join(tmpdir(), "millrace-cluster-"));
  const words = ["cluster", "start", "--brokers", "3", "--kafka", "127.0.0.1:0"];
  parent = spawn(process.execPath, [...program, ...words, "--data", join(folder, "data")], {
    cwd: repo,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  const codes: (number | null)[] = [];
  parent.once("exit", (code) => codes.push(code));
  for (const stream of [parent.stdout!, parent.stderr!]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  const ready = () => /^ready kafka=(\S+) brokers=3 /m.exec(printed);
  await until(() => ready() !== null || codes.length > 0, "the ready line", STEP_MS_MAX);
  if (codes.length > 0) throw new Error(`It ended with ${codes[0]}: ${printed}`);
  const addresses = ready()![1]!.split(",");
  expect(new Set(addresses).size).toBe(3);

  client = await connect(`kafka://${addresses.join(",")}?backoffMsMax=100`);
  await client.admin.createTopic({ name: "t", partitions: 6, replicationFactor: 3 });
  const producer = client.producer();
  const sent: string[] = [];
  const send = async (round: string) => {
    for (let i = 0; i < RECORDS; i++) {
      await producer.send({ topic: "t", value: `${round}-${i}`, partition: i % 6 });
      sent.push(`${round}-${i}`);
    }
  };
  await send("before");
  const first = processesIn(printed);
  expect(first.map(({ broker }) => broker).sort()).toEqual([1, 2, 3]);
  const [killed] = first;
  process.kill(killed!.pid, "SIGKILL");
  await send("without");
  await until(() => processesIn(printed).length === 4, "the broker again", STEP_MS_MAX);
  const again = processesIn(printed)[3]!;
  expect(again.broker).toBe(killed!.broker);
  await send("after");

  const found: string[] = [];
  const consumer = client.consumer({ topics: ["t"], from: "beginning" });
  for await (const record of consumer) {
    found.push(new TextDecoder().decode(record.value!));
    if (found.length === sent.length) break;
  }
  expect(found.sort()).toEqual([...sent].sort());
  await client.close();
  client = null;

  const pids = [...first.slice(1).map(({ pid }) => pid), again.pid];
  expect(pids.filter(isThere)).toEqual(pids);
  // Not by the child's own method: under Deno that ends without a code.
  process.kill(parent.pid!, "SIGTERM");
  await until(() => codes.length > 0, "the end", STEP_MS_MAX);
  expect(codes).toEqual([0]);
  await until(() => !pids.some(isThere), "the end of the brokers", STEP_MS_MAX);
  // They were asked to stop, and not left alone.
  expect(printed).not.toContain("has gone");
}, 120_000);
