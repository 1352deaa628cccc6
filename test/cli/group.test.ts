import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { durationText } from "../../src/cli/group_lag.ts";
import { table } from "../../src/cli/table.ts";
import { timeMsOf } from "../../src/cli/time.ts";
import { type CliRig, startCliRig } from "./rig.ts";

let rig: CliRig;
beforeAll(async () => {
  rig = await startCliRig(["group.initial.rebalance.delay.ms=0"]);
});
afterAll(() => rig.stop());

/** A topic of `partitions` with `count` records, a second apart, from `startMs` on. */
async function topicOf(name: string, partitions: number, count: number): Promise<number> {
  await rig.ok(["topic", "create", name, "-p", String(partitions)]);
  const startMs = Date.now() - count * 1000 - 60_000;
  const lines = Array.from({ length: count }, (_, at) => {
    const partition = at % partitions;
    return JSON.stringify({ value: `v${at}`, partition, timestamp: startMs + at * 1000 });
  });
  await rig.ok(["produce", name, "--format", "json"], lines.join("\n"));
  return startMs;
}

const json = async (args: string[], input?: string) =>
  JSON.parse(await rig.ok([...args, "--json"], input));

/** "0=3 1=4": what a group has committed. */
async function committed(group: string): Promise<string> {
  const { offsets } = JSON.parse(await rig.ok(["group", "export", group]));
  return offsets
    .map(({ partition, offset }: { partition: number; offset: number }) => `${partition}=${offset}`)
    .join(" ");
}

async function failure(args: string[], input?: string): Promise<{ code: number; text: string }> {
  const { code, stderr } = await rig.call(args, input);
  return { code: code!, text: stderr };
}

describe("consume --group", () => {
  for (const protocol of ["classic", "consumer"]) {
    test(`${protocol}: what was printed is committed, and the next goes on there`, async () => {
      const topic = `consume-${protocol}`;
      await topicOf(topic, 2, 20);
      const consume = ["consume", topic, "--group", topic, "--protocol", protocol];
      const first = (await rig.ok([...consume, "-n", "7"])).trim().split("\n");
      expect(first.length).toBe(7);
      const rest = (await rig.ok(consume)).trim().split("\n");
      const all = Array.from({ length: 20 }, (_, at) => `v${at}`).sort();
      expect([...first, ...rest].sort()).toEqual(all);
      expect(await rig.ok(consume)).toBe("");
      expect(await committed(topic)).toBe("0=10 1=10");
      expect(
        await rig.ok([...consume.slice(0, 3), `${topic}-end`, "--from", "end", "--until-end"]),
      ).toBe("");
      expect(await committed(`${topic}-end`)).toBe("0=10 1=10");
    });
  }

  test("flags that do not go together are refused", async () => {
    for (const [flags, says] of [
      [["--group", "g", "--from", "5"], "group reset"],
      [["--group", "g", "-p", "1"], "--partition is not for --group"],
      [["--group", "g", "--follow", "--until-end"], "not both"],
      [["--protocol", "classic"], "give --group too"],
      [["--instance-id", "a"], "give --group too"],
      [["--group", "g", "--protocol", "new"], "must be one of"],
      [["--group", ""], "--group must be a name"],
      [["--group", "g", "--instance-id", ""], "--instance-id must be a name"],
    ] as const) {
      const { code, text } = await failure(["consume", "t", ...flags]);
      expect([code, text]).toEqual([2, expect.stringContaining(says)]);
    }
  });
});

test("consume --group of a topic that is not there says so, and makes no group", async () => {
  await topicOf("there", 1, 1);
  const found = await failure(["consume", "thre", "--group", "astray"]);
  expect([found.code, found.text]).toEqual([1, expect.stringContaining('did you mean "there"?')]);
  expect((await rig.ok(["group", "list"])).split("\n")).not.toContain("astray");
});

describe("group", () => {
  test("list and describe, with members of a running consumer", async () => {
    await topicOf("live", 3, 6);
    const child = rig.start([
      "consume",
      "live",
      "--group",
      "live",
      "--follow",
      "--instance-id",
      "one",
    ]);
    const read = new Promise<void>((resolve) => child.stdout!.once("data", () => resolve()));
    await read;
    const group = await json(["group", "describe", "live"]);
    expect(group).toMatchObject({ groupId: "live", type: "consumer", state: "Stable" });
    expect(group.members).toMatchObject([{ instanceId: "one", clientId: "millrace-cli" }]);
    expect(group.members[0].assignment.length).toBe(3);
    expect(await rig.ok(["group", "describe", "live"])).toMatch(
      /^live: Stable, 1 member \(consumer, /,
    );
    const members = await rig.ok(["group", "describe", "live", "--members"]);
    expect(members).toMatch(/one +millrace-cli .* 3 +live:0,1,2/);
    expect(await json(["group", "list", "--state", "Stable"])).toMatchObject([
      { groupId: "live", type: "consumer" },
    ]);
    const busy = await failure(["group", "reset", "live", "-t", "live", "--to-latest"]);
    expect(busy.text).toContain("it has a member. Stop them first");
    expect((await failure(["group", "delete", "live"])).text).toContain("it has a member");
    const ended = new Promise((resolve) => child.on("close", resolve));
    process.kill(child.pid!, "SIGINT");
    expect(await ended).toBe(0);
    expect(await committed("live")).toBe("0=2 1=2 2=2");
  });

  test("list prints names in a pipe; one that is not there is told with the nearest", async () => {
    await topicOf("names", 1, 1);
    await rig.ok(["consume", "names", "--group", "billing"]);
    expect((await rig.ok(["group", "list"])).split("\n")).toContain("billing");
    for (const command of ["describe", "lag", "export", "delete"]) {
      const { code, text } = await failure(["group", command, "biling"]);
      expect([code, text]).toEqual([1, expect.stringContaining('did you mean "billing"?')]);
    }
    expect(await rig.ok(["group", "delete", "biling", "--if-exists"])).toBe("");
    expect((await rig.ok(["group", "list", "--state", "empty"])).split("\n")).toContain("billing");
    const state = await failure(["group", "list", "--state", "Emty"]);
    expect([state.code, state.text]).toEqual([
      2,
      expect.stringContaining("--state must be one of"),
    ]);
  });

  test("lag in records and in seconds", async () => {
    await topicOf("late", 2, 20);
    await rig.ok(["consume", "late", "--group", "late"]);
    expect(await json(["group", "lag", "late"])).toMatchObject({ lag: 0, lagSeconds: 0 });
    await rig.ok(["group", "reset", "late", "--topic", "late:0", "--to-offset", "4"]);
    const found = await json(["group", "lag", "late"]);
    // Partition 0 has the even seconds: from record 8 to record 18.
    expect(found).toMatchObject({ group: "late", lag: 6, lagSeconds: 10 });
    expect(found.partitions).toMatchObject([
      { partition: 0, committed: 4, end: 10, lag: 6, lagSeconds: 10 },
      { partition: 1, committed: 10, end: 10, lag: 0, lagSeconds: 0 },
    ]);
    const shown = await rig.ok(["group", "lag", "late"]);
    expect(shown).toContain("late           0          4   10    6  10 s\n");
    expect(shown).toContain("6 records, 10 s behind\n");
    // A lag of 0 because of a typo would be an alarm that never goes off.
    for (const flags of [[], ["--json"]]) {
      const found = await failure(["group", "lag", "late", "--topic", "lat", ...flags]);
      expect([found.code, found.text]).toEqual([1, expect.stringContaining("it has late")]);
    }
  });

  test("reset by every goal, and not at all with --dry-run", async () => {
    const startMs = await topicOf("moves", 1, 20);
    await rig.ok(["consume", "moves", "--group", "moves"]);
    const reset = async (...goal: string[]) => {
      const shown = await json(["group", "reset", "moves", "--topic", "moves", ...goal]);
      return shown.offsets[0].to;
    };
    expect(await reset("--to-earliest", "--dry-run")).toBe(0);
    expect(await committed("moves")).toBe("0=20");
    expect(await reset("--to-earliest")).toBe(0);
    expect(await committed("moves")).toBe("0=0");
    expect(await reset("--to-latest")).toBe(20);
    expect(await reset("--to-offset", "7")).toBe(7);
    expect(await reset("--to-offset", "99")).toBe(20);
    expect(await reset("--shift-by", "-5")).toBe(15);
    expect(await reset("--shift-by", "-50")).toBe(0);
    expect(await reset("--shift-by", "3")).toBe(3);
    expect(await reset("--to-time", String(startMs + 4500))).toBe(5);
    expect(await reset("--to-time", new Date(startMs + 6000).toISOString())).toBe(6);
    expect(await reset("--to-time", "2100-01-01")).toBe(20);
    // The last record is 61 s old, and one a second goes back from there.
    const back = await reset("--by-duration", "PT1M10S");
    expect(back).toBeGreaterThan(8);
    expect(back).toBeLessThan(20);
    expect(await reset("--by-duration", "1h")).toBe(0);
    expect(await committed("moves")).toBe("0=0");
    // One that is not there is made.
    await rig.ok(["group", "reset", "fresh", "-t", "moves:0", "--to-offset", "18"]);
    expect(await rig.ok(["consume", "moves", "--group", "fresh"])).toBe("v18\nv19\n");
  });

  test("reset refuses what it cannot do", async () => {
    await topicOf("strict", 2, 2);
    for (const [code, args, says] of [
      [2, ["--topic", "strict"], "Say where to go"],
      [2, ["--to-latest"], "Say which offsets"],
      [2, ["--topic", "strict", "--all-topics", "--to-latest"], "Say which offsets"],
      [2, ["--topic", "strict", "--to-latest", "--to-earliest"], "not both"],
      [2, ["--topic", "strict", "--to-time", "soon"], "--to-time must be"],
      [2, ["--topic", "strict", "--by-duration", "P"], "--by-duration must be"],
      [2, ["--topic", ":1", "--to-latest"], "--topic must be"],
      [
        2,
        ["-t", "strict:", "--to-latest"],
        '--topic lacks a partition after the colon: found "strict:", say which, as in strict:0,3, or leave out the colon for all of them',
      ],
      [2, ["-t", "strict:0,", "--to-latest"], 'found "strict:0,", say which'],
      [2, ["-t", "strict:x", "--to-latest"], "--topic"],
      [1, ["--topic", "strict:2", "--to-latest"], "partitions 0 to 1"],
      [1, ["--topic", "strict", "--shift-by", "1"], "nothing is"],
      [1, ["--all-topics", "--to-latest"], "has committed nothing"],
      [1, ["--topic", "stric", "--to-latest"], 'There is no topic "stric": did you mean "strict"?'],
    ] as const) {
      const found = await failure(["group", "reset", "strict", ...args]);
      expect([found.code, found.text]).toEqual([code, expect.stringContaining(says)]);
    }
  });

  test("export and import keep what there was, as JSON and as Kafka's CSV", async () => {
    await topicOf("files", 2, 10);
    await rig.ok(["consume", "files", "--group", "files", "-n", "4"]);
    const before = await committed("files");
    const path = join(rig.folder, "files.json");
    await rig.ok(["group", "export", "files", "--output", path]);
    await rig.ok(["consume", "files", "--group", "files"]);
    expect(await committed("files")).toBe("0=5 1=5");
    expect(await rig.ok(["group", "import", "files", "--file", path, "--dry-run"])).toContain(
      "nothing was changed",
    );
    expect(await committed("files")).toBe("0=5 1=5");
    await rig.ok(["group", "import", "files", "--file", path]);
    expect(await committed("files")).toBe(before);
    const csv = await rig.ok(["group", "export", "files", "--format", "csv"]);
    expect(csv).toBe(
      before
        .split(" ")
        .map((each) => `files,${each.replace("=", ",")}\n`)
        .join(""),
    );
    await rig.ok(["group", "import", "copy"], csv);
    expect(await committed("copy")).toBe(before);
    await rig.ok(["group", "import", "copy"], '"files","files",0,1\n');
    expect(await committed("copy")).toMatch(/^0=1/);
    expect(JSON.parse(readFileSync(path, "utf8")).group).toBe("files");
    writeFileSync(path, "files,0\n");
    for (const [input, says] of [
      ["files,0\n", "line 1 must be"],
      ["files,0,1\nfiles,0,2\n", "twice"],
      ["{", "no JSON"],
      ["{}", '"offsets" must be a list'],
      ['{"offsets":[{"topic":"files"}]}', "offsets[0]"],
      ["", "no offsets"],
      ["files,0,3\nfile,0,1\n", 'There is no topic "file": did you mean "files"?'],
      ["files,0,3\nfiles,2,1\n", "partitions 0 to 1"],
    ] as const) {
      for (const flags of [["--dry-run"], []]) {
        const found = await failure(["group", "import", "copy", ...flags], input);
        expect([found.code, found.text]).toEqual([1, expect.stringContaining(says)]);
      }
    }
    expect(await committed("copy")).toMatch(/^0=1/);
  });

  test("delete, first tried", async () => {
    await topicOf("gone", 1, 2);
    await rig.ok(["consume", "gone", "--group", "gone"]);
    expect(await rig.ok(["group", "delete", "gone", "--dry-run"])).toBe(
      'Would delete group "gone" with 1 committed offset\n',
    );
    expect(await json(["group", "delete", "gone"])).toEqual([
      { group: "gone", deleted: true, offsets: 1, error: null },
    ]);
    expect((await rig.ok(["group", "list"])).split("\n")).not.toContain("gone");
  });
});

test("durations are told as people do", () => {
  const told = [0, 0.2, 1, 59.6, 61, 3_600, 7_500, 100_000].map(durationText);
  expect(told).toEqual(["0 s", "<1 s", "1 s", "1 min", "1 min 1 s", "1 h", "2 h 5 min", "1 d 3 h"]);
});

describe("what operators get wrong", () => {
  const TIMES: readonly (readonly [string, number | null])[] = [
    ["2026-01-31", 1769817600000],
    ["2026-01-31T12:00", 1769860800000],
    ["2026-01-31 12:00:00", 1769860800000],
    ["2026-01-31T12:00:00Z", 1769860800000],
    ["2026-01-31T14:00:00+02:00", 1769860800000],
    ["2026-01-31T07:30:00-0430", 1769860800000],
    ["2026-01-31T12:00:00.250Z", 1769860800250],
    ["2024-02-29", 1709164800000],
    ["2026-02-29", null],
    ["2026-02-31T00:00:00Z", null],
    ["2026-13-01", null],
    ["2026-01-31T24:00:00Z", null],
    ["2026-01-31T12:00:00+15:00", null],
    ["2026-01-31T12:00:00 Europe/Berlin", null],
    ["2026-01-31 garbage", null],
    ["1969-12-31", null],
    ["2026-01-31Z", null],
  ];
  test("times are of UTC unless they say more, and days that are not there are refused", () => {
    for (const [text, timeMs] of TIMES) expect([text, timeMsOf(text)]).toEqual([text, timeMs]);
  });

  test("an empty name is a mistake of the command line", async () => {
    for (const args of [
      ["describe", ""],
      ["lag", ""],
      ["delete", "a", ""],
      ["export", ""],
      ["import", ""],
      ["reset", "", "-t", "t", "--to-latest"],
    ]) {
      const { code, text } = await failure(["group", ...args]);
      expect([args, code, text]).toEqual([args, 2, expect.stringContaining("empty")]);
    }
  });

  test("a file of several groups gives each its own, and a folder is no file", async () => {
    await topicOf("several", 2, 10);
    const csv = "one,several,0,1\ntwo,several,0,3\ntwo,several,1,4\n";
    await rig.ok(["group", "import", "two"], csv);
    expect(await committed("two")).toBe("0=3 1=4");
    for (const [text, says] of [
      [csv, 'none of "three": one, two'],
      ["one,several,0,1\nseveral,1,4\n", "some lines name their group"],
      ['{"offsets":[{"topic":"several","partition":0,"offset":-1}]}', '"offset":-1'],
    ] as const) {
      const found = await failure(["group", "import", "three"], text);
      expect([found.code, found.text]).toEqual([1, expect.stringContaining(says)]);
    }
    const folder = await failure(["group", "import", "three", "-f", rig.folder]);
    expect([folder.code, folder.text]).toEqual([
      1,
      `millrace: Cannot read file "${rig.folder}": it is a folder\n`,
    ]);
  });

  test("export, delete, import: metadata and leader epochs come back", async () => {
    await topicOf("round", 1, 5);
    const file = JSON.stringify({
      offsets: [{ topic: "round", partition: 0, offset: 3, leaderEpoch: 7, metadata: "née ☕" }],
    });
    await rig.ok(["group", "import", "round trip ☕"], file);
    const exported = await rig.ok(["group", "export", "round trip ☕"]);
    await rig.ok(["group", "delete", "round trip ☕"]);
    await rig.ok(["group", "import", "round trip ☕"], exported);
    expect(JSON.parse(await rig.ok(["group", "export", "round trip ☕"])).offsets).toEqual(
      JSON.parse(file).offsets,
    );
  });

  test("offsets that are not there are imported as they are, and told of", async () => {
    await topicOf("short", 1, 5);
    for (const dry of [["--dry-run"], []]) {
      const { code, stderr } = await rig.call(["group", "import", "far", ...dry], "short,0,99\n");
      expect([code, stderr]).toEqual([
        0,
        expect.stringContaining("short-0 holds the offsets 0 to 5, and 99"),
      ]);
    }
    expect(await committed("far")).toBe("0=99");
  });

  test("names cannot move the cursor, nor look like two", async () => {
    await topicOf("named", 1, 1);
    await rig.ok(["group", "reset", "a\u001b[2Jb\nc", "-t", "named", "--to-latest"]);
    const listed = (await rig.ok(["group", "list"])).split("\n");
    expect(listed).toContain("a\\u001b[2Jb\\u000ac");
    expect(table(["A"], [["x\u009b31m\ty"]])).toBe("A\nx\\u009b31m\\u0009y\n");
  });

  test("a number that is too large is told from one that is too small", async () => {
    const { code, text } = await failure([
      ...["group", "reset", "g", "-t", "t", "--to-offset", "9223372036854775807"],
    ]);
    expect([code, text]).toEqual([2, expect.stringContaining("from 0 to 9007199254740991")]);
  });
});
