// Expressions that members subscribe to, resolved to topics: in a timer of its own, some names at a time, so that
// neither many topics nor a costly expression holds up the other groups of the shard. All expressions of a group are
// resolved together, so that it rebalances once. Kafka: maybeUpdateRegularExpressions, handleRegularExpressionsResult.

import { type Decision, NO_DECISION, type Now } from "../../runtime/shard.ts";
import type { GroupRecord } from "../group_record.ts";
import type { HeartbeatCall } from "../group_requests.ts";
import { ConsumerGroup } from "./consumer_group.ts";
import { type ConsumerContext, softStateOf, topicsOf } from "./context.ts";
import type { ConsumerMember } from "./member.ts";
import { epochRecord, regexRecord } from "./records.ts";
import { Refused } from "./refused.ts";
import { RegexError } from "./regex_syntax.ts";
import type { ResolvedRegex } from "./subscriptions.ts";
import { TopicRegex } from "./topic_regex.ts";

/** Between two times that all of a group's expressions are resolved, whatever happens to topics. */
const REFRESH_GAP_MS = 10_000;
/** The same where one is not resolved at all. Kafka waits as long as for the others. */
const RESOLVE_GAP_MS = 1_000;
/** States of expressions visited in one turn: a few milliseconds. */
const COST_PER_TURN = 500_000;

/** @throws {Refused} invalid_regular_expression */
export function checkRegex(pattern: string): void {
  try {
    new TopicRegex(pattern);
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    throw new Refused(
      "invalid_regular_expression",
      `SubscribedTopicRegex \`${pattern}\` is not a valid regular expression: ${error.message}`,
    );
  }
}

/**
 * Starts resolving the group's expressions where one is new, topics have changed, or it was long ago.
 *
 * @param before The member as it was, whom the group knows; `member`: as it is about to be
 */
export function refreshRegexes(
  context: ConsumerContext,
  call: HeartbeatCall,
  group: ConsumerGroup,
  before: ConsumerMember,
  member: ConsumerMember,
): void {
  const { groupId } = group;
  const regexes =
    before.subscribedTopicRegex === member.subscribedTopicRegex
      ? group.subscriptions.regexes
      : group.subscriptionsWith(before, member).regexes;
  if (regexes.size === 0 || isResolving(context, groupId)) return;
  let resolvedAtMs = Number.NEGATIVE_INFINITY;
  for (const { timestampMs } of group.regexes.values()) {
    resolvedAtMs = Math.max(resolvedAtMs, timestampMs);
  }
  const hasUnresolved = [...regexes.keys()].some((regex) => !group.regexes.has(regex));
  const ageMs = call.now.wallMs - resolvedAtMs;
  // A clock that was set back says nothing about the age.
  if (ageMs >= 0 && ageMs <= (hasUnresolved ? RESOLVE_GAP_MS : REFRESH_GAP_MS)) return;
  const isStale =
    softStateOf(context, groupId).regexRevision !== topicsOf(context).revision ||
    ageMs > context.options.settings.regexRefreshMs;
  if (!hasUnresolved && !isStale) return;
  const job = new ResolveJob(context, groupId, [...regexes.keys()], call);
  context.options.timers.set(keyOf(groupId), 0, (now) => job.turn(now));
}

/** Whether expressions of the group are being resolved. */
export function isResolving(context: ConsumerContext, groupId: string): boolean {
  return context.options.timers.has(keyOf(groupId));
}

function keyOf(groupId: string): string {
  return `consumer regexes ${groupId}`;
}

class ResolveJob {
  readonly #context: ConsumerContext;
  readonly #groupId: string;
  readonly #mayDescribe: (topic: string) => boolean;
  readonly #revision: number;
  readonly #startedAtMs: number;
  readonly #names: readonly string[];
  readonly #regexes: { readonly pattern: string; readonly compiled: TopicRegex | null }[];
  readonly #topics: Set<string>[];
  #next = 0;

  constructor(
    context: ConsumerContext,
    groupId: string,
    patterns: readonly string[],
    call: HeartbeatCall,
  ) {
    const topics = topicsOf(context);
    this.#context = context;
    this.#groupId = groupId;
    this.#mayDescribe = (topic) => call.mayDescribe(topic);
    this.#revision = topics.revision;
    this.#startedAtMs = call.now.wallMs;
    this.#names = [...topics.names()];
    this.#regexes = patterns.map((pattern) => ({ pattern, compiled: this.#compile(pattern) }));
    this.#topics = patterns.map(() => new Set());
  }

  turn(now: Now): Decision<GroupRecord> {
    const costBefore = this.#cost;
    while (this.#next < this.#names.length && this.#cost - costBefore < COST_PER_TURN) {
      this.#match(this.#names[this.#next++]!);
    }
    if (this.#next < this.#names.length) {
      this.#context.options.timers.set(keyOf(this.#groupId), 0, (later) => this.turn(later));
      return NO_DECISION;
    }
    return this.#finish(now);
  }

  get #cost(): number {
    let cost = 0;
    for (const { compiled } of this.#regexes) cost += compiled?.cost ?? 0;
    return cost;
  }

  #match(name: string): void {
    // Asked at most once a name: an authorizer may cost more than an expression.
    let mayDescribe: boolean | null = null;
    for (const [index, { compiled }] of this.#regexes.entries()) {
      if (compiled === null || !compiled.matches(name)) continue;
      mayDescribe ??= this.#mayDescribe(name);
      if (mayDescribe) this.#topics[index]!.add(name);
    }
  }

  #finish(now: Now): Decision<GroupRecord> {
    const group = this.#context.groups.get(this.#groupId);
    if (!(group instanceof ConsumerGroup)) return NO_DECISION;
    const records: GroupRecord[] = [];
    const counts = group.subscriptions.copy();
    let hasChanged = false;
    for (const [index, { pattern }] of this.#regexes.entries()) {
      // Nobody subscribes to it any more.
      if (!group.subscriptions.regexes.has(pattern)) continue;
      const before = group.regexes.get(pattern)?.topics ?? new Set<string>();
      const after = this.#resolved(index);
      if (!sameSet(before, after.topics)) {
        hasChanged = true;
        counts.countRegex(before, -1);
        counts.countRegex(after.topics, 1);
      }
      records.push(regexRecord(this.#groupId, pattern, after));
    }
    const hash = this.#context.hashes.groupHash(counts.topics.keys(), topicsOf(this.#context));
    const soft = softStateOf(this.#context, this.#groupId);
    soft.regexRevision = this.#revision;
    if (hasChanged || hash !== group.metadataHash) {
      records.push(epochRecord(this.#groupId, group.groupEpoch + 1, hash));
      soft.changedAtMs = now.monotonicMs;
    }
    return { records, answers: [] };
  }

  #resolved(index: number): ResolvedRegex {
    return {
      topics: this.#topics[index]!,
      version: this.#revision,
      timestampMs: this.#startedAtMs,
    };
  }

  /** Null for one that another broker has taken and we would not: it comes to nothing. */
  #compile(pattern: string): TopicRegex | null {
    try {
      return new TopicRegex(pattern);
    } catch (error) {
      if (!(error instanceof RegexError)) throw error;
      this.#context.options.log.error("group_regex_not_understood", {
        groupId: this.#groupId,
        pattern,
        reason: error.message,
      });
      return null;
    }
  }
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const each of a) if (!b.has(each)) return false;
  return true;
}
