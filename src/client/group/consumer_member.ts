// A member by the next-generation protocol (KIP-848): heartbeats carry everything, the broker assigns.
// Invariant: a partition is reported as given up only when the application has let go of it and what was done
// with is committed; what another may have by now is given out no more.
// Kafka: ConsumerHeartbeatRequestManager, AbstractMembershipManager.

import { randomUuid } from "../../base/uuid.ts";
import {
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatResponse,
} from "../../protocol/messages/68_consumer_group_heartbeat.ts";
import { ClientError, isRetriable, kafkaErrorOf, refusal } from "../client_error.ts";
import { backoffDelayMs } from "../waiting.ts";
import type { MemberIdentity } from "./group_offsets.ts";
import type { GroupMember, MemberHost } from "./member.ts";
import { isOut, mayPass } from "./ownership.ts";
import { byPlace, byTopic, difference, keyOf, type TopicPartition } from "./partition_key.ts";
import { Wake } from "./wake.ts";

const JOINING = 0;
const LEAVING = -1;
const LEAVING_FOR_NOW = -2;
const FENCED_MEMBER_EPOCH = 110;
const UNKNOWN_MEMBER_ID = 25;
const GROUP_ID_NOT_FOUND = 69;
const LEAVE_TIMEOUT_MS = 5_000;
/** Until the broker has said how often. */
const FIRST_INTERVAL_MS = 1_000;

type AssignedTopics = NonNullable<ConsumerGroupHeartbeatResponse["assignment"]>["topicPartitions"];

export class ConsumerMember implements GroupMember {
  readonly #host: MemberHost;
  readonly #wake: Wake;
  readonly #ids = new Map<string, string>();
  #memberId: string;
  #epoch = JOINING;
  #isIn = false;
  /** A join is under way: the broker may have let it in already. */
  #isJoining = false;
  /** Whether the broker has ever let it in: from then on it speaks this protocol. */
  hasJoined = false;
  /** Fenced, or left because the application is slow: what it had is another's. */
  #isLost = false;
  /** The application is waited for before the next join. */
  #isRecovering = false;
  #intervalMs = FIRST_INTERVAL_MS;
  /** All fields have to be sent: the broker may not know what was sent before. */
  #isFull = true;
  #sentOwned = "";
  #sentNames = "";
  #failures = 0;
  #failure: unknown = null;
  #target: AssignedTopics | null = null;
  #reconciling: Promise<void> | null = null;
  #namesAtMs = Number.NEGATIVE_INFINITY;
  #names: readonly string[] = [];

  constructor(host: MemberHost) {
    this.#host = host;
    this.#memberId = randomUuid(host.context.runtime.random);
    this.#wake = new Wake(host.context.runtime, "group_heartbeat");
    host.closing.addEventListener("abort", () => this.#wake.ring(), { once: true });
  }

  identity(): MemberIdentity | null {
    if (!this.#isIn) return null;
    const { instanceId } = this.#host.plan;
    return {
      memberId: this.#memberId,
      epoch: this.#epoch,
      instanceId,
      isConsumerProtocol: true,
    };
  }

  async run(): Promise<void> {
    const { closing, ownership, context } = this.#host;
    const { runtime, backoff } = context;
    let startMs = runtime.clock.monotonicMs();
    try {
      while (!closing.aborted) {
        if (this.#failure !== null) throw this.#failure;
        if (this.#isLost) await this.#recover();
        if (closing.aborted) return;
        let delayMs = 0;
        try {
          await this.#heartbeat();
          this.#failures = 0;
          startMs = Number.POSITIVE_INFINITY;
          delayMs = this.#intervalMs;
        } catch (error) {
          if (closing.aborted) return;
          this.#isJoining = false;
          // The first join tells whether there is a coordinator at all; later ones wait for it.
          const isLate = runtime.clock.monotonicMs() - startMs > context.timeoutMs;
          if (!isRetriable(error) || isLate) throw error;
          this.#isFull = true;
          this.#failures++;
          delayMs = backoffDelayMs(runtime, backoff, this.#failures);
        }
        // What happened during the heartbeat is dealt with at once.
        if (!this.#isLost) await this.#wake.wait(delayMs);
      }
    } catch (error) {
      // Who ends by what its own callback threw is in the group all the same, and leaves it in order.
      if (error !== this.#failure) this.#isIn = false;
      if (!closing.aborted) ownership.halt();
      throw error;
    } finally {
      await this.#reconciling;
    }
  }

  expire(): void {
    if (!this.#isIn) return;
    void this.leave().catch(() => {});
    this.#lost();
  }

  async leave(): Promise<void> {
    if (!this.#isIn && !this.#isJoining) return;
    const { coordinator, plan, lane } = this.#host;
    this.#isIn = false;
    this.#isJoining = false;
    const memberEpoch = plan.instanceId === null ? LEAVING : LEAVING_FOR_NOW;
    const { errorCode } = await coordinator.ask(
      ConsumerGroupHeartbeat,
      {
        groupId: plan.group,
        memberId: this.#memberId,
        memberEpoch,
        instanceId: plan.instanceId,
      },
      (body) => body.errorCode,
      // Behind a join that is on its way, and before the next one.
      { timeoutMs: LEAVE_TIMEOUT_MS, requestTimeoutMs: LEAVE_TIMEOUT_MS, lane },
    );
    const error = kafkaErrorOf(errorCode);
    if (error === null || errorCode === UNKNOWN_MEMBER_ID || errorCode === FENCED_MEMBER_EPOCH)
      return;
    throw refusal(error, `Cannot leave group "${plan.group}"`);
  }

  /** Out of the group: what it had is told of as lost, then it joins as a new member. */
  async #recover(): Promise<void> {
    this.#isLost = false;
    this.#isRecovering = true;
    this.#host.settled(false);
    await this.#host.ownership.lose();
    await this.#reconciling;
    this.#isRecovering = false;
    this.#wake.reset();
  }

  #lost(): void {
    this.#isIn = false;
    this.#isLost = true;
    this.#isFull = true;
    this.#epoch = JOINING;
    this.#target = null;
    this.#host.ownership.halt();
    this.#wake.ring();
  }

  async #heartbeat(): Promise<void> {
    const { coordinator, plan, closing, lane } = this.#host;
    const memberEpoch = this.#epoch;
    const names = await this.#wantedNames();
    const owned = memberEpoch === JOINING ? [] : this.#ownedTopics();
    const ownedText = JSON.stringify(owned);
    const namesText = JSON.stringify(names);
    const isFull = this.#isFull;
    const regex = typeof plan.pattern === "string" ? plan.pattern : null;
    const sendsNames = isFull || namesText !== this.#sentNames;
    const sendsOwned = isFull || ownedText !== this.#sentOwned;
    this.#isJoining = memberEpoch === JOINING;
    const response = await coordinator.askOnce(
      ConsumerGroupHeartbeat,
      {
        groupId: plan.group,
        memberId: this.#memberId,
        memberEpoch,
        instanceId: plan.instanceId,
        rackId: isFull ? plan.rack : null,
        rebalanceTimeoutMs: isFull ? plan.maxPollIntervalMs : -1,
        subscribedTopicNames: sendsNames ? names : null,
        ...(regex === null ? {} : { subscribedTopicRegex: isFull ? regex : null }),
        serverAssignor: isFull ? plan.serverAssignor : null,
        topicPartitions: sendsOwned ? owned : null,
      },
      (body) => body.errorCode,
      { signal: closing, lane, ...(regex === null ? {} : { versionMin: 1 }) },
    );
    // It has left, or was told to, while the answer was on its way.
    this.#isJoining = false;
    if (this.#isLost) return;
    if (response.errorCode !== 0) {
      this.#refused(response);
      return;
    }
    this.#isFull = false;
    this.#sentNames = namesText;
    this.#sentOwned = ownedText;
    this.#memberId = response.memberId ?? this.#memberId;
    this.#epoch = response.memberEpoch;
    this.#intervalMs = response.heartbeatIntervalMs;
    this.#isIn = true;
    this.hasJoined = true;
    if (response.assignment !== null) this.#target = response.assignment.topicPartitions;
    if (this.#target !== null) this.#reconcile();
  }

  /** @throws {ClientError} what joining again cannot mend */
  #refused({ errorCode, errorMessage }: ConsumerGroupHeartbeatResponse): void {
    const isForgotten = errorCode === GROUP_ID_NOT_FOUND && this.hasJoined;
    if (errorCode === UNKNOWN_MEMBER_ID || errorCode === FENCED_MEMBER_EPOCH || isForgotten) {
      // A member that had nothing to lose begins again after a pause.
      if (this.#isIn) this.#lost();
      else {
        this.#epoch = JOINING;
        this.#isFull = true;
        throw new ClientError("unknown_member_id", "Not in the group yet", { retriable: true });
      }
      return;
    }
    const error = kafkaErrorOf(errorCode, errorMessage)!;
    throw refusal(error, `Cannot be in group "${this.#host.plan.group}"`);
  }

  /** The names to subscribe to; patterns of ours are looked at anew now and then. */
  async #wantedNames(): Promise<readonly string[]> {
    const { plan, subscription, closing, context } = this.#host;
    if (plan.topics !== null) return plan.topics;
    if (typeof plan.pattern === "string") return [];
    const nowMs = context.runtime.clock.monotonicMs();
    if (nowMs - this.#namesAtMs >= plan.refreshMs) {
      this.#names = await subscription.names(closing);
      this.#namesAtMs = nowMs;
    }
    return this.#names;
  }

  #ownedTopics(): { readonly topicId: string; readonly partitions: readonly number[] }[] {
    const ids = new Map([...this.#ids].map(([id, name]) => [name, id]));
    const owned = [...this.#host.ownership.all].sort(byPlace);
    return [...byTopic(owned, ({ partition }) => partition)].map(([topic, partitions]) => {
      return { topicId: ids.get(topic)!, partitions };
    });
  }

  /** Starts to make what it has what it is to have, unless that is under way. */
  #reconcile(): void {
    this.#reconciling ??= this.#reconcileAll()
      .catch((error: unknown) => {
        // Those that pass are tried again with the next heartbeat.
        if (mayPass(error) || this.#host.closing.aborted) return;
        this.#failure = error;
        this.#wake.ring();
      })
      .finally(() => {
        this.#reconciling = null;
      });
  }

  async #reconcileAll(): Promise<void> {
    const { ownership, settled, closing } = this.#host;
    while (this.#target !== null && !closing.aborted) {
      const target = this.#target;
      const { known, isComplete } = await this.#resolved(target);
      const isMeant = () => this.#isIn && !this.#isLost && !this.#isRecovering;
      if (!isMeant()) return;
      const revoked = difference(ownership.all, known);
      const added = difference(known, ownership.all);
      if (revoked.length > 0 || added.length > 0) {
        settled(false);
        if (revoked.length > 0) await ownership.revoke(revoked);
        if (!isMeant()) return;
        if (added.length > 0) await this.#assign(added, isMeant);
        if (!isMeant()) return;
      }
      settled(isComplete);
      // Topics that the cluster's metadata does not tell of yet come with a later heartbeat.
      if (!isComplete) return;
      if (this.#target === target) this.#target = null;
      if (revoked.length > 0 || added.length > 0) this.#wake.ring();
    }
  }

  /** The epoch may move on while offsets are asked for; they are asked for again under the new one. */
  async #assign(added: readonly TopicPartition[], isMeant: () => boolean): Promise<void> {
    for (;;) {
      const { epoch } = this.identity() ?? { epoch: -1 };
      try {
        await this.#host.ownership.assign(added, isMeant);
        return;
      } catch (error) {
        if (!isOut(error) || !isMeant() || this.#epoch === epoch) throw error;
      }
    }
  }

  /** Topic ids under their names. */
  async #resolved(
    target: AssignedTopics,
  ): Promise<{ readonly known: readonly TopicPartition[]; readonly isComplete: boolean }> {
    const { subscription, closing } = this.#host;
    if (target.some(({ topicId }) => !this.#ids.has(topicId))) {
      for (const [id, name] of await subscription.namesById(closing)) this.#ids.set(id, name);
    }
    const known = new Map<string, TopicPartition>();
    for (const { topicId, partitions } of target) {
      const topic = this.#ids.get(topicId);
      if (topic === undefined) continue;
      for (const partition of partitions)
        known.set(keyOf({ topic, partition }), { topic, partition });
    }
    const isComplete = target.every(({ topicId }) => this.#ids.has(topicId));
    return { known: [...known.values()], isComplete };
  }
}
