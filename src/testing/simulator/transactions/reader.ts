// A reader of transactional topics at one isolation: long polls, looks back, resets where the log has moved on. Once nothing
// new is written it goes on until it has read everything, which at read_committed is when no transaction is left open.

import type { SeededRandom } from "../../../base/prng.ts";
import { ConnectionGone, type SimClient, type SimConnection } from "../sim_client.ts";
import type { ModelPartition, TransactionModel } from "./model.ts";
import {
  type Brought,
  EARLIEST,
  fetchFrom,
  type Isolation,
  listOffsetOf,
  READ_UNCOMMITTED,
} from "./reads.ts";

const CHECKER = "transaction_reads";

export interface ReaderOptions {
  readonly client: SimClient;
  readonly model: TransactionModel;
  readonly isolation: Isolation;
  readonly random: SeededRandom;
  readonly partitions: readonly ModelPartition[];
  readonly bytesMax: number;
  readonly waitMsMax: number;
  readonly rereadsPercent: number;
  readonly mustStop: () => boolean;
}

export class Reader {
  isDone = false;
  readonly #options: ReaderOptions;
  readonly #positions: Map<ModelPartition, number>;
  readonly #ends = new Map<ModelPartition, number>();

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#positions = new Map(options.partitions.map((partition) => [partition, 0]));
  }

  async run(): Promise<void> {
    const { client, mustStop } = this.#options;
    for (;;) {
      // Ends are believed only from answers to what was asked when all was quiet.
      if (mustStop() && this.#hasReadEverything()) break;
      this.#ends.clear();
      try {
        await this.#fetchOnce(await client.connected());
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
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
    const { client, model, isolation, random, bytesMax, waitMsMax, mustStop } = this.#options;
    this.#lookBackSometimes();
    const positions = Array.from(this.#positions, ([partition, offset]) => ({ partition, offset }));
    const maxWaitMs = mustStop() ? 0 : random.below(waitMsMax + 1);
    const brought = await fetchFrom(connection, model, positions, {
      isolation,
      maxWaitMs,
      bytesMax,
    });
    let hasNews = false;
    for (const each of brought) {
      const { partition, code, nextOffset, fetchOffset, highWatermark } = each;
      if (code !== null) {
        await this.#recover(connection, each);
        continue;
      }
      hasNews ||= nextOffset > fetchOffset;
      this.#positions.set(partition, nextOffset);
      // Behind the stable offset nothing is to be had yet: it is waited for.
      this.#ends.set(partition, highWatermark);
    }
    if (!hasNews) await client.options.process.sleep(random.below(80_000), `${client.name}_idle`);
  }

  async #recover(connection: SimConnection, { partition, code, fetchOffset }: Brought) {
    const { client, model } = this.#options;
    if (code === "kafka_storage_error" || code === "not_leader_or_follower") {
      await client.backOff();
      return;
    }
    const mayBeGone = partition.topic.shape.expires || fetchOffset < partition.deletionAskedFor;
    if (code !== "offset_out_of_range" || !mayBeGone) {
      model.fail(CHECKER, `${client.name}: ${code} for ${partition.label} at ${fetchOffset}`);
    }
    const earliest = await listOffsetOf(connection, model, partition, EARLIEST, READ_UNCOMMITTED);
    if (earliest !== null) this.#positions.set(partition, earliest);
  }

  #lookBackSometimes(): void {
    const { random, rereadsPercent, mustStop } = this.#options;
    if (mustStop() || random.below(100) >= rereadsPercent) return;
    const all = [...this.#positions.keys()];
    const partition = all[random.below(all.length)]!;
    this.#positions.set(partition, random.below(this.#positions.get(partition)! + 1));
  }
}
