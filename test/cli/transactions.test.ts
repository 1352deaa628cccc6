// Transactions on the command line: produced whole or not at all, seen by who reads what is committed, and by operators.

import { afterAll, beforeAll, expect, test } from "bun:test";
import process from "node:process";
import { type Client, connect } from "../../mod.ts";
import { until } from "../support/waiting.ts";
import { type CliRig, startCliRig, textOf } from "./rig.ts";

let rig: CliRig;
let client: Client;
beforeAll(async () => {
  rig = await startCliRig();
  client = await connect(`kafka://${rig.bootstrap}`);
});
afterAll(async () => {
  await client.close();
  await rig.stop();
});

const committed = (topic: string) =>
  rig.ok(["consume", topic, "--isolation", "read_committed", "--quiet"]);
const lines = (count: number) => Array.from({ length: count }, (_, at) => `line ${at}\n`).join("");

test("an input is one transaction, or so many records are one", async () => {
  const whole = await rig.ok(
    ["produce", "whole", "--transactional-id", "import", "--json"],
    lines(2_500),
  );
  expect(JSON.parse(whole)).toMatchObject({ topic: "whole", records: 2_500, transactions: 1 });
  expect(await committed("whole")).toBe(lines(2_500));
  const parts = await rig.ok(
    [
      "produce",
      "parts",
      "--transactional-id",
      "import",
      "--records-per-transaction",
      "10",
      "--json",
    ],
    lines(25),
  );
  expect(JSON.parse(parts)).toMatchObject({ records: 25, transactions: 3 });
  expect(await committed("parts")).toBe(lines(25));
  const none = await rig.ok(["produce", "none", "--transactional-id", "import", "--json"], "");
  expect(JSON.parse(none)).toMatchObject({ records: 0, transactions: 0 });
});

test("an input that is wrong half-way leaves nothing, or what was committed before", async () => {
  const input = `{"value": "a"}\n{"value": "b"}\n{"value": "c"}\nnot json\n`;
  const json = ["--format", "json", "--transactional-id", "import"];
  const whole = await rig.call(["produce", "wrong", ...json], input);
  expect(whole.code).toBe(1);
  expect(whole.stderr).toContain("Line 4: not JSON");
  expect(whole.stderr).toContain("(nothing is committed)");
  expect(await committed("wrong")).toBe("");
  const parts = await rig.call(
    ["produce", "wrong", ...json, "--records-per-transaction", "2"],
    input,
  );
  expect(parts.stderr).toContain(
    "2 records in 1 transaction are committed, the last one was aborted",
  );
  expect(await committed("wrong")).toBe("a\nb\n");
});

test("Ctrl-C aborts what is open, and keeps what was committed", async () => {
  for (const [words, kept] of [
    [[], ""],
    [["--records-per-transaction", "2"], "line 0\nline 1\n"],
  ] as const) {
    const topic = `stopped-${words.length}`;
    await client.admin.createTopic({ name: topic, partitions: 1 });
    const child = rig.start(["produce", topic, "--transactional-id", topic, ...words]);
    let told = "";
    child.stderr!.on("data", (piece) => (told += piece));
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    child.stdin!.write(lines(3));
    // All three are under way or there.
    await until(
      async () => {
        const [end] = await client.admin.offsets([{ topic, partition: 0, at: "latest" }]);
        return end!.ok && end!.value.offset >= 3;
      },
      "three records",
      15_000,
    );
    process.kill(child.pid!, "SIGINT");
    expect(await ended).toBe(130);
    expect(told).toContain(kept === "" ? "nothing is committed" : "the last one was aborted");
    expect(await committed(topic)).toBe(kept);
  }
});

test("a record that is refused aborts all of it, and says why", async () => {
  await rig.ok(["topic", "create", "small", "--config", "max.message.bytes=200"]);
  const { code, stderr } = await rig.call(
    ["produce", "small", "--transactional-id", "import"],
    `short\n${"x".repeat(3_000)}\n`,
  );
  expect(code).toBe(1);
  expect(stderr).toContain("MESSAGE_TOO_LARGE");
  expect(stderr).toContain("nothing is committed");
  expect(await committed("small")).toBe("");
});

test("words that do not go together are refused", async () => {
  for (const [words, says] of [
    [["produce", "t", "--records-per-transaction", "5"], "give --transactional-id NAME too"],
    [["produce", "t", "--transaction-timeout", "5"], "give --transactional-id NAME too"],
    [["produce", "t", "--transactional-id", ""], "must be a name"],
    [["produce", "t", "--transactional-id", "a", "--acks", "1"], "leave --acks out"],
    [["transaction", "abort"], "Give a transactional id, or --topic"],
    [["transaction", "abort", "a", "-t", "b", "-p", "0", "--start-offset", "1"], "or --topic"],
    [["transaction", "abort", "-t", "b"], "go together"],
    [["transaction", "list", "--state", "Nowhere"], "--state must be one of"],
    [["transaction", "find-hanging", "-p", "1"], "a single --topic"],
  ] as const) {
    const { code, stderr } = await rig.call([...words]);
    expect(`${code} ${stderr}`).toContain(`2 millrace: `);
    expect(stderr).toContain(says);
  }
});

test("a pattern that is none is said to be what is wrong", async () => {
  for (const [pattern, says] of [
    ["[", 'The pattern "[" is no regular expression of RE2: '],
    ["(?=a)", "it has neither look-around nor back-references"],
  ] as const) {
    const { code, stderr } = await rig.call(["transaction", "list", "--pattern", pattern]);
    expect(code).toBe(1);
    expect(stderr).toContain(says);
  }
});

test("operators list, describe, find and abort", async () => {
  await client.admin.createTopic({ name: "open", partitions: 1 });
  const producer = client.producer({ transactionalId: "billing-1" });
  await producer.begin();
  await producer.send({ topic: "open", partition: 0, value: "a" });
  expect(await rig.ok(["transaction", "list", "--state", "ongoing"])).toBe("billing-1\n");
  expect(await rig.ok(["transaction", "list", "--state", "Ongoing", "--open-for", "900"])).toBe("");
  expect(await rig.ok(["transaction", "list", "--pattern", "bill.*"])).toBe("billing-1\n");
  const listed = JSON.parse(await rig.ok(["transaction", "list", "--json"]));
  expect(listed).toContainEqual(
    expect.objectContaining({ transactionalId: "billing-1", state: "Ongoing" }),
  );
  const shown = await rig.ok(["transaction", "describe", "billing-1"]);
  expect(shown).toMatch(/^billing-1: Ongoing, open for .+ of 1 min, producer \d+ epoch \d+/);
  expect(shown).toContain("open           0");
  const described = JSON.parse(await rig.ok(["transaction", "describe", "billing-1", "--json"]));
  expect(described.partitions).toEqual([{ topic: "open", partition: 0 }]);
  // Its coordinator knows of it.
  expect(await rig.ok(["transaction", "find-hanging", "--idle", "0"])).toBe(
    "No transaction hangs\n",
  );
  expect(await rig.ok(["transaction", "find-hanging", "-t", "open", "-p", "0", "--json"])).toBe(
    "[]\n",
  );
  const aborted = await rig.ok(["transaction", "abort", "billing-1"]);
  expect(aborted).toBe('Fenced the producer of "billing-1": aborted its transaction\n');
  expect(await rig.ok(["transaction", "abort", "billing-1"])).toContain("nothing was open");
  // What is over is not told as open.
  expect(await rig.ok(["transaction", "describe", "billing-1"])).toMatch(
    /^billing-1: (CompleteAbort|Empty), producer/,
  );
  await expect(producer.commit()).rejects.toMatchObject({ remedy: "close" });
  expect(await committed("open")).toBe("");
});

test("one is ended in one partition, by where it begins", async () => {
  await client.admin.createTopic({ name: "stuck", partitions: 1 });
  const producer = client.producer({ transactionalId: "stuck-1" });
  await producer.begin();
  await producer.send({ topic: "stuck", partition: 0, value: "a" });
  await client.producer().send({ topic: "stuck", partition: 0, value: "b" });
  const place = ["transaction", "abort", "-t", "stuck", "-p", "0", "--start-offset"];
  const wrong = await rig.call([...place, "7"]);
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toContain("begins at offset 7: open are those from 0");
  expect(await committed("stuck")).toBe("");
  expect(await rig.ok([...place, "0"])).toContain("in stuck-0 from offset 0 on");
  expect(await committed("stuck")).toBe("b\n");
});

test("an id that is not there is told with the one that may have been meant", async () => {
  for (const words of [
    ["transaction", "describe", "biling-1"],
    ["transaction", "abort", "biling-1"],
  ]) {
    const { code, stderr } = await rig.call(words);
    expect(code).toBe(1);
    expect(stderr).toContain('did you mean "billing-1"?');
  }
  const json = await rig.call(["transaction", "describe", "nobody", "--json"]);
  expect(JSON.parse(json.stderr).error.code).toBe("transactional_id_not_found");
  expect(textOf(json.stdout)).toBe("");
});
