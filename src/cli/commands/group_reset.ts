// `millrace group reset`.

import type { Client, CommittedOffset, OffsetSpec, TopicPartition } from "../../client/mod.ts";
import type { Arguments } from "../arguments.ts";
import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { findGroup, groupOf } from "../group_errors.ts";
import { boundsOf } from "../group_lag.ts";
import { carryOut, type Move, partitionCounts } from "../group_moves.ts";
import { withClient } from "../session.ts";
import { timeMsOf } from "../time.ts";

/** Where to go. */
type Goal =
  | { readonly at: "earliest" | "latest" }
  | { readonly offset: number }
  | { readonly timestampMs: number }
  | { readonly shift: number };

const GOALS = [
  "to-earliest",
  "to-latest",
  "to-offset",
  "to-time",
  "by-duration",
  "shift-by",
] as const;

export const command: Command = {
  name: "group reset",
  summary: "move a group's committed offsets",
  about: `Works on groups without members: stop them first, and try it with --dry-run, which shows the moves and changes
nothing. An offset outside of what a partition holds becomes the nearest that it does. A time after the last
record is the end. A group that is not there yet is made, so that its first member begins where you say.`,
  positionals: [{ name: "group", summary: "its name" }],
  flags: [
    {
      name: "topic",
      short: "t",
      value: "TOPIC[:N,…]",
      summary: "a topic, or some partitions of it: orders, orders:0,3",
      isList: true,
    },
    { name: "all-topics", summary: "every partition that the group has committed" },
    { name: "to-earliest", summary: "to the first record that is there" },
    { name: "to-latest", summary: "to the end: only what comes from now on" },
    { name: "to-offset", value: "N", summary: "to this offset" },
    {
      name: "to-time",
      value: "TIME",
      summary: "to the first record at or after 2026-01-31T12:00:00Z, or ms since 1970",
    },
    {
      name: "by-duration",
      value: "TIME",
      summary: "so far back from now: PT1H, or 90s, 30m, 1h, 7d",
    },
    { name: "shift-by", value: "N", summary: "so many offsets on, or back with -N" },
    { name: "dry-run", summary: "show what would be done, and change nothing" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    {
      command: "millrace group reset billing --topic orders --to-earliest --dry-run",
      says: "what reading all again would mean",
    },
    {
      command: "millrace group reset billing --topic orders:0,3 --by-duration 1h",
      says: "the last hour of two partitions again",
    },
    {
      command: "millrace group reset billing --all-topics --shift-by -100",
      says: "a hundred back in each partition",
    },
  ],
  run(args, host) {
    const name = groupOf(args);
    const goal = goalOf(args);
    const wanted = args.list("topic").map((text) => placesOf(args, text));
    if (wanted.length > 0 === args.has("all-topics")) {
      throw args.wrong("Say which offsets to move: --topic TOPIC[:N,…], or --all-topics");
    }
    return withClient(args, host, async (client) => {
      const group = await findGroup(client, name);
      const committed = group === null ? [] : await client.admin.listGroupOffsets(name);
      const places = args.has("all-topics") ? committed : await partitionsOf(client, wanted);
      if (places.length === 0) {
        const text = `Group "${name}" has committed nothing: name what to move with --topic TOPIC`;
        throw new CommandError("group_id_not_found", text);
      }
      const moves = await movesTo(client, goal, places, committed);
      return carryOut(args, host, client, name, group, moves);
    });
  },
};

function goalOf(args: Arguments): Goal {
  const given = GOALS.filter((goal) => args.has(goal) || args.text(goal) !== undefined);
  const [goal] = given;
  const all = GOALS.map((each) => `--${each}`).join(", ");
  if (goal === undefined) throw args.wrong(`Say where to go: one of ${all}`);
  if (given.length > 1) throw args.wrong(`Give --${given[0]} or --${given[1]}, not both`);
  switch (goal) {
    case "to-earliest":
      return { at: "earliest" };
    case "to-latest":
      return { at: "latest" };
    case "to-offset":
      return { offset: args.whole(goal, 0)! };
    case "shift-by":
      return { shift: args.whole(goal, -Number.MAX_SAFE_INTEGER)! };
    case "to-time":
      return { timestampMs: timeOf(args, args.text(goal)!) };
    case "by-duration":
      return { timestampMs: Math.max(Date.now() - durationMsOf(args, args.text(goal)!), 0) };
  }
}

function timeOf(args: Arguments, text: string): number {
  if (/^\d+$/.test(text)) return args.wholeOf("--to-time", text, 0);
  const timestampMs = timeMsOf(text);
  if (timestampMs !== null) return timestampMs;
  throw args.wrong(
    `--to-time must be a time such as 2026-01-31T12:00:00Z (UTC unless it says +02:00), or milliseconds since 1970: found "${text}"`,
  );
}

/** As ISO 8601 writes it, without months and years, or as people do. */
function durationMsOf(args: Arguments, text: string): number {
  const iso = /^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/i.exec(
    text,
  );
  const short = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/i.exec(text);
  const seconds: Readonly<Record<string, number>> = {
    ms: 0.001,
    s: 1,
    m: 60,
    h: 3_600,
    d: 86_400,
    w: 604_800,
  };
  if (short !== null) return Number(short[1]) * seconds[short[2]!.toLowerCase()]! * 1000;
  if (iso?.slice(1).some((part) => part !== undefined) === true) {
    const [weeks = 0, days = 0, hours = 0, minutes = 0, rest = 0] = iso
      .slice(1)
      .map((part) => Number(part ?? 0));
    return (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60_000 + rest * 1000;
  }
  throw args.wrong(`--by-duration must be such as PT1H, P7D, 90s, 30m, 1h or 7d: found "${text}"`);
}

interface Wanted {
  readonly topic: string;
  /** Null for all. */
  readonly partitions: readonly number[] | null;
}

function placesOf(args: Arguments, text: string): Wanted {
  const [topic = "", list, ...more] = text.split(":");
  if (topic === "" || more.length > 0) {
    throw args.wrong(`--topic must be TOPIC or TOPIC:N,N: found "${text}"`);
  }
  if (list === undefined) return { topic, partitions: null };
  const numbers = list.split(",").map((each) => each.trim());
  if (numbers.includes("")) {
    const fix = `say which, as in ${topic}:0,3, or leave out the colon for all of them`;
    throw args.wrong(`--topic lacks a partition after the colon: found "${text}", ${fix}`);
  }
  const partitions = numbers.map((each) => args.wholeOf("--topic", each, 0, 0x7fffffff));
  return { topic, partitions };
}

async function partitionsOf(
  client: Client,
  wanted: readonly Wanted[],
): Promise<readonly TopicPartition[]> {
  const places = new Map<string, TopicPartition>();
  for (const { topic, partitions } of wanted) {
    const asked = (partitions ?? [null]).map((partition) => ({ topic, partition }));
    const count = (await partitionCounts(client, asked)).get(topic) ?? 0;
    for (const partition of partitions ?? Array(count).keys()) {
      places.set(`${topic}-${partition}`, { topic, partition });
    }
  }
  return [...places.values()];
}

async function movesTo(
  client: Client,
  goal: Goal,
  places: readonly TopicPartition[],
  committed: readonly CommittedOffset[],
): Promise<readonly Move[]> {
  const bounds = await boundsOf(client, places);
  const found =
    "timestampMs" in goal ? await offsetsAt(client, places, goal) : places.map(() => null);
  return places.map(({ topic, partition }, at): Move => {
    const { start, end } = bounds[at]!;
    if (start === null || end === null) {
      const text = `Nobody tells the offsets of ${topic}-${partition} now: is it there, and has it a leader?`;
      throw new CommandError("leader_not_available", text);
    }
    const known = committed.find((each) => each.topic === topic && each.partition === partition);
    const from = known?.offset ?? null;
    const within = (offset: number) => Math.min(Math.max(offset, start), end);
    if ("at" in goal) return { topic, partition, from, to: goal.at === "earliest" ? start : end };
    if ("offset" in goal) return { topic, partition, from, to: within(goal.offset) };
    if ("timestampMs" in goal) return { topic, partition, from, to: within(found[at] ?? end) };
    if (from === null) {
      const text = `--shift-by goes from what is committed, and for ${topic}-${partition} nothing is: use another goal there`;
      throw new CommandError("offset_out_of_range", text);
    }
    return { topic, partition, from, to: within(from + goal.shift) };
  });
}

/** The first offset from a time on; null where no record is that late. */
async function offsetsAt(
  client: Client,
  places: readonly TopicPartition[],
  at: OffsetSpec & object,
): Promise<readonly (number | null)[]> {
  const outcomes = await client.admin.offsets(places.map((place) => ({ ...place, at })));
  return outcomes.map((outcome, index) => {
    if (outcome.ok) return outcome.value.offset < 0 ? null : outcome.value.offset;
    const { topic, partition } = places[index]!;
    const text = `Cannot look up an offset of ${topic}-${partition}: ${outcome.error.message}`;
    throw new CommandError(outcome.error.code, text);
  });
}
