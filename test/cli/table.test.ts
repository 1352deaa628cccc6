import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import process from "node:process";
import { until } from "../support/waiting.ts";
import { type CliRig, startCliRig, textOf } from "./rig.ts";

let rig: CliRig;
beforeAll(async () => {
  rig = await startCliRig();
  const compact = ["--config", "cleanup.policy=compact"];
  await rig.ok(["topic", "create", "users", "-p", "3", ...compact]);
  const lines = [
    { key: "bob", value: "1" },
    { key: "alice", value: "old" },
    { key: "alice", value: "new" },
    { key: "gone", value: "1" },
    { key: "gone", value: null },
    { key: "albert", value: "2" },
  ];
  await rig.ok(
    ["produce", "users", "--format", "json"],
    lines.map((each) => JSON.stringify(each)).join("\n"),
  );
});
afterAll(() => rig.stop());

describe("millrace table", () => {
  test("get prints the newest value, and says where it lies", async () => {
    for (const keep of [[], ["--keep", "values"]]) {
      expect(await rig.ok(["table", "get", "users", "alice", ...keep])).toBe("new\n");
    }
    const found = JSON.parse(await rig.ok(["table", "get", "users", "alice", "--json"]));
    expect(found).toMatchObject({ topic: "users", key: "alice", value: "new" });
    expect(Object.keys(found).join()).toBe("topic,partition,offset,timestamp,key,value");
    const { code, stderr, stdout } = await rig.call(["table", "get", "users", "gone"]);
    expect([code, textOf(stdout)]).toEqual([1, ""]);
    expect(stderr).toContain('no value for the key "gone"');
  });

  test("scan prints keys in order, by prefix, range, count and backwards", async () => {
    const scan = (...words: string[]) => rig.ok(["table", "scan", "users", ...words]);
    expect(await scan()).toBe("albert\t2\nalice\tnew\nbob\t1\n");
    expect(await scan("--keep", "offsets", "-r", "-k", "=")).toBe("bob=1\nalice=new\nalbert=2\n");
    expect(await scan("--prefix", "al", "-n", "1")).toBe("albert\t2\n");
    expect(await scan("--from", "alice", "--to", "bob")).toBe("alice\tnew\n");
    const [first] = (await scan("--json")).split("\n");
    expect(JSON.parse(first!)).toMatchObject({ key: "albert", value: "2" });
    expect((await rig.call(["table", "scan", "users", "--prefix", "a", "--from", "b"])).code).toBe(
      2,
    );
  });

  test("watch prints what is there, then changes, as lines and as JSON", async () => {
    await rig.ok(["topic", "create", "live", "--config", "cleanup.policy=compact"]);
    const produce = (key: string, value: string | null) =>
      rig.ok(["produce", "live", "--format", "json"], JSON.stringify({ key, value }));
    await produce("a", "1");
    const children = [
      rig.start(["table", "watch", "live", "--snapshot", "-n", "3"]),
      rig.start(["table", "watch", "live", "--snapshot", "-n", "3", "--json"]),
    ];
    const outputs = children.map(() => "");
    const seen = (lines: number) =>
      until(
        () => outputs.every((text) => text.split("\n").length > lines),
        `${lines} lines`,
        25_000,
      );
    for (const [i, child] of children.entries()) {
      child.stdout!.on("data", (chunk) => (outputs[i] += chunk));
    }
    const ended = Promise.all(
      children.map((child) => new Promise((resolve) => child.on("close", resolve))),
    );
    await seen(1);
    await produce("a", "2");
    await seen(2);
    await produce("a", null);
    expect(await ended).toEqual([0, 0]);
    expect(outputs[0]).toBe("+ a\t1\n+ a\t2\n- a\n");
    const changes = outputs[1]!
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(changes.map(({ type, key, value, old }) => [type, key, value, old])).toEqual([
      ["put", "a", "1", null],
      ["put", "a", "2", "1"],
      ["delete", "a", null, "2"],
    ]);
  }, 30_000);

  test("watch ends with Ctrl-C, and says nothing of it", async () => {
    const child = rig.start(["table", "watch", "users", "--snapshot"]);
    let output = "";
    let errors = "";
    child.stderr!.on("data", (chunk) => (errors += chunk));
    const ended = new Promise((resolve) => child.on("close", resolve));
    await new Promise<void>((resolve) => {
      child.stdout!.on("data", (chunk) => {
        output += chunk;
        if (output.split("\n").length > 3) resolve();
      });
    });
    process.kill(child.pid!, "SIGINT");
    expect([await ended, errors]).toEqual([0, ""]);
  }, 30_000);

  test("says which flag gives it more memory", async () => {
    const { code, stderr } = await rig.call(["table", "scan", "users", "--bytes-max", "1"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^millrace: Table "users" does not fit: .*: give more with --bytes-max\n$/,
    );
  });

  test("refuses a topic that is not compacted, unless told to take it", async () => {
    await rig.ok(["topic", "create", "plain"]);
    await rig.ok(
      ["produce", "plain", "--format", "json"],
      JSON.stringify({ key: "k", value: "v" }),
    );
    const { code, stderr } = await rig.call(["table", "scan", "plain"]);
    expect(code).toBe(1);
    expect(stderr).toContain("not compacted");
    expect(stderr).toContain("--any-topic");
    expect(await rig.ok(["table", "scan", "plain", "--any-topic"])).toBe("k\tv\n");
    expect((await rig.call(["table", "get", "nowhere", "k"])).stderr).toContain("nowhere");
  });
});
