// A member of the newer protocol (KIP-848) by hand: it gives up before it acknowledges, and takes what it is told.
import { setTimeout as pause } from "node:timers/promises";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { LOADING, NONE, StormMember, UNKNOWN_MEMBER_ID } from "./member.ts";

const FENCED_MEMBER_EPOCH = 110;
const UNRELEASED_INSTANCE_ID = 111;

export class ConsumerMember extends StormMember {
  protected readonly memberId = crypto.randomUUID();
  #isIn = false;
  /** What it owns has changed, or an answer was lost: the broker has to be told all. */
  #isTelling = true;

  protected async step(): Promise<void> {
    const connection = await this.connection();
    const isJoining = !this.#isIn;
    const isTelling = this.#isTelling || isJoining;
    const { group, topic, topicId, sessionMs } = this.place;
    if (isJoining) this.epoch = 0;
    this.#isTelling = true; // unless an answer comes
    const sentMs = performance.now();
    const answer = await connection.request(
      ConsumerGroupHeartbeat,
      connection.versionOf(ConsumerGroupHeartbeat, 1),
      {
        groupId: group,
        memberId: this.memberId,
        memberEpoch: this.epoch,
        instanceId: this.instance,
        rebalanceTimeoutMs: isTelling ? sessionMs : -1,
        subscribedTopicNames: isTelling ? [topic] : null,
        topicPartitions: isTelling
          ? this.owned.size === 0
            ? []
            : [{ topicId, partitions: [...this.owned] }]
          : null,
      },
    );
    if (this.isSilent) return;
    if (answer.errorCode !== NONE) {
      this.count(`ConsumerGroupHeartbeat ${answer.errorCode}`);
      if (answer.errorCode === FENCED_MEMBER_EPOCH || answer.errorCode === UNKNOWN_MEMBER_ID) {
        this.releaseAll();
        this.#isIn = false;
        this.isStable = false;
      } else await pause(answer.errorCode === UNRELEASED_INSTANCE_ID ? 200 : 50);
      if (!LOADING.includes(answer.errorCode)) return;
      return await pause(50);
    }
    this.place.ledger.heard(this.owner, sentMs);
    this.#isIn = true;
    this.#isTelling = false;
    this.epoch = answer.memberEpoch;
    if (!this.isStable) {
      // new, or silent for less than a session: then it owns what it owned
      for (const partition of this.owned)
        this.place.ledger.take(this.owner, this.epoch, partition, performance.now());
      this.isStable = true;
    }
    if (answer.assignment !== null) {
      const wanted = answer.assignment.topicPartitions.flatMap((each) => each.partitions);
      const isChanged =
        wanted.length !== this.owned.size || wanted.some((each) => !this.owned.has(each));
      await this.own(wanted, this.epoch);
      if (isChanged) {
        this.#isTelling = true;
        return;
      }
    }
    if (await this.reread()) await this.commit();
    await pause(Math.min(answer.heartbeatIntervalMs, this.place.heartbeatMs));
  }

  protected async goodbye(isStaying: boolean): Promise<void> {
    if (!this.#isIn) return;
    const connection = await this.connection();
    const { errorCode } = await connection.request(
      ConsumerGroupHeartbeat,
      connection.versionOf(ConsumerGroupHeartbeat, 1),
      {
        groupId: this.place.group,
        memberId: this.memberId,
        memberEpoch: isStaying ? -2 : -1,
        instanceId: this.instance,
      },
    );
    if (errorCode !== NONE) this.count(`leaving ${errorCode}`);
  }
}
