// What a consumer of a group is told: options, their bounds and their defaults.
// Invariant: a plan has every value, checked; nothing behind it looks at options again.
// Kafka: ConsumerConfig.

import {
  checkNames,
  checkOptions,
  checkTopics,
  type OptionNames,
  READING_NAMES,
} from "../option_checks.ts";
import type { TopicPartition } from "./partition_key.ts";

/** How a member of the classic protocol may be given its partitions. */
export type AssignorName = "range" | "roundrobin" | "cooperative-sticky";

/** An offset to commit: that of the next record to read. */
export interface OffsetToCommit extends TopicPartition {
  readonly offset: number;
  /** A word of the committer's own, at most 4 KiB unless the broker says otherwise. */
  readonly metadata?: string | null;
  /** Of the leader that the record before came from, where that is known. */
  readonly leaderEpoch?: number;
}

/** An offset as it was committed; null where there is none. */
export interface CommittedOffset extends TopicPartition {
  readonly offset: number | null;
  readonly metadata: string | null;
  /** As it was committed; left out where none was. */
  readonly leaderEpoch?: number;
}

/** Who commits for a group, as its coordinator knows it (KIP-447): of `GroupConsumer.groupMetadata()`. */
export interface GroupMetadata {
  readonly groupId: string;
  /** Generation of the classic protocol, member epoch of the next-generation one; -1: no member. */
  readonly generation: number;
  /** Empty: no member. */
  readonly memberId: string;
  readonly instanceId: string | null;
}

/** Told when partitions come and go. What it returns is awaited; what it throws ends the iteration. */
export type RebalanceCallback = (partitions: readonly TopicPartition[]) => void | Promise<void>;

/** What to read as a member of a group, and how. */
export interface GroupConsumerOptions {
  /** Members with one group id share the partitions. */
  readonly group: string;
  /** Topics to read; either these or `pattern`. */
  readonly topics?: readonly string[];
  /**
   * Topics whose whole name matches. A RegExp is matched here, over the topics that this client may see. Text is RE2 syntax
   * and matched by the broker, where the protocol is the next-generation one.
   */
  readonly pattern?: RegExp | string;
  /** Default "auto": the next-generation protocol (KIP-848) where the broker offers it, else the classic one. */
  readonly protocol?: "auto" | "consumer" | "classic";
  /** A static member (KIP-345): gone for less than the session time-out it gets the same partitions again. */
  readonly instanceId?: string;
  /** Where this consumer stands, for assignors that look at racks. */
  readonly rack?: string;
  /** Of the classic protocol, by preference. Default range, then cooperative-sticky, as Java's. */
  readonly assignors?: readonly AssignorName[];
  /** Of the next-generation protocol: the broker's assignor, "uniform" or "range". The broker chooses when left out. */
  readonly serverAssignor?: string;
  /** Classic protocol: without a heartbeat for so long a member is out. Default 45,000 ms. */
  readonly sessionTimeoutMs?: number;
  /** Classic protocol; the next-generation one has the broker's. Default 3,000 ms. */
  readonly heartbeatIntervalMs?: number;
  /** Whoever has records in hand for longer leaves the group, until it asks for the next. Default 300,000 ms. */
  readonly maxPollIntervalMs?: number;
  /** Whether what is done with is committed without being told to. Default true. */
  readonly autoCommit?: boolean;
  /** Between two automatic commits, beside those of rebalances and of the end. Default 5,000 ms. */
  readonly autoCommitMs?: number;
  /** Where to begin without a committed offset, or when it is not there any more. Default "earliest". */
  readonly autoOffsetReset?: "earliest" | "latest" | "error";
  /** Between two looks at the topics there are, for patterns and new partitions. Default 60,000 ms. */
  readonly refreshMs?: number;
  /** Called with what came, before its first record. A `seek` in it counts. */
  readonly onAssigned?: RebalanceCallback;
  /** Called with what is to go: it is given up once this has resolved. A `commit` in it counts. */
  readonly onRevoked?: RebalanceCallback;
  /** Called with what is gone already: others may read it. `onRevoked` is called in its place when left out. */
  readonly onLost?: RebalanceCallback;
  /** Ends when every partition that this member has was read to what was its end when it came. Default false. */
  readonly untilEnd?: boolean;
  /** Ends after so many records. */
  readonly recordsMax?: number;
  /** "read_committed" leaves out what was aborted, and ends before the oldest open transaction. Default "read_uncommitted". */
  readonly isolation?: "read_uncommitted" | "read_committed";
  /** The broker holds an empty answer back so long, in ms. Default 500. */
  readonly waitMsMax?: number;
  /** The broker waits for so many bytes, at most `waitMsMax`. Default 1. */
  readonly bytesMin?: number;
  /** Of one answer. Default 16 MiB; a first batch that is larger comes all the same. */
  readonly bytesMax?: number;
  /** Of one partition in an answer. Default 4 MiB. */
  readonly partitionBytesMax?: number;
  /** What was fetched and not yet taken, compressed as it came, without what a pause holds back. Default 32 MiB. */
  readonly bufferBytesMax?: number;
  /** What one compressed batch may become. Default 256 MiB. */
  readonly batchBytesMax?: number;
  /** Ends the iteration, without an error, when the record in hand is done with. */
  readonly signal?: AbortSignal;
}

const OPTIONS: OptionNames<GroupConsumerOptions> = {
  group: true,
  topics: true,
  pattern: true,
  protocol: true,
  instanceId: true,
  rack: true,
  assignors: true,
  serverAssignor: true,
  sessionTimeoutMs: true,
  heartbeatIntervalMs: true,
  maxPollIntervalMs: true,
  autoCommit: true,
  autoCommitMs: true,
  autoOffsetReset: true,
  refreshMs: true,
  onAssigned: true,
  onRevoked: true,
  onLost: true,
  ...READING_NAMES,
};
const LOWEST = {
  sessionTimeoutMs: 1,
  heartbeatIntervalMs: 1,
  maxPollIntervalMs: 1,
  autoCommitMs: 1,
  refreshMs: 1,
  recordsMax: 0,
  waitMsMax: 0,
  bytesMin: 0,
  bytesMax: 1,
  partitionBytesMax: 1,
  bufferBytesMax: 1,
  batchBytesMax: 1,
};
const WORDS = {
  protocol: ["auto", "consumer", "classic"],
  autoOffsetReset: ["earliest", "latest", "error"],
  isolation: ["read_uncommitted", "read_committed"],
};
/** Of consumers without a group, and what stands in their place here. */
const FOREIGN: Readonly<Record<string, string>> = {
  from: "autoOffsetReset says where a group begins, seek goes elsewhere",
  partitions: "its members share all partitions of topics",
  outOfRange: "autoOffsetReset",
  unknownWaitMs: "a topic may come at any time",
};
/** Empty they mean something else to a broker: an empty instance id is a static member like any other. */
const NAMES = ["instanceId", "serverAssignor", "rack"] as const;
const CALLBACKS = ["onAssigned", "onRevoked", "onLost"] as const;
const ASSIGNORS: readonly AssignorName[] = ["range", "roundrobin", "cooperative-sticky"];

/** Refuses what callers without types may have wrong. @throws {TypeError} */
export function checkGroupOptions(options: GroupConsumerOptions): void {
  checkOptions(options, LOWEST, WORDS);
  const { group, topics, pattern, assignors, heartbeatIntervalMs, sessionTimeoutMs } = options;
  if (typeof group !== "string" || group === "") {
    throw new TypeError(`group must be the name of a group: found ${JSON.stringify(group)}`);
  }
  for (const [name, instead] of Object.entries(FOREIGN)) {
    if ((options as unknown as Record<string, unknown>)[name] === undefined) continue;
    throw new TypeError(`${name} is not for a member of a group: ${instead}`);
  }
  for (const name of CALLBACKS) {
    if (options[name] === undefined || typeof options[name] === "function") continue;
    throw new TypeError(`${name} must be a function: found ${String(options[name])}`);
  }
  for (const name of NAMES) {
    const text = options[name];
    if (text === undefined || (typeof text === "string" && text !== "")) continue;
    throw new TypeError(`${name} must be a name: found ${JSON.stringify(text)}`);
  }
  checkNames(options, OPTIONS, "a member of a group");
  if ((topics === undefined) === (pattern === undefined)) {
    throw new TypeError("A member of a group reads either topics or a pattern");
  }
  checkTopics(topics);
  if (topics?.length === 0) throw new TypeError("topics must name a topic at least");
  if (pattern !== undefined && typeof pattern !== "string" && !(pattern instanceof RegExp)) {
    throw new TypeError("pattern must be a RegExp, or text in RE2 syntax");
  }
  if (assignors !== undefined && (!Array.isArray(assignors) || assignors.length === 0)) {
    throw new TypeError(`assignors must name one at least of ${ASSIGNORS.join(", ")}`);
  }
  for (const name of assignors ?? []) {
    if (ASSIGNORS.includes(name)) continue;
    throw new TypeError(`assignors must be of ${ASSIGNORS.join(", ")}: found "${name}"`);
  }
  if ((heartbeatIntervalMs ?? HEARTBEAT_MS) >= (sessionTimeoutMs ?? SESSION_MS)) {
    throw new TypeError("heartbeatIntervalMs must be less than sessionTimeoutMs");
  }
}

const SESSION_MS = 45_000;
const HEARTBEAT_MS = 3_000;

/** Options with their defaults, of what members look at. */
export interface GroupPlan {
  readonly group: string;
  readonly instanceId: string | null;
  readonly rack: string | null;
  readonly topics: readonly string[] | null;
  readonly pattern: RegExp | string | null;
  readonly assignors: readonly AssignorName[];
  readonly serverAssignor: string | null;
  readonly sessionTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  readonly maxPollIntervalMs: number;
  /** Beside the commits of rebalances and of the end. Null: never, these neither. */
  readonly autoCommitMs: number | null;
  readonly autoOffsetReset: "earliest" | "latest" | "error";
  readonly refreshMs: number;
  readonly isolation: "read_uncommitted" | "read_committed";
}

/** Fills in what was left out. */
export function planOf(options: GroupConsumerOptions): GroupPlan {
  return {
    group: options.group,
    instanceId: options.instanceId ?? null,
    rack: options.rack ?? null,
    topics: options.topics === undefined ? null : [...new Set(options.topics)].sort(),
    pattern: options.pattern ?? null,
    assignors: options.assignors ?? ["range", "cooperative-sticky"],
    serverAssignor: options.serverAssignor ?? null,
    sessionTimeoutMs: whole(options.sessionTimeoutMs ?? SESSION_MS),
    heartbeatIntervalMs: whole(options.heartbeatIntervalMs ?? HEARTBEAT_MS),
    maxPollIntervalMs: whole(options.maxPollIntervalMs ?? 300_000),
    autoCommitMs: (options.autoCommit ?? true) ? whole(options.autoCommitMs ?? 5_000) : null,
    autoOffsetReset: options.autoOffsetReset ?? "earliest",
    refreshMs: whole(options.refreshMs ?? 60_000),
    isolation: options.isolation ?? "read_uncommitted",
  };
}

/** What the protocol and timers can take: Infinity is three weeks. */
const LONGEST_MS = 0x7000_0000;

function whole(timeMs: number): number {
  return Math.min(Math.ceil(timeMs), LONGEST_MS);
}
