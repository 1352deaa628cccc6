// Our command line under the verbs of lib.sh: every verb is `millrace …` with the words a person would type.
// BOOTSTRAP names the broker. Record lines are those of make_input.ts.
import { join } from "node:path";
import process from "node:process";
import { type CliHost, processHost } from "../../../src/cli/host.ts";
import { runCli } from "../../../src/cli/main.ts";
import { readRecordLines, runChecks, until } from "../npm_checks.ts";

const host: CliHost = processHost();
const environment = { MILLRACE_BOOTSTRAP: process.env["BOOTSTRAP"] };

/** Runs a command and gives what it prints; throws what it complains of. */
async function millrace(args: readonly string[], input = new Uint8Array(0)): Promise<string> {
  const parts: Uint8Array[] = [];
  let complaint = "";
  const write = async (bytes: Uint8Array) => void parts.push(bytes.slice());
  const code = await runCli(args, {
    readFile: host.readFile,
    writeFile: host.writeFile,
    checkSettings: host.checkSettings,
    environment,
    isInputTerminal: false,
    isOutputTerminal: false,
    isErrorTerminal: false,
    interrupted: new AbortController().signal,
    async *input() {
      yield input;
    },
    output: { write, close: () => Promise.resolve() },
    print: (text) => write(new TextEncoder().encode(text)),
    tell: (text) => {
      complaint += text;
    },
  });
  if (code !== 0) throw new Error(`exit code ${code}: ${complaint.trim()}`);
  return Buffer.concat(parts).toString("utf8");
}

const payload = (bytes: Buffer | null) =>
  bytes === null ? null : { base64: bytes.toString("base64") };
type Payload = string | { base64: string } | null;
const hex = (found: Payload) => {
  if (found === null) return "-";
  return (
    typeof found === "string" ? Buffer.from(found) : Buffer.from(found.base64, "base64")
  ).toString("hex");
};

async function write(topic: string, codec: string, file: string): Promise<void> {
  const lines: string[] = [];
  for (const batch of readRecordLines(file, 1 << 20)) {
    for (const { key, value, headers } of batch) {
      const named = headers.map(([name, header]) => ({ key: name, value: payload(header) }));
      lines.push(JSON.stringify({ key: payload(key), value: payload(value), headers: named }));
    }
  }
  const words = ["produce", topic, "--format", "json", "-p", "0", "-z", codec];
  await millrace(words, Buffer.from(lines.join("\n")));
}

async function read(folder: string, topics: readonly string[]): Promise<void> {
  for (const topic of topics) {
    let out = "";
    let offset = 0;
    for (const line of (await millrace(["consume", topic, "-p", "0", "--json"])).split("\n")) {
      if (line === "") continue;
      const record = JSON.parse(line);
      if (record.offset !== offset)
        throw new Error(`offset ${record.offset} where ${offset} was expected`);
      offset++;
      const headers = record.headers.map((each: { key: string; value: Payload }) => {
        return `${Buffer.from(each.key).toString("hex")}=${hex(each.value)}`;
      });
      out += `${hex(record.key)}\t${hex(record.value)}\t${headers.join(",")}\n`;
    }
    await Bun.write(join(folder, `${topic}.tsv`), out);
  }
}

async function refused(code: string, args: readonly string[]): Promise<void> {
  const said = await millrace([...args, "--json"]).catch((error) => String(error));
  if (!said.includes(`"code":"${code}"`)) throw new Error(`wanted ${code}: ${said}`);
}

async function described(topic: string) {
  return JSON.parse(await millrace(["topic", "describe", topic, "--all", "--json"]));
}

async function settingOf(topic: string, name: string): Promise<string> {
  const { configs } = await described(topic);
  return configs.find((each: { name: string }) => each.name === name).value;
}

function same(found: unknown, wanted: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`found ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
  }
}

function admin(t: string): Promise<number> {
  const partitions = async () => (await described(t)).partitions;
  return runChecks([
    [
      "admin_create",
      async () =>
        void (await millrace(["topic", "create", t, "-p", "3", "-c", "retention.ms=3600000"])),
    ],
    ["admin_create_again_refused", () => refused("topic_already_exists", ["topic", "create", t])],
    [
      "admin_bad_name_refused",
      () => refused("invalid_topic_exception", ["topic", "create", `${t}/x`]),
    ],
    [
      "admin_bad_setting_refused",
      () => refused("invalid_config", ["topic", "create", `${t}x`, "-c", "retention.ms=x"]),
    ],
    [
      "admin_list",
      async () => same((await millrace(["topic", "list"])).split("\n").includes(t), true),
    ],
    ["admin_describe", async () => same((await partitions()).length, 3)],
    ["admin_setting", async () => same(await settingOf(t, "retention.ms"), "3600000")],
    [
      "admin_alter",
      async () => {
        await millrace([
          "topic",
          "alter",
          t,
          "-c",
          "retention.ms=7200000",
          "-c",
          "cleanup.policy=compact",
        ]);
        same(
          [await settingOf(t, "retention.ms"), await settingOf(t, "cleanup.policy")],
          ["7200000", "compact"],
        );
        await millrace(["topic", "alter", t, "--delete-config", "cleanup.policy"]);
        same(await settingOf(t, "cleanup.policy"), "delete");
      },
    ],
    [
      "admin_partitions",
      async () => {
        await millrace(["topic", "alter", t, "--partitions", "5"]);
        same((await partitions()).length, 5);
        await refused("invalid_partitions", ["topic", "alter", t, "--partitions", "2"]);
      },
    ],
    [
      "admin_offsets",
      async () => {
        await millrace(["produce", t, "-p", "4"], Buffer.from("a\nb\nc\n"));
        const { startOffset, endOffset } = (await partitions())[4];
        same([startOffset, endOffset], [0, 3]);
        same(await millrace(["consume", t, "--from", "-2"]), "b\nc\n");
      },
    ],
    [
      "admin_cluster",
      async () => {
        const { brokers } = JSON.parse(await millrace(["cluster", "describe", "--json"]));
        same(brokers.length, 1);
      },
    ],
    [
      "admin_delete",
      async () => {
        await millrace(["topic", "delete", t]);
        const isGone = async () => !(await millrace(["topic", "list"])).split("\n").includes(t);
        await until(isGone, "the topic to be gone");
        await refused("unknown_topic_or_partition", ["consume", t]);
      },
    ],
  ]);
}

/** Writes `key,value` lines beside those that somebody else has written, and looks where each key lies. */
async function keys(topic: string, file: string): Promise<void> {
  await millrace(["produce", topic, "-k", ",", "--file", file]);
  const places = new Map<string, number[]>();
  for (const line of (await millrace(["consume", topic, "--json"])).trim().split("\n")) {
    const { key, partition } = JSON.parse(line);
    places.set(key, [...(places.get(key) ?? []), partition]);
  }
  const apart = [...places].filter(([, [ours, theirs]]) => ours !== theirs);
  same([places.size, apart], [500, []]);
}

const [verb, ...words] = process.argv.slice(2);
const [topic = "", second = "", third = ""] = words;
let exitCode = 0;
switch (verb) {
  case "create": {
    const configs = words.slice(2).flatMap((setting) => ["-c", setting]);
    await millrace(["topic", "create", topic, "-p", second, ...configs]);
    break;
  }
  case "lines":
    await millrace(["produce", topic, "-p", "0", "-z", second, "--file", third]);
    break;
  case "cat":
    exitCode = await runCli(["consume", topic, "-p", "0"], { ...host, environment });
    break;
  case "write":
    await write(topic, second, third);
    break;
  case "read":
    await read(topic, words.slice(1));
    break;
  case "one":
    await millrace(
      ["produce", topic, "-p", "0", "--format", "raw"],
      new Uint8Array(Number(second)),
    );
    break;
  case "keys":
    await keys(topic, second);
    break;
  case "admin":
    exitCode = await admin(topic);
    break;
  default:
    throw new Error(`unknown verb ${verb}`);
}
process.exit(exitCode);
