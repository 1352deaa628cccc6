// How many members of a group read what: by name, and by regular expression.
// Invariant: a topic counts once for each resolved expression that matches it, however many members have that one.
// Kafka: SubscriptionCount, ModernGroup.computeSubscribedTopicNames, ConsumerGroup.subscriptionType.

import type { ConsumerMember } from "./member.ts";

export interface TopicReaders {
  readonly byName: number;
  readonly byRegex: number;
}

/** What an expression came to. */
export interface ResolvedRegex {
  readonly topics: ReadonlySet<string>;
  /** Revision of the image that it was held against. */
  readonly version: number;
  readonly timestampMs: number;
}

export class Subscriptions {
  /** By topic name. No entry has nobody. */
  readonly topics: Map<string, TopicReaders>;
  /** Members by expression. */
  readonly regexes: Map<string, number>;

  constructor(topics?: ReadonlyMap<string, TopicReaders>, regexes?: ReadonlyMap<string, number>) {
    this.topics = new Map(topics);
    this.regexes = new Map(regexes);
  }

  copy(): Subscriptions {
    return new Subscriptions(this.topics, this.regexes);
  }

  /** @param sign 1 for a member that comes, -1 for one that goes. Resolved topics are apart: see `countRegex`. */
  countMember(member: ConsumerMember, sign: 1 | -1): void {
    for (const name of member.subscribedTopicNames) this.#count(name, sign, 0);
    if (member.subscribedTopicRegex !== "") add(this.regexes, member.subscribedTopicRegex, sign);
  }

  /** Topics that an expression has come to, or no longer comes to. */
  countRegex(topics: Iterable<string>, sign: 1 | -1): void {
    for (const name of topics) this.#count(name, 0, sign);
  }

  /** Whether all of so many members read the same topics, as far as can be told without comparing them. */
  isHomogeneous(memberCount: number): boolean {
    if (this.regexes.size === 0) {
      for (const { byName } of this.topics.values()) if (byName !== memberCount) return false;
      return true;
    }
    const [subscriberCount] = this.regexes.values();
    if (subscriberCount !== memberCount) return false;
    for (const { byName, byRegex } of this.topics.values()) {
      if (byRegex !== 1 || byName > 0) return false;
    }
    return true;
  }

  #count(name: string, byName: number, byRegex: number): void {
    const before = this.topics.get(name);
    const after = {
      byName: Math.max((before?.byName ?? 0) + byName, 0),
      byRegex: Math.max((before?.byRegex ?? 0) + byRegex, 0),
    };
    if (after.byName === 0 && after.byRegex === 0) this.topics.delete(name);
    else this.topics.set(name, after);
  }
}

/** Adds to a count; one that comes to nothing is gone. */
export function add<Key>(counts: Map<Key, number>, key: Key, by: number): void {
  const after = (counts.get(key) ?? 0) + by;
  if (after <= 0) counts.delete(key);
  else counts.set(key, after);
}
