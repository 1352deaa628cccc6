// Calls of a broker's GroupApi in short: what a test does not say is left at its default.

import type { Broker, Caller } from "../../src/contracts/broker.ts";
import { withDefaults } from "../../src/protocol/defaults.ts";
import type { MessageInputOf } from "../../src/protocol/infer.ts";
import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { JoinGroup } from "../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../src/protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../../src/protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../../src/protocol/messages/14_sync_group.ts";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import type { Message } from "../../src/protocol/schema.ts";

type Given<M extends Message> = Partial<MessageInputOf<M>>;

const full = <const M extends Message>(message: M, given: Given<M>) =>
  withDefaults(message, given as MessageInputOf<M>);

export class GroupCalls {
  readonly #broker: Broker;
  readonly caller: Caller;

  constructor(broker: Broker, caller: Caller) {
    this.#broker = broker;
    this.caller = caller;
  }

  join(given: Given<typeof JoinGroup.request>, version = 9, caller = this.caller) {
    const request = full(JoinGroup.request, {
      groupId: "g",
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: new Uint8Array(8) }],
      ...given,
    });
    return this.#broker.groups.joinGroup(caller, request, version);
  }

  sync(given: Given<typeof SyncGroup.request>, version = 5) {
    const request = full(SyncGroup.request, {
      groupId: "g",
      protocolType: "consumer",
      protocolName: "range",
      ...given,
    });
    return this.#broker.groups.syncGroup(this.caller, request, version);
  }

  heartbeat(given: Given<typeof Heartbeat.request>, version = 4) {
    const request = full(Heartbeat.request, { groupId: "g", ...given });
    return this.#broker.groups.heartbeat(this.caller, request, version);
  }

  leave(given: Given<typeof LeaveGroup.request>, version = 5) {
    const request = full(LeaveGroup.request, { groupId: "g", ...given });
    return this.#broker.groups.leaveGroup(this.caller, request, version);
  }

  consumerHeartbeat(given: Given<typeof ConsumerGroupHeartbeat.request>, version = 1) {
    const request = full(ConsumerGroupHeartbeat.request, { groupId: "g", ...given });
    return this.#broker.groups.consumerGroupHeartbeat(this.caller, request, version);
  }

  commit(given: Given<typeof OffsetCommit.request>, version = 9) {
    const request = full(OffsetCommit.request, { groupId: "g", ...given });
    return this.#broker.groups.offsetCommit(this.caller, request, version);
  }

  fetch(given: Given<typeof OffsetFetch.request>, version = 9) {
    return this.#broker.groups.offsetFetch(this.caller, full(OffsetFetch.request, given), version);
  }

  /** Commits one offset by topic name, outside of a membership. @returns the error code */
  async commitOne(groupId: string, topic: string, partition: number, offset: number) {
    const partitions = [
      { partitionIndex: partition, committedOffset: offset, committedMetadata: "" },
    ];
    const { topics } = await this.commit({ groupId, topics: [{ name: topic, partitions }] });
    return topics[0]!.partitions[0]!.errorCode;
  }

  /** All offsets of a group, as "topic/partition=offset", in order. */
  async offsetsOf(groupId: string): Promise<string[]> {
    const { groups } = await this.fetch({ groups: [{ groupId, topics: null }] });
    const [group] = groups;
    if (group!.errorCode !== 0) throw new Error(`Fetching offsets failed with ${group!.errorCode}`);
    return group!.topics
      .flatMap(({ name, partitions }) =>
        partitions.map((each) => `${name}/${each.partitionIndex}=${each.committedOffset}`),
      )
      .sort();
  }
}
