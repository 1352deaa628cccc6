// A simulated consumer of a cluster: reads every partition from its leader, now and then from a follower, in order.
// Invariant: a position only moves by what was served; at the end all that is committed has been read.

import type { SeededRandom } from "../../../base/prng.ts";
import { errorByCode } from "../../../protocol/errors.ts";
import { Fetch } from "../../../protocol/messages/01_fetch.ts";
import { batchesIn } from "../../../record/record_batch.ts";
import { recordsIn } from "../fetched_records.ts";
import type { PartitionHistory, ReadRecord } from "../history.ts";
import { ConnectionGone } from "../sim_client.ts";
import type { ClusterClient } from "./cluster_client.ts";
import type { ServedBatch } from "./cluster_history.ts";

const CHECKER = "consumer_answers";
const NO_FLOOR = { highWatermark: 0, logStartOffset: 0 };

const AGAIN: ReadonlySet<string> = new Set([
  "kafka_storage_error",
  "request_timed_out",
  "not_leader_or_follower",
  "leader_not_available",
  "fenced_leader_epoch",
  "unknown_leader_epoch",
  "replica_not_available",
  "offset_not_available",
  "unknown_topic_or_partition",
  "unknown_topic_id",
]);

/** What one fetch of one partition gave; a code when it was refused. */
export type PartitionFetched =
  | { readonly code: string }
  | {
      readonly code: null;
      readonly highWatermark: number;
      readonly logStartOffset: number;
      readonly nextOffset: number;
      readonly records: readonly ReadRecord[];
      readonly batches: readonly ServedBatch[];
      /** Unique in a run. */
      readonly connection: number;
    };

/** Fetches from `offset` on. @throws {ConnectionGone} */
export async function fetchUntold(
  client: ClusterClient,
  partition: PartitionHistory,
  brokerId: number,
  offset: number,
  waitMs: number,
  bytesMax: number,
): Promise<PartitionFetched> {
  const connection = await client.connectedTo(brokerId);
  const response = await connection.request(
    Fetch,
    Fetch.highestStable,
    {
      maxWaitMs: waitMs,
      minBytes: 1,
      maxBytes: 0x7fffffff,
      isolationLevel: 0,
      sessionEpoch: -1,
      topics: [
        {
          topicId: partition.topic.id,
          partitions: [
            { partition: partition.partition, fetchOffset: offset, partitionMaxBytes: bytesMax },
          ],
        },
      ],
      forgottenTopicsData: [],
    },
    waitMs,
  );
  const answer = response.responses[0]?.partitions[0];
  if (response.errorCode !== 0 || answer === undefined) {
    return { code: errorByCode(response.errorCode)?.code ?? "no_answer" };
  }
  if (answer.errorCode !== 0) {
    return { code: errorByCode(answer.errorCode)?.code ?? `error ${answer.errorCode}` };
  }
  const { highWatermark, logStartOffset } = answer;
  const bytes = answer.records ?? new Uint8Array(0);
  const records = recordsIn(client.world, partition, offset, bytes);
  if (records === null) return { code: "damage" };
  const last = records.at(-1);
  return {
    code: null,
    highWatermark,
    logStartOffset,
    nextOffset: last === undefined ? offset : last.offset + 1,
    records,
    batches: servedIn(brokerId, bytes),
    connection: connection.number,
  };
}

/** As `fetchUntold`, and tells the history. @throws {ConnectionGone} */
export async function fetchFrom(
  client: ClusterClient,
  partition: PartitionHistory,
  brokerId: number,
  offset: number,
  waitMs: number,
  bytesMax: number,
): Promise<PartitionFetched> {
  const { history } = client.options;
  const found = await fetchUntold(client, partition, brokerId, offset, waitMs, bytesMax);
  if (found.code !== null) return found;
  const { connection, highWatermark, logStartOffset, records, batches } = found;
  history.highWatermarkTold(partition, brokerId, connection, highWatermark);
  history.history.read(partition, {
    fetchOffset: offset,
    records,
    highWatermark,
    logStartOffset,
    floor: NO_FLOOR,
  });
  for (const batch of batches) history.served(partition, batch);
  return found;
}

function servedIn(brokerId: number, bytes: Uint8Array): ServedBatch[] {
  return batchesIn(bytes).batches.map((batch) => ({
    brokerId,
    baseOffset: batch.baseOffset,
    endOffset: batch.lastOffset + 1,
    leaderEpoch: batch.leaderEpoch,
    bytes: batch.view().slice(),
  }));
}

export interface ClusterConsumerOptions {
  readonly client: ClusterClient;
  readonly random: SeededRandom;
  readonly partitions: readonly PartitionHistory[];
  readonly readsFollowers: boolean;
  readonly mustStop: () => boolean;
}

export class ClusterConsumer {
  isDone = false;
  readonly #options: ClusterConsumerOptions;

  constructor(options: ClusterConsumerOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { partitions, client } = this.#options;
    await Promise.all(partitions.map((partition) => this.#lane(partition)));
    client.close();
    this.isDone = true;
  }

  async #lane(partition: PartitionHistory): Promise<void> {
    const { client, mustStop, readsFollowers } = this.#options;
    const random = this.#options.random.fork(partition.label);
    let position = 0;
    for (;;) {
      const isLast = mustStop();
      const told = client.toldOf(partition);
      const leader = client.leaderOf(partition);
      let from = leader;
      if (told !== null && readsFollowers && !isLast && random.below(3) === 0) {
        from = told.replicas[random.below(told.replicas.length)] ?? leader;
      }
      let code: string | null = "no_leader";
      try {
        if (from !== null) {
          const waitMs = isLast ? 0 : random.below(300);
          const bytesMax = random.below(3) === 0 ? 500 : 1_000_000;
          const found = await fetchFrom(client, partition, from, position, waitMs, bytesMax);
          code = found.code;
          if (found.code === null) {
            position = found.nextOffset;
            if (isLast && from === leader && position >= found.highWatermark) return;
          }
        }
        if (code !== null) {
          this.#judge(partition, position, from, from === leader, code);
          await client.refresh([partition.topic]);
        }
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
        code = "gone";
      }
      if (code !== null) {
        await client.backOff();
        if (code === "gone") await this.#refresh(partition);
      } else await client.options.process.sleep(random.below(60_000), `${client.name}_idle`);
    }
  }

  async #refresh(partition: PartitionHistory): Promise<void> {
    try {
      await this.#options.client.refresh([partition.topic]);
    } catch (error) {
      if (!(error instanceof ConnectionGone)) throw error;
    }
  }

  #judge(
    partition: PartitionHistory,
    position: number,
    brokerId: number | null,
    isLeader: boolean,
    code: string,
  ): void {
    if (AGAIN.has(code) || code === "no_leader" || code === "no_answer") return;
    // A follower that is behind knows of no such offset; a leader has all that was ever shown.
    if (code === "offset_out_of_range" && !isLeader) return;
    const { client } = this.#options;
    client.world.fail(
      CHECKER,
      `${client.name}: ${code} for ${partition.label} at ${position} from broker ${brokerId}`,
    );
  }
}
