// A member of the classic protocol by hand: eager, the leader deals out partitions in turn.

import { setTimeout as pause } from "node:timers/promises";
import {
  ConsumerProtocolAssignment,
  ConsumerProtocolSubscription,
} from "../../src/protocol/internal_records/consumer_protocol.ts";
import { JoinGroup } from "../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../src/protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../../src/protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../../src/protocol/messages/14_sync_group.ts";
import { decodeStoredValue, encodeStoredValue, type ResponseOf } from "../../src/protocol/mod.ts";
import { LOADING, NONE, StormMember, UNKNOWN_MEMBER_ID } from "./member.ts";

const MEMBER_ID_REQUIRED = 79;
const FENCED_INSTANCE_ID = 82;

export class ClassicMember extends StormMember {
  protected memberId = "";
  #isIn = false;

  protected async step(): Promise<void> {
    if (!this.#isIn) {
      this.isStable = false;
      this.releaseAll();
      if (!(await this.#join())) return;
    }
    if (!(await this.reread())) {
      await pause(50);
      return;
    }
    await this.commit();
    await pause(this.place.heartbeatMs);
    if (this.isEnding || this.isSilent) return;
    await this.#heartbeat();
  }

  async #join(): Promise<boolean> {
    const { group, topic, sessionMs } = this.place;
    const connection = await this.connection();
    const metadata = encodeStoredValue(ConsumerProtocolSubscription, 3, {
      topics: [topic],
      ownedPartitions: [],
    });
    const joined = await connection.request(
      JoinGroup,
      connection.versionOf(JoinGroup),
      {
        groupId: group,
        sessionTimeoutMs: sessionMs,
        rebalanceTimeoutMs: sessionMs,
        memberId: this.memberId,
        groupInstanceId: this.instance,
        protocolType: "consumer",
        protocols: [{ name: "storm", metadata }],
      },
      { timeoutMs: 120_000 },
    );
    if (this.isSilent) return false;
    if (joined.errorCode === MEMBER_ID_REQUIRED) {
      this.memberId = joined.memberId;
      return false;
    }
    if (joined.errorCode !== NONE) {
      await this.#refused("JoinGroup", joined.errorCode);
      return false;
    }
    this.memberId = joined.memberId;
    this.epoch = joined.generationId;
    const sentMs = performance.now();
    const synced = await connection.request(
      SyncGroup,
      connection.versionOf(SyncGroup),
      {
        groupId: group,
        generationId: joined.generationId,
        memberId: joined.memberId,
        groupInstanceId: this.instance,
        protocolType: "consumer",
        protocolName: "storm",
        assignments: joined.leader === joined.memberId ? this.#deal(joined) : [],
      },
      { timeoutMs: 120_000 },
    );
    if (this.isSilent) return false;
    if (synced.errorCode !== NONE) {
      await this.#refused("SyncGroup", synced.errorCode);
      return false;
    }
    const assigned =
      synced.assignment.length === 0
        ? []
        : decodeStoredValue(ConsumerProtocolAssignment, synced.assignment).assignedPartitions;
    this.place.ledger.heard(this.owner, sentMs);
    this.#isIn = true;
    await this.own(assigned[0]?.partitions ?? [], this.epoch);
    this.isStable = !this.isSilent;
    return true;
  }

  #deal(joined: ResponseOf<typeof JoinGroup>) {
    const members = joined.members;
    const partitions = members.map(() => [] as number[]);
    for (let partition = 0; partition < this.place.partitions; partition++)
      partitions[(partition + joined.generationId) % members.length]!.push(partition);
    return members.map(({ memberId }, n) => ({
      memberId,
      assignment: encodeStoredValue(ConsumerProtocolAssignment, 3, {
        assignedPartitions: [{ topic: this.place.topic, partitions: partitions[n]! }],
      }),
    }));
  }

  async #heartbeat(): Promise<void> {
    const connection = await this.connection();
    const sentMs = performance.now();
    const { errorCode } = await connection.request(Heartbeat, connection.versionOf(Heartbeat), {
      groupId: this.place.group,
      generationId: this.epoch,
      memberId: this.memberId,
      groupInstanceId: this.instance,
    });
    if (this.isSilent) return;
    if (errorCode !== NONE) return await this.#refused("Heartbeat", errorCode);
    this.place.ledger.heard(this.owner, sentMs);
    if (this.isStable) return;
    // it was silent for less than a session: it owns what it owned
    for (const partition of this.owned)
      this.place.ledger.take(this.owner, this.epoch, partition, performance.now());
    this.isStable = true;
  }

  async #refused(what: string, errorCode: number): Promise<void> {
    this.count(`${what} ${errorCode}`);
    if (LOADING.includes(errorCode)) return await pause(50);
    this.#isIn = false;
    this.isStable = false;
    this.releaseAll();
    if (errorCode === UNKNOWN_MEMBER_ID || errorCode === FENCED_INSTANCE_ID) this.memberId = "";
  }

  protected async goodbye(isStaying: boolean): Promise<void> {
    if (isStaying || this.memberId === "") return;
    const connection = await this.connection();
    const { errorCode } = await connection.request(
      LeaveGroup,
      connection.versionOf(LeaveGroup, 3),
      {
        groupId: this.place.group,
        memberId: "",
        members: [{ memberId: this.memberId, groupInstanceId: this.instance }],
      },
    );
    if (errorCode !== NONE) this.count(`LeaveGroup ${errorCode}`);
  }
}
