// What operations on groups are refused with, and the rules that allow them.

import { expect } from "bun:test";
import { OffsetCommit } from "../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../../src/protocol/messages/10_find_coordinator.ts";
import { JoinGroup } from "../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../src/protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../../src/protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../../src/protocol/messages/14_sync_group.ts";
import { DescribeGroups } from "../../src/protocol/messages/15_describe_groups.ts";
import { DeleteGroups } from "../../src/protocol/messages/42_delete_groups.ts";
import { OffsetDelete } from "../../src/protocol/messages/47_offset_delete.ts";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { ConsumerGroupDescribe } from "../../src/protocol/messages/69_consumer_group_describe.ts";
import { type Case, GROUP, NOT_ALLOWED, nameOf, one, TRANSACTION } from "./auth_rig.ts";
import type { WireClient } from "./live.ts";

export const GROUP_CASES: readonly Case[] = [
  {
    operation: "read a group: join",
    api: JoinGroup,
    refused: GROUP,
    rule: one("read", "groups"),
    ask: async (client) => {
      const { errorCode, memberId } = await client.ask(JoinGroup, 9, {
        groupId: "g",
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 10_000,
        memberId: "",
        protocolType: "consumer",
        protocols: [{ name: "range", metadata: new Uint8Array(0) }],
      });
      if (NOT_ALLOWED.includes(nameOf(errorCode))) expect(memberId).toBe("");
      return errorCode;
    },
  },
  {
    operation: "read a group: sync",
    api: SyncGroup,
    refused: GROUP,
    rule: one("read", "groups"),
    ask: async (client) =>
      (
        await client.ask(SyncGroup, 5, {
          groupId: "g",
          generationId: 1,
          memberId: "m",
          protocolType: "consumer",
          protocolName: "range",
          assignments: [],
        })
      ).errorCode,
  },
  {
    operation: "read a group: heartbeat",
    api: Heartbeat,
    refused: GROUP,
    rule: one("read", "groups"),
    ask: async (client) =>
      (await client.ask(Heartbeat, 4, { groupId: "g", generationId: 1, memberId: "m" })).errorCode,
  },
  {
    operation: "read a group: leave",
    api: LeaveGroup,
    refused: GROUP,
    rule: one("read", "groups"),
    ask: async (client) =>
      (await client.ask(LeaveGroup, 5, { groupId: "g", members: [{ memberId: "m" }] })).errorCode,
  },
  {
    operation: "read a group: heartbeat of the consumer protocol",
    api: ConsumerGroupHeartbeat,
    refused: GROUP,
    rule: one("read", "groups"),
    ask: (client) => consumerHeartbeat(client, "h", null),
  },
  {
    operation: "read a group and a topic: commit",
    api: OffsetCommit,
    refused: GROUP,
    rule: { allow: ["read"], groups: ["g"], topics: ["there"] },
    ask: commit,
  },
  {
    operation: "describe a group: offsets",
    api: OffsetFetch,
    refused: GROUP,
    rule: one("describe", "groups"),
    ask: async (client) => (await fetchOffsets(client)).errorCode,
  },
  {
    operation: "describe a group: coordinator",
    api: FindCoordinator,
    refused: GROUP,
    rule: one("describe", "groups"),
    ask: (client) => findCoordinator(client, 0, "g"),
  },
  {
    operation: "describe a transactional id: coordinator",
    api: FindCoordinator,
    refused: TRANSACTION,
    rule: one("describe", "transactionalIds"),
    ask: (client) => findCoordinator(client, 1, "x"),
  },
  {
    operation: "describe a group",
    api: DescribeGroups,
    refused: GROUP,
    rule: one("describe", "groups"),
    ask: async (client) =>
      (await client.ask(DescribeGroups, 6, { groups: ["g"], includeAuthorizedOperations: false }))
        .groups[0]!.errorCode,
  },
  {
    operation: "describe a group of the consumer protocol",
    api: ConsumerGroupDescribe,
    refused: GROUP,
    rule: one("describe", "groups"),
    ask: async (client) =>
      (
        await client.ask(ConsumerGroupDescribe, 1, {
          groupIds: ["g"],
          includeAuthorizedOperations: false,
        })
      ).groups[0]!.errorCode,
  },
  {
    operation: "delete a group",
    api: DeleteGroups,
    refused: GROUP,
    rule: { allow: ["delete"], groups: ["doomed"] },
    ask: async (client) =>
      (await client.ask(DeleteGroups, 2, { groupsNames: ["doomed"] })).results[0]!.errorCode,
  },
  {
    operation: "delete a group: offsets",
    api: OffsetDelete,
    refused: GROUP,
    rule: one("delete", "groups"),
    ask: async (client) =>
      (await client.ask(OffsetDelete, 0, { groupId: "g", topics: [] })).errorCode,
  },
];

export async function commit(client: WireClient): Promise<number> {
  const { topics } = await client.ask(OffsetCommit, 9, {
    groupId: "g",
    memberId: "",
    topics: [
      {
        name: "there",
        partitions: [{ partitionIndex: 0, committedOffset: 5, committedMetadata: "" }],
      },
    ],
  });
  return topics[0]!.partitions[0]!.errorCode;
}

export async function fetchOffsets(client: WireClient) {
  const answer = await client.ask(OffsetFetch, 9, {
    groups: [{ groupId: "g", topics: [{ name: "there", partitionIndexes: [0] }] }],
    requireStable: false,
  });
  return answer.groups[0]!;
}

export async function findCoordinator(client: WireClient, keyType: number, key: string) {
  const { coordinators } = await client.ask(FindCoordinator, 6, {
    keyType,
    coordinatorKeys: [key],
  });
  return coordinators[0]!.errorCode;
}

export async function consumerHeartbeat(
  client: WireClient,
  groupId: string,
  subscribedTopicNames: string[] | null,
): Promise<number> {
  const answer = await client.ask(ConsumerGroupHeartbeat, 1, {
    groupId,
    memberId: "m",
    memberEpoch: 0,
    rebalanceTimeoutMs: 10_000,
    subscribedTopicNames,
    topicPartitions: [],
  });
  return answer.errorCode;
}
