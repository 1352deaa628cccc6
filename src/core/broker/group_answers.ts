// Responses of group APIs that say why there is none. Invariant: nulls stand only where the version has them.
// Kafka: the getErrorResponse of each request.

import {
  type KafkaError,
  type KafkaErrorName,
  kafkaError,
  wireCodeOf,
} from "../../protocol/errors.ts";
import type { JoinGroupRequest, JoinGroupResponse } from "../../protocol/messages/11_join_group.ts";
import type { SyncGroupRequest, SyncGroupResponse } from "../../protocol/messages/14_sync_group.ts";
import type { DescribeGroupsResponse } from "../../protocol/messages/15_describe_groups.ts";
import type { ConsumerGroupHeartbeatResponse } from "../../protocol/messages/68_consumer_group_heartbeat.ts";
import type { ConsumerGroupDescribeResponse } from "../../protocol/messages/69_consumer_group_describe.ts";
import { OPERATIONS_NOT_ASKED } from "./api_context.ts";

/** Bits of the operations on a group that Kafka reports: read, delete, describe, describe and alter configs. */
export const GROUP_OPERATIONS = 3400;

const NO_BYTES = new Uint8Array(0);
/** First version of JoinGroup in which the protocol name may be null. */
const NULL_PROTOCOL_FROM = 7;
/** First version of SyncGroup with protocol type and name. */
const SYNC_PROTOCOL_FROM = 5;
/** First version of DescribeGroups that can say why. */
const DESCRIBE_MESSAGE_FROM = 6;

export function refusedJoin(
  request: JoinGroupRequest,
  version: number,
  code: KafkaErrorName,
): JoinGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: wireCodeOf(code),
    generationId: -1,
    protocolType: null,
    protocolName: version >= NULL_PROTOCOL_FROM ? null : "",
    leader: "",
    skipAssignment: false,
    memberId: request.memberId,
    members: [],
  };
}

/** Whether a sync names protocol type and name, which it must where the version has them. */
export function saysProtocol(request: SyncGroupRequest, version: number): boolean {
  if (version < SYNC_PROTOCOL_FROM) return true;
  return request.protocolType !== null && request.protocolName !== null;
}

export function refusedSync(code: KafkaErrorName): SyncGroupResponse {
  return {
    throttleTimeMs: 0,
    errorCode: wireCodeOf(code),
    protocolType: null,
    protocolName: null,
    assignment: NO_BYTES,
  };
}

export function refusedDescribe(
  groupId: string,
  version: number,
  code: KafkaErrorName,
): DescribeGroupsResponse["groups"][number] {
  const { wireCode, message } = kafkaError(code);
  return {
    errorCode: wireCode,
    errorMessage: version >= DESCRIBE_MESSAGE_FROM ? message : null,
    groupId,
    groupState: "",
    protocolType: "",
    protocolData: "",
    members: [],
    authorizedOperations: OPERATIONS_NOT_ASKED,
  };
}

export function refusedConsumerHeartbeat(error: KafkaError): ConsumerGroupHeartbeatResponse {
  return {
    throttleTimeMs: 0,
    errorCode: error.wireCode,
    errorMessage: error.message,
    memberId: null,
    memberEpoch: 0,
    heartbeatIntervalMs: 0,
    assignment: null,
  };
}

export function refusedConsumerDescribe(
  groupId: string,
  code: KafkaErrorName,
): ConsumerGroupDescribeResponse["groups"][number] {
  const { wireCode, message } = kafkaError(code);
  return {
    errorCode: wireCode,
    errorMessage: message,
    groupId,
    groupState: "",
    groupEpoch: 0,
    assignmentEpoch: 0,
    assignorName: "",
    members: [],
    authorizedOperations: OPERATIONS_NOT_ASKED,
  };
}
