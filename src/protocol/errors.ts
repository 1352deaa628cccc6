// The one table of Kafka's errors: our name, the code on the wire, whether a client may retry, our own text.
// Invariant: names and codes are Kafka's, in snake case; no error is recognised by its text.
// Kafka: org.apache.kafka.common.protocol.Errors.

import { err, type Outcome as OutcomeOf } from "../base/outcome.ts";

/** Name → wire code, whether clients retry it (1 or 0), text. */
const table = {
  unknown_server_error: [-1, 0, "The server failed in a way that it did not expect"],
  none: [0, 0, ""],
  offset_out_of_range: [1, 0, "The offset is outside of the range that the partition holds"],
  corrupt_message: [2, 1, "The batch fails its checksum, has a wrong size, or an unknown magic"],
  unknown_topic_or_partition: [3, 1, "This broker knows no such topic or partition"],
  invalid_fetch_size: [4, 0, "The fetch size is not allowed"],
  leader_not_available: [5, 1, "The partition has no leader for now"],
  not_leader_or_follower: [
    6,
    1,
    "This broker is not the leader of the partition, or not a replica where that would do",
  ],
  request_timed_out: [7, 1, "The request was not done within its time"],
  broker_not_available: [8, 0, "The broker is not available"],
  replica_not_available: [9, 1, "The replica is not available on this broker"],
  message_too_large: [10, 0, "The batch is larger than the topic allows"],
  stale_controller_epoch: [11, 0, "A newer controller holds the seat"],
  offset_metadata_too_large: [12, 0, "The metadata text of the offset is too long"],
  network_exception: [13, 1, "The connection ended before an answer came"],
  coordinator_load_in_progress: [14, 1, "The coordinator is loading its state"],
  coordinator_not_available: [15, 1, "The coordinator is not available"],
  not_coordinator: [16, 1, "This broker does not coordinate this group or transactional id"],
  invalid_topic_exception: [
    17,
    0,
    "The topic name is not allowed, or the topic may not be used this way",
  ],
  record_list_too_large: [18, 0, "The batches are larger than a segment"],
  not_enough_replicas: [19, 1, "Fewer replicas are in sync than the topic asks for"],
  not_enough_replicas_after_append: [
    20,
    1,
    "The batch was written, but fewer replicas are in sync than the topic asks for",
  ],
  invalid_required_acks: [21, 0, "acks must be -1, 0 or 1"],
  illegal_generation: [22, 0, "The generation is not the group's current one"],
  inconsistent_group_protocol: [23, 0, "The member's protocols do not fit those of the group"],
  invalid_group_id: [24, 0, "The group id is empty or not allowed"],
  unknown_member_id: [25, 0, "The group knows no such member"],
  invalid_session_timeout: [26, 0, "The session timeout is outside of what the broker allows"],
  rebalance_in_progress: [27, 0, "The group is rebalancing: join again"],
  invalid_commit_offset_size: [28, 0, "The offset is too large to store"],
  topic_authorization_failed: [29, 0, "Not allowed on this topic"],
  group_authorization_failed: [30, 0, "Not allowed on this group"],
  cluster_authorization_failed: [31, 0, "Not allowed on this cluster"],
  invalid_timestamp: [32, 0, "The timestamp is too far from the broker's clock"],
  unsupported_sasl_mechanism: [33, 0, "The broker does not offer this SASL mechanism"],
  illegal_sasl_state: [34, 0, "The request does not fit the state of authentication"],
  unsupported_version: [35, 0, "The version of this API is not supported"],
  topic_already_exists: [36, 0, "A topic of this name exists"],
  invalid_partitions: [37, 0, "The number of partitions is not allowed"],
  invalid_replication_factor: [
    38,
    0,
    "The replication factor is below 1, or above the number of brokers",
  ],
  invalid_replica_assignment: [39, 0, "The replica assignment is not allowed"],
  invalid_config: [40, 0, "The setting has a value that is not allowed"],
  not_controller: [41, 1, "This broker does not hold the controller's seat"],
  invalid_request: [42, 0, "The request contradicts itself, or lacks something"],
  unsupported_for_message_format: [43, 0, "The record format is too old for this"],
  policy_violation: [44, 0, "A policy of the cluster refuses this"],
  out_of_order_sequence_number: [
    45,
    0,
    "The sequence number does not follow the producer's last one",
  ],
  duplicate_sequence_number: [46, 0, "The sequence number was used before"],
  invalid_producer_epoch: [47, 0, "The producer's epoch is older than the current one"],
  invalid_txn_state: [48, 0, "The transaction is not in a state that allows this"],
  invalid_producer_id_mapping: [49, 0, "The producer id does not belong to this transactional id"],
  invalid_transaction_timeout: [50, 0, "The transaction timeout is larger than the broker allows"],
  concurrent_transactions: [
    51,
    1,
    "The last transaction of this transactional id is still being completed",
  ],
  transaction_coordinator_fenced: [
    52,
    0,
    "A newer coordinator has taken over this transactional id",
  ],
  transactional_id_authorization_failed: [53, 0, "Not allowed on this transactional id"],
  security_disabled: [54, 0, "Security features are switched off"],
  operation_not_attempted: [55, 0, "Nothing was tried, as another part of the request failed"],
  kafka_storage_error: [56, 1, "The log directory of the partition is offline"],
  log_dir_not_found: [57, 0, "The broker has no such log directory"],
  sasl_authentication_failed: [58, 0, "Authentication failed"],
  unknown_producer_id: [59, 0, "The partition knows nothing of this producer id any more"],
  reassignment_in_progress: [60, 0, "Replicas of the partition are being moved"],
  delegation_token_auth_disabled: [61, 0, "Delegation tokens are switched off"],
  delegation_token_not_found: [62, 0, "There is no such delegation token"],
  delegation_token_owner_mismatch: [63, 0, "The delegation token belongs to somebody else"],
  delegation_token_request_not_allowed: [
    64,
    0,
    "Delegation tokens cannot be asked for over this connection",
  ],
  delegation_token_authorization_failed: [65, 0, "Not allowed on this delegation token"],
  delegation_token_expired: [66, 0, "The delegation token has expired"],
  invalid_principal_type: [67, 0, "The principal type is not supported"],
  non_empty_group: [68, 0, "The group has members"],
  group_id_not_found: [69, 0, "There is no such group"],
  fetch_session_id_not_found: [70, 1, "There is no such fetch session"],
  invalid_fetch_session_epoch: [71, 1, "The epoch is not the next one of the fetch session"],
  listener_not_found: [72, 1, "The leader has no listener of the name that was used"],
  topic_deletion_disabled: [73, 0, "Topics may not be deleted"],
  fenced_leader_epoch: [74, 1, "The leader epoch is older than the current one"],
  unknown_leader_epoch: [75, 1, "The leader epoch is newer than the one this broker knows"],
  unsupported_compression_type: [76, 0, "The compression is not supported in this version"],
  stale_broker_epoch: [77, 0, "The broker has registered again since"],
  offset_not_available: [78, 1, "The leader does not know its high watermark yet"],
  member_id_required: [79, 0, "Join again with the member id of this answer"],
  preferred_leader_not_available: [80, 1, "The preferred leader is not available"],
  group_max_size_reached: [81, 0, "The group has as many members as it may have"],
  fenced_instance_id: [82, 0, "Another member has taken over this group instance id"],
  eligible_leaders_not_available: [83, 1, "No replica that may lead is available"],
  election_not_needed: [84, 1, "The leader is already the wanted one"],
  no_reassignment_in_progress: [85, 0, "No replicas of the partition are being moved"],
  group_subscribed_to_topic: [86, 0, "The group still reads this topic"],
  invalid_record: [87, 0, "The broker refuses the record or batch"],
  unstable_offset_commit: [88, 1, "Offsets of an open transaction stand in the way"],
  throttling_quota_exceeded: [89, 1, "A quota is used up"],
  producer_fenced: [90, 0, "A newer producer with this transactional id has taken over"],
  resource_not_found: [91, 0, "There is no such resource"],
  duplicate_resource: [92, 0, "The request names a resource twice, or it exists"],
  unacceptable_credential: [93, 0, "The credential is not acceptable"],
  inconsistent_voter_set: [94, 0, "The voters differ from what the quorum knows"],
  invalid_update_version: [95, 0, "The version of the update is not the expected one"],
  feature_update_failed: [96, 0, "The feature could not be changed"],
  principal_deserialization_failure: [97, 0, "The forwarded principal cannot be read"],
  snapshot_not_found: [98, 0, "There is no such snapshot"],
  position_out_of_range: [99, 0, "The position is outside of the snapshot"],
  unknown_topic_id: [100, 1, "This broker knows no topic of this id"],
  duplicate_broker_registration: [101, 0, "Another broker is registered under this id"],
  broker_id_not_registered: [102, 0, "No broker is registered under this id"],
  inconsistent_topic_id: [103, 1, "The topic id differs from the one the log was written under"],
  inconsistent_cluster_id: [104, 0, "The cluster id differs from ours"],
  transactional_id_not_found: [105, 0, "There is no such transactional id"],
  fetch_session_topic_id_error: [106, 1, "Topic ids and names do not fit the fetch session"],
  ineligible_replica: [107, 0, "The replica may not join the ISR"],
  new_leader_elected: [108, 0, "The change made another replica the leader"],
  offset_moved_to_tiered_storage: [109, 0, "The offset lies in tiered storage"],
  fenced_member_epoch: [110, 0, "The member epoch is not the current one: join again"],
  unreleased_instance_id: [111, 0, "The group instance id is still held by another member"],
  unsupported_assignor: [112, 0, "The group offers none of the member's assignors"],
  stale_member_epoch: [113, 0, "The member epoch is old: take the next one from a heartbeat"],
  mismatched_endpoint_type: [114, 0, "The request went to the wrong kind of endpoint"],
  unsupported_endpoint_type: [115, 0, "This kind of endpoint is not supported"],
  unknown_controller_id: [116, 0, "There is no such controller"],
  unknown_subscription_id: [117, 0, "The telemetry subscription is not the current one"],
  telemetry_too_large: [118, 0, "The telemetry is larger than allowed"],
  invalid_registration: [119, 0, "The controller refuses the registration"],
  transaction_abortable: [120, 0, "The transaction failed and must be aborted"],
  invalid_record_state: [121, 0, "The record is not in a state that allows this acknowledgement"],
  share_session_not_found: [122, 1, "There is no such share session"],
  invalid_share_session_epoch: [123, 1, "The epoch is not the next one of the share session"],
  fenced_state_epoch: [124, 0, "The state epoch of the share partition is not the current one"],
  invalid_voter_key: [125, 0, "The voter's key is not the one that is known"],
  duplicate_voter: [126, 0, "The quorum has this voter already"],
  voter_not_found: [127, 0, "The quorum has no such voter"],
  invalid_regular_expression: [128, 0, "The regular expression is not valid"],
  rebootstrap_required: [129, 0, "The client must start over from its bootstrap addresses"],
  streams_invalid_topology: [130, 0, "The streams topology is not valid"],
  streams_invalid_topology_epoch: [131, 0, "The epoch of the streams topology is not valid"],
  streams_topology_fenced: [132, 0, "Another topology has taken the place of this one"],
  share_session_limit_reached: [133, 1, "The broker has as many share sessions as it may have"],
} as const satisfies Record<string, readonly [wireCode: number, retriable: 0 | 1, text: string]>;

/** Kafka's error names in snake case, "none" left out: an error says what went wrong. */
export type KafkaErrorName = Exclude<keyof typeof table, "none">;

/** A refusal in Kafka's terms: a value, never thrown. */
export interface KafkaError {
  readonly code: KafkaErrorName;
  /** Kafka's number, never 0. */
  readonly wireCode: number;
  /** Whether the same request may succeed later, as Kafka's own client sees it. */
  readonly retriable: boolean;
  /** For people: the table's text, or what the place that refused had to say. */
  readonly message: string;
}

/** What a broker call comes to: a value, or Kafka's refusal. */
export type Outcome<T> = OutcomeOf<T, KafkaError>;

/** The wire code of success. */
export const NONE = 0;

const byCode = new Map<number, KafkaError>();
const byName: Partial<Record<KafkaErrorName, KafkaError>> = {};
for (const code of Object.keys(table) as (keyof typeof table)[]) {
  if (code === "none") continue;
  const [wireCode, retriable, message] = table[code];
  const error: KafkaError = Object.freeze({ code, wireCode, retriable: retriable === 1, message });
  byName[code] = error;
  byCode.set(wireCode, error);
}

/** Every error by its name, with the table's text: `errors.not_leader_or_follower`. */
export const errors = byName as Readonly<Record<KafkaErrorName, KafkaError>>;

/** Every error, by ascending wire code. */
export const kafkaErrors: readonly KafkaError[] = [...byCode.values()];

/** The error of that name, with the table's text or with `message`, see `errorText`. */
export function kafkaError(name: KafkaErrorName, message?: string): KafkaError {
  const error = errors[name];
  return message === undefined ? error : { ...error, message: errorText(message) };
}

const TEXT_LENGTH_MAX = 2000;

/** A text that an answer can carry: names in it may be as long as a string on the wire, and then it would not be one. */
export function errorText(text: string): string {
  return text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text;
}

/** The error that a wire code means; null for 0. A code this table does not know is an unknown_server_error. */
export function errorByCode(wireCode: number): KafkaError | null {
  if (wireCode === NONE) return null;
  return (
    byCode.get(wireCode) ?? kafkaError("unknown_server_error", `Unknown error code ${wireCode}`)
  );
}

/** The error of a name in snake case, or undefined when it is none of Kafka's. */
export function errorByName(name: string): KafkaError | undefined {
  return Object.hasOwn(errors, name) ? errors[name as KafkaErrorName] : undefined;
}

/** The wire code of an error name. */
export function wireCodeOf(name: KafkaErrorName): number {
  return table[name][0];
}

/** The outcome of a refusal. */
export function refuse(
  name: KafkaErrorName,
  message?: string,
): { readonly ok: false; readonly error: KafkaError } {
  return err(kafkaError(name, message));
}
