// A host for parts of a coordinator under test: decides, replays and answers as the real one does, with a hand-turned
// clock and a log in memory. Every decision is checked: it may not touch hard state but by its records.
// checkReplay() replays all that was written, through the bytes of Kafka's records, into an empty subject; with
// replayAfterEach() at its top, a file does so for every rig of every test.

import { afterEach, beforeEach, expect } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import { randomUuid } from "../../../src/base/uuid.ts";
import type { LogFields, Logger } from "../../../src/contracts/runtime.ts";
import type { GroupCall } from "../../../src/core/coordinator/group/group.ts";
import type { GroupRecord } from "../../../src/core/coordinator/group/group_record.ts";
import { groupRecordSerde } from "../../../src/core/coordinator/group/group_record_serde.ts";
import type { GroupSettings } from "../../../src/core/coordinator/group/group_settings.ts";
import type { GroupShardOptions } from "../../../src/core/coordinator/group/group_shard_options.ts";
import type { TopicSeen, TopicView } from "../../../src/core/coordinator/group/topic_view.ts";
import type { Answer, Decision, Now, Reply } from "../../../src/core/coordinator/runtime/shard.ts";
import { RigTimers } from "./rig_timers.ts";

/** What is under test: a whole shard, or one part of it with what it needs around it. */
export interface RigSubject {
  replay(record: GroupRecord, offset: number): void;
  loaded(now: Now): Decision<GroupRecord>;
  /** All hard state, of plain values, Maps, Sets and bytes. Maps and Sets are compared without order. */
  snapshot(): unknown;
}

export interface RigOptions {
  readonly seed?: number | string;
  readonly settings?: Partial<GroupSettings>;
  /** Most bytes of keys and values in one decision, unless it may be split. */
  readonly batchBytesMax?: number;
  /** False: its records are not replayed at the end of the test, since it did not write them itself. */
  readonly isReplayed?: boolean;
  /** False: decisions are not checked for touching hard state, which costs two snapshots each. */
  readonly checksDecisions?: boolean;
}

/** One request on its way: the reply that the shard sees, and the answer once there is one. */
export class Asked<Response> implements Reply<Response> {
  #outcome: { readonly response: Response } | "cancelled" | "lost" | null = null;

  get isDone(): boolean {
    return this.#outcome !== null;
  }

  /** The answer. Throws while there is none. */
  get value(): Response {
    if (this.#outcome === null || typeof this.#outcome === "string") {
      throw new Error(
        `There is no answer${this.#outcome === null ? " yet" : `: ${this.#outcome}`}`,
      );
    }
    return this.#outcome.response;
  }

  /** The caller went away: it cannot be answered any more. */
  cancel(): void {
    this.#outcome ??= "cancelled";
  }

  /** The shard was dropped. */
  lose(): void {
    this.#outcome ??= "lost";
  }

  give(response: Response): void {
    if (typeof this.#outcome === "string") return;
    if (this.#outcome !== null) throw new Error("A reply was answered twice");
    this.#outcome = { response };
  }
}

/** Topics that a test makes, grows and deletes. */
export class RigTopics implements TopicView {
  readonly #random = SeededRandom.of("rig topics");
  readonly #byName = new Map<string, TopicSeen>();
  revision = 1;

  /** @param racks Of the replicas of each partition; none are known when left out. */
  create(
    name: string,
    partitionCount: number,
    racks: readonly (readonly string[])[] = [],
    id: string = randomUuid(this.#random),
  ): TopicSeen {
    const topic = {
      name,
      id,
      partitionCount,
      racks: (partition: number) => racks[partition] ?? [],
    };
    this.#byName.set(name, topic);
    this.revision++;
    return topic;
  }

  grow(name: string, partitionCount: number): void {
    const topic = this.#byName.get(name)!;
    this.#byName.set(name, { ...topic, partitionCount });
    this.revision++;
  }

  delete(name: string): void {
    this.#byName.delete(name);
    this.revision++;
  }

  named(name: string): TopicSeen | null {
    return this.#byName.get(name) ?? null;
  }

  withId(id: string): TopicSeen | null {
    for (const topic of this.#byName.values()) if (topic.id === id) return topic;
    return null;
  }

  names(): Iterable<string> {
    return this.#byName.keys();
  }
}

export type MutableSettings = { -readonly [K in keyof GroupSettings]: GroupSettings[K] };

/** Kafka's defaults; tests change them as they run. */
export function rigSettings(overrides: Partial<GroupSettings> = {}): MutableSettings {
  return {
    sessionTimeoutMsMin: 6_000,
    sessionTimeoutMsMax: 1_800_000,
    initialRebalanceDelayMs: 3_000,
    sizeMax: 2_147_483_647,
    offsetMetadataBytesMax: 4_096,
    offsetsRetentionMs: 7 * 24 * 3_600_000,
    offsetsRetentionCheckMs: 600_000,
    servesConsumerProtocol: true,
    mayUpgrade: true,
    mayDowngrade: true,
    consumerSizeMax: 2_147_483_647,
    consumerAssignors: ["uniform", "range"],
    regexRefreshMs: 600_000,
    consumerSessionTimeoutMs: () => 45_000,
    consumerHeartbeatIntervalMs: () => 5_000,
    consumerAssignmentIntervalMs: () => 0,
    ...overrides,
  };
}

/** Made by the test that runs. */
let rigsOfTest: { checkReplay(): void }[] = [];

/** It is held to its records at the end of its test, in files that ask for it. */
export function replayedAtEnd(rig: { checkReplay(): void }): void {
  rigsOfTest.push(rig);
}

/** Every decision of the file's tests is held to its records: they say all that it changed. */
export function replayAfterEach(): void {
  // Files that do not ask for it leave theirs behind.
  beforeEach(() => {
    rigsOfTest = [];
  });
  afterEach(() => {
    const rigs = rigsOfTest;
    rigsOfTest = [];
    for (const rig of rigs) rig.checkReplay();
  });
}

export class ShardRig<S extends RigSubject> {
  /** Another one after `reload`. */
  subject: S;
  timers: RigTimers;
  readonly topics = new RigTopics();
  readonly settings: MutableSettings;
  readonly lines: { readonly level: string; readonly event: string; readonly fields: LogFields }[] =
    [];
  /** All that was written, in order: a record's offset is its index. */
  readonly records: GroupRecord[] = [];
  /** Turned by `advance`; a test may let the wall clock jump. */
  wallMs = 1_700_000_000_000;
  monotonicMs = 1_000;
  readonly #make: (options: GroupShardOptions) => S;
  readonly #random: SeededRandom;
  readonly #checksDecisions: boolean;
  readonly #batchBytesMax: number;
  readonly #asked = new Set<Asked<unknown>>();
  #lives = 0;

  /** @param make Makes the subject, empty; called again for each reload and each check of the replay. */
  constructor(make: (options: GroupShardOptions) => S, options: RigOptions = {}) {
    this.#make = make;
    this.settings = rigSettings(options.settings);
    this.#random = SeededRandom.of(options.seed ?? 1);
    this.#checksDecisions = options.checksDecisions ?? true;
    this.#batchBytesMax = options.batchBytesMax ?? 1_048_588;
    this.timers = new RigTimers(this);
    this.subject = this.#newSubject(this.timers);
    this.apply(() => this.subject.loaded(this.now));
    if (options.isReplayed ?? true) replayedAtEnd(this);
  }

  get now(): Now {
    return { wallMs: this.wallMs, monotonicMs: this.monotonicMs };
  }

  call(overrides: Partial<GroupCall> = {}): GroupCall {
    return {
      now: this.now,
      version: 9,
      clientId: "client",
      clientHost: "/127.0.0.1",
      ...overrides,
    };
  }

  /** A request: decided, replayed and, when the decision says so, answered before this returns. */
  ask<Response>(
    decide: (subject: S, reply: Reply<Response>, now: Now) => Decision<GroupRecord>,
  ): Asked<Response> {
    const asked = new Asked<Response>();
    this.#asked.add(asked as Asked<unknown>);
    this.apply(() => decide(this.subject, asked, this.now));
    return asked;
  }

  /** Runs one decision. @returns its records */
  apply(decide: () => Decision<GroupRecord>): readonly GroupRecord[] {
    const before = this.#checksDecisions ? canonical(this.subject.snapshot()) : null;
    const decision = decide();
    if (this.#checksDecisions) {
      // What a decision changes without a record would be gone, or there twice, after a crash.
      expect(canonical(this.subject.snapshot())).toEqual(before);
    }
    if (decision.mayBeSplit !== true && sizeOf(decision.records) > this.#batchBytesMax) {
      return this.#instead(decision);
    }
    for (const record of decision.records) {
      const offset = this.records.push(record) - 1;
      this.subject.replay(record, offset);
    }
    for (const { reply, response } of decision.answers as readonly Answer[]) {
      if (!(reply instanceof Asked)) throw new Error("An answer is for no reply of this rig");
      reply.give(response);
      this.#asked.delete(reply);
    }
    return decision.records;
  }

  /** The records of a decision are too large: what it says for that, or refusals. */
  #instead(decision: Decision<GroupRecord>): readonly GroupRecord[] {
    const { tooLarge } = decision;
    if (tooLarge !== undefined) return this.apply(() => tooLarge(this.now));
    for (const { reply } of decision.answers) (reply as Asked<unknown>).lose();
    return [];
  }

  /** Turns both clocks and runs the timers that become due, in order. @returns the records they wrote */
  advance(byMs: number): readonly GroupRecord[] {
    const endMs = this.monotonicMs + byMs;
    const written: GroupRecord[] = [];
    for (let fired = 0; ; fired++) {
      const timer = this.timers.next(endMs);
      if (timer === null) break;
      if (fired > 100_000) throw new Error(`Timers go on for ever: ${timer.key}`);
      this.timers.byKey.delete(timer.key);
      this.wallMs += Math.max(timer.dueMs - this.monotonicMs, 0);
      this.monotonicMs = Math.max(this.monotonicMs, timer.dueMs);
      written.push(...this.apply(() => timer.decide(this.now)));
    }
    this.wallMs += endMs - this.monotonicMs;
    this.monotonicMs = endMs;
    return written;
  }

  /** Requests that still wait. */
  get waiting(): number {
    let count = 0;
    for (const asked of this.#asked) if (!asked.isDone) count++;
    return count;
  }

  /**
   * Replays all that was written, encoded and decoded, into an empty subject: the hard state must be the same. Also as
   * the log cleaner leaves it: the last record of each key, with the tombstones and without.
   */
  checkReplay(): void {
    const expected = canonical(this.subject.snapshot());
    const all = this.records.map((record, offset) => ({ ...encoded(record), offset }));
    const last = new Map(all.map((entry) => [entry.keyText, entry.offset]));
    const compacted = all.filter((entry) => last.get(entry.keyText) === entry.offset);
    const cleaned = compacted.filter((entry) => entry.record.value !== null);
    expect({ log: "as written", state: this.#replayed(all) }).toEqual({
      log: "as written",
      state: expected,
    });
    expect({ log: "compacted", state: this.#replayed(compacted) }).toEqual({
      log: "compacted",
      state: expected,
    });
    expect({ log: "without tombstones", state: this.#replayed(cleaned) }).toEqual({
      log: "without tombstones",
      state: expected,
    });
  }

  /** The broker was killed and started again: soft state, timers and those who wait are gone, records are not. */
  reload(): void {
    for (const asked of this.#asked) asked.lose();
    this.#asked.clear();
    this.timers = new RigTimers(this);
    this.subject = this.#newSubject(this.timers);
    for (const [offset, record] of this.records.entries()) {
      this.subject.replay(encoded(record).record, offset);
    }
    this.apply(() => this.subject.loaded(this.now));
  }

  /** Log lines of that event. */
  events(event: string): LogFields[] {
    return this.lines.filter((line) => line.event === event).map((line) => line.fields);
  }

  #replayed(log: readonly { readonly record: GroupRecord; readonly offset: number }[]): unknown {
    const subject = this.#newSubject(new RigTimers(this));
    for (const { record, offset } of log) subject.replay(record, offset);
    return canonical(subject.snapshot());
  }

  #newSubject(timers: RigTimers): S {
    return this.#make({
      timers,
      topics: () => this.topics,
      settings: this.settings,
      random: this.#random.fork(`life ${this.#lives++}`),
      log: this.#logger({}),
    });
  }

  #logger(base: LogFields): Logger {
    const say =
      (level: string) =>
      (event: string, fields: LogFields = {}) => {
        this.lines.push({ level, event, fields: { ...base, ...fields } });
      };
    return {
      debug: say("debug"),
      info: say("info"),
      warn: say("warn"),
      error: say("error"),
      child: (fields) => this.#logger({ ...base, ...fields }),
    };
  }
}

function encoded(record: GroupRecord): { readonly record: GroupRecord; readonly keyText: string } {
  const { key, value } = groupRecordSerde.encode(record);
  const decoded = groupRecordSerde.decode(key, value);
  if (decoded === null) throw new Error(`A record of kind ${record.kind} is not read back`);
  return { record: decoded, keyText: hexOf(key) };
}

function sizeOf(records: readonly GroupRecord[]): number {
  let sizeBytes = 0;
  for (const record of records) {
    const { key, value } = groupRecordSerde.encode(record);
    sizeBytes += key.length + (value?.length ?? 0);
  }
  return sizeBytes;
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Plain values that compare by content: bytes as hex, Maps and Sets in order of their keys. */
export function canonical(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${hexOf(value)}`;
  if (typeof value === "bigint") return `bigint ${value}`;
  if (value instanceof Map) {
    const entries = [...value].map(([key, each]) => [keyOf(key), canonical(each)] as const);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  if (value instanceof Set) return [...value].map(keyOf).sort();
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value === "object" && value !== null) {
    // Own fields of instances too, private ones apart: those belong into the snapshot by hand.
    const entries = Object.entries(value).map(([key, each]) => [key, canonical(each)] as const);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
  return value;
}

function keyOf(key: unknown): string {
  return typeof key === "string" ? key : JSON.stringify(canonical(key));
}
