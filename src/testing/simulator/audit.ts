// Reads whole partitions when nothing happens any more, twice and in different ways, and asks for offsets
// by timestamp: what checkers of the final state are given.
// Invariant: it runs after faults have ended; whatever it is refused is a failure.

import type { SeededRandom } from "../../base/prng.ts";
import { errorByCode } from "../../protocol/errors.ts";
import { Fetch } from "../../protocol/messages/01_fetch.ts";
import { recordsIn } from "./fetched_records.ts";
import type {
  History,
  PartitionAudit,
  PartitionHistory,
  ReadRecord,
  TopicHistory,
} from "./history.ts";
import { FETCH_WITH_ZSTD } from "./scenario.ts";
import type { SimClient, SimConnection } from "./sim_client.ts";
import { listOffset } from "./workload_consumer.ts";

const CHECKER = "audit_answers";
const EARLIEST = -2;
const LATEST = -1;
const NEWEST = -3;

/** Audits every partition. @throws {ConnectionGone} */
export async function auditAll(
  client: SimClient,
  history: History,
  partitions: readonly PartitionHistory[],
  random: SeededRandom,
): Promise<void> {
  const connection = await client.connected();
  for (const topic of history.topics) {
    if (topic.isDeleted && topic.id !== "") await checkGone(connection, history, topic);
  }
  for (const partition of partitions) {
    const logStartOffset = await mustList(connection, history, partition, EARLIEST);
    const highWatermark = await mustList(connection, history, partition, LATEST);
    const audit = await readWhole(
      connection,
      history,
      partition,
      logStartOffset,
      highWatermark,
      1_000_000,
    );
    // Retention may have run between the two questions.
    const first = partition.topic.expires
      ? Math.max(logStartOffset, audit.records[0]?.offset ?? highWatermark)
      : logStartOffset;
    history.audited(partition, { ...audit, logStartOffset: first });
    if (partition.topic.expires) continue;
    await readWhole(connection, history, partition, first, highWatermark, 1 + random.below(3000));
    if (!partition.topic.isTainted && !history.hasFlippedBits) {
      await checkTimestamps(connection, history, partition, audit.records, random);
    }
  }
}

/** A deleted topic is gone, and its id with it. */
async function checkGone(
  connection: SimConnection,
  history: History,
  topic: TopicHistory,
): Promise<void> {
  const response = await connection.request(Fetch, Fetch.highestStable, {
    maxWaitMs: 0,
    minBytes: 0,
    isolationLevel: 0,
    sessionEpoch: -1,
    topics: [
      {
        topicId: topic.id,
        partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }],
      },
    ],
    forgottenTopicsData: [],
  });
  if (response.responses[0]?.partitions[0]?.errorCode === 0) {
    history.deletedTopicServed(topic, "Fetch");
  }
}

async function mustList(
  connection: SimConnection,
  history: History,
  partition: PartitionHistory,
  timestamp: number,
): Promise<number> {
  const offset = await listOffset(connection, history, partition, timestamp);
  if (offset === null) throw new Error(`ListOffsets of ${partition.label} was refused`);
  return offset;
}

async function readWhole(
  connection: SimConnection,
  history: History,
  partition: PartitionHistory,
  logStartOffset: number,
  highWatermark: number,
  bytesMax: number,
): Promise<PartitionAudit> {
  const world = connection.world;
  const records: ReadRecord[] = [];
  const reported = new Set<number>();
  let position = logStartOffset;
  while (position < highWatermark && world.failure === null) {
    const version = connection.versionOf(Fetch, FETCH_WITH_ZSTD);
    const { floor, topic } = partition;
    const response = await connection.request(Fetch, version, {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 0x7fffffff,
      isolationLevel: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic: topic.name,
          topicId: topic.id,
          partitions: [
            {
              partition: partition.partition,
              fetchOffset: position,
              partitionMaxBytes: bytesMax,
            },
          ],
        },
      ],
      forgottenTopicsData: [],
      replicaId: -1,
    });
    const answer = response.responses[0]?.partitions[0];
    const code = answer === undefined ? "no answer" : errorByCode(answer.errorCode)?.code;
    if (code === "corrupt_message" && history.hasFlippedBits) {
      reported.add(position);
      position++;
      continue;
    }
    if (code === "offset_out_of_range" && topic.expires) {
      position = await mustList(connection, history, partition, EARLIEST);
      records.length = 0;
      continue;
    }
    if (answer === undefined || code !== undefined) {
      world.fail(CHECKER, `${partition.label} at ${position}: ${code}`);
      break;
    }
    const got = recordsIn(world, partition, position, answer.records ?? new Uint8Array(0));
    if (got === null) break;
    history.read(partition, {
      fetchOffset: position,
      records: got,
      highWatermark: answer.highWatermark,
      logStartOffset: version >= 5 ? answer.logStartOffset : -1,
      floor,
    });
    if (got.length === 0) {
      if (!history.hasFlippedBits) {
        world.fail(CHECKER, `${partition.label} at ${position} of ${highWatermark}: nothing there`);
      }
      break;
    }
    records.push(...got);
    position = got.at(-1)!.offset + 1;
  }
  return { logStartOffset, highWatermark, records, reported };
}

/** The first record at or after a timestamp, and the first one with the greatest, as the whole log shows them. */
async function checkTimestamps(
  connection: SimConnection,
  history: History,
  partition: PartitionHistory,
  records: readonly ReadRecord[],
  random: SeededRandom,
): Promise<void> {
  const { world } = connection;
  if (records.length === 0) return;
  const around = records[random.below(records.length)]!.timestampMs + random.below(3) - 1;
  const found = await mustList(connection, history, partition, around);
  const due = records.find(({ timestampMs }) => timestampMs >= around)?.offset ?? -1;
  if (found !== due) {
    world.fail(
      "offsets_by_timestamp",
      `${partition.label} at ${around}: offset ${found}, and ${due} is the first that late`,
    );
  }
  const newest = await mustList(connection, history, partition, NEWEST);
  let latest = records[0]!;
  for (const record of records) if (record.timestampMs > latest.timestampMs) latest = record;
  if (newest !== latest.offset) {
    world.fail(
      "offsets_by_timestamp",
      `${partition.label}: offset ${newest} has the greatest timestamp, and it is ${latest.offset}`,
    );
  }
}
