// Seeded runs of everything that may happen to offsets, beside a naive model: what is read is what was committed last,
// what is gone was to go, and the log tells the same story as the memory, also cut down by the cleaner.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../src/base/prng.ts";
import type { Groups } from "../../../../src/core/coordinator/group/groups.ts";
import { replayAfterEach } from "../shard_rig.ts";
import { OffsetsRig } from "./offsets_rig.ts";

replayAfterEach();

const SEEDS = 40;
const STEPS = 120;
const CHECK_MS = 1000;
const RETENTION_MS = 5000;
const GROUPS = ["a", "b", "c"];
const TOPICS = ["t", "u", "v"];
const PARTITIONS = 4;

interface Kept {
  readonly offset: number;
  readonly metadata: string;
  readonly committedMs: number;
  readonly expiresMs: number | null;
  /** Null where the record does not say. */
  readonly topicId: string | null;
}

/** Whether a group's offset of that key may go, as its group says now. */
function mayExpire(
  key: string,
  { committedMs, expiresMs }: Kept,
  nowMs: number,
  groups: Groups,
): boolean {
  const [groupId, rest] = key.split(" ") as [string, string];
  const ageFrom = groups.get(groupId)?.offsetsAgeFrom(rest.split("/")[0]!) ?? null;
  if (ageFrom === null) return false;
  const sinceMs = ageFrom === "commit" ? committedMs : ageFrom;
  return expiresMs === null ? nowMs - sinceMs >= RETENTION_MS : nowMs >= expiresMs;
}

/** Offsets as anybody would keep them: one flat map. */
class Model {
  readonly kept = new Map<string, Kept>();

  static key(group: string, topic: string, partition: number): string {
    return `${group} ${topic}/${partition}`;
  }

  expire(nowMs: number, groups: Groups): void {
    for (const [key, kept] of [...this.kept]) {
      if (mayExpire(key, kept, nowMs, groups)) this.kept.delete(key);
    }
  }

  ofGroup(groupId: string): Record<string, string> {
    const found: Record<string, string> = {};
    for (const [key, { offset, metadata }] of this.kept) {
      if (key.startsWith(`${groupId} `)) {
        found[key.slice(groupId.length + 1)] = `${offset} ${metadata}`;
      }
    }
    return found;
  }
}

class Run {
  readonly random: SeededRandom;
  readonly rig: OffsetsRig;
  readonly model = new Model();

  constructor(seed: number) {
    this.random = SeededRandom.of(`offsets ${seed}`);
    this.rig = new OffsetsRig({
      seed,
      // Some sweeps come to their end at once, others after many requests.
      sweepStepsMax: seed % 2 === 0 ? 3 : 1000,
      settings: {
        offsetsRetentionCheckMs: CHECK_MS,
        offsetsRetentionMs: RETENTION_MS,
        offsetMetadataBytesMax: 6,
      },
    });
    for (const name of TOPICS) this.rig.topics.create(name, PARTITIONS);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.random.below(items.length)]!;
  }

  step(): void {
    const { random } = this;
    const roll = random.below(100);
    if (roll < 50) this.commit();
    else if (roll < 60) this.delete();
    else if (roll < 64) this.deleteGroup();
    else if (roll < 70) this.replaceTopic();
    else if (roll < 80) this.changeGroup();
    else if (roll < 90) this.passDisturbed(random.below(2 * CHECK_MS));
    else if (roll < 97) this.passQuietly();
    else if (roll < 98) this.replaceTopicUnseen();
    else this.reload();
  }

  commit(mayRetain = true): void {
    const { random, rig, model } = this;
    const groupId = this.pick(GROUPS);
    const topics: Record<string, { partition: number; offset: number; metadata: string }[]> = {};
    for (let i = random.below(3); i >= 0; i--) {
      const list = (topics[this.pick([...TOPICS, "nope"])] ??= []);
      for (let k = random.below(3); k >= 0; k--) {
        list.push({
          partition: random.below(PARTITIONS + 1),
          offset: random.below(1000),
          metadata: "x".repeat(random.below(9)),
        });
      }
    }
    const version = 2 + random.below(9);
    const retains = mayRetain && version <= 4 && random.below(2) === 0;
    const retentionTimeMs = retains ? random.below(RETENTION_MS) : -1;
    const refusal = rig.group(groupId).commitRefusal;
    const errors = rig.askCommit(topics, { groupId, version, retentionTimeMs }).value.topics;
    for (const [i, [name, list]] of Object.entries(topics).entries()) {
      for (const [k, { partition, offset, metadata }] of list.entries()) {
        const isThere = name !== "nope" && partition < PARTITIONS;
        const isTaken = isThere && refusal === null && metadata.length <= 6;
        expect(errors[i]!.partitions[k]!.errorCode === 0).toBe(isTaken);
        if (!isTaken) continue;
        const expires = retentionTimeMs !== -1;
        model.kept.set(Model.key(groupId, name, partition), {
          offset,
          metadata,
          committedMs: rig.wallMs,
          expiresMs: expires ? rig.wallMs + retentionTimeMs : null,
          topicId: expires ? null : rig.topics.named(name)!.id,
        });
      }
    }
  }

  delete(): void {
    const { random, rig, model } = this;
    const groupId = this.pick(GROUPS);
    const name = this.pick(TOPICS);
    const partition = random.below(PARTITIONS);
    const { errorCode, topics } = rig.delete({ [name]: [partition] }, groupId);
    if (errorCode !== 0) {
      expect(rig.subject.groups.get(groupId)).toBeUndefined();
      return;
    }
    if (topics[0]!.partitions[0]!.errorCode === 0) {
      model.kept.delete(Model.key(groupId, name, partition));
    }
  }

  deleteGroup(): void {
    const { rig, model } = this;
    const groupId = this.pick(GROUPS);
    const group = rig.group(groupId);
    if (!group.isEmpty) return;
    rig.apply(() => ({
      records: [...rig.subject.offsets.tombstonesOf(groupId), ...group.tombstones()],
      answers: [],
    }));
    for (const key of [...model.kept.keys()]) {
      if (key.startsWith(`${groupId} `)) model.kept.delete(key);
    }
  }

  replaceTopic(): void {
    const { random, rig, model } = this;
    const name = this.pick(TOPICS);
    rig.topics.delete(name);
    const { id } = rig.topics.create(name, PARTITIONS);
    if (random.below(2) === 0) this.commit();
    const asked = rig.topicsDeleted(name);
    while (!asked.isDone) {
      if (random.below(2) === 0) this.commit(false);
      this.runTimer(this.rig.monotonicMs);
      this.forgive(name);
    }
    for (const [key, { topicId }] of [...model.kept]) {
      if (key.includes(` ${name}/`) && topicId !== id) model.kept.delete(key);
    }
  }

  /** While the broker is down. */
  replaceTopicUnseen(): void {
    const { rig, model } = this;
    const name = this.pick(TOPICS);
    rig.topics.delete(name);
    rig.topics.create(name, PARTITIONS);
    for (const [key, { topicId }] of [...model.kept]) {
      if (key.includes(` ${name}/`) && topicId !== null) model.kept.delete(key);
    }
    this.reload();
  }

  reload(): void {
    this.rig.reload();
    // What a load removes it removes in slices.
    while (this.runTimer(this.rig.monotonicMs)) this.forgive();
  }

  changeGroup(): void {
    const { random, rig } = this;
    const group = rig.group(this.pick(GROUPS));
    group.isEmpty = random.below(2) === 0;
    group.ageFrom = this.pick(["commit", null, rig.wallMs - random.below(2 * RETENTION_MS)]);
    group.commitRefusal = this.pick([null, null, null, "illegal_generation"]);
    group.subscribed.clear();
    if (random.below(2) === 0) group.subscribed.add(this.pick(TOPICS));
  }

  /** Runs the timer that is due first, if it is by then. */
  runTimer(untilMs: number): boolean {
    const { rig } = this;
    const timer = rig.timers.next(untilMs);
    if (timer === null) return false;
    rig.timers.byKey.delete(timer.key);
    this.turnClocks(timer.dueMs);
    rig.apply(() => timer.decide(rig.now));
    return true;
  }

  turnClocks(toMs: number): void {
    const { rig } = this;
    rig.wallMs += Math.max(toMs - rig.monotonicMs, 0);
    rig.monotonicMs = Math.max(toMs, rig.monotonicMs);
  }

  /** What the subject has removed since, it was free to. @param deleted A topic whose offsets are being removed */
  forgive(deleted: string | null = null): void {
    const { rig, model } = this;
    const { table } = rig.subject.offsets;
    for (const [key, kept] of [...model.kept]) {
      const [groupId, topic, partition] = key.split(/[ /]/) as [string, string, string];
      if (table.get(groupId, topic, Number(partition)) !== null) continue;
      const isOfDeleted = topic === deleted && kept.topicId !== rig.topics.named(topic)!.id;
      expect([key, isOfDeleted || mayExpire(key, kept, rig.wallMs, rig.subject.groups)]).toEqual([
        key,
        true,
      ]);
      model.kept.delete(key);
    }
  }

  /** Requests come between the slices of a sweep. */
  passDisturbed(byMs: number): void {
    const endMs = this.rig.monotonicMs + byMs;
    while (this.runTimer(endMs)) {
      this.forgive();
      const roll = this.random.below(6);
      if (roll === 0) this.commit();
      else if (roll === 1) this.changeGroup();
    }
    this.turnClocks(endMs);
  }

  /** One whole check, in which exactly that goes which is to go. */
  passQuietly(): void {
    const { rig, model } = this;
    while (this.runTimer(rig.monotonicMs)) this.forgive();
    this.turnClocks(rig.timers.next(Number.POSITIVE_INFINITY)!.dueMs);
    model.expire(rig.wallMs, rig.subject.groups);
    while (this.runTimer(rig.monotonicMs));
    for (const group of rig.subject.groups.values()) {
      expect(group.isEmpty && !rig.subject.offsets.table.has(group.groupId)).toBe(false);
    }
  }

  compare(): void {
    for (const groupId of GROUPS) {
      const found: Record<string, string> = {};
      for (const { name, partitions } of this.rig.fetch({ groupId }).topics) {
        for (const each of partitions) {
          found[`${name}/${each.partitionIndex}`] = `${each.committedOffset} ${each.metadata}`;
        }
      }
      expect(found).toEqual(this.model.ofGroup(groupId));
    }
    expect(this.rig.subject.offsets.table.size).toBe(this.model.kept.size);
  }
}

describe("offsets", () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    test(`are what was committed last, seed ${seed}`, () => {
      const run = new Run(seed);
      for (let i = 0; i < STEPS; i++) {
        run.step();
        run.compare();
      }
      run.passQuietly();
      run.compare();
      run.rig.checkReplay();
      run.rig.reload();
      run.compare();
    });
  }
});
