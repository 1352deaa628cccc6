// millrace/client: producers, consumers by assignment or in groups, tables, and admin, over Kafka's wire or any other port.

export type {
  Admin,
  AdminCallOptions,
  AdminChangeOptions,
  AdminOptions,
  ClusterDescription,
  ConfigChange,
  ConfigEntry,
  ConfigResource,
  ConfigSource,
  CreatedTopic,
  NewTopic,
  TopicDescription,
} from "./admin.ts";
export { type BrokerPortOptions, brokerPort } from "./broker_port.ts";
export { bootstrapAddresses, type Client, type ClientOptions, createClient } from "./client.ts";
export { ClientError, type ClientErrorCode, type TransactionRemedy } from "./client_error.ts";
export type {
  ElectedPartition,
  ElectionType,
  PartitionReassignment,
  ReplicaMove,
} from "./cluster_admin.ts";
export { type Codec, type CodecChoice, type Decoded, jsonCodec } from "./codec.ts";
export { clientOptionsOf, connectWith } from "./connect.ts";
export type { Assignment, Consumer, ConsumerOptions, StartAt } from "./consumer.ts";
export type { ConsumedRecord, FetchedBatch } from "./fetched.ts";
export type {
  GroupDescription,
  GroupFilter,
  GroupListing,
  GroupMemberInfo,
  MemberToRemove,
} from "./group/group_admin.ts";
export type {
  AssignorName,
  CommittedOffset,
  GroupConsumerOptions,
  GroupMetadata,
  OffsetToCommit,
  RebalanceCallback,
} from "./group/group_options.ts";
export type { TopicPartition } from "./group/partition_key.ts";
export type { GroupConsumer } from "./group_consumer.ts";
export type { SaslOptions } from "./login.ts";
export type { ClusterInfo, PartitionInfo, TopicInfo, TopicLookup } from "./metadata.ts";
export type { OffsetFound, OffsetSpec } from "./offsets.ts";
export type { Partitioner, PartitionerChoice, PartitionFunction } from "./partitioner.ts";
export type { BrokerAddress, ClientPort, RequestSource, SendOptions } from "./port.ts";
export type { Producer } from "./producer.ts";
export type { Delivery } from "./producer_batch.ts";
export type {
  Payload,
  ProducerOptions,
  ProducerRecord,
  ProducerStats,
} from "./producer_record.ts";
export type { Table } from "./table/table.ts";
export type {
  ScanOptions,
  TableChange,
  TableEntry,
  TableOptions,
  TableStats,
  WatchOptions,
} from "./table/table_options.ts";
export type { TableWatch } from "./table/table_watch.ts";
export type {
  ActiveProducer,
  HangingSearch,
  OpenTransaction,
  TransactionDescription,
  TransactionFilter,
  TransactionListing,
} from "./transaction/transaction_admin.ts";
export type { TransactionOptions, TransactionScope } from "./transaction.ts";
export type {
  TransactionalProducer,
  TransactionalProducerOptions,
  TransactionCallOptions,
  TransactionPhase,
} from "./transactional_producer.ts";
export type { BackoffOptions, ClientRuntime } from "./waiting.ts";
export type { BootstrapAddress, ClientTls } from "./wire_port.ts";
