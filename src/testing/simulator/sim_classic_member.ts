// A simulated member that speaks the classic group protocol, in any version: gives up everything before it joins again,
// assigns when it leads.

import type { KafkaErrorName } from "../../protocol/errors.ts";
import { JoinGroup, type JoinGroupResponse } from "../../protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../../protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../../protocol/messages/14_sync_group.ts";
import type { SimConnection } from "./sim_client.ts";
import { SimMember } from "./sim_member.ts";

const NO_BYTES = new Uint8Array(0);
const PROTOCOL = { type: "simulated", name: "evenly" };

export class SimClassicMember extends SimMember {
  protected async live(connection: SimConnection): Promise<void> {
    const { isOver } = this.options;
    while (!isOver()) {
      const joined = await this.#join(connection);
      if (joined === null) return;
      const owned = await this.#sync(connection, joined);
      if (owned === null) continue;
      this.options.group.owned(this.memberId, this.epoch, owned);
      if (!(await this.take(connection, owned))) return;
      while (this.epoch >= 0) {
        if (isOver() || !(await this.work(connection))) break;
        if (!(await this.#beat(connection))) break;
      }
      if (this.memberId === "") return;
    }
  }

  protected async leave(connection: SimConnection): Promise<void> {
    const { groupId } = this.options.group.plan;
    const { memberId } = this;
    const version = connection.versionOf(LeaveGroup);
    const who = version >= 3 ? { members: [{ memberId }] } : { memberId };
    await connection.request(LeaveGroup, version, { groupId, ...who });
  }

  protected refused(code: KafkaErrorName, what: string): boolean {
    switch (code) {
      case "rebalance_in_progress":
        // Commits are still taken then, and heartbeats tell.
        if (what !== "committing") this.#joinAgain();
        return what === "committing";
      case "illegal_generation":
        this.#joinAgain();
        return false;
      case "unknown_member_id":
        this.lose();
        return false;
      default:
        this.fail(what, code);
        this.lose();
        return false;
    }
  }

  #joinAgain(): void {
    this.giveUp();
    this.epoch = -1;
  }

  /** Null: not now. */
  async #join(connection: SimConnection): Promise<JoinGroupResponse | null> {
    const { groupId, sessionTimeoutMs, rebalanceTimeoutMs } = this.options.group.plan;
    this.giveUp();
    for (;;) {
      const version = connection.versionOf(JoinGroup);
      // Version 0 has one time for both.
      const waitMs = 3 * Math.max(sessionTimeoutMs, rebalanceTimeoutMs) + 5000;
      const response = await connection.request(
        JoinGroup,
        version,
        {
          groupId,
          sessionTimeoutMs,
          rebalanceTimeoutMs,
          memberId: this.memberId,
          protocolType: PROTOCOL.type,
          protocols: [{ name: PROTOCOL.name, metadata: NO_BYTES }],
        },
        waitMs,
      );
      const trouble = this.troubleOf(response.errorCode);
      if (trouble === null) {
        this.memberId = response.memberId;
        this.epoch = response.generationId;
        return response;
      }
      if (trouble === "member_id_required") {
        this.memberId = response.memberId;
        continue;
      }
      if (trouble !== "rebalance_in_progress") {
        if (trouble !== "unknown_member_id") this.fail("joining", trouble);
        this.lose();
      }
      return null;
    }
  }

  /** The partitions it was given; null when it is to join again. */
  async #sync(connection: SimConnection, joined: JoinGroupResponse): Promise<number[] | null> {
    const { groupId, partitionCount, rebalanceTimeoutMs } = this.options.group.plan;
    const members = joined.members.map((each) => each.memberId).sort();
    const assignments = members.map((memberId, i) => {
      const own = Array.from({ length: partitionCount }, (_, partition) => partition);
      const bytes = own.filter((partition) => partition % members.length === i);
      return { memberId, assignment: new Uint8Array(bytes) };
    });
    const response = await connection.request(
      SyncGroup,
      connection.versionOf(SyncGroup),
      {
        groupId,
        generationId: this.epoch,
        memberId: this.memberId,
        protocolType: PROTOCOL.type,
        protocolName: PROTOCOL.name,
        assignments: joined.leader === this.memberId ? assignments : [],
      },
      2 * rebalanceTimeoutMs + 5000,
    );
    const trouble = this.troubleOf(response.errorCode);
    if (trouble === null) return [...response.assignment];
    this.refused(trouble, "syncing");
    return null;
  }

  async #beat(connection: SimConnection): Promise<boolean> {
    const response = await connection.request(Heartbeat, connection.versionOf(Heartbeat), {
      groupId: this.options.group.plan.groupId,
      generationId: this.epoch,
      memberId: this.memberId,
    });
    const trouble = this.troubleOf(response.errorCode);
    return trouble === null || this.refused(trouble, "a heartbeat");
  }
}
