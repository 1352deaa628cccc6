// Plans carried out: shown first, begun when somebody says so, watched until they are done.
// Invariant: nothing is moved that was not shown; while we watch, at most MOVES_MAX partitions of ours are on their way at once.

import type { Client, PartitionReassignment, TopicPartition } from "../client/mod.ts";
import type { Arguments } from "./arguments.ts";
import { CommandError } from "./cli_error.ts";
import type { Lying, Place, PlannedMove } from "./cluster_plan.ts";
import { CONNECTION_FLAGS, type Flag, JSON_FLAG } from "./flags.ts";
import type { CliHost } from "./host.ts";
import { counted, table } from "./table.ts";

/** Partitions on their way at once: what they copy competes with what clients do. */
const MOVES_MAX = 100;
const POLL_MS = 250;
/** Unless --wait says otherwise. */
const WAIT_S = 86_400;
/** Rows of a plan that are shown; --json has all. */
const ROWS_MAX = 200;

export const PLAN_FLAGS: readonly Flag[] = [
  { name: "dry-run", summary: "show what would be done, and change nothing" },
  { name: "yes", short: "y", summary: "do it without asking" },
];
export const MOVE_FLAGS: readonly Flag[] = [
  ...PLAN_FLAGS,
  {
    name: "wait",
    value: "SECONDS",
    summary: "watch for so long until all is moved (86400); 0: begin only",
  },
  JSON_FLAG,
  ...CONNECTION_FLAGS,
];

/** Brokers and partitions as they are. @throws {CommandError} "reassignment_in_progress": a plan would rest on what is changing */
export async function layoutOf({ admin }: Client): Promise<{
  readonly places: readonly Place[];
  readonly partitions: readonly Lying[];
}> {
  const [{ brokers }, topics, moving] = await Promise.all([
    admin.describeCluster(),
    admin.listTopics(),
    admin.listReassignments(),
  ]);
  if (moving.length > 0) {
    throw new CommandError(
      "reassignment_in_progress",
      `${counted(moving.length, "partition")} on the way already: wait until \`millrace cluster status\` shows none, or \`millrace cluster move --cancel\``,
    );
  }
  const partitions = topics.flatMap(({ name, partitions: rows }) =>
    rows.map(({ partition, replicas }) => ({ topic: name, partition, replicas })),
  );
  const places = brokers
    .filter(({ isFenced }) => !isFenced)
    .map(({ nodeId, rack }) => ({ id: nodeId, rack }));
  return { places, partitions };
}

/** Partitions by what people write: TOPIC, or TOPIC:0,3. */
export async function partitionsNamed(
  { admin }: Client,
  args: Arguments,
  texts: readonly string[],
): Promise<readonly Lying[]> {
  const found: Lying[] = [];
  for (const text of texts) {
    const [, topic, numbers] = /^(.*?)(?::([\d,]+))?$/s.exec(text)!;
    const wanted = numbers
      ?.split(",")
      .map((each) => args.wholeOf(`A partition of ${topic}`, each, 0));
    const { partitions } = await admin.topic(topic!);
    for (const number of wanted ?? partitions.map(({ partition }) => partition)) {
      const row = partitions.find(({ partition }) => partition === number);
      if (row === undefined) {
        const text = `Topic "${topic}" has no partition ${number}: it has ${partitions.length}`;
        throw new CommandError("unknown_topic_or_partition", text);
      }
      found.push({ topic: topic!, partition: number, replicas: row.replicas });
    }
  }
  return found;
}

/** Shows a plan, asks, begins it, and watches it. @returns the exit code: 1 where it did not come to its end */
export async function carryOut(
  args: Arguments,
  host: CliHost,
  client: Client,
  moves: readonly PlannedMove[],
): Promise<number> {
  const isJson = args.has("json");
  if (!isJson) await showMoves(host, moves);
  const says = `${counted(moves.length, "partition")} to move`;
  const isAgreed = moves.length > 0 && (await agreed(args, host, says));
  const waitMs = 1000 * (args.whole("wait", 0) ?? WAIT_S);
  const left = isAgreed ? await moveAll(host, client, moves, waitMs) : null;
  if (isJson) await host.print(`${JSON.stringify({ moves, isBegun: isAgreed, left })}\n`);
  else if (left === 0) await host.print(`Moved ${counted(moves.length, "partition")}\n`);
  else if (left !== null) {
    const text = `${counted(left, "partition")} not there yet: \`millrace cluster status\` shows how far they are`;
    await host.print(`${text}\n`);
  }
  return left === null || left === 0 || waitMs === 0 ? 0 : 1;
}

/** Whether to go on: --yes, or somebody who says so. @throws {UsageError} where nobody can be asked */
export async function agreed(args: Arguments, host: CliHost, says: string): Promise<boolean> {
  if (args.has("dry-run")) {
    if (!args.has("json")) await host.print(`\n${says}; nothing was changed (--dry-run)\n`);
    return false;
  }
  if (args.has("yes")) return true;
  if (!host.isInputTerminal) {
    throw args.wrong(`${says}: say --yes to do it, or --dry-run to only see it`);
  }
  host.tell(`\n${says}. Go on? [y/N] `);
  let answer = "";
  for await (const chunk of host.input()) {
    answer += new TextDecoder().decode(chunk);
    if (answer.includes("\n")) break;
  }
  if (/^y(es)?$/i.test(answer.split("\n")[0]!.trim())) return true;
  host.tell("Nothing was changed\n");
  return false;
}

async function showMoves(host: CliHost, moves: readonly PlannedMove[]): Promise<void> {
  if (moves.length === 0) {
    await host.print("Nothing to move\n");
    return;
  }
  const rows = moves.slice(0, ROWS_MAX).map(({ topic, partition, from, to }) => {
    const adding = to.filter((id) => !from.includes(id)).length;
    const what = adding > 0 ? counted(adding, "copy").replace("copys", "copies") : "no copy";
    return [topic, partition, from.join(","), to.join(","), what];
  });
  await host.print(table(["TOPIC", "PARTITION", "NOW", "THEN", ""], rows));
  const more = moves.length - rows.length;
  if (more > 0) await host.print(`… and ${more} more (--json has all)\n`);
}

/** @returns how many are not there yet */
async function moveAll(
  host: CliHost,
  client: Client,
  moves: readonly PlannedMove[],
  waitMs: number,
): Promise<number> {
  const startMs = performance.now();
  let begun = 0;
  let moving: readonly TopicPartition[] = [];
  let isShown = false;
  for (;;) {
    const room = waitMs === 0 ? moves.length : MOVES_MAX - moving.length;
    const next = moves.slice(begun, begun + room);
    if (next.length > 0) {
      await begin(client, next);
      begun += next.length;
    }
    if (waitMs === 0) return moves.length;
    const ours = [...moving, ...next];
    const still = ours.length === 0 ? [] : await client.admin.listReassignments(ours);
    const isStill = new Set(still.map(keyOf));
    const done = ours.filter((each) => !isStill.has(keyOf(each)));
    moving = ours.filter((each) => isStill.has(keyOf(each)));
    // The one that is to lead is in sync now.
    if (done.length > 0) await client.admin.electLeaders("preferred", done);
    const left = moves.length - begun + moving.length;
    if (host.isErrorTerminal) {
      isShown = true;
      host.tell(`\r\x1b[K${moves.length - left} of ${moves.length} moved${copyText(still)}`);
    }
    const isOver = left === 0 || performance.now() - startMs >= waitMs || host.interrupted.aborted;
    if (isOver) {
      if (isShown) host.tell("\r\x1b[K");
      return left;
    }
    if (begun === moves.length || moving.length === MOVES_MAX) await pause(host.interrupted);
  }
}

function copyText(moving: readonly PartitionReassignment[]): string {
  const copies = moving.reduce((sum, { adding }) => sum + adding.length, 0);
  return copies === 0 ? "" : `, ${counted(copies, "replica")} being copied`;
}

async function begin(client: Client, moves: readonly PlannedMove[]): Promise<void> {
  const outcomes = await client.admin.moveReplicas(
    moves.map(({ topic, partition, to }) => ({ topic, partition, replicas: to })),
  );
  for (let at = 0; at < moves.length; at++) {
    const outcome = outcomes[at]!;
    if (outcome.ok) continue;
    const { topic, partition } = moves[at]!;
    const { code, message } = outcome.error;
    throw new CommandError(code, `Cannot move ${topic}-${partition}: ${message}`);
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, POLL_MS);
    signal.addEventListener("abort", end);
  });
}
