import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { connect } from "../../mod.ts";
import { fromHex, loadVectors } from "../record/vectors.ts";
import { type CliRig, startCliRig, textOf } from "./rig.ts";

let rig: CliRig;
beforeAll(async () => {
  rig = await startCliRig();
});
afterAll(() => rig.stop());

const lines = (count: number) => {
  const words = ["größer", "注文", "", "plain", "\ttab", "🚚 sent", "\r"];
  return Array.from(
    { length: count },
    (_, at) => `${at} ${words[at % words.length]!.repeat(at % 9)}\n`,
  ).join("");
};

describe("files and pipes", () => {
  test("100,000 lines come back byte for byte, in through a pipe and a file, out through both", async () => {
    const input = new TextEncoder().encode(lines(100_000));
    const path = join(rig.folder, "input.txt");
    const copy = join(rig.folder, "copy.txt");
    writeFileSync(path, input);
    await rig.ok(["topic", "create", "lines", "-p", "1"]);
    await rig.ok(["topic", "create", "packed", "-p", "1"]);
    expect((await rig.run(["produce", "lines", "-q"], input)).stderr).toBe("");
    const summary = JSON.parse(
      await rig.ok(["produce", "packed", "--file", path, "-z", "lz4", "--json"]),
    );
    expect(summary).toMatchObject({ topic: "packed", records: 100_000 });
    const piped = await rig.run(["consume", "lines"]);
    expect(Buffer.compare(piped.stdout, input)).toBe(0);
    expect((await rig.run(["consume", "packed", "--output", copy])).code).toBe(0);
    expect(Buffer.compare(readFileSync(copy), input)).toBe(0);
  }, 30_000);

  test("a last line without a newline is a record; an empty input is none", async () => {
    await rig.ok(["topic", "create", "ends", "-p", "1"]);
    await rig.ok(["produce", "ends"], "");
    await rig.ok(["produce", "ends"], "a\n\nb");
    expect(await rig.ok(["consume", "ends"])).toBe("a\n\nb\n");
  });

  test("a whole file can be one record, and come out bare", async () => {
    const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => (at * 7919) & 255);
    await rig.ok(["topic", "create", "blob", "-p", "1"]);
    await rig.ok(["produce", "blob", "--format", "raw"], bytes);
    const { stdout } = await rig.run(["consume", "blob", "--format", "raw"]);
    expect(Buffer.compare(stdout, bytes)).toBe(0);
  });

  test("whoever reads only the first lines, as head does, leaves no error behind", async () => {
    await rig.ok(["topic", "create", "long", "-p", "1"]);
    await rig.ok(["produce", "long"], lines(60_000));
    const child = rig.start(["consume", "long"]);
    let stderr = "";
    child.stderr!.on("data", (text) => (stderr += text));
    const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
    child.stdout!.once("data", () => child.stdout!.destroy());
    expect([await ended, stderr]).toEqual([0, ""]);
  });
});

describe("records with more than a value", () => {
  test("JSON lines keep keys, headers, nulls, times and bytes, through two topics", async () => {
    const records = [
      { key: "k", value: "v", headers: [{ key: "a", value: "1" }], timestamp: 1_700_000_000_000 },
      { key: null, value: null },
      { key: "", value: "" },
      {
        key: "tombstone",
        value: null,
        headers: [
          { key: "none", value: null },
          { key: "none", value: "2" },
        ],
      },
      { value: { base64: "/wD+" }, key: { base64: "gA==" } },
      { key: "größer", value: '{"json":"in json"}\n\t' },
    ];
    await rig.ok(["topic", "create", "json-a", "-p", "1"]);
    await rig.ok(["topic", "create", "json-b", "-p", "1"]);
    const input = records.map((record) => `${JSON.stringify(record)}\n`).join("\n");
    await rig.ok(["produce", "json-a", "--format", "json"], input);
    const first = await rig.ok(["consume", "json-a", "--format", "json"]);
    await rig.ok(["produce", "json-b", "--format", "json"], first);
    const second = await rig.ok(["consume", "json-b", "--json"]);
    const parse = (output: string) =>
      output
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
    expect(parse(first).map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5]);
    for (const [at, found] of parse(second).entries()) {
      expect(found).toMatchObject({
        headers: [],
        key: null,
        ...records[at],
        topic: "json-b",
        offset: at,
      });
    }
  });

  test("keys before a separator, one key, headers and a partition for all", async () => {
    await rig.ok(["topic", "create", "keyed", "-p", "3"]);
    await rig.ok(
      ["produce", "keyed", "-k", "\\t", "-p", "1", "-H", "h=1", "-H", "i=a=b"],
      "a\tb\tc\nplain\n\tx\n",
    );
    expect(await rig.ok(["consume", "keyed", "-k", "|", "--separator", ";"])).toBe(
      "a|b\tc;|plain;|x;",
    );
    const [record] = (await rig.ok(["consume", "keyed", "--json", "-n", "1"])).split("\n");
    expect(JSON.parse(record!)).toMatchObject({
      partition: 1,
      key: "a",
      headers: [
        { key: "h", value: "1" },
        { key: "i", value: "a=b" },
      ],
    });
    await rig.ok(["produce", "keyed", "--key", "same"], "1\n2\n3\n");
    const rows = (await rig.ok(["consume", "keyed", "--json"]))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const same = rows.filter(({ key }) => key === "same");
    expect(same.length).toBe(3);
    expect(new Set(same.map(({ partition }) => partition)).size).toBe(1);
  });

  test("keys of a murmur2 topic lie where Java's clients put them", async () => {
    const vectors = loadVectors<{ key: string; partition: Record<string, number> }>("murmur2");
    const count = Math.max(
      ...Object.keys(vectors[0]!.partition)
        .map(Number)
        .filter((each) => each <= 100),
    );
    await rig.ok(["topic", "create", "java", "-p", String(count), "--partitioner", "murmur2"]);
    const input = vectors.map(({ key }, at) => {
      const base64 = Buffer.from(fromHex(key)).toString("base64");
      return `${JSON.stringify({ key: { base64 }, value: String(at) })}\n`;
    });
    await rig.ok(["produce", "java", "--format", "json"], input.join(""));
    const found = (await rig.ok(["consume", "java", "--json"])).trim().split("\n");
    expect(found.length).toBe(vectors.length);
    for (const line of found) {
      const { partition, value } = JSON.parse(line);
      expect(partition).toBe(vectors[Number(value)]!.partition[count]!);
    }
  });
});

describe("consume", () => {
  test("begins and ends where it is told", async () => {
    await rig.ok(["topic", "create", "places", "-p", "1"]);
    await rig.ok(
      ["produce", "places", "--format", "json"],
      [0, 1, 2, 3, 4]
        .map((at) => `{"value":"${at}","timestamp":${Date.UTC(2026, 0, 1 + at)}}\n`)
        .join(""),
    );
    const consume = async (...args: string[]) => {
      return (await rig.ok(["consume", "places", "--separator", " ", ...args])).trim();
    };
    expect(await consume()).toBe("0 1 2 3 4");
    expect(await consume("--from", "3")).toBe("3 4");
    expect(await consume("--from", "latest", "--until-end")).toBe("");
    expect(await consume("--from", "earliest")).toBe(await consume("--from", "beginning"));
    expect(await consume("--from", "-2")).toBe("3 4");
    expect(await consume("--from", "2026-01-03")).toBe("2 3 4");
    expect(await consume("--from", "2026-01-03T00:00:01Z", "-n", "1")).toBe("3");
    expect(await consume("--from", "end", "--until-end")).toBe("");
    expect(await consume("-n", "2")).toBe("0 1");
    expect(await consume("-p", "0", "--max", "1")).toBe("0");
  }, 20_000);

  test("--follow shows records as they come, and ends cleanly on SIGINT", async () => {
    await rig.ok(["topic", "create", "live", "-p", "1"]);
    const child = rig.start(["consume", "live", "--follow"]);
    const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
    let seen = "";
    const came = (wanted: string) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (seen.includes(wanted)) resolve();
          else child.stdout!.once("data", look);
        };
        look();
      });
    child.stdout!.on("data", (text) => (seen += text));
    await rig.ok(["produce", "live"], "one\n");
    await came("one\n");
    await rig.ok(["produce", "live"], "two\n");
    await came("two\n");
    process.kill(child.pid!, "SIGINT");
    expect(await ended).toBe(0);
    expect(seen).toBe("one\ntwo\n");
  }, 20_000);
});

describe("topic", () => {
  test("create, list, describe, alter and delete do what they say, for people and for programs", async () => {
    const created = await rig.ok([
      "topic",
      "create",
      "life",
      "-p",
      "2",
      "-c",
      "retention.ms=1000000",
    ]);
    expect(created).toBe('Created topic "life" with 2 partitions\n');
    expect(await rig.ok(["topic", "create", "life", "--if-not-exists"])).toContain(
      "is there already",
    );
    expect((await rig.ok(["topic", "list"])).split("\n")).toContain("life");
    await rig.ok(["produce", "life", "-p", "1"], "a\nb\n");
    await rig.ok([
      "topic",
      "alter",
      "life",
      "-p",
      "3",
      "-c",
      "cleanup.policy=compact",
      "--delete-config",
      "retention.ms",
    ]);
    const described = JSON.parse(await rig.ok(["topic", "describe", "life", "--json"]));
    expect(described.partitions.map((each: { endOffset: number }) => each.endOffset)).toEqual([
      0, 2, 0,
    ]);
    const set = described.configs.filter((each: { source: string }) => each.source === "topic");
    expect(set.map((each: { name: string; value: string }) => [each.name, each.value])).toEqual([
      ["cleanup.policy", "compact"],
    ]);
    const table = await rig.ok(["topic", "describe", "life"]);
    expect(table).toContain("life: 3 partitions, 2 offsets");
    expect(table).toMatch(/cleanup\.policy +compact +topic/);
    expect(await rig.ok(["topic", "delete", "life"])).toBe('Deleted topic "life"\n');
    expect((await rig.ok(["topic", "list"])).split("\n")).not.toContain("life");
    await rig.ok(["topic", "delete", "life", "--if-exists"]);
  }, 20_000);

  test("the cluster says who is in it", async () => {
    const { brokers } = JSON.parse(await rig.ok(["cluster", "describe", "--json"]));
    expect(
      brokers.map(({ host, port }: { host: string; port: number }) => `${host}:${port}`),
    ).toEqual([rig.bootstrap]);
    expect(await rig.ok(["cluster", "describe"])).toContain(rig.bootstrap);
  });
});

describe("failures name the fix", () => {
  const cases: [args: string[], code: number, says: RegExp][] = [
    [
      ["topic", "list", "-b", "127.0.0.1:1"],
      1,
      /is the broker running\? Start one with `millrace start`/,
    ],
    [["consume", "plases"], 1, /There is no topic "plases"/],
    [["topic", "create", "bad name"], 1, /a name has at most 249 characters/],
    [["topic", "create", "x", "-c", "retention.ms=soon"], 1, /retention\.ms/],
    [["topic", "delete", "never-was"], 1, /--if-exists/],
    [
      ["produce", "x", "--file", "nowhere.txt"],
      1,
      /Cannot read file "nowhere.txt": there is no such file/,
    ],
    [["topic", "lst"], 2, /did you mean "list"/],
    [["tpoic", "list"], 2, /did you mean "topic"/],
    [["create", "x"], 2, /did you mean "topic create"/],
    [
      ["consume", "x", "--form", "json"],
      2,
      /Unknown flag "--form": did you mean "--from"|"--format"/,
    ],
    [["consume", "x", "--format", "jso"], 2, /did you mean "json"/],
    [["consume", "x", "--from", "yesterday"], 2, /2026-01-31T12:00:00Z/],
    [["consume", "x", "--max", "-1"], 2, /at least 0/],
    [["topic", "create"], 2, /TOPIC is missing/],
    [["topic", "create", "a", "b"], 2, /Too many words: found "b"/],
    [["topic", "alter", "x"], 2, /Nothing to change/],
    [["topic", "list", "-b", "not an address"], 2, /must be HOST:PORT/],
  ];
  for (const [args, code, says] of cases) {
    test(`millrace ${args.join(" ")}`, async () => {
      const ended = await rig.call(args);
      expect([ended.code, textOf(ended.stdout)]).toEqual([code, ""]);
      expect(ended.stderr).toMatch(says);
      expect(ended.stderr.split("\n")[0]).toMatch(/^millrace: /);
    });
  }

  test("--bootstrap takes an address as connect() does, but no login and no other scheme", async () => {
    const first = `kafka://127.0.0.1:1,${rig.bootstrap}`;
    for (const address of [first, `kafka://${rig.bootstrap}/?clientId=me&timeoutMs=9000`]) {
      const { code, stdout, stderr } = await rig.run(["cluster", "describe", "-b", address]);
      expect([code, stderr]).toEqual([0, ""]);
      expect(textOf(stdout)).toContain(rig.bootstrap);
    }
    for (const [address, why] of [
      ["http://127.0.0.1:1", "the schemes are kafka:// and kafkas://"],
      ["kafka://", "an address is kafka://HOST:PORT"],
      [`kafka://${rig.bootstrap}?clientID=me`, 'no option "clientID"'],
      [`kafka://me:s3cret@${rig.bootstrap}`, "--user NAME --token-file PATH"],
    ] as const) {
      const { code, stderr } = await rig.run(["topic", "list", "-b", address]);
      expect(code).toBe(2);
      expect(stderr).toContain(why);
      expect(stderr).not.toContain("s3cret");
    }
  });

  test("a misspelt topic is told the nearest one", async () => {
    await rig.ok(["topic", "create", "customers", "-p", "1"]);
    expect((await rig.call(["topic", "describe", "custmers"])).stderr).toContain(
      'did you mean "customers"?',
    );
  });

  test("--json makes the failure JSON too", async () => {
    const { stderr, code } = await rig.call(["topic", "describe", "never-was", "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(stderr).error.code).toBe("unknown_topic_or_partition");
  });

  test("a line that is no record is named by its number, and what came before is delivered", async () => {
    await rig.ok(["topic", "create", "wrong", "-p", "1"]);
    const { code, stderr } = await rig.call(
      ["produce", "wrong", "--format", "json"],
      '{"value":"a"}\n{"valeu":1}\n',
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining('Line 2: unknown field "valeu"')]);
    expect(await rig.ok(["consume", "wrong"])).toBe("a\n");
  });

  test("a record that is too large is refused by name, and the limit can be raised", async () => {
    await rig.ok(["topic", "create", "small", "-p", "1", "-c", "max.message.bytes=1000"]);
    const big = `${"x".repeat(5_000)}\n`;
    const { code, stderr } = await rig.call(["produce", "small"], big);
    expect(code).toBe(1);
    expect(stderr).toContain("MESSAGE_TOO_LARGE");
    expect(stderr).toContain("max.message.bytes");
    await rig.ok(["topic", "alter", "small", "-c", "max.message.bytes=10000"]);
    await rig.ok(["produce", "small"], big);
  });
});

test("a program connects to the same broker, and a wrong address fails at once", async () => {
  const client = await connect({ bootstrap: rig.bootstrap });
  expect((await client.admin.describeCluster()).brokers.length).toBe(1);
  await client.close();
  const failure = await connect({ bootstrap: "127.0.0.1:1" }).catch((error) => error);
  expect([failure.code, failure.cause.code]).toEqual(["network_exception", "refused"]);
});

describe("help, version and config", () => {
  test("help of the program and of each command has examples that exist", async () => {
    const help = await rig.ok(["help"]);
    const names = [...help.matchAll(/^ {2}((?!millrace)[a-z]+(?: [a-z]+)?) {2,}/gm)].map(
      (match) => match[1]!,
    );
    expect(names.length).toBeGreaterThan(10);
    for (const name of names.filter((each) => each !== "start")) {
      const text = await rig.ok([...name.split(" "), "--help"]);
      expect(text).toContain(`Usage: millrace ${name}`);
      expect(text).toContain("Examples:");
    }
    expect(await rig.ok(["help", "produce"])).toBe(await rig.ok(["produce", "--help"]));
    expect(await rig.ok(["topic", "--help"])).toContain("topic create");
  }, 30_000);

  test("version says ours and the runtime's", async () => {
    expect(await rig.ok(["version"])).toMatch(/^millrace \d+\.\d+\.\d+ \((bun|deno) /);
  });

  test("config check tells every problem; config print shows where values come from", async () => {
    const path = join(rig.folder, "checked.json");
    writeFileSync(path, JSON.stringify({ dta: "x", broker: { id: "one" } }));
    const wrong = await rig.call(["config", "check", path]);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('did you mean "data"');
    expect(wrong.stderr.trim().split("\n").length).toBe(2);
    writeFileSync(path, JSON.stringify({ data: "elsewhere" }));
    expect(await rig.ok(["config", "check", path])).toContain("is fine");
    const rows = JSON.parse(await rig.ok(["config", "print", path, "--json"]));
    const data = rows.find((row: { path: string }) => row.path === "data");
    expect(data).toMatchObject({ source: "file" });
    expect(data.value).toContain("elsewhere");
    expect(JSON.parse(await rig.ok(["config", "schema"])).properties.data).toBeDefined();
    writeFileSync(path, JSON.stringify({ settings: { "num.partition": 3, "num.io.threads": 4 } }));
    const unknown = await rig.run(["config", "check", path]);
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toContain('did you mean "num.partitions"');
    writeFileSync(path, JSON.stringify({ settings: { "num.io.threads": 4 } }));
    const inert = await rig.run(["config", "check", path]);
    expect(inert.code).toBe(0);
    expect(inert.stderr).toContain("warning: The setting num.io.threads has no effect");
  });
});
