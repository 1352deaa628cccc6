// Log directories as clients see them: a broker has one. Invariant: what is told of is held by this broker.
// Kafka: ReplicaManager (describeLogDirs, alterReplicaLogDirs).

import { NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  AlterReplicaLogDirsRequest,
  AlterReplicaLogDirsResponse,
} from "../../protocol/messages/34_alter_replica_log_dirs.ts";
import type {
  DescribeLogDirsRequest,
  DescribeLogDirsResponse,
} from "../../protocol/messages/35_describe_log_dirs.ts";
import type { ApiContext } from "./api_context.ts";

/** Longest name of a replica's folder, in characters, while it moves. */
const FOLDER_NAME_MAX = 255;
/** Of that name, what comes beside the topic and the partition's number: "-", "." with an id of 32 digits, "-future". */
const FUTURE_NAME_LENGTH = 1 + 33 + 7;

/** Answers DescribeLogDirs: what lies here, and how much. */
export async function describeLogDirs(
  context: ApiContext,
  request: DescribeLogDirsRequest,
): Promise<DescribeLogDirsResponse> {
  const { partitions, logDirectory } = context;
  const { path } = logDirectory;
  if (!partitions.isOnline) {
    const errorCode = wireCodeOf("kafka_storage_error");
    const result = {
      errorCode,
      logDir: path,
      topics: [],
      totalBytes: -1,
      usableBytes: -1,
      isCordoned: false,
    };
    return { throttleTimeMs: 0, errorCode: NONE, results: [result] };
  }
  const { totalBytes, usableBytes } = await logDirectory.volume();
  const { topicsByName } = context.cluster.image;
  const asked =
    request.topics === null
      ? [...topicsByName.values()].map((topic) => ({ topic: topic.name, partitions: null }))
      : request.topics;
  const topics = [];
  for (const { topic: name, partitions: indexes } of asked) {
    const topic = topicsByName.get(name);
    if (topic === undefined) continue;
    const rows = [];
    const count = indexes === null ? topic.partitionCount : indexes.length;
    for (let i = 0; i < count; i++) {
      const partitionIndex = indexes === null ? i : indexes[i]!;
      const status = partitions.status(topic.id, partitionIndex);
      if (status === null) continue;
      rows.push({
        partitionIndex,
        partitionSize: status.sizeBytes,
        offsetLag: Math.max(0, status.highWatermark - status.logEndOffset),
        isFutureKey: false,
      });
    }
    if (rows.length > 0) topics.push({ name, partitions: rows });
  }
  const result = {
    errorCode: NONE,
    logDir: path,
    topics,
    totalBytes,
    usableBytes,
    isCordoned: false,
  };
  return { throttleTimeMs: 0, errorCode: NONE, results: [result] };
}

/** Answers AlterReplicaLogDirs: to the one folder that there is, nothing has to move. A partition named twice has its last folder. */
export function alterReplicaLogDirs(
  context: ApiContext,
  request: AlterReplicaLogDirsRequest,
): AlterReplicaLogDirsResponse {
  const paths = new Map<string, Map<number, string>>();
  for (const { path, topics } of request.dirs) {
    for (const { name, partitions } of topics) {
      let ofTopic = paths.get(name);
      if (ofTopic === undefined) {
        ofTopic = new Map();
        paths.set(name, ofTopic);
      }
      for (const partition of partitions) ofTopic.set(partition, path);
    }
  }
  const results = Array.from(paths, ([topicName, partitions]) => ({
    topicName,
    partitions: Array.from(partitions, ([partitionIndex, path]) => ({
      partitionIndex,
      errorCode: moveCode(context, topicName, partitionIndex, path),
    })),
  }));
  return { throttleTimeMs: 0, results };
}

function moveCode(
  { cluster, partitions, logDirectory }: ApiContext,
  name: string,
  index: number,
  path: string,
): number {
  // Such a name is longer than Kafka's folders may be: whoever asks is told so, whatever folder it is.
  if (name.length + String(index).length + FUTURE_NAME_LENGTH > FOLDER_NAME_MAX) {
    return wireCodeOf("invalid_topic_exception");
  }
  if (path !== logDirectory.path) return wireCodeOf("log_dir_not_found");
  if (!partitions.isOnline) return wireCodeOf("kafka_storage_error");
  const topic = cluster.image.topicsByName.get(name);
  if (topic === undefined || index < 0 || index >= topic.partitionCount) {
    return wireCodeOf("unknown_topic_or_partition");
  }
  const isHere = partitions.status(topic.id, index) !== null;
  return isHere ? NONE : wireCodeOf("replica_not_available");
}
