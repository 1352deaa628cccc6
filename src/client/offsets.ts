// Calls that only a partition's leader can answer: offsets by place or time, and removal of old records.
// Invariant: one request a leader; partitions whose leader has moved are asked for again, the others are not.
// Kafka: ListOffsets, DeleteRecords, PartitionLeaderStrategy.

import { ok } from "../base/outcome.ts";
import { errorByName, type KafkaError, kafkaError, type Outcome } from "../protocol/errors.ts";
import { ListOffsets } from "../protocol/messages/02_list_offsets.ts";
import { DeleteRecords } from "../protocol/messages/21_delete_records.ts";
import { ClientError, kafkaErrorOf } from "./client_error.ts";
import type { ClusterMetadata } from "./metadata.ts";
import type { ClientPort } from "./port.ts";
import { type BackoffOptions, backoffDelayMs, type ClientRuntime, sleep } from "./waiting.ts";

/** A place in a partition: its ends, the record with the greatest timestamp, or the first from a time on. */
export type OffsetSpec = "earliest" | "latest" | "max_timestamp" | { readonly timestampMs: number };

/** Offset -1 and timestamp -1: no record is that late. */
export interface OffsetFound {
  readonly offset: number;
  /** -1 for the ends of a partition. */
  readonly timestampMs: number;
  /** -1 when unknown. */
  readonly leaderEpoch: number;
}

export interface CallOptions extends BackoffOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}
export interface Target {
  readonly topic: string;
  readonly partition: number;
}
/** A target that still has no final answer. */
export interface Open<T extends Target> {
  readonly index: number;
  readonly target: T;
}

const PLACES = { latest: -1, earliest: -2, max_timestamp: -3 } as const;

/** Looks up offsets, one outcome a query, in order. */
export function offsetsAt(
  runtime: ClientRuntime,
  port: ClientPort,
  metadata: ClusterMetadata,
  options: CallOptions,
  queries: readonly { topic: string; partition: number; at: OffsetSpec }[],
  isolation: "read_uncommitted" | "read_committed",
): Promise<readonly Outcome<OffsetFound>[]> {
  const isolationLevel = isolation === "read_committed" ? 1 : 0;
  const needsV7 = queries.some((query) => query.at === "max_timestamp");
  return byLeader(runtime, metadata, options, queries, async (to, open) => {
    // ListOffsets takes a partition once, so a partition asked for twice goes in the next round.
    const response = await port.send(
      ListOffsets,
      (version) => ({
        replicaId: -1,
        ...(version >= 2 ? { isolationLevel } : {}),
        topics: grouped(open, ({ target }) => ({
          partitionIndex: target.partition,
          timestamp: typeof target.at === "string" ? PLACES[target.at] : target.at.timestampMs,
        })),
        timeoutMs: options.timeoutMs,
      }),
      { to, ...(needsV7 ? { versionMin: 7 } : {}), signal: options.signal },
    );
    return open.map(({ target }) => {
      const answer = response.topics
        .find((each) => each.name === target.topic)
        ?.partitions.find((each) => each.partitionIndex === target.partition);
      if (answer === undefined) return refusedBy(missing());
      const error = kafkaErrorOf(answer.errorCode);
      if (error !== null) return refusedBy(error);
      const { offset, timestamp, leaderEpoch } = answer;
      return ok({ offset, timestampMs: timestamp, leaderEpoch });
    });
  });
}

/** Moves log start offsets up, one outcome a partition, in order: the log start offset afterwards. */
export function deleteRecords(
  runtime: ClientRuntime,
  port: ClientPort,
  metadata: ClusterMetadata,
  options: CallOptions,
  targets: readonly { topic: string; partition: number; beforeOffset: number }[],
): Promise<readonly Outcome<number>[]> {
  return byLeader(runtime, metadata, options, targets, async (to, open) => {
    const response = await port.send(
      DeleteRecords,
      {
        topics: grouped(open, ({ target }) => ({
          partitionIndex: target.partition,
          offset: target.beforeOffset,
        })),
        timeoutMs: options.timeoutMs,
      },
      { to, signal: options.signal },
    );
    return open.map(({ target }) => {
      const answer = response.topics
        .find((each) => each.name === target.topic)
        ?.partitions.find((each) => each.partitionIndex === target.partition);
      if (answer === undefined) return refusedBy(missing());
      const error = kafkaErrorOf(answer.errorCode);
      return error === null ? ok(answer.lowWatermark) : refusedBy(error);
    });
  });
}

/** Asks each leader for its partitions, and again for those with a retriable error, until the time is up. */
export async function byLeader<T extends Target, R>(
  runtime: ClientRuntime,
  metadata: ClusterMetadata,
  options: CallOptions,
  targets: readonly T[],
  ask: (leader: number, open: readonly Open<T>[]) => Promise<readonly Outcome<R>[]>,
): Promise<readonly Outcome<R>[]> {
  const deadlineMs = runtime.clock.monotonicMs() + options.timeoutMs;
  const outcomes: Outcome<R>[] = [];
  let open: Open<T>[] = targets.map((target, index) => ({ index, target }));
  for (let attempt = 1; open.length > 0; attempt++) {
    const again: Open<T>[] = [];
    const settle = (each: Open<T>, outcome: Outcome<R>) => {
      outcomes[each.index] = outcome;
      if (outcome.ok || !outcome.error.retriable) return;
      metadata.invalidate(each.target.topic);
      again.push(each);
    };
    const leaders = new Map<number, Open<T>[]>();
    const held: Open<T>[] = [];
    for (const each of open) {
      const leader = await leaderOf(metadata, each.target, options.signal);
      if (typeof leader !== "number") {
        settle(each, refusedBy(leader));
        continue;
      }
      const group = leaders.get(leader) ?? [];
      leaders.set(leader, group);
      const isTwice = group.some(({ target }) => {
        return target.topic === each.target.topic && target.partition === each.target.partition;
      });
      if (isTwice) held.push(each);
      else group.push(each);
    }
    await Promise.all(
      [...leaders].map(async ([leader, group]) => {
        try {
          const answers = await ask(leader, group);
          for (let i = 0; i < group.length; i++) settle(group[i]!, answers[i]!);
        } catch (error) {
          if (!(error instanceof ClientError) || !error.retriable) throw error;
          const code = error.code as KafkaError["code"];
          for (const each of group) settle(each, refusedBy(kafkaError(code, error.message)));
        }
      }),
    );
    open = [...held, ...again];
    if (again.length === 0) continue;
    const delayMs = backoffDelayMs(runtime, options, attempt);
    if (runtime.clock.monotonicMs() + delayMs > deadlineMs) break;
    await sleep(runtime, delayMs, "client_retry", options.signal);
  }
  return outcomes;
}

async function leaderOf(
  metadata: ClusterMetadata,
  target: Target,
  signal: AbortSignal | undefined,
): Promise<number | KafkaError> {
  const { topic, partition } = target;
  try {
    const info = (await metadata.topic(topic, { signal })).partitions[partition];
    if (info !== undefined)
      return info.leader < 0 ? kafkaError("leader_not_available") : info.leader;
    const text = `Topic "${topic}" has no partition ${partition}`;
    return { ...kafkaError("unknown_topic_or_partition", text), retriable: false };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const known = errorByName(error.code);
    if (known === undefined) throw error;
    return { ...known, message: error.message, retriable: error.retriable };
  }
}

export function grouped<T extends Target, P>(
  open: readonly Open<T>[],
  partitionOf: (each: Open<T>) => P,
): { readonly name: string; readonly partitions: readonly P[] }[] {
  const topics = new Map<string, P[]>();
  for (const each of open) {
    const partitions = topics.get(each.target.topic) ?? [];
    topics.set(each.target.topic, partitions);
    partitions.push(partitionOf(each));
  }
  return [...topics].map(([name, partitions]) => ({ name, partitions }));
}

export function refusedBy(error: KafkaError): { readonly ok: false; readonly error: KafkaError } {
  return { ok: false, error };
}

export function missing(): KafkaError {
  return kafkaError("unknown_server_error", "The broker's answer leaves the partition out");
}
