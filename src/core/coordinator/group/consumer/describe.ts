// ConsumerGroupDescribe. Kafka: ConsumerGroup.asDescribedGroup, ConsumerGroupMember.asConsumerGroupDescribeMember.

import { errorText, NONE, wireCodeOf } from "../../../../protocol/errors.ts";
import type { ConsumerGroupDescribeResponse } from "../../../../protocol/messages/69_consumer_group_describe.ts";
import type { TopicView } from "../topic_view.ts";
import { ConsumerGroup } from "./consumer_group.ts";
import { type ConsumerContext, topicsOf } from "./context.ts";
import type { ConsumerMember } from "./member.ts";
import { listOf, type TopicPartitionList, union } from "./partitions.ts";
import { preferredAssignor } from "./target.ts";

export type DescribedConsumerGroup = ConsumerGroupDescribeResponse["groups"][number];
type DescribedMember = DescribedConsumerGroup["members"][number];

/** Nobody asked for operations. */
const NO_OPERATIONS = -2_147_483_648;
const MEMBER_IS_CLASSIC = 0;
const MEMBER_IS_CONSUMER = 1;

export function describe(context: ConsumerContext, groupId: string): DescribedConsumerGroup {
  const group = context.groups.get(groupId);
  if (!(group instanceof ConsumerGroup)) {
    return {
      ...EMPTY,
      groupId,
      errorCode: wireCodeOf("group_id_not_found"),
      errorMessage: errorText(
        group === undefined
          ? `Group ${groupId} not found`
          : `Group ${groupId} is not a consumer group`,
      ),
    };
  }
  const topics = topicsOf(context);
  return {
    ...EMPTY,
    groupId,
    groupState: group.state,
    groupEpoch: group.groupEpoch,
    assignmentEpoch: group.assignmentEpoch,
    assignorName:
      preferredAssignor(group, null, null) ??
      context.options.settings.consumerAssignors[0] ??
      "uniform",
    members: [...group.members.values()].map((member) => describeMember(group, member, topics)),
  };
}

const EMPTY: DescribedConsumerGroup = {
  errorCode: NONE,
  errorMessage: null,
  groupId: "",
  groupState: "",
  groupEpoch: 0,
  assignmentEpoch: 0,
  assignorName: "",
  members: [],
  authorizedOperations: NO_OPERATIONS,
};

function describeMember(
  group: ConsumerGroup,
  member: ConsumerMember,
  topics: TopicView,
): DescribedMember {
  const { memberId } = member;
  const target = [...group.target(memberId)].map(([topicId, partitions]) => ({
    topicId,
    partitions,
  }));
  return {
    memberId,
    instanceId: member.instanceId,
    rackId: member.rackId,
    memberEpoch: member.memberEpoch,
    clientId: member.clientId,
    clientHost: member.clientHost,
    subscribedTopicNames: [...member.subscribedTopicNames],
    subscribedTopicRegex: member.subscribedTopicRegex,
    // What it is to give up is still its own.
    assignment: withNames(listOf(union(member.assigned, member.pendingRevocation)), topics),
    targetAssignment: withNames(target, topics),
    memberType: member.classic === null ? MEMBER_IS_CONSUMER : MEMBER_IS_CLASSIC,
  };
}

function withNames(
  partitions: readonly TopicPartitionList[],
  topics: TopicView,
): DescribedMember["assignment"] {
  return {
    topicPartitions: partitions.flatMap(({ topicId, partitions: ids }) => {
      const topic = topics.withId(topicId);
      return topic === null ? [] : [{ topicId, topicName: topic.name, partitions: [...ids] }];
    }),
  };
}
