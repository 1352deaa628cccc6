// What members of both protocols share: a connection that is opened again after it broke, offsets that are read when a
// partition is taken and committed one by one while it is owned, leaving, dying without a word and coming back.
// Invariant: a member that is silent sends nothing; what it owned is abandoned in the ledger first.
import { setTimeout as pause } from "node:timers/promises";
import { ClientError } from "../../src/client/client_error.ts";
import type { KafkaConnection } from "../../src/client/connection.ts";
import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { openConnection } from "../../test/compat/groups/committed.ts";
import type { Ledger } from "./ledger.ts";

export interface GroupPlace {
  readonly bootstrap: string;
  readonly group: string;
  readonly topic: string;
  readonly topicId: string;
  readonly partitions: number;
  readonly ledger: Ledger;
  readonly sessionMs: number;
  readonly heartbeatMs: number;
}

export const NONE = 0;
export const UNKNOWN_MEMBER_ID = 25;
export const LOADING: readonly number[] = [14, 15, 16];

/** Runs until it leaves or dies. */
export abstract class StormMember {
  /** What it is called in the ledger: its instance id, if it has one. */
  readonly owner: string;
  readonly instance: string | null;
  epoch = -1;
  isStable = false;
  readonly owned = new Set<number>();
  /** Error codes that were answered, and how often. */
  readonly errors = new Map<string, number>();
  protected readonly place: GroupPlace;
  protected isEnding = false;
  #isSilent = false;
  #connection: KafkaConnection | undefined;
  #running: Promise<void> = Promise.resolve();
  readonly #next = new Map<number, number>();

  constructor(place: GroupPlace, name: string, instance: string | null) {
    this.place = place;
    this.owner = instance ?? name;
    this.instance = instance;
  }

  /** Joins, takes what it is given, heartbeats and commits, one step after another. */
  protected abstract step(): Promise<void>;
  /** Says goodbye. */
  protected abstract goodbye(isStaying: boolean): Promise<void>;
  protected abstract readonly memberId: string;

  start(): void {
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.isEnding) {
      if (this.#isSilent) {
        await pause(20);
        continue;
      }
      try {
        await this.step();
      } catch (error) {
        this.count(error instanceof Error ? error.message.slice(0, 60) : String(error));
        this.#connection?.close("after an error");
        this.#connection = undefined;
        await pause(100 + Math.random() * 100);
      }
    }
  }

  /** Leaves; a static member may stay in the group and come back. */
  async leave(isStaying: boolean): Promise<void> {
    this.isEnding = true;
    await this.#running;
    this.releaseAll();
    try {
      await this.goodbye(isStaying);
    } catch (error) {
      if (!(error instanceof ClientError) || error.code === "invalid_request") throw error;
      // a broker that is gone: the session will end it
      this.count("left without an answer");
    }
    this.#connection?.close("left");
  }

  /** Nothing is heard of it any more; its connection may stay open. */
  dieWithoutAWord(isConnectionKept: boolean): void {
    this.#isSilent = true;
    this.isStable = false;
    this.place.ledger.abandon(this.owner);
    if (!isConnectionKept) {
      this.#connection?.close("died");
      this.#connection = undefined;
    }
  }

  /** It was only slow, and goes on as if nothing had happened. */
  comeBack(): void {
    this.#isSilent = false;
  }

  /** Ends a silent one for good. */
  async bury(): Promise<void> {
    this.isEnding = true;
    this.#connection?.close("buried");
    await this.#running;
  }

  get isSilent(): boolean {
    return this.#isSilent;
  }

  protected async connection(): Promise<KafkaConnection> {
    if (this.#connection?.isOpen !== true)
      this.#connection = await openConnection(this.place.bootstrap);
    return this.#connection;
  }

  protected count(what: string): void {
    this.errors.set(what, (this.errors.get(what) ?? 0) + 1);
  }

  /** Owns exactly these from now on: what goes is given up first, what comes is read. False: offsets are not to be had. */
  protected async own(partitions: readonly number[], epoch: number): Promise<boolean> {
    const { ledger } = this.place;
    for (const partition of [...this.owned]) {
      if (partitions.includes(partition)) continue;
      this.owned.delete(partition);
      ledger.release(this.owner, partition);
    }
    const added = partitions.filter((each) => !this.owned.has(each));
    // The answer came while it was alive; if it has died since, nothing was taken.
    if (this.#isSilent || this.isEnding) return false;
    for (const partition of partitions)
      ledger.take(this.owner, epoch, partition, performance.now());
    for (const partition of added) this.owned.add(partition);
    return added.length === 0 || (await this.#read(added));
  }

  protected releaseAll(): void {
    for (const partition of this.owned) this.place.ledger.release(this.owner, partition);
    this.owned.clear();
  }

  protected async reread(): Promise<boolean> {
    const missing = [...this.owned].filter((each) => !this.#next.has(each));
    return missing.length === 0 || (await this.#read(missing));
  }

  async #read(partitions: readonly number[]): Promise<boolean> {
    for (const partition of partitions) this.#next.delete(partition);
    const { group, topic, ledger } = this.place;
    const connection = await this.connection();
    const before = ledger.acked.slice();
    const answer = await connection.request(OffsetFetch, connection.versionOf(OffsetFetch, 8, 9), {
      groups: [
        {
          groupId: group,
          memberId: this.memberId,
          memberEpoch: this.epoch,
          topics: [{ name: topic, partitionIndexes: [...partitions] }],
        },
      ],
      requireStable: true,
    });
    const found = answer.groups[0]!;
    if (found.errorCode !== NONE) {
      this.count(`OffsetFetch ${found.errorCode}`);
      return false;
    }
    for (const each of found.topics[0]!.partitions) {
      if (each.errorCode !== NONE) {
        this.count(`OffsetFetch of a partition ${each.errorCode}`);
        return false;
      }
      const offset = Number(each.committedOffset);
      ledger.found(this.owner, each.partitionIndex, offset, before[each.partitionIndex]!);
      this.#next.set(each.partitionIndex, offset + 1);
    }
    return true;
  }

  /** Commits the next offset of each partition that it owns. */
  protected async commit(): Promise<void> {
    const { group, topic, ledger } = this.place;
    const partitions = [...this.owned].filter((each) => this.#next.has(each));
    if (partitions.length === 0) return;
    const connection = await this.connection();
    const before = partitions.map((partition) => ({
      acked: ledger.acked[partition]!,
      owner: ledger.ownerOf(partition),
    }));
    const sent = partitions.map((partition) => this.#next.get(partition)!);
    for (const [n, partition] of partitions.entries()) this.#next.set(partition, sent[n]! + 1);
    const answer = await connection.request(
      OffsetCommit,
      connection.versionOf(OffsetCommit, 7, 9),
      {
        groupId: group,
        generationIdOrMemberEpoch: this.epoch,
        memberId: this.memberId,
        groupInstanceId: this.instance,
        topics: [
          {
            name: topic,
            partitions: partitions.map((partitionIndex, n) => ({
              partitionIndex,
              committedOffset: BigInt(sent[n]!),
              committedMetadata: "",
            })),
          },
        ],
      },
    );
    for (const each of answer.topics[0]!.partitions) {
      const n = partitions.indexOf(each.partitionIndex);
      if (each.errorCode === NONE)
        ledger.committed(this.owner, each.partitionIndex, sent[n]!, before[n]!);
      else this.count(`OffsetCommit ${each.errorCode}`);
    }
  }
}
