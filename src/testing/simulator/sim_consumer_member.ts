// A simulated member that speaks the consumer group protocol (KIP-848): tells what it owns, gives up what is not its own
// any more at once, takes over what is new.

import type { KafkaErrorName } from "../../protocol/errors.ts";
import {
  ConsumerGroupHeartbeat,
  type ConsumerGroupHeartbeatResponse,
} from "../../protocol/messages/68_consumer_group_heartbeat.ts";
import type { SimConnection } from "./sim_client.ts";
import { SimMember } from "./sim_member.ts";

/** First version of OffsetCommit that knows member epochs. */
const COMMIT_WITH_EPOCHS = 9;

export class SimConsumerMember extends SimMember {
  /** Names it had before. */
  #lives = 0;
  /** What it owns has changed since it last told. */
  #mustTell = false;

  protected async live(connection: SimConnection): Promise<void> {
    const { isOver, client } = this.options;
    if (this.memberId === "") {
      this.memberId = `${client.name}-${++this.#lives}`;
      this.epoch = 0;
    }
    // Nobody knows what was heard of it on the last connection.
    this.#mustTell = true;
    while (!isOver()) {
      if (!(await this.#beat(connection))) return;
      if (isOver() || !(await this.work(connection))) return;
    }
  }

  protected async leave(connection: SimConnection): Promise<void> {
    await connection.request(ConsumerGroupHeartbeat, connection.versionOf(ConsumerGroupHeartbeat), {
      groupId: this.options.group.plan.groupId,
      memberId: this.memberId,
      memberEpoch: -1,
    });
  }

  protected override get commitsFrom(): number {
    return COMMIT_WITH_EPOCHS;
  }

  protected refused(code: KafkaErrorName, what: string): boolean {
    switch (code) {
      case "stale_member_epoch":
        // The next heartbeat brings the new one.
        return true;
      case "fenced_member_epoch":
      case "unknown_member_id":
        this.lose();
        return false;
      default:
        this.fail(what, code);
        this.lose();
        return false;
    }
  }

  async #beat(connection: SimConnection): Promise<boolean> {
    const { group } = this.options;
    const { groupId, topic, rebalanceTimeoutMs } = group.plan;
    const isFirst = this.epoch === 0;
    const owned = [...this.positions.keys()].sort((a, b) => a - b);
    const tells = isFirst || this.#mustTell;
    const version = connection.versionOf(ConsumerGroupHeartbeat);
    const response = await connection.request(ConsumerGroupHeartbeat, version, {
      groupId,
      memberId: this.memberId,
      memberEpoch: this.epoch,
      rebalanceTimeoutMs: tells ? rebalanceTimeoutMs : -1,
      subscribedTopicNames: tells ? [topic] : null,
      topicPartitions: tells
        ? owned.length === 0
          ? []
          : [{ topicId: group.topicId, partitions: owned }]
        : null,
    });
    const trouble = this.troubleOf(response.errorCode);
    if (trouble !== null) return this.refused(trouble, "a heartbeat");
    this.#mustTell = false;
    return await this.#reconcile(connection, response);
  }

  async #reconcile(
    connection: SimConnection,
    { memberEpoch, assignment }: ConsumerGroupHeartbeatResponse,
  ): Promise<boolean> {
    const { group } = this.options;
    this.epoch = memberEpoch;
    if (assignment === null) {
      group.owned(this.memberId, memberEpoch, [...this.positions.keys()]);
      return true;
    }
    const target = assignment.topicPartitions.flatMap((each) => each.partitions);
    const wanted = new Set(target);
    for (const partition of [...this.positions.keys()]) {
      if (wanted.has(partition)) continue;
      this.positions.delete(partition);
      this.#mustTell = true;
    }
    const fresh = target.filter((partition) => !this.positions.has(partition));
    if (fresh.length > 0) this.#mustTell = true;
    group.owned(this.memberId, memberEpoch, target);
    return await this.take(connection, fresh);
  }
}
