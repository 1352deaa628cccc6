// All that transports, the console and an embedding program may ask of a broker. The data plane
// (append, fetch, offsets) has small types of its own and carries batches as bytes; everything else
// speaks the protocol's shapes, one method an API (ADR 6). No start or stop: a transport may not end
// its broker. Every call carries its caller; admission is decided behind this interface.

import type { KafkaError, Outcome } from "../protocol/errors.ts";
import type { MetadataRequest, MetadataResponse } from "../protocol/messages/03_metadata.ts";
import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../protocol/messages/08_offset_commit.ts";
import type {
  OffsetFetchRequest,
  OffsetFetchResponse,
} from "../protocol/messages/09_offset_fetch.ts";
import type {
  FindCoordinatorRequest,
  FindCoordinatorResponse,
} from "../protocol/messages/10_find_coordinator.ts";
import type { JoinGroupRequest, JoinGroupResponse } from "../protocol/messages/11_join_group.ts";
import type { HeartbeatRequest, HeartbeatResponse } from "../protocol/messages/12_heartbeat.ts";
import type { LeaveGroupRequest, LeaveGroupResponse } from "../protocol/messages/13_leave_group.ts";
import type { SyncGroupRequest, SyncGroupResponse } from "../protocol/messages/14_sync_group.ts";
import type {
  DescribeGroupsRequest,
  DescribeGroupsResponse,
} from "../protocol/messages/15_describe_groups.ts";
import type { ListGroupsRequest, ListGroupsResponse } from "../protocol/messages/16_list_groups.ts";
import type {
  CreateTopicsRequest,
  CreateTopicsResponse,
} from "../protocol/messages/19_create_topics.ts";
import type {
  DeleteTopicsRequest,
  DeleteTopicsResponse,
} from "../protocol/messages/20_delete_topics.ts";
import type {
  DeleteRecordsRequest,
  DeleteRecordsResponse,
} from "../protocol/messages/21_delete_records.ts";
import type {
  InitProducerIdRequest,
  InitProducerIdResponse,
} from "../protocol/messages/22_init_producer_id.ts";
import type {
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnResponse,
} from "../protocol/messages/24_add_partitions_to_txn.ts";
import type {
  AddOffsetsToTxnRequest,
  AddOffsetsToTxnResponse,
} from "../protocol/messages/25_add_offsets_to_txn.ts";
import type { EndTxnRequest, EndTxnResponse } from "../protocol/messages/26_end_txn.ts";
import type {
  WriteTxnMarkersRequest,
  WriteTxnMarkersResponse,
} from "../protocol/messages/27_write_txn_markers.ts";
import type {
  TxnOffsetCommitRequest,
  TxnOffsetCommitResponse,
} from "../protocol/messages/28_txn_offset_commit.ts";
import type {
  CreatePartitionsRequest,
  CreatePartitionsResponse,
} from "../protocol/messages/37_create_partitions.ts";
import type {
  DeleteGroupsRequest,
  DeleteGroupsResponse,
} from "../protocol/messages/42_delete_groups.ts";
import type {
  OffsetDeleteRequest,
  OffsetDeleteResponse,
} from "../protocol/messages/47_offset_delete.ts";
import type {
  DescribeTransactionsRequest,
  DescribeTransactionsResponse,
} from "../protocol/messages/65_describe_transactions.ts";
import type {
  ListTransactionsRequest,
  ListTransactionsResponse,
} from "../protocol/messages/66_list_transactions.ts";
import type {
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponse,
} from "../protocol/messages/68_consumer_group_heartbeat.ts";
import type {
  ConsumerGroupDescribeRequest,
  ConsumerGroupDescribeResponse,
} from "../protocol/messages/69_consumer_group_describe.ts";
import type {
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponse,
} from "../protocol/messages/75_describe_topic_partitions.ts";
import type { AdminApi } from "./admin_api.ts";
import type { Caller } from "./caller.ts";

export type { AdminApi, Caller, KafkaError, Outcome };

/** A broker as its transports and an embedding program see it. Every call is answered by this broker alone. */
export interface Broker {
  readonly brokerId: number;
  readonly clusterId: string;
  readonly log: LogApi;
  readonly topics: TopicApi;
  readonly admin: AdminApi;
  readonly groups: GroupApi;
  readonly transactions: TransactionApi;
  /** What this broker lists in ApiVersions besides keys: features and their levels, as they are now. */
  readonly features: readonly Feature[];
  /** Grows whenever a level changes: of two answers clients believe the one with the larger epoch. From 0. */
  readonly featuresEpoch: number;
  /** A setting in force for the whole broker, as text, e.g. "message.max.bytes"; null when it has no value. */
  setting(name: string): string | null;
  /** False once its storage has failed, or it has stopped: appends and fetches are refused for good, whatever else answers. */
  isOnline(): boolean;
}

/** A feature and the levels of it, inclusive, that are supported here; `finalizedVersion` is the one in force (KIP-584). */
export interface Feature {
  readonly name: string;
  readonly minVersion: number;
  readonly maxVersion: number;
  readonly finalizedVersion: number;
}

/** A partition by the name of its topic and its number, from 0. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** The data plane: appends, fetches and offsets. Failures a client may cause are outcomes; only defects throw. */
export interface LogApi {
  /**
   * One outcome per partition, in request order. A partition's failure is an outcome; only defects throw.
   * Offsets are given before the first `await` inside: two calls made one after the other append in
   * that order, whichever resolves first. A transaction's first batch alone may wait for its coordinator, and what its
   * producer sends to that partition behind it. Ownership of the batch bytes passes to the log until it resolves.
   */
  append(caller: Caller, request: AppendRequest): Promise<readonly Outcome<AppendResult>[]>;
  /** One outcome per partition, in request order. Call `release` once the batches have been sent. */
  fetch(caller: Caller, request: FetchRequest): Promise<FetchResponse>;
  /** The partition for a key, by the topic's `partitioner` setting; sticky when `key` is null. */
  partitionFor(caller: Caller, topic: string, key: Uint8Array | null): Outcome<number>;
  offsetFor(
    caller: Caller,
    queries: readonly OffsetQuery[],
  ): Promise<readonly Outcome<OffsetResult>[]>;
  /** The end offset of the largest epoch at most `leaderEpoch` (KIP-101, KIP-320). */
  endOffsetForEpoch(caller: Caller, queries: readonly EpochQuery[]): readonly Outcome<EpochEnd>[];
  /** Name of a topic id (base64url, 22 characters); null when unknown. Cheap: asked once per topic and request. */
  topicNameOf(topicId: string): string | null;
  /** Id of a topic name; null when unknown. */
  topicIdOf(name: string): string | null;
  /** Who leads a partition that this broker does not (KIP-951); null when unknown. Left out where one broker leads all. */
  currentLeader?(caller: Caller, topic: string, partition: number): CurrentLeader | null;
}

/** A partition's leader, and where the caller's listener reaches it; null: it does not. */
export interface CurrentLeader {
  /** -1: nobody leads. */
  readonly leaderId: number;
  readonly leaderEpoch: number;
  readonly endpoint: {
    readonly host: string;
    readonly port: number;
    readonly rack: string | null;
  } | null;
}

/** Batches for any number of partitions, as one Produce. Refused as a whole only by admission. */
export interface AppendRequest {
  /** 0: do not wait. 1: the leader has it synced. -1: every in-sync replica has it synced. */
  readonly acks: 0 | 1 | -1;
  readonly timeoutMs: number;
  readonly transactionalId: string | null;
  /**
   * True where the first batch of a transaction in a partition takes that partition into it (Produce v12+, KIP-890). Left out,
   * it has to have been added before: else "transaction_abortable".
   */
  readonly addsToTransaction?: boolean;
  readonly partitions: readonly AppendPartition[];
}

/** What one partition is to take: appended whole or refused whole. */
export interface AppendPartition {
  readonly topic: string;
  readonly partition: number;
  /** Whole record batches, magic 2, unread so far. Base offset and leader epoch are patched in place. */
  readonly batches: Uint8Array;
  /** The append is refused with "offset mismatch" (invalid_record) unless it would get this base offset. */
  readonly expectedOffset?: number;
  /** True where the wire allows exactly one batch with base offset 0 (Kafka's Produce). Default false. */
  readonly singleBatch?: boolean;
}

/** Where the batches stand: the offset of their first record, inclusive. A repeated idempotent batch gets its first offset again. */
export interface AppendResult {
  readonly baseOffset: number;
  /** -1 unless the topic stamps on append. */
  readonly logAppendTimeMs: number;
  readonly logStartOffset: number;
}
/** Some refusals name records: `recordErrors` of Produce v8+. */
export interface RecordError {
  readonly batchIndex: number;
  readonly message: string | null;
}

/**
 * One fetch of any number of partitions: answered once `bytesMin` bytes are there, an outcome is a failure, or `waitMsMax`
 * has passed. At most `bytesMax` bytes in all, except that the first batch of the first partition with data comes whole.
 */
export interface FetchRequest {
  readonly isolation: "read_uncommitted" | "read_committed";
  readonly waitMsMax: number;
  readonly bytesMin: number;
  readonly bytesMax: number;
  readonly partitions: readonly FetchPartition[];
  /**
   * Waits without reading: answered, without batches, once any partition has something at its offset, whatever
   * `bytesMin` says. For whoever takes memory for an answer first, and must not hold any while nothing comes.
   */
  readonly waitsOnly?: boolean;
  /** A consumer that takes followers' answers too (KIP-392), and its rack; "": in none. Left out: a leader answers or nobody. */
  readonly rack?: string;
  /** A follower asks, of that registration: it is given what is durable here, committed or not. Isolation says nothing then. */
  readonly replica?: { readonly id: number; readonly epoch: number };
}

/** From where (inclusive) and how much of one partition, in bytes of whole batches. */
export interface FetchPartition {
  readonly topic: string;
  /** The topic must have this id, or is refused with "unknown_topic_id": one made anew under its name has another. */
  readonly topicId?: string;
  readonly partition: number;
  readonly fetchOffset: number;
  readonly bytesMax: number;
  /** -1 when unknown. */
  readonly leaderEpoch: number;
  /** Where a follower's log stands. */
  readonly follower?: FollowerPosition;
}

/** A follower's own log at `fetchOffset`, its end. Offsets that end a range are exclusive. */
export interface FollowerPosition {
  /** Epoch of its last batch; -1 when it has none. */
  readonly lastFetchedEpoch: number;
  readonly logStartOffset: number;
  /** What it has durable; -1 when it does not say. */
  readonly syncedEnd: number;
  readonly highWatermark: number;
}

/** Outcomes in request order. The batches are borrowed: they stay valid until `release`. */
export interface FetchResponse {
  readonly partitions: readonly FetchOutcome[];
  /** Gives read buffers back. Idempotent. The batches must not be looked at afterwards. */
  release(): void;
}

/** Why a partition was not read. */
export interface FetchError extends KafkaError {
  /** For a follower whose offset is not there: where it may begin anew, inclusive. */
  readonly logStartOffset?: number;
}

/** An Outcome whose error may say more. */
export type FetchOutcome =
  | { readonly ok: true; readonly value: FetchResult }
  | { readonly ok: false; readonly error: FetchError };

/** What one partition had, and where its log stands. Offsets that end a range are exclusive. */
export interface FetchResult {
  /** First offset not yet committed by the ISR (exclusive end of what consumers may read). */
  readonly highWatermark: number;
  /** First offset of the oldest transaction that is still open, else the high watermark. What is committed ends here. */
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  /** Of a fetch with "read_committed": those of which batches below may belong to, by first offset. Else empty. */
  readonly abortedTransactions: readonly {
    readonly producerId: number;
    readonly firstOffset: number;
  }[];
  /** Whole batches, from the one that holds `fetchOffset`; the caller skips records before it. */
  readonly batches: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** The replica that the consumer is to read from instead; no batches come then. */
  readonly preferredReplica?: number;
  /** For a follower whose history is another: the newest epoch that both may know, and where it ends here. No batches come then. */
  readonly divergingEpoch?: { readonly epoch: number; readonly endOffset: number };
}

/** Asks for the offset at an end, of the greatest timestamp, or of the first record at or after a timestamp (KIP-79, KIP-734). */
export interface OffsetQuery extends TopicPartition {
  readonly at: "earliest" | "latest" | "max_timestamp" | { readonly timestampMs: number };
  readonly isolation: "read_uncommitted" | "read_committed";
  /** -1 when unknown. */
  readonly leaderEpoch: number;
}
/** Offset -1 and timestamp -1: no record is that late. */
export interface OffsetResult {
  readonly offset: number;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
}

/** Asks where an epoch ended: how a client that saw it tells whether its log was cut since. */
export interface EpochQuery extends TopicPartition {
  readonly leaderEpoch: number;
  /** -1 when unknown. */
  readonly currentLeaderEpoch: number;
}
/** Both -1 when the epoch is unknown here. */
export interface EpochEnd {
  readonly leaderEpoch: number;
  readonly endOffset: number;
}

/** `version` is the API version in use: a few answers depend on it. */
export interface TopicApi {
  metadata(caller: Caller, request: MetadataRequest, version: number): Promise<MetadataResponse>;
  createTopics(
    caller: Caller,
    request: CreateTopicsRequest,
    version: number,
  ): Promise<CreateTopicsResponse>;
  deleteTopics(
    caller: Caller,
    request: DeleteTopicsRequest,
    version: number,
  ): Promise<DeleteTopicsResponse>;
  createPartitions(
    caller: Caller,
    request: CreatePartitionsRequest,
    version: number,
  ): Promise<CreatePartitionsResponse>;
  deleteRecords(
    caller: Caller,
    request: DeleteRecordsRequest,
    version: number,
  ): Promise<DeleteRecordsResponse>;
  describeTopicPartitions(
    caller: Caller,
    request: DescribeTopicPartitionsRequest,
    version: number,
  ): Promise<DescribeTopicPartitionsResponse>;
}

/**
 * Consumer groups and their offsets, of both protocols. Every method is answered by the shard that owns the group, once what it
 * says is committed; `version` is the API version in use. Bytes in a request pass to the broker, which keeps them. Who waits
 * when the caller's `signal` fires is told "not_coordinator", upon which members look for it anew.
 */
export interface GroupApi {
  offsetCommit(
    caller: Caller,
    request: OffsetCommitRequest,
    version: number,
  ): Promise<OffsetCommitResponse>;
  offsetFetch(
    caller: Caller,
    request: OffsetFetchRequest,
    version: number,
  ): Promise<OffsetFetchResponse>;
  /**
   * Offsets that become visible with the transaction. A topic or partition that does not exist is refused by itself, with
   * "unknown_topic_or_partition". From v5 the group's partition joins the transaction on the way (KIP-890). Before v2
   * "coordinator_not_available" stands for "coordinator_load_in_progress".
   */
  txnOffsetCommit(
    caller: Caller,
    request: TxnOffsetCommitRequest,
    version: number,
  ): Promise<TxnOffsetCommitResponse>;
  /** Of keys of groups; for those of transactions, see `TransactionApi`. */
  findCoordinator(
    caller: Caller,
    request: FindCoordinatorRequest,
    version: number,
  ): Promise<FindCoordinatorResponse>;
  joinGroup(caller: Caller, request: JoinGroupRequest, version: number): Promise<JoinGroupResponse>;
  heartbeat(caller: Caller, request: HeartbeatRequest, version: number): Promise<HeartbeatResponse>;
  leaveGroup(
    caller: Caller,
    request: LeaveGroupRequest,
    version: number,
  ): Promise<LeaveGroupResponse>;
  syncGroup(caller: Caller, request: SyncGroupRequest, version: number): Promise<SyncGroupResponse>;
  describeGroups(
    caller: Caller,
    request: DescribeGroupsRequest,
    version: number,
  ): Promise<DescribeGroupsResponse>;
  listGroups(
    caller: Caller,
    request: ListGroupsRequest,
    version: number,
  ): Promise<ListGroupsResponse>;
  deleteGroups(
    caller: Caller,
    request: DeleteGroupsRequest,
    version: number,
  ): Promise<DeleteGroupsResponse>;
  offsetDelete(
    caller: Caller,
    request: OffsetDeleteRequest,
    version: number,
  ): Promise<OffsetDeleteResponse>;
  consumerGroupHeartbeat(
    caller: Caller,
    request: ConsumerGroupHeartbeatRequest,
    version: number,
  ): Promise<ConsumerGroupHeartbeatResponse>;
  consumerGroupDescribe(
    caller: Caller,
    request: ConsumerGroupDescribeRequest,
    version: number,
  ): Promise<ConsumerGroupDescribeResponse>;
}

/**
 * Transactions (KIP-98, KIP-360, KIP-890, KIP-664). What changes a transaction is answered by the shard that owns its
 * transactional id, once what it says is committed. `version` is the API version in use, and answers are what Kafka says to it:
 * "invalid_producer_epoch" for "producer_fenced" to InitProducerId before v4, AddPartitionsToTxn, AddOffsetsToTxn and EndTxn
 * before v2. Who waits when the caller's `signal` fires is told "not_coordinator", upon which producers look for it anew.
 */
export interface TransactionApi {
  /** Of keys of transactions. Makes the topic that coordinators keep transactions in when it is first asked. */
  findCoordinator(
    caller: Caller,
    request: FindCoordinatorRequest,
    version: number,
  ): Promise<FindCoordinatorResponse>;
  /** Of a producer with a transactional id: null is for `AdminApi`. Fences whoever had the id, and ends what it left open. */
  initProducerId(
    caller: Caller,
    request: InitProducerIdRequest,
    version: number,
  ): Promise<InitProducerIdResponse>;
  /**
   * Takes partitions into transactions; from v4 several transactions, and only asked where `verifyOnly` is set.
   * One partition that does not exist ("unknown_topic_or_partition"), or, before v4, is a topic of the broker's own
   * ("topic_authorization_failed"), refuses its transaction: the others are "operation_not_attempted".
   */
  addPartitionsToTxn(
    caller: Caller,
    request: AddPartitionsToTxnRequest,
    version: number,
  ): Promise<AddPartitionsToTxnResponse>;
  /** Takes the partition of a group's offsets into a transaction. */
  addOffsetsToTxn(
    caller: Caller,
    request: AddOffsetsToTxnRequest,
    version: number,
  ): Promise<AddOffsetsToTxnResponse>;
  /** Commits or aborts. From v5 the answer has the epoch, and maybe the producer id, to go on with. */
  endTxn(caller: Caller, request: EndTxnRequest, version: number): Promise<EndTxnResponse>;
  /**
   * Writes markers into partitions of this broker, for coordinators on others and for operators who end a transaction that
   * hangs. A partition that does not exist is "unknown_topic_or_partition".
   */
  writeTxnMarkers(
    caller: Caller,
    request: WriteTxnMarkersRequest,
    version: number,
  ): Promise<WriteTxnMarkersResponse>;
  describeTransactions(
    caller: Caller,
    request: DescribeTransactionsRequest,
    version: number,
  ): Promise<DescribeTransactionsResponse>;
  listTransactions(
    caller: Caller,
    request: ListTransactionsRequest,
    version: number,
  ): Promise<ListTransactionsResponse>;
}
