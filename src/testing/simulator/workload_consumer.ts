// A simulated consumer by assignment: long polls, fetch sessions, topic ids or names, seeks back to read
// again, resets to the earliest offset where the log has moved on.
// Invariant: its position in a partition moves by what it was given and by nothing else.

import type { SeededRandom } from "../../base/prng.ts";
import { errorByCode } from "../../protocol/errors.ts";
import { Fetch } from "../../protocol/messages/01_fetch.ts";
import { ListOffsets } from "../../protocol/messages/02_list_offsets.ts";
import { recordsIn } from "./fetched_records.ts";
import type { Floor, History, PartitionHistory } from "./history.ts";
import type { ConsumerPlan } from "./scenario.ts";
import { ConnectionGone, type SimClient, type SimConnection } from "./sim_client.ts";

const CHECKER = "consumer_answers";
const IDS_SINCE = 13;
const SESSIONS_SINCE = 7;
const EARLIEST = -2;

type FetchResponse = Awaited<ReturnType<SimConnection["request"]>>;

export interface ConsumerOptions {
  readonly client: SimClient;
  readonly plan: ConsumerPlan;
  readonly history: History;
  readonly random: SeededRandom;
  readonly partitions: readonly PartitionHistory[];
  /** Once true it goes on until it has read everything, then ends. */
  readonly mustStop: () => boolean;
  /** Called with an offset that the broker reported as damaged. */
  readonly onCorrupt?: (partition: PartitionHistory, offset: number) => void;
}

interface Session {
  readonly connection: SimConnection;
  id: number;
  epoch: number;
  /** What the broker was told last, by partition. */
  readonly told: Map<PartitionHistory, number>;
}

export class SimConsumer {
  isDone = false;
  readonly #options: ConsumerOptions;
  readonly #positions = new Map<PartitionHistory, number>();
  readonly #ends = new Map<PartitionHistory, number>();
  /** Where to go on after a look back. */
  readonly #resumeAt = new Map<PartitionHistory, number>();
  #session: Session | null = null;

  constructor(options: ConsumerOptions) {
    this.#options = options;
    for (const partition of options.partitions) this.#positions.set(partition, 0);
  }

  async run(): Promise<void> {
    const { client, mustStop } = this.#options;
    for (;;) {
      // Ends are only believed from an answer to a request that was sent when all was quiet.
      if (mustStop() && this.#hasReadEverything()) break;
      if (mustStop()) this.#ends.clear();
      try {
        await this.#fetchOnce(await client.connected());
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
        this.#session = null;
        await client.backOff();
      }
    }
    client.close();
    this.isDone = true;
  }

  #hasReadEverything(): boolean {
    for (const [partition, position] of this.#positions) {
      const end = this.#ends.get(partition);
      if (end === undefined || position < end) return false;
    }
    return true;
  }

  async #fetchOnce(connection: SimConnection): Promise<void> {
    const { plan, random, client, mustStop } = this.#options;
    this.#seekBackSometimes();
    const version = connection.versionOf(Fetch, plan.fetchVersionMin);
    // Sessions leave out what has no news: at the end every partition has to speak.
    const usesSession = plan.usesSessions && version >= SESSIONS_SINCE && !mustStop();
    if (!usesSession || this.#session?.connection !== connection) this.#session = null;
    const session = this.#session;
    const wanted =
      session === null
        ? [...this.#positions.keys()]
        : [...this.#positions].filter(([p, at]) => session.told.get(p) !== at).map(([p]) => p);
    const floors = new Map<PartitionHistory, Floor>();
    const offsets = new Map(this.#positions);
    for (const partition of this.#positions.keys()) floors.set(partition, partition.floor);
    const maxWaitMs = mustStop() ? 0 : random.below(plan.waitMsMax + 1);
    const response = await connection.request(
      Fetch,
      version,
      {
        maxWaitMs,
        minBytes: random.below(3) === 0 ? 2000 : 1,
        maxBytes: random.below(2) === 0 ? 0x7fffffff : plan.bytesMax * 2,
        isolationLevel: random.below(2),
        sessionId: session?.id ?? 0,
        sessionEpoch: session?.epoch ?? (usesSession ? 0 : -1),
        topics: this.#topicsOf(wanted),
        forgottenTopicsData: [],
        replicaId: -1,
      },
      maxWaitMs,
    );
    if (response.errorCode !== 0) {
      this.#session = null;
      this.#judgeTop(response.errorCode);
      return;
    }
    this.#followSession(connection, usesSession, session, response.sessionId, offsets, wanted);
    const hadError = this.#takeAll(response, version, offsets, floors);
    const hasNews = [...this.#positions].some(([partition, at]) => offsets.get(partition) !== at);
    if (!hasNews) {
      await client.options.process.sleep(random.below(30_000), `${client.name}_idle`);
    }
    if (hadError.length > 0) {
      for (const [partition, code] of hadError) await this.#recover(connection, partition, code);
      await client.backOff();
    }
  }

  #topicsOf(partitions: readonly PartitionHistory[]) {
    const { plan } = this.#options;
    const topics = new Map<string, { topic: string; topicId: string; partitions: object[] }>();
    for (const partition of partitions) {
      const { name, id } = partition.topic;
      let entry = topics.get(name);
      if (entry === undefined) {
        entry = { topic: name, topicId: id, partitions: [] };
        topics.set(name, entry);
      }
      entry.partitions.push({
        partition: partition.partition,
        fetchOffset: this.#positions.get(partition)!,
        partitionMaxBytes: plan.bytesMax,
      });
    }
    return [...topics.values()] as never;
  }

  #followSession(
    connection: SimConnection,
    usesSession: boolean,
    session: Session | null,
    sessionId: number,
    offsets: ReadonlyMap<PartitionHistory, number>,
    wanted: readonly PartitionHistory[],
  ): void {
    if (!usesSession || sessionId === 0) {
      this.#session = null;
      return;
    }
    if (session === null) {
      this.#session = { connection, id: sessionId, epoch: 1, told: new Map(offsets) };
      return;
    }
    session.epoch++;
    for (const partition of wanted) session.told.set(partition, offsets.get(partition)!);
  }

  /** @returns The partitions that answered an error, with its name. */
  #takeAll(
    response: FetchResponse,
    version: number,
    offsets: ReadonlyMap<PartitionHistory, number>,
    floors: ReadonlyMap<PartitionHistory, Floor>,
  ): [PartitionHistory, string][] {
    const { client, history } = this.#options;
    const failed: [PartitionHistory, string][] = [];
    const { responses } = response as unknown as {
      readonly responses: readonly {
        readonly topic: string;
        readonly topicId: string;
        readonly partitions: readonly {
          readonly partitionIndex: number;
          readonly errorCode: number;
          readonly highWatermark: number;
          readonly logStartOffset: number;
          readonly records: Uint8Array | null;
        }[];
      }[];
    };
    for (const topic of responses) {
      for (const answer of topic.partitions) {
        const partition = [...this.#positions.keys()].find(
          (each) =>
            each.partition === answer.partitionIndex &&
            (version >= IDS_SINCE
              ? each.topic.id === topic.topicId
              : each.topic.name === topic.topic),
        );
        if (partition === undefined) {
          client.world.fail(CHECKER, `an answer for ${topic.topic}${topic.topicId}, not asked for`);
          continue;
        }
        if (answer.errorCode !== 0) {
          failed.push([partition, errorByCode(answer.errorCode)!.code]);
          continue;
        }
        const fetchOffset = offsets.get(partition)!;
        const bytes = answer.records ?? new Uint8Array(0);
        const records = recordsIn(client.world, partition, fetchOffset, bytes);
        if (records === null) return failed;
        history.read(partition, {
          fetchOffset,
          records,
          highWatermark: answer.highWatermark,
          logStartOffset: version >= 5 ? answer.logStartOffset : -1,
          floor: floors.get(partition)!,
        });
        this.#ends.set(partition, answer.highWatermark);
        const last = records.at(-1);
        // A session may answer for a position that was changed meanwhile: never, here, as one fetch runs at a time.
        if (last !== undefined) this.#positions.set(partition, last.offset + 1);
      }
    }
    return failed;
  }

  async #recover(
    connection: SimConnection,
    partition: PartitionHistory,
    code: string,
  ): Promise<void> {
    const { client, history, onCorrupt } = this.#options;
    this.#session = null;
    const position = this.#positions.get(partition)!;
    switch (code) {
      case "kafka_storage_error":
      case "not_leader_or_follower":
        return;
      case "offset_out_of_range": {
        const isExplained =
          partition.topic.expires ||
          partition.topic.isTainted ||
          history.hasFlippedBits ||
          position < partition.deletionAskedFor;
        if (!isExplained) {
          client.world.fail(
            CHECKER,
            `${partition.label}: offset ${position} is out of range, and nothing was deleted`,
          );
        }
        const earliest = await listOffset(connection, history, partition, EARLIEST);
        if (earliest !== null) this.#positions.set(partition, earliest);
        return;
      }
      case "corrupt_message":
        if (!history.hasFlippedBits) {
          client.world.fail(CHECKER, `${partition.label} ${position} is reported as corrupt`);
        }
        onCorrupt?.(partition, position);
        this.#positions.set(partition, position + 1);
        return;
      case "unknown_topic_or_partition":
      case "unknown_topic_id":
        if (partition.topic.isDeletionAsked) {
          this.#positions.delete(partition);
          return;
        }
        break;
      default:
        break;
    }
    client.world.fail(CHECKER, `${client.name}: ${code} for ${partition.label} at ${position}`);
  }

  #judgeTop(errorCode: number): void {
    const { code } = errorByCode(errorCode)!;
    const isSession =
      code === "fetch_session_id_not_found" || code === "invalid_fetch_session_epoch";
    if (isSession) return;
    this.#options.client.world.fail(
      CHECKER,
      `${this.#options.client.name}: fetch refused: ${code}`,
    );
  }

  /** For one fetch, somewhere it has been before; then it goes on where it was. */
  #seekBackSometimes(): void {
    const { plan, random, mustStop } = this.#options;
    for (const [partition, position] of this.#resumeAt) {
      const now = this.#positions.get(partition);
      if (now !== undefined) this.#positions.set(partition, Math.max(now, position));
    }
    this.#resumeAt.clear();
    if (mustStop() || random.below(100) >= plan.rereadsPercent) return;
    const all = [...this.#positions.keys()];
    if (all.length === 0) return;
    const partition = all[random.below(all.length)]!;
    const position = this.#positions.get(partition)!;
    this.#resumeAt.set(partition, position);
    this.#positions.set(partition, random.below(position + 1));
  }
}

/** Asks for one offset; null when the broker refused. @throws {ConnectionGone} */
export async function listOffset(
  connection: SimConnection,
  history: History,
  partition: PartitionHistory,
  timestamp: number,
): Promise<number | null> {
  const { floor } = partition;
  const lowest = timestamp === -3 ? 7 : ListOffsets.lowest;
  const version = connection.versionOf(ListOffsets, lowest);
  const response = await connection.request(ListOffsets, version, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [
      {
        name: partition.topic.name,
        partitions: [{ partitionIndex: partition.partition, timestamp }],
      },
    ],
  });
  const answer = response.topics[0]?.partitions[0];
  if (answer === undefined || answer.errorCode !== 0) return null;
  if (timestamp === EARLIEST) history.offsetListed(partition, "earliest", answer.offset, floor);
  if (timestamp === -1) history.offsetListed(partition, "latest", answer.offset, floor);
  return answer.offset;
}
