// What runs behind a consumer of a group: the member, the fetcher, the gate between them and the application.
// Invariant: a batch is handed out only while its partition is this member's and no rebalance is under way.
// Kafka: ClassicKafkaConsumer, AsyncKafkaConsumer.

import type { Timer } from "../../contracts/runtime.ts";
import { ClientError } from "../client_error.ts";
import type { ClientContext } from "../context.ts";
import type { FetchedBatch } from "../fetched.ts";
import { PartitionFetcher } from "../fetcher.ts";
import { AppGate } from "./app_gate.ts";
import { ClassicMember } from "./classic_member.ts";
import { ConsumerMember } from "./consumer_member.ts";
import { GroupCoordinator } from "./coordinator.ts";
import { type GroupConsumerOptions, type GroupPlan, planOf } from "./group_options.ts";
import type { GroupMember, MemberHost } from "./member.ts";
import { type Owned, Ownership } from "./ownership.ts";
import { Subscription } from "./subscription.ts";

/** A member that has nothing to read to its end may get something from another yet. */
const EMPTY_GRACE_MS = 5_000;
/** The broker does not speak the next-generation protocol, or not with this group. */
const FALL_BACK: ReadonlySet<string> = new Set(["unsupported_version", "group_id_not_found"]);

let lanes = 0;

export class GroupEngine {
  readonly gate: AppGate;
  readonly ownership: Ownership;
  readonly fetcher: PartitionFetcher;
  readonly #context: ClientContext;
  readonly #plan: GroupPlan;
  readonly #protocol: "auto" | "consumer" | "classic";
  readonly #untilEnd: boolean;
  readonly #coordinator: GroupCoordinator;
  readonly #closing = new AbortController();
  readonly #host: MemberHost;
  #member: GroupMember | null = null;
  #running: Promise<void> = Promise.resolve();
  #commitTimer: Timer | null = null;
  #expiryTimer: Timer | null = null;
  #emptyTimer: Timer | null = null;
  /** False while what this member has is not yet what it is to have. */
  #mayEnd = false;

  constructor(context: ClientContext, options: GroupConsumerOptions) {
    this.#context = context;
    const plan = planOf(options);
    this.#plan = plan;
    this.#protocol = options.protocol ?? "auto";
    this.#untilEnd = options.untilEnd ?? false;
    this.gate = new AppGate(context.runtime);
    this.#coordinator = new GroupCoordinator(context, plan.group);
    this.fetcher = new PartitionFetcher(
      context,
      {
        isolation: plan.isolation,
        outOfRange: plan.autoOffsetReset,
        waitMsMax: options.waitMsMax ?? 500,
        bytesMin: options.bytesMin ?? 1,
        bytesMax: options.bytesMax ?? 16 * 1024 * 1024,
        partitionBytesMax: options.partitionBytesMax ?? 4 * 1024 * 1024,
        bufferBytesMax: options.bufferBytesMax ?? 32 * 1024 * 1024,
        group: {
          mayEnd: () => this.#mayEnd,
          onAnew: (state) => this.ownership.beginAnew(state),
        },
      },
      [],
    );
    const closing = this.#closing.signal;
    this.ownership = new Ownership(
      context,
      plan,
      {
        batchBytesMax: options.batchBytesMax ?? 256 * 1024 * 1024,
        untilEnd: this.#untilEnd,
        onAssigned: options.onAssigned,
        onRevoked: options.onRevoked,
        onLost: options.onLost,
      },
      { coordinator: this.#coordinator, gate: this.gate, fetcher: this.fetcher, closing },
    );
    this.ownership.identity = () => this.#member?.identity() ?? null;
    this.#host = {
      context,
      plan,
      coordinator: this.#coordinator,
      subscription: new Subscription(context.metadata, plan),
      ownership: this.ownership,
      lane: `group-${++lanes}`,
      closing,
      settled: (isSettled) => this.#settled(isSettled),
    };
  }

  /** Joins the group. */
  start(): void {
    this.#running = this.#run();
    this.#commitLater();
    this.#expireLater(this.#plan.maxPollIntervalMs);
  }

  /** The next batch for the application; null at the end. */
  async next(): Promise<FetchedBatch | null> {
    for (;;) {
      if (this.gate.isShut) await this.gate.opened();
      if (this.#closing.signal.aborted) return null;
      const batch = await this.fetcher.next();
      if (batch === null) return null;
      // A rebalance may have begun between the giving and the taking.
      if (this.gate.isShut) await this.gate.opened();
      if (this.#closing.signal.aborted) return null;
      if (!this.fetcher.isTakenStale) return batch;
    }
  }

  /** Whether the batch in hand is not to be gone on with: revoked, or read from elsewhere. */
  get isStale(): boolean {
    return this.fetcher.isTakenStale || this.#closing.signal.aborted;
  }

  ownedOf({ topic, partition }: FetchedBatch): Owned | undefined {
    return this.ownership.find(topic, partition);
  }

  /** Commits what is done with, gives all up and leaves. @throws what a callback throws, a refused last commit */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const timer of [this.#commitTimer, this.#expiryTimer, this.#emptyTimer]) timer?.cancel();
    this.gate.end();
    await this.#running;
    try {
      await this.ownership.releaseAll();
    } finally {
      this.fetcher.close();
      await this.#member?.leave().catch((error: unknown) => {
        // The session's end tells the group as well.
        if (!(error instanceof ClientError)) throw error;
      });
    }
  }

  async #run(): Promise<void> {
    try {
      await this.#runMember();
    } catch (error) {
      if (!this.#closing.signal.aborted) this.fetcher.fail(error);
    }
  }

  async #runMember(): Promise<void> {
    if (this.#protocol !== "classic") {
      const member = new ConsumerMember(this.#host);
      this.#member = member;
      try {
        await member.run();
        return;
      } catch (error) {
        const isOther = error instanceof ClientError && FALL_BACK.has(error.code);
        if (this.#protocol === "consumer" || !isOther || member.hasJoined) throw error;
      }
    }
    this.#member = new ClassicMember(this.#host);
    await this.#member.run();
  }

  #settled(isSettled: boolean): void {
    this.#emptyTimer?.cancel();
    this.#emptyTimer = null;
    this.#mayEnd = false;
    if (!isSettled || !this.#untilEnd) return;
    const end = () => {
      this.#mayEnd = true;
      this.fetcher.look();
    };
    if (this.ownership.all.length > 0) end();
    else {
      const { scheduler } = this.#context.runtime;
      this.#emptyTimer = scheduler.after(EMPTY_GRACE_MS, "group_empty", end);
    }
  }

  #commitLater(): void {
    const { autoCommitMs } = this.#plan;
    if (autoCommitMs === null) return;
    const { scheduler } = this.#context.runtime;
    this.#commitTimer = scheduler.after(autoCommitMs, "group_commit", () => {
      const isMember = this.ownership.identity() !== null;
      (isMember ? this.ownership.commitDone() : Promise.resolve()).then(
        () => {
          if (!this.#closing.signal.aborted) this.#commitLater();
        },
        (error: unknown) => this.fetcher.fail(error),
      );
    });
  }

  #expireLater(delayMs: number): void {
    const { scheduler } = this.#context.runtime;
    this.#expiryTimer = scheduler.after(delayMs, "group_poll", () => {
      const { maxPollIntervalMs } = this.#plan;
      const leftMs = maxPollIntervalMs - this.gate.busyMs;
      if (leftMs <= 0) this.#member?.expire();
      this.#expireLater(leftMs > 0 ? leftMs : maxPollIntervalMs);
    });
  }
}
