// A group's offsets in a file: JSON of ours, or the CSV that Kafka's own kafka-consumer-groups writes and reads.
// Invariant: what is exported is imported as it was; a line that cannot be read is refused with its number.

import type { CommittedOffset } from "../client/mod.ts";
import { CommandError } from "./cli_error.ts";

/** An offset out of a file. */
export interface FileOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string | null;
  /** Of the leader that the record before came from. */
  readonly leaderEpoch?: number;
}

export type FileFormat = "json" | "csv";

/** The whole file. CSV leaves metadata out, as Kafka's tool does. */
export function fileText(
  format: FileFormat,
  group: string,
  offsets: readonly CommittedOffset[],
): string {
  const known = offsets.filter((each) => each.offset !== null);
  if (format === "csv") {
    return known.map((each) => `${each.topic},${each.partition},${each.offset}\n`).join("");
  }
  const shown = known.map(({ topic, partition, offset, metadata, leaderEpoch }) => {
    const own = metadata === null || metadata === "" ? {} : { metadata };
    const epoch = leaderEpoch === undefined ? {} : { leaderEpoch };
    return { topic, partition, offset, ...epoch, ...own };
  });
  return `${JSON.stringify({ group, offsets: shown }, null, 2)}\n`;
}

/**
 * Reads either form, told apart by the first character.
 *
 * @param group whose lines count, where a file of Kafka's tool has those of several
 * @throws {CommandError} "file" naming what is wrong
 */
export function readFileText(text: string, group: string): readonly FileOffset[] {
  const found = text.trimStart().startsWith("{") ? fromJson(text) : fromCsv(text, group);
  const seen = new Set<string>();
  for (const { topic, partition } of found) {
    const key = `${topic}-${partition}`;
    if (seen.has(key)) throw wrong(`${key} is in it twice`);
    seen.add(key);
  }
  return found;
}

function fromJson(text: string): FileOffset[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw wrong(`it is no JSON (${(error as Error).message})`);
  }
  const { offsets } = value as { offsets?: unknown };
  if (!Array.isArray(offsets)) throw wrong('"offsets" must be a list');
  return offsets.map((each: unknown, at) => {
    const place = (each ?? {}) as Record<string, unknown>;
    const { topic, partition, offset, metadata = null, leaderEpoch } = place;
    const isSound =
      typeof topic === "string" &&
      topic !== "" &&
      isWhole(partition) &&
      isWhole(offset) &&
      (metadata === null || typeof metadata === "string") &&
      (leaderEpoch === undefined || isWhole(leaderEpoch));
    if (!isSound) {
      throw wrong(
        `offsets[${at}] must have a topic, a partition and an offset from 0, and metadata only as text: found ${JSON.stringify(each)}`,
      );
    }
    return { topic, partition, offset, metadata, ...(isWhole(leaderEpoch) ? { leaderEpoch } : {}) };
  });
}

/** "topic,partition,offset", or "group,topic,partition,offset" as Kafka's tool writes several groups. */
function fromCsv(text: string, group: string): FileOffset[] {
  const found: FileOffset[] = [];
  const owners: string[] = [];
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    const cells = line.split(",").map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
    const [topic, partition, offset] = cells.slice(-3);
    const isSound =
      (cells.length === 3 || cells.length === 4) &&
      topic !== "" &&
      /^\d+$/.test(partition ?? "") &&
      /^\d+$/.test(offset ?? "") &&
      isWhole(Number(offset));
    if (!isSound) throw wrong(`line ${at + 1} must be TOPIC,PARTITION,OFFSET: found "${line}"`);
    if (cells.length === 4) owners.push(cells[0]!);
    found.push({
      topic: topic!,
      partition: Number(partition),
      offset: Number(offset),
      metadata: null,
    });
  }
  const groups = [...new Set(owners)];
  if (groups.length === 0 || (groups.length === 1 && owners.length === found.length)) return found;
  // Offsets of one group are nothing to another.
  if (owners.length === found.length && groups.includes(group)) {
    return found.filter((_, at) => owners[at] === group);
  }
  throw wrong(
    owners.length < found.length
      ? "some lines name their group, and some do not"
      : `it has those of several groups, and none of "${group}": ${groups.join(", ")}`,
  );
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function wrong(why: string): CommandError {
  return new CommandError("file", `Cannot read the offsets: ${why}`);
}
