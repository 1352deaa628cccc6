// What of a ConsumerGroupHeartbeat is wrong whatever the group. Kafka: GroupCoordinatorService.
// throwIfConsumerGroupHeartbeatRequestIsInvalid.

import { javaTrim } from "../../../../base/java_trim.ts";
import type { ConsumerGroupHeartbeatRequest } from "../../../../protocol/messages/68_consumer_group_heartbeat.ts";
import { LEFT, LEFT_FOR_A_WHILE } from "./member.ts";
import { Refused } from "./refused.ts";

/** @throws {Refused} invalid_request, unsupported_assignor */
export function checkRequest(
  request: ConsumerGroupHeartbeatRequest,
  version: number,
  assignors: readonly string[],
): void {
  const { memberEpoch } = request;
  // From version 1 on the client makes its member id.
  if (version >= 1 || memberEpoch > 0 || memberEpoch === LEFT) {
    refuseBlank(request.memberId, "MemberId");
  }
  refuseBlank(request.groupId, "GroupId");
  refuseBlank(request.instanceId, "InstanceId");
  refuseBlank(request.rackId, "RackId");
  if (memberEpoch === 0) checkJoin(request);
  else if (memberEpoch === LEFT_FOR_A_WHILE) {
    if (request.instanceId === null) throw invalid("InstanceId must be there");
  } else if (memberEpoch < LEFT_FOR_A_WHILE) {
    throw invalid(`MemberEpoch ${memberEpoch} means nothing`);
  }
  const { serverAssignor } = request;
  if (serverAssignor !== null && !assignors.includes(serverAssignor)) {
    throw new Refused(
      "unsupported_assignor",
      `ServerAssignor ${serverAssignor} is not one of ${assignors.join(", ")}`,
    );
  }
}

function checkJoin(request: ConsumerGroupHeartbeatRequest): void {
  if (request.rebalanceTimeoutMs === -1) {
    throw invalid("RebalanceTimeoutMs must be there when joining");
  }
  if (request.topicPartitions === null || request.topicPartitions.length > 0) {
    throw invalid("TopicPartitions must be empty when joining");
  }
  // Empty ones are fine: a member may read nothing for a while.
  if (request.subscribedTopicNames === null && request.subscribedTopicRegex === null) {
    throw invalid("SubscribedTopicNames or SubscribedTopicRegex must be there when joining");
  }
}

function refuseBlank(text: string | null, name: string): void {
  if (text !== null && javaTrim(text) === "") throw invalid(`${name} must not be empty`);
}

function invalid(message: string): Refused {
  return new Refused("invalid_request", message);
}
