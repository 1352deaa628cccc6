// What a broker of a scripted cluster answers when the test says nothing else: the model's answers by API.

import { ZERO_UUID } from "../base/uuid.ts";
import type { RequestOf, ResponseInputOf } from "../protocol/infer.ts";
import { Produce } from "../protocol/messages/00_produce.ts";
import { Fetch } from "../protocol/messages/01_fetch.ts";
import { ListOffsets } from "../protocol/messages/02_list_offsets.ts";
import { Metadata } from "../protocol/messages/03_metadata.ts";
import { CreateTopics } from "../protocol/messages/19_create_topics.ts";
import { InitProducerId } from "../protocol/messages/22_init_producer_id.ts";
import { DescribeConfigs } from "../protocol/messages/32_describe_configs.ts";
import type { Api } from "../protocol/schema.ts";
import { maxTimestampAt } from "../record/batch_header.ts";
import type { ScriptedCluster, ScriptedLog } from "./scripted_log.ts";

const OUT_OF_RANGE = 1;
const UNKNOWN_TOPIC = 3;
const NOT_LEADER = 6;
const TOPIC_EXISTS = 36;

/** The model's answer to a request that came to broker `nodeId`. */
export function modelAnswer(
  cluster: ScriptedCluster,
  nodeId: number,
  api: Api,
  body: unknown,
): ResponseInputOf<Api> {
  const answer = answers.get(api.apiKey);
  if (answer === undefined) throw new Error(`The model has no answer for ${api.name}`);
  return answer(cluster, nodeId, body as never) as ResponseInputOf<Api>;
}

type Answer<A extends Api> = (
  cluster: ScriptedCluster,
  nodeId: number,
  request: RequestOf<A>,
) => ResponseInputOf<A>;

const metadata: Answer<typeof Metadata> = (cluster, _nodeId, request) => {
  const wanted = request.topics ?? [...cluster.topics.values()];
  return {
    brokers: cluster.brokers,
    clusterId: cluster.clusterId,
    controllerId: cluster.brokers[0]!.nodeId,
    topics: wanted.map(({ name, topicId }) => {
      const topic = cluster.find(name, topicId);
      if (topic === undefined) {
        return { errorCode: UNKNOWN_TOPIC, name, topicId: ZERO_UUID, partitions: [] };
      }
      return {
        errorCode: 0,
        name: topic.name,
        topicId: topic.topicId,
        partitions: topic.partitions.map(({ leader, leaderEpoch }, partitionIndex) => ({
          errorCode: leader < 0 ? 5 : 0,
          partitionIndex,
          leaderId: leader,
          leaderEpoch,
          replicaNodes: [leader],
          isrNodes: [leader],
        })),
      };
    }),
  };
};

const produce: Answer<typeof Produce> = (cluster, nodeId, request) => ({
  throttleTimeMs: 0,
  responses: request.topicData.map(({ name, topicId, partitionData }) => {
    const topic = cluster.find(name, topicId);
    return {
      name,
      topicId,
      partitionResponses: partitionData.map(({ index, records }) => {
        const log = topic?.partitions[index];
        const errorCode = placeError(log, nodeId);
        const appended = errorCode === 0 ? log!.append(records!) : { errorCode, baseOffset: -1 };
        return { index, ...appended, logAppendTimeMs: -1, logStartOffset: log?.startOffset ?? -1 };
      }),
    };
  }),
});

const fetch: Answer<typeof Fetch> = (cluster, nodeId, request) => ({
  errorCode: 0,
  sessionId: 0,
  responses: request.topics.map(({ topic: name, topicId, partitions }) => {
    const topic = cluster.find(name, topicId);
    return {
      topic: name,
      topicId,
      partitions: partitions.map(({ partition, fetchOffset, partitionMaxBytes }) => {
        const log = topic?.partitions[partition];
        let errorCode = placeError(log, nodeId);
        if (errorCode === 0 && (fetchOffset < log!.startOffset || fetchOffset > log!.endOffset)) {
          errorCode = OUT_OF_RANGE;
        }
        const found = errorCode === 0 ? log!.read(fetchOffset, partitionMaxBytes) : [];
        return {
          partitionIndex: partition,
          errorCode,
          highWatermark: log?.endOffset ?? -1,
          lastStableOffset: log?.endOffset ?? -1,
          logStartOffset: log?.startOffset ?? -1,
          abortedTransactions: null,
          records: found,
        };
      }),
    };
  }),
});

const listOffsets: Answer<typeof ListOffsets> = (cluster, nodeId, request) => ({
  topics: request.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex, timestamp }) => {
      const log = cluster.topics.get(name)?.partitions[partitionIndex];
      const errorCode = placeError(log, nodeId);
      if (errorCode !== 0) return { partitionIndex, errorCode };
      const leaderEpoch = log!.leaderEpoch;
      if (timestamp === -1)
        return { partitionIndex, errorCode, offset: log!.endOffset, leaderEpoch };
      if (timestamp === -2)
        return { partitionIndex, errorCode, offset: log!.startOffset, leaderEpoch };
      // To the batch, which is as exact as the tests need it.
      const batch = log!.batches.find(({ bytes }) => maxTimestampAt(bytes, 0) >= timestamp);
      return { partitionIndex, errorCode, offset: batch?.baseOffset ?? -1, leaderEpoch };
    }),
  })),
});

const createTopics: Answer<typeof CreateTopics> = (cluster, _nodeId, request) => ({
  topics: request.topics.map(({ name, numPartitions, configs }) => {
    const isKnown = cluster.topics.has(name);
    const set = Object.fromEntries(configs.map((each) => [each.name, each.value ?? ""]));
    const count = Math.max(numPartitions, 1);
    const topic = isKnown ? undefined : cluster.addTopic(name, count, set);
    return {
      name,
      topicId: topic?.topicId ?? ZERO_UUID,
      errorCode: isKnown ? TOPIC_EXISTS : 0,
      errorMessage: null,
      numPartitions: count,
      replicationFactor: 1,
      configs: [],
    };
  }),
});

const initProducerId: Answer<typeof InitProducerId> = (cluster) => ({
  throttleTimeMs: 0,
  errorCode: 0,
  producerId: cluster.nextProducerId++,
  producerEpoch: 0,
});

const describeConfigs: Answer<typeof DescribeConfigs> = (cluster, _nodeId, request) => ({
  throttleTimeMs: 0,
  results: request.resources.map(({ resourceType, resourceName, configurationKeys }) => {
    const topic = cluster.topics.get(resourceName);
    const found = [...(topic?.configs ?? [])].filter(([name]) => {
      return configurationKeys === null || configurationKeys.includes(name);
    });
    return {
      errorCode: topic === undefined ? UNKNOWN_TOPIC : 0,
      errorMessage: null,
      resourceType,
      resourceName,
      configs: found.map(([name, value]) => ({
        name,
        value,
        readOnly: false,
        configSource: 1,
        isSensitive: false,
        synonyms: [],
      })),
    };
  }),
});

function placeError(log: ScriptedLog | undefined, nodeId: number): number {
  if (log === undefined) return UNKNOWN_TOPIC;
  return log.leader === nodeId ? 0 : NOT_LEADER;
}

const answers = new Map<number, Answer<never>>([
  [Produce.apiKey, produce as Answer<never>],
  [Fetch.apiKey, fetch as Answer<never>],
  [ListOffsets.apiKey, listOffsets as Answer<never>],
  [Metadata.apiKey, metadata as Answer<never>],
  [CreateTopics.apiKey, createTopics as Answer<never>],
  [InitProducerId.apiKey, initProducerId as Answer<never>],
  [DescribeConfigs.apiKey, describeConfigs as Answer<never>],
]);
