// millrace/client: producers, consumers by assignment or in groups, and admin, over Kafka's wire or any other port.

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
export { ClientError, type ClientErrorCode } from "./client_error.ts";
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
export type { BackoffOptions, ClientRuntime } from "./waiting.ts";
export type { BootstrapAddress, ClientTls } from "./wire_port.ts";
