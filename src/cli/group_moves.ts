// Moves of a group's committed offsets: planned, shown, and done, by reset and by import.
// Invariant: nothing is committed outside of what the partition holds, unless it was read from a file as it is;
// a dry run does all but the commit.

import type { Client, GroupDescription, OffsetToCommit, TopicPartition } from "../client/mod.ts";
import type { Arguments } from "./arguments.ts";
import { CommandError } from "./cli_error.ts";
import { nonEmptyGroup } from "./group_errors.ts";
import { boundsOf } from "./group_lag.ts";
import type { CliHost } from "./host.ts";
import { topicFix } from "./session.ts";
import { counted, table } from "./table.ts";

/** One offset and where it goes. */
export interface Move extends TopicPartition {
  /** Null where nothing was committed. */
  readonly from: number | null;
  readonly to: number;
  readonly metadata?: string | null;
  readonly leaderEpoch?: number;
}

/**
 * How many partitions the topics of `places` have.
 *
 * @throws {CommandError} "unknown_topic_or_partition" for the first place that is not there
 */
export async function partitionCounts(
  client: Client,
  places: Iterable<{ readonly topic: string; readonly partition: number | null }>,
): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const { topic, partition } of places) {
    const count = counts.get(topic) ?? (await countOf(client, topic));
    counts.set(topic, count);
    if (partition === null || partition < count) continue;
    const text = `Topic "${topic}" has the partitions 0 to ${count - 1}: found ${partition}`;
    throw new CommandError("unknown_topic_or_partition", text);
  }
  return counts;
}

async function countOf(client: Client, topic: string): Promise<number> {
  try {
    return (await client.admin.topic(topic)).partitions.length;
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message: string };
    if (code !== "unknown_topic_or_partition") throw error;
    throw new CommandError(code, `${message}: ${await topicFix(topic, client)}`, { cause: error });
  }
}

/** Shows moves, and does them unless this is a dry run. @returns the exit code */
export async function carryOut(
  args: Arguments,
  host: CliHost,
  client: Client,
  group: string,
  described: GroupDescription | null,
  moves: readonly Move[],
): Promise<number> {
  const isDry = args.has("dry-run");
  const hasMembers = described !== null && described.members.length > 0;
  if (!isDry && hasMembers) throw nonEmptyGroup(described, "move the offsets of");
  if (!isDry) await commit(client, group, moves);
  if (args.has("json")) {
    const offsets = moves.map(({ topic, partition, from, to }) => ({ topic, partition, from, to }));
    await host.print(`${JSON.stringify({ group, isDryRun: isDry, offsets })}\n`);
    return 0;
  }
  const rows = moves.map(({ topic, partition, from, to }) => {
    const change =
      from === null ? "new" : to === from ? "same" : to > from ? `+${to - from}` : `${to - from}`;
    return [topic, partition, from ?? "-", to, change] as const;
  });
  if (rows.length > 0) {
    await host.print(table(["TOPIC", "PARTITION", "COMMITTED", "NEW", "CHANGE"], rows));
  }
  const what = counted(moves.length, "offset");
  await host.print(
    isDry
      ? `\n${what} would be committed for group "${group}"; nothing was changed (--dry-run)\n`
      : `\nCommitted ${what} for group "${group}"\n`,
  );
  if (isDry && hasMembers)
    host.tell(`millrace: ${nonEmptyGroup(described, "move the offsets of").message}\n`);
  return 0;
}

/** Says which offsets are not there to be read: those of a file are taken as they are. */
export async function tellOutside(
  client: Client,
  host: CliHost,
  moves: readonly Move[],
): Promise<void> {
  const bounds = await boundsOf(client, moves);
  for (const [at, { topic, partition, to }] of moves.entries()) {
    const { start, end } = bounds[at]!;
    if (start === null || end === null || (to >= start && to <= end)) continue;
    host.tell(
      `millrace: ${topic}-${partition} holds the offsets ${start} to ${end}, and ${to} is none of them: members begin there as if nothing was committed. \`millrace group reset\` moves it\n`,
    );
  }
}

async function commit(client: Client, group: string, moves: readonly Move[]): Promise<void> {
  const offsets = moves.map(
    ({ topic, partition, to, metadata = null, leaderEpoch }): OffsetToCommit => ({
      topic,
      partition,
      offset: to,
      metadata,
      ...(leaderEpoch === undefined ? {} : { leaderEpoch }),
    }),
  );
  const outcomes = await client.admin.alterGroupOffsets(group, offsets);
  const failed = outcomes.findIndex((outcome) => !outcome.ok);
  if (failed < 0) return;
  const outcome = outcomes[failed]!;
  if (outcome.ok) return;
  const { topic, partition } = offsets[failed]!;
  const { code, message } = outcome.error;
  // A member has come since we looked.
  const isTaken = code === "unknown_member_id" || code === "stale_member_epoch";
  const why = isTaken ? "the group has members: stop them first" : message;
  const done = outcomes.filter(({ ok }) => ok).length;
  const rest = done === 0 ? "none was" : `${done} of ${outcomes.length} were`;
  const text = `Cannot commit ${topic}-${partition} for group "${group}": ${why} (${rest} committed)`;
  throw new CommandError(isTaken ? "non_empty_group" : code, text);
}
