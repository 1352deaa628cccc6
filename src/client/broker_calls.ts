// What the in-process port serves: each API as a call of the Broker interface, wire shape to call and back.
// Invariant: what is not in this table is answered as a broker that does not serve it would be: refused by
// version, before anything is asked.
// Kafka: KafkaApis.handle.

import { NONE } from "../protocol/errors.ts";
import { Metadata } from "../protocol/messages/03_metadata.ts";
import { ApiVersions } from "../protocol/messages/18_api_versions.ts";
import { CreateTopics } from "../protocol/messages/19_create_topics.ts";
import { DeleteTopics } from "../protocol/messages/20_delete_topics.ts";
import { DeleteRecords } from "../protocol/messages/21_delete_records.ts";
import { InitProducerId } from "../protocol/messages/22_init_producer_id.ts";
import { DescribeConfigs } from "../protocol/messages/32_describe_configs.ts";
import { AlterConfigs } from "../protocol/messages/33_alter_configs.ts";
import { DescribeLogDirs } from "../protocol/messages/35_describe_log_dirs.ts";
import { CreatePartitions } from "../protocol/messages/37_create_partitions.ts";
import { IncrementalAlterConfigs } from "../protocol/messages/44_incremental_alter_configs.ts";
import { UpdateFeatures } from "../protocol/messages/57_update_features.ts";
import { DescribeCluster } from "../protocol/messages/60_describe_cluster.ts";
import { DescribeProducers } from "../protocol/messages/61_describe_producers.ts";
import { DescribeTopicPartitions } from "../protocol/messages/75_describe_topic_partitions.ts";
import { type BrokerCall, callOf, plainCall } from "./broker_call.ts";
import { groupCalls } from "./broker_group_calls.ts";
import { fetch, listOffsets, offsetForLeaderEpoch, produce } from "./broker_log_calls.ts";
import { operationCalls } from "./broker_operation_calls.ts";
import { transactionCalls } from "./broker_transaction_calls.ts";

const deleteRecords = callOf<typeof DeleteRecords>({
  api: DeleteRecords,
  takesBigints: true,
  async handle(broker, caller, request, version) {
    // No log reaches 2^53: an offset beyond is as far out of range as one at the bound.
    const within = (offset: number) => {
      if (typeof offset === "number") return offset;
      return offset < 0 ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
    };
    const topics = request.topics.map((topic) => ({
      ...topic,
      partitions: topic.partitions.map((each) => ({ ...each, offset: within(each.offset) })),
    }));
    return {
      response: await broker.topics.deleteRecords(caller, { ...request, topics }, version),
    };
  },
});

const apiVersions = callOf<typeof ApiVersions>({
  api: ApiVersions,
  async handle(broker) {
    const { features, featuresEpoch } = broker;
    const finalized = features.filter((each) => each.finalizedVersion > 0);
    const apiKeys = all.map(({ api }) => {
      return { apiKey: api.apiKey, minVersion: api.lowest, maxVersion: api.highestStable };
    });
    return {
      response: {
        errorCode: NONE,
        apiKeys,
        throttleTimeMs: 0,
        supportedFeatures: features.map(({ name, minVersion, maxVersion }) => {
          return { name, minVersion, maxVersion };
        }),
        finalizedFeaturesEpoch: finalized.length > 0 ? featuresEpoch : -1,
        finalizedFeatures: finalized.map(({ name, finalizedVersion }) => {
          return { name, maxVersionLevel: finalizedVersion, minVersionLevel: finalizedVersion };
        }),
      },
    };
  },
});

const all: readonly BrokerCall[] = [
  produce,
  fetch,
  listOffsets,
  plainCall(Metadata, (broker, ...call) => broker.topics.metadata(...call)),
  apiVersions,
  plainCall(CreateTopics, (broker, ...call) => broker.topics.createTopics(...call)),
  plainCall(DeleteTopics, (broker, ...call) => broker.topics.deleteTopics(...call)),
  deleteRecords,
  plainCall(InitProducerId, ({ admin, transactions }, caller, request, version) => {
    const giver = request.transactionalId === null ? admin : transactions;
    return giver.initProducerId(caller, request, version);
  }),
  offsetForLeaderEpoch,
  plainCall(DescribeConfigs, (broker, ...call) => broker.admin.describeConfigs(...call)),
  plainCall(AlterConfigs, (broker, ...call) => broker.admin.alterConfigs(...call)),
  plainCall(DescribeLogDirs, (broker, ...call) => broker.admin.describeLogDirs(...call)),
  plainCall(CreatePartitions, (broker, ...call) => broker.topics.createPartitions(...call)),
  plainCall(IncrementalAlterConfigs, (broker, ...call) =>
    broker.admin.incrementalAlterConfigs(...call),
  ),
  plainCall(DescribeCluster, (broker, ...call) => broker.admin.describeCluster(...call)),
  plainCall(DescribeProducers, (broker, ...call) => broker.admin.describeProducers(...call)),
  plainCall(DescribeTopicPartitions, (broker, ...call) =>
    broker.topics.describeTopicPartitions(...call),
  ),
  plainCall(UpdateFeatures, (broker, ...call) => broker.admin.updateFeatures(...call)),
  ...operationCalls,
  ...groupCalls,
  ...transactionCalls,
];

/** What a Broker serves in process, by API key. */
export const brokerCalls: ReadonlyMap<number, BrokerCall> = new Map(
  all.map((call) => [call.api.apiKey, call]),
);
