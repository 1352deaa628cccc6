// Records of __cluster_metadata, to read other clusters' images: our own image lives in the
// metadata store. Kafka: MetadataRecordSerde.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import {
  array,
  bool,
  bytes,
  float64,
  int8,
  int16,
  int32,
  int64,
  message,
  string,
  uint16,
  uuid,
} from "../schema.ts";

// v1: adds inControlledShutdown.
// v2: adds isMigratingZkBroker.
// v3: adds logDirs.
// v4: adds cordonedLogDirs.
export const RegisterBrokerRecord = message({
  name: "RegisterBrokerRecord",
  versions: "0-4",
  flexible: "0+",
  recordType: 0,
  fields: {
    brokerId: int32(),
    isMigratingZkBroker: bool({ versions: "2+" }),
    incarnationId: uuid(),
    brokerEpoch: int64(),
    endPoints: array({
      name: string(),
      host: string(),
      port: uint16(),
      securityProtocol: int16(),
    }),
    features: array({
      name: string(),
      minSupportedVersion: int16(),
      maxSupportedVersion: int16(),
    }),
    rack: string({ nullable: true }),
    fenced: bool({ default: true }),
    inControlledShutdown: bool({ versions: "1+" }),
    logDirs: array(uuid(), { versions: "3+", tag: 0 }),
    cordonedLogDirs: array(uuid(), { versions: "4+", nullable: true, tag: 1, default: null }),
  },
});
export type RegisterBrokerRecord = MessageOf<typeof RegisterBrokerRecord>;
export type RegisterBrokerRecordInput = MessageInputOf<typeof RegisterBrokerRecord>;

export const UnregisterBrokerRecord = message({
  name: "UnregisterBrokerRecord",
  versions: "0",
  flexible: "0+",
  recordType: 1,
  fields: {
    brokerId: int32(),
    brokerEpoch: int64(),
  },
});
export type UnregisterBrokerRecord = MessageOf<typeof UnregisterBrokerRecord>;
export type UnregisterBrokerRecordInput = MessageInputOf<typeof UnregisterBrokerRecord>;

// v1: adds inControlledShutdown.
// v2: adds logDirs.
// v3: adds cordonedLogDirs.
export const BrokerRegistrationChangeRecord = message({
  name: "BrokerRegistrationChangeRecord",
  versions: "0-3",
  flexible: "0+",
  recordType: 17,
  fields: {
    brokerId: int32(),
    brokerEpoch: int64(),
    fenced: int8({ tag: 0 }),
    inControlledShutdown: int8({ versions: "1+", tag: 1 }),
    logDirs: array(uuid(), { versions: "2+", tag: 2 }),
    cordonedLogDirs: array(uuid(), { versions: "3+", nullable: true, tag: 3, default: null }),
  },
});
export type BrokerRegistrationChangeRecord = MessageOf<typeof BrokerRegistrationChangeRecord>;
export type BrokerRegistrationChangeRecordInput = MessageInputOf<
  typeof BrokerRegistrationChangeRecord
>;

export const FenceBrokerRecord = message({
  name: "FenceBrokerRecord",
  versions: "0",
  flexible: "0+",
  recordType: 7,
  fields: {
    id: int32(),
    epoch: int64(),
  },
});
export type FenceBrokerRecord = MessageOf<typeof FenceBrokerRecord>;
export type FenceBrokerRecordInput = MessageInputOf<typeof FenceBrokerRecord>;

export const UnfenceBrokerRecord = message({
  name: "UnfenceBrokerRecord",
  versions: "0",
  flexible: "0+",
  recordType: 8,
  fields: {
    id: int32(),
    epoch: int64(),
  },
});
export type UnfenceBrokerRecord = MessageOf<typeof UnfenceBrokerRecord>;
export type UnfenceBrokerRecordInput = MessageInputOf<typeof UnfenceBrokerRecord>;

export const RegisterControllerRecord = message({
  name: "RegisterControllerRecord",
  versions: "0",
  flexible: "0+",
  recordType: 27,
  fields: {
    controllerId: int32(),
    incarnationId: uuid(),
    zkMigrationReady: bool(),
    endPoints: array({
      name: string(),
      host: string(),
      port: uint16(),
      securityProtocol: int16(),
    }),
    features: array({
      name: string(),
      minSupportedVersion: int16(),
      maxSupportedVersion: int16(),
    }),
  },
});
export type RegisterControllerRecord = MessageOf<typeof RegisterControllerRecord>;
export type RegisterControllerRecordInput = MessageInputOf<typeof RegisterControllerRecord>;

export const TopicRecord = message({
  name: "TopicRecord",
  versions: "0",
  flexible: "0+",
  recordType: 2,
  fields: {
    name: string(),
    topicId: uuid(),
  },
});
export type TopicRecord = MessageOf<typeof TopicRecord>;
export type TopicRecordInput = MessageInputOf<typeof TopicRecord>;

export const RemoveTopicRecord = message({
  name: "RemoveTopicRecord",
  versions: "0",
  flexible: "0+",
  recordType: 9,
  fields: {
    topicId: uuid(),
  },
});
export type RemoveTopicRecord = MessageOf<typeof RemoveTopicRecord>;
export type RemoveTopicRecordInput = MessageInputOf<typeof RemoveTopicRecord>;

// v1: adds directories.
// v2: adds eligibleLeaderReplicas, lastKnownElr.
export const PartitionRecord = message({
  name: "PartitionRecord",
  versions: "0-2",
  flexible: "0+",
  recordType: 3,
  fields: {
    partitionId: int32({ default: -1 }),
    topicId: uuid(),
    replicas: array(int32()),
    isr: array(int32()),
    removingReplicas: array(int32()),
    addingReplicas: array(int32()),
    leader: int32({ default: -1 }),
    leaderRecoveryState: int8({ tag: 0 }),
    leaderEpoch: int32({ default: -1 }),
    partitionEpoch: int32({ default: -1 }),
    directories: array(uuid(), { versions: "1+" }),
    eligibleLeaderReplicas: array(int32(), {
      versions: "2+",
      nullable: true,
      tag: 1,
      default: null,
    }),
    lastKnownElr: array(int32(), { versions: "2+", nullable: true, tag: 2, default: null }),
  },
});
export type PartitionRecord = MessageOf<typeof PartitionRecord>;
export type PartitionRecordInput = MessageInputOf<typeof PartitionRecord>;

// v1: adds directories.
// v2: adds eligibleLeaderReplicas, lastKnownElr.
export const PartitionChangeRecord = message({
  name: "PartitionChangeRecord",
  versions: "0-2",
  flexible: "0+",
  recordType: 5,
  fields: {
    partitionId: int32({ default: -1 }),
    topicId: uuid(),
    isr: array(int32(), { nullable: true, tag: 0, default: null }),
    leader: int32({ tag: 1, default: -2 }),
    replicas: array(int32(), { nullable: true, tag: 2, default: null }),
    removingReplicas: array(int32(), { nullable: true, tag: 3, default: null }),
    addingReplicas: array(int32(), { nullable: true, tag: 4, default: null }),
    leaderRecoveryState: int8({ tag: 5, default: -1 }),
    directories: array(uuid(), { versions: "1+", nullable: true, tag: 8, default: null }),
    eligibleLeaderReplicas: array(int32(), {
      versions: "2+",
      nullable: true,
      tag: 6,
      default: null,
    }),
    lastKnownElr: array(int32(), { versions: "2+", nullable: true, tag: 7, default: null }),
  },
});
export type PartitionChangeRecord = MessageOf<typeof PartitionChangeRecord>;
export type PartitionChangeRecordInput = MessageInputOf<typeof PartitionChangeRecord>;

export const ClearElrRecord = message({
  name: "ClearElrRecord",
  versions: "0",
  flexible: "0+",
  recordType: 28,
  fields: {
    topicName: string(),
  },
});
export type ClearElrRecord = MessageOf<typeof ClearElrRecord>;
export type ClearElrRecordInput = MessageInputOf<typeof ClearElrRecord>;

export const ConfigRecord = message({
  name: "ConfigRecord",
  versions: "0",
  flexible: "0+",
  recordType: 4,
  fields: {
    resourceType: int8({
      about: "2 topic, 3 group, 4 cluster or broker, 5 transactional id; see the API for which",
    }),
    resourceName: string(),
    name: string(),
    value: string({ nullable: true }),
  },
});
export type ConfigRecord = MessageOf<typeof ConfigRecord>;
export type ConfigRecordInput = MessageInputOf<typeof ConfigRecord>;

export const ClientQuotaRecord = message({
  name: "ClientQuotaRecord",
  versions: "0",
  flexible: "0+",
  recordType: 14,
  fields: {
    entity: array({
      entityType: string(),
      entityName: string({ nullable: true }),
    }),
    key: string(),
    value: float64(),
    remove: bool(),
  },
});
export type ClientQuotaRecord = MessageOf<typeof ClientQuotaRecord>;
export type ClientQuotaRecordInput = MessageInputOf<typeof ClientQuotaRecord>;

export const ProducerIdsRecord = message({
  name: "ProducerIdsRecord",
  versions: "0",
  flexible: "0+",
  recordType: 15,
  fields: {
    brokerId: int32(),
    brokerEpoch: int64({ default: -1 }),
    nextProducerId: int64(),
  },
});
export type ProducerIdsRecord = MessageOf<typeof ProducerIdsRecord>;
export type ProducerIdsRecordInput = MessageInputOf<typeof ProducerIdsRecord>;

export const FeatureLevelRecord = message({
  name: "FeatureLevelRecord",
  versions: "0",
  flexible: "0+",
  recordType: 12,
  fields: {
    name: string(),
    featureLevel: int16(),
  },
});
export type FeatureLevelRecord = MessageOf<typeof FeatureLevelRecord>;
export type FeatureLevelRecordInput = MessageInputOf<typeof FeatureLevelRecord>;

export const AccessControlEntryRecord = message({
  name: "AccessControlEntryRecord",
  versions: "0",
  flexible: "0+",
  recordType: 18,
  fields: {
    id: uuid(),
    resourceType: int8({
      about: "2 topic, 3 group, 4 cluster or broker, 5 transactional id; see the API for which",
    }),
    resourceName: string(),
    patternType: int8({ about: "3 literal, 4 prefixed" }),
    principal: string(),
    host: string(),
    operation: int8(),
    permissionType: int8({ about: "1 any, 2 deny, 3 allow" }),
  },
});
export type AccessControlEntryRecord = MessageOf<typeof AccessControlEntryRecord>;
export type AccessControlEntryRecordInput = MessageInputOf<typeof AccessControlEntryRecord>;

export const RemoveAccessControlEntryRecord = message({
  name: "RemoveAccessControlEntryRecord",
  versions: "0",
  flexible: "0+",
  recordType: 19,
  fields: {
    id: uuid(),
  },
});
export type RemoveAccessControlEntryRecord = MessageOf<typeof RemoveAccessControlEntryRecord>;
export type RemoveAccessControlEntryRecordInput = MessageInputOf<
  typeof RemoveAccessControlEntryRecord
>;

export const UserScramCredentialRecord = message({
  name: "UserScramCredentialRecord",
  versions: "0",
  flexible: "0+",
  recordType: 11,
  fields: {
    name: string(),
    mechanism: int8({ about: "1 SCRAM-SHA-256, 2 SCRAM-SHA-512" }),
    salt: bytes(),
    storedKey: bytes(),
    serverKey: bytes(),
    iterations: int32(),
  },
});
export type UserScramCredentialRecord = MessageOf<typeof UserScramCredentialRecord>;
export type UserScramCredentialRecordInput = MessageInputOf<typeof UserScramCredentialRecord>;

export const RemoveUserScramCredentialRecord = message({
  name: "RemoveUserScramCredentialRecord",
  versions: "0",
  flexible: "0+",
  recordType: 22,
  fields: {
    name: string(),
    mechanism: int8({ about: "1 SCRAM-SHA-256, 2 SCRAM-SHA-512" }),
  },
});
export type RemoveUserScramCredentialRecord = MessageOf<typeof RemoveUserScramCredentialRecord>;
export type RemoveUserScramCredentialRecordInput = MessageInputOf<
  typeof RemoveUserScramCredentialRecord
>;

export const DelegationTokenRecord = message({
  name: "DelegationTokenRecord",
  versions: "0",
  flexible: "0+",
  recordType: 10,
  fields: {
    owner: string(),
    requester: string(),
    renewers: array(string()),
    issueTimestamp: int64(),
    maxTimestamp: int64(),
    expirationTimestamp: int64(),
    tokenId: string(),
  },
});
export type DelegationTokenRecord = MessageOf<typeof DelegationTokenRecord>;
export type DelegationTokenRecordInput = MessageInputOf<typeof DelegationTokenRecord>;

export const RemoveDelegationTokenRecord = message({
  name: "RemoveDelegationTokenRecord",
  versions: "0",
  flexible: "0+",
  recordType: 26,
  fields: {
    tokenId: string(),
  },
});
export type RemoveDelegationTokenRecord = MessageOf<typeof RemoveDelegationTokenRecord>;
export type RemoveDelegationTokenRecordInput = MessageInputOf<typeof RemoveDelegationTokenRecord>;

export const BeginTransactionRecord = message({
  name: "BeginTransactionRecord",
  versions: "0",
  flexible: "0+",
  recordType: 23,
  fields: {
    name: string({ nullable: true, tag: 0, default: null }),
  },
});
export type BeginTransactionRecord = MessageOf<typeof BeginTransactionRecord>;
export type BeginTransactionRecordInput = MessageInputOf<typeof BeginTransactionRecord>;

export const EndTransactionRecord = message({
  name: "EndTransactionRecord",
  versions: "0",
  flexible: "0+",
  recordType: 24,
  fields: {},
});
export type EndTransactionRecord = MessageOf<typeof EndTransactionRecord>;
export type EndTransactionRecordInput = MessageInputOf<typeof EndTransactionRecord>;

export const AbortTransactionRecord = message({
  name: "AbortTransactionRecord",
  versions: "0",
  flexible: "0+",
  recordType: 25,
  fields: {
    reason: string({ nullable: true, tag: 0, default: null }),
  },
});
export type AbortTransactionRecord = MessageOf<typeof AbortTransactionRecord>;
export type AbortTransactionRecordInput = MessageInputOf<typeof AbortTransactionRecord>;

export const NoOpRecord = message({
  name: "NoOpRecord",
  versions: "0",
  flexible: "0+",
  recordType: 20,
  fields: {},
});
export type NoOpRecord = MessageOf<typeof NoOpRecord>;
export type NoOpRecordInput = MessageInputOf<typeof NoOpRecord>;

export const ZkMigrationStateRecord = message({
  name: "ZkMigrationStateRecord",
  versions: "0",
  flexible: "0+",
  recordType: 21,
  fields: {
    zkMigrationState: int8(),
  },
});
export type ZkMigrationStateRecord = MessageOf<typeof ZkMigrationStateRecord>;
export type ZkMigrationStateRecordInput = MessageInputOf<typeof ZkMigrationStateRecord>;
