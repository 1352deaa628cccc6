// A member by the classic protocol: join, sync, heartbeats; the leader assigns for all.
// Invariant: between two generations an eager member has nothing, and a cooperative one nothing that the other
// generation gave away; heartbeats go on while the application is waited for.
// Kafka: AbstractCoordinator, ConsumerCoordinator.

import type { Timer } from "../../contracts/runtime.ts";
import { JoinGroup, type JoinGroupResponse } from "../../protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../../protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../../protocol/messages/14_sync_group.ts";
import { ClientError, isRetriable, kafkaErrorOf, refusal, requireNone } from "../client_error.ts";
import { backoffDelayMs, sleep } from "../waiting.ts";
import { assign, isCooperative } from "./assignors.ts";
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from "./consumer_protocol.ts";
import type { MemberIdentity } from "./group_offsets.ts";
import type { AssignorName } from "./group_options.ts";
import type { GroupMember, MemberHost } from "./member.ts";
import { mayPass } from "./ownership.ts";
import { difference, type TopicPartition } from "./partition_key.ts";
import { Wake } from "./wake.ts";

const PROTOCOL_TYPE = "consumer";
const ILLEGAL_GENERATION = 22;
const UNKNOWN_MEMBER_ID = 25;
const INVALID_SESSION_TIMEOUT = 26;
const REBALANCE_IN_PROGRESS = 27;
const MEMBER_ID_REQUIRED = 79;
/** A broker may park a join for the rebalance time-out; its answer takes its way on top. */
const PARKED_GRACE_MS = 5_000;
const LEAVE_TIMEOUT_MS = 5_000;

export class ClassicMember implements GroupMember {
  readonly #host: MemberHost;
  readonly #isCooperative: boolean;
  readonly #wake: Wake;
  #memberId = "";
  #generation = -1;
  /** In the group, as far as this member knows. */
  #isIn = false;
  /** What it had is another's by now. */
  #isLost = false;
  #isExpired = false;
  #failure: unknown = null;
  #failures = 0;
  #beat: Timer | null = null;
  #lastBeatMs = 0;
  /** The topics, and those the leader assigned, with their partitions, as of the last join. */
  #seen = "";
  #watched: readonly string[] = [];

  constructor(host: MemberHost) {
    this.#host = host;
    this.#isCooperative = isCooperative(host.plan.assignors);
    this.#wake = new Wake(host.context.runtime, "group_rejoin");
    host.closing.addEventListener("abort", () => this.#wake.ring(), { once: true });
  }

  identity(): MemberIdentity | null {
    if (!this.#isIn) return null;
    const { instanceId } = this.#host.plan;
    return {
      memberId: this.#memberId,
      epoch: this.#generation,
      instanceId,
      isConsumerProtocol: false,
    };
  }

  async run(): Promise<void> {
    const { closing, ownership } = this.#host;
    let isAgain = false;
    try {
      while (!closing.aborted) {
        await this.#prepare();
        if (closing.aborted) return;
        const assigned = await this.#joinAndSync(isAgain);
        if (assigned === null) continue;
        isAgain = true;
        this.#failures = 0;
        const mustRejoin = await this.#apply(assigned);
        this.#host.settled(!mustRejoin);
        if (!mustRejoin) await this.#untilRejoin();
      }
    } catch (error) {
      if (closing.aborted && error instanceof ClientError && error.code === "aborted") return;
      this.#isIn = false;
      if (!closing.aborted) ownership.halt();
      throw error;
    } finally {
      this.#stopBeat();
    }
  }

  expire(): void {
    if (!this.#isIn || this.#isExpired) return;
    this.#isExpired = true;
    this.#isLost = true;
    this.#stopBeat();
    // A static member keeps its place until the session is over, as Java's do.
    void this.leave().catch(() => {});
    this.#host.ownership.halt();
    this.#wake.ring();
  }

  async leave(): Promise<void> {
    this.#stopBeat();
    const { coordinator, plan } = this.#host;
    const memberId = this.#memberId;
    this.#isIn = false;
    this.#memberId = "";
    this.#generation = -1;
    if (memberId === "" || plan.instanceId !== null) return;
    const response = await coordinator.ask(
      LeaveGroup,
      (version) =>
        version >= 3
          ? { groupId: plan.group, members: [{ memberId, groupInstanceId: null }] }
          : { groupId: plan.group, memberId },
      (body) => body.errorCode,
      { timeoutMs: LEAVE_TIMEOUT_MS, requestTimeoutMs: LEAVE_TIMEOUT_MS },
    );
    const code =
      response.errorCode === 0 ? (response.members[0]?.errorCode ?? 0) : response.errorCode;
    if (code !== UNKNOWN_MEMBER_ID) requireNone(code, `Cannot leave group "${plan.group}"`);
  }

  /** Gives up what must not be kept over a rebalance. */
  async #prepare(): Promise<void> {
    const { ownership, settled } = this.#host;
    settled(false);
    if (this.#failure !== null) throw this.#failure;
    if (this.#isLost) {
      this.#isLost = false;
      await ownership.lose();
      this.#isExpired = false;
    } else if (!this.#isCooperative) await ownership.revoke(ownership.all);
    // The wait for the application may have taken the session.
    if (this.#failure !== null) throw this.#failure;
    if (this.#isLost) await this.#prepare();
    this.#stopBeat();
    // What heartbeats said meanwhile is what is being done now.
    this.#wake.reset();
  }

  /** @returns What this member is to have; null when it has to begin again. */
  async #joinAndSync(isAgain: boolean): Promise<readonly TopicPartition[] | null> {
    const { coordinator, plan, subscription, ownership, closing, lane, context } = this.#host;
    const topics = await subscription.names(closing);
    const owned = this.#isCooperative ? ownership.all : [];
    const metadata = encodeSubscription(topics, owned, this.#generation, plan.rack);
    const bounds = {
      lane,
      signal: closing,
      // The first join tells whether there is a coordinator at all; later ones wait for it.
      timeoutMs: isAgain ? Number.POSITIVE_INFINITY : context.timeoutMs,
      requestTimeoutMs: Math.max(
        context.requestTimeoutMs,
        plan.maxPollIntervalMs + PARKED_GRACE_MS,
      ),
    };
    const joined = await coordinator.ask(
      JoinGroup,
      (version) => ({
        groupId: plan.group,
        sessionTimeoutMs: plan.sessionTimeoutMs,
        ...(version >= 1 ? { rebalanceTimeoutMs: plan.maxPollIntervalMs } : {}),
        memberId: this.#memberId,
        ...(version >= 5 ? { groupInstanceId: plan.instanceId } : {}),
        protocolType: PROTOCOL_TYPE,
        protocols: plan.assignors.map((name) => ({ name, metadata })),
      }),
      (body) => body.errorCode,
      bounds,
    );
    if (joined.errorCode === MEMBER_ID_REQUIRED) {
      this.#memberId = joined.memberId;
      return null;
    }
    if (joined.errorCode !== 0) return this.#refused(joined.errorCode, "join");
    this.#memberId = joined.memberId;
    this.#generation = joined.generationId;
    this.#isIn = true;
    const assignments = await this.#assignments(joined, topics);
    const synced = await coordinator.ask(
      SyncGroup,
      (version) => ({
        groupId: plan.group,
        generationId: this.#generation,
        memberId: this.#memberId,
        ...(version >= 3 ? { groupInstanceId: plan.instanceId } : {}),
        ...(version >= 5 ? { protocolType: PROTOCOL_TYPE, protocolName: joined.protocolName } : {}),
        assignments,
      }),
      (body) => body.errorCode,
      bounds,
    );
    if (synced.errorCode !== 0) return this.#refused(synced.errorCode, "sync with");
    this.#lastBeatMs = context.runtime.clock.monotonicMs();
    this.#beatLater();
    return decodeAssignment(synced.assignment);
  }

  /** What the leader has to say to all; nothing from the others. */
  async #assignments(
    joined: JoinGroupResponse,
    own: readonly string[],
  ): Promise<{ readonly memberId: string; readonly assignment: Uint8Array }[]> {
    const { closing } = this.#host;
    const isLeader = joined.leader === joined.memberId;
    if (!isLeader) {
      this.#watched = [];
      this.#seen = JSON.stringify([own, []]);
      return [];
    }
    const members = joined.members.map(({ memberId, groupInstanceId, metadata }) =>
      decodeSubscription(memberId, groupInstanceId, metadata),
    );
    this.#watched = [...new Set(members.flatMap(({ topics }) => topics))].sort();
    const counts = await this.#counts(closing);
    this.#seen = JSON.stringify([own, [...counts]]);
    if (joined.skipAssignment) return [];
    const assigned = assign(joined.protocolName as AssignorName, members, counts);
    return [...assigned].map(([memberId, partitions]) => {
      return { memberId, assignment: encodeAssignment(partitions) };
    });
  }

  async #counts(signal: AbortSignal): Promise<Map<string, number>> {
    const topics = await this.#host.subscription.topics(this.#watched, signal);
    const counts = topics.map(({ name, partitions }) => [name, partitions.length] as const);
    return new Map(counts.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Deals with a refusal. @returns null: the member begins again @throws when that would not help */
  async #refused(code: number, doing: string): Promise<null> {
    const { closing, context, plan, ownership } = this.#host;
    const error = kafkaErrorOf(code)!;
    if (code === UNKNOWN_MEMBER_ID || code === ILLEGAL_GENERATION) {
      if (code === UNKNOWN_MEMBER_ID) this.#memberId = "";
      this.#generation = -1;
      this.#isIn = false;
      this.#isLost = ownership.all.length > 0;
    } else if (code !== REBALANCE_IN_PROGRESS) {
      const bounds = `sessionTimeoutMs ${plan.sessionTimeoutMs} (the broker's group.min.session.timeout.ms and group.max.session.timeout.ms bound it)`;
      const how = code === INVALID_SESSION_TIMEOUT ? ` with ${bounds}` : "";
      throw refusal(error, `Cannot ${doing} group "${plan.group}"${how}`);
    }
    this.#failures++;
    const delayMs = backoffDelayMs(context.runtime, context.backoff, this.#failures);
    await sleep(context.runtime, delayMs, "group_rejoin", closing);
    return null;
  }

  /** @returns Whether the group has to be joined again at once, since something was given up. */
  async #apply(assigned: readonly TopicPartition[]): Promise<boolean> {
    const { ownership } = this.#host;
    const generation = this.#generation;
    const revoked = difference(ownership.all, assigned);
    if (revoked.length > 0) await ownership.revoke(revoked);
    const added = difference(assigned, ownership.all);
    try {
      const isMeant = () => this.#isIn && this.#generation === generation;
      await ownership.assign(added, isMeant);
    } catch (error) {
      // Out of the group while its offsets were looked up: the next join settles it.
      if (!mayPass(error)) throw error;
      return true;
    }
    return revoked.length > 0;
  }

  /** Waits until the group is to be joined again: somebody came or went, or there is something else to read. */
  async #untilRejoin(): Promise<void> {
    const { closing, plan, subscription } = this.#host;
    while (!closing.aborted) {
      if (await this.#wake.wait(plan.refreshMs)) return;
      if (!subscription.isPattern && this.#watched.length === 0) continue;
      try {
        const names = await subscription.names(closing);
        const seen = JSON.stringify([names, [...(await this.#counts(closing))]]);
        if (seen !== this.#seen) return;
      } catch (error) {
        if (!isRetriable(error)) throw error;
      }
    }
  }

  #beatLater(): void {
    const { context, plan } = this.#host;
    this.#stopBeat();
    this.#beat = context.runtime.scheduler.after(
      plan.heartbeatIntervalMs,
      "group_heartbeat",
      () => {
        void this.#sendBeat(this.#beat);
      },
    );
  }

  #stopBeat(): void {
    this.#beat?.cancel();
    this.#beat = null;
  }

  async #sendBeat(own: Timer | null): Promise<void> {
    const { coordinator, plan, lane, closing, context } = this.#host;
    const { clock } = context.runtime;
    let code = 0;
    try {
      const response = await coordinator.askOnce(
        Heartbeat,
        (version) => ({
          groupId: plan.group,
          generationId: this.#generation,
          memberId: this.#memberId,
          ...(version >= 3 ? { groupInstanceId: plan.instanceId } : {}),
        }),
        (body) => body.errorCode,
        { lane, signal: closing, requestTimeoutMs: plan.sessionTimeoutMs },
      );
      code = response.errorCode;
      this.#lastBeatMs = clock.monotonicMs();
    } catch (error) {
      if (closing.aborted) return;
      if (!isRetriable(error)) this.#failure = error;
      // Nobody heard of this member for a session: others have its partitions.
      else if (clock.monotonicMs() - this.#lastBeatMs > plan.sessionTimeoutMs) this.#isLost = true;
    }
    // Stopped, or begun again, in the meantime.
    if (this.#beat !== own || own === null) return;
    if (code === UNKNOWN_MEMBER_ID || code === ILLEGAL_GENERATION) {
      if (code === UNKNOWN_MEMBER_ID) this.#memberId = "";
      this.#generation = -1;
      this.#isLost = true;
    } else if (code !== 0 && code !== REBALANCE_IN_PROGRESS) {
      this.#failure = refusal(kafkaErrorOf(code)!, `Cannot stay in group "${plan.group}"`);
    }
    if (this.#isLost || this.#failure !== null) {
      this.#isIn = false;
      this.#stopBeat();
      // What is another's by now is not to be given out.
      this.#host.ownership.halt();
      this.#wake.ring();
      return;
    }
    if (code === REBALANCE_IN_PROGRESS) this.#wake.ring();
    this.#beatLater();
  }
}
