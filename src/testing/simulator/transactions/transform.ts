// Consume, transform, produce: reads its input at read_committed, writes one record for each to the output, and commits where
// it is with the same transaction. What it does not know it reads again, and offsets that a transaction may still change are
// waited for. Used alone, with partitions of its own, and by members of groups.

import type { SeededRandom } from "../../../base/prng.ts";
import { errorByCode } from "../../../protocol/errors.ts";
import { OffsetFetch } from "../../../protocol/messages/09_offset_fetch.ts";
import { ConnectionGone, type SimClient } from "../sim_client.ts";
import type { MemberJob } from "../sim_member.ts";
import type {
  ModelGroup,
  ModelPartition,
  ModelTopic,
  SentRecord,
  TransactionModel,
} from "./model.ts";
import { OFFSETS } from "./model.ts";
import type { TransactionalProducer, Wanted } from "./producer.ts";
import { fetchFrom, READ_COMMITTED } from "./reads.ts";

const CHECKER = "transaction_answers";
/** First version that can be told to wait for transactions. */
const STABLE_SINCE = 7;
const GROUPS_SINCE = 8;
const ABORTED_PERCENT = 12;
const ABANDONED_PERCENT = 4;
const SLEEPING_PERCENT = 6;
const LATE_PERCENT = 8;
const PASSING = new Set([
  "coordinator_load_in_progress",
  "coordinator_not_available",
  "not_coordinator",
]);
const FETCH_AGAIN = new Set(["kafka_storage_error", "not_leader_or_follower"]);

export interface TransformOptions {
  readonly client: SimClient;
  readonly model: TransactionModel;
  readonly producer: TransactionalProducer;
  readonly group: ModelGroup;
  readonly output: ModelTopic;
  readonly random: SeededRandom;
  readonly bytesMax: number;
  readonly thinkUsMax: number;
  readonly mustStop: () => boolean;
}

export class Transform implements MemberJob {
  readonly #options: TransformOptions;
  /** Those that are not here have to be asked for. */
  readonly #positions = new Map<number, number>();

  constructor(options: TransformOptions) {
    this.#options = options;
  }

  async take(partitions: readonly number[]): Promise<boolean> {
    for (const partition of partitions) this.#positions.delete(partition);
    for (let tries = 0; tries < 3; tries++) {
      const left = partitions.filter((partition) => !this.#positions.has(partition));
      if (left.length === 0) return true;
      const found = await offsetsOf(this.#options.client, this.#options, left, true);
      for (const [partition, offset] of found) this.#positions.set(partition, Math.max(offset, 0));
      if (found.size < left.length) await this.#options.client.backOff();
    }
    return partitions.every((partition) => this.#positions.has(partition));
  }

  /** One transaction over what has come in, if anything has. @param member Null: the partitions are nobody else's */
  async work(
    owned: readonly number[],
    member: { readonly memberId: string; readonly epoch: number } | null,
  ): Promise<void> {
    const { client, producer, group, random, bytesMax, thinkUsMax } = this.#options;
    const unknown = owned.filter((partition) => !this.#positions.has(partition));
    if (owned.length === 0 || !(await this.take(unknown))) return;
    if (producer.mustInit) {
      await producer.init();
      // Whoever had the id before may have committed meanwhile.
      this.#positions.clear();
      return;
    }
    const brought = await this.#fetch(owned, bytesMax);
    const news = brought.filter(({ nextOffset, fetchOffset }) => nextOffset > fetchOffset);
    if (news.length === 0) {
      await client.options.process.sleep(random.below(60_000), `${client.name}_idle`);
      return;
    }
    producer.begin();
    const offsets = new Map<number, number>();
    const wanted: Wanted[] = [];
    for (const { partition, shown, nextOffset } of news) {
      offsets.set(partition.index, nextOffset);
      if (shown.length === 0) continue;
      const records = shown.map((record): SentRecord => {
        return {
          key: 0,
          isTombstone: false,
          source: `${group.groupId}: ${partition.index}/${record.offset}`,
        };
      });
      wanted.push({ partition: this.#outputFor(partition), records });
    }
    // Until the end is known they are asked for again.
    for (const partition of offsets.keys()) this.#positions.delete(partition);
    let verdict = wanted.length === 0 ? "ok" : await producer.write(wanted.map((each) => [each]));
    if (verdict === "ok" && random.below(3) === 0) {
      await client.options.process.sleep(random.below(thinkUsMax), `${client.name}_think`);
    }
    // Whoever takes over meanwhile finds no offsets that it would have to wait for.
    if (random.below(100) < LATE_PERCENT) await this.#sleep();
    if (verdict === "ok") verdict = await producer.sendOffsets(group, member, offsets);
    if (verdict === "fenced") {
      producer.abandon();
      return;
    }
    const dice = this.#options.mustStop() ? 100 : random.below(100);
    if (dice < ABANDONED_PERCENT) {
      producer.abandon();
      return;
    }
    if (dice >= 100 - SLEEPING_PERCENT && dice < 100) {
      await this.#sleep();
    }
    const isCommit = verdict === "ok" && dice >= ABANDONED_PERCENT + ABORTED_PERCENT;
    if ((await producer.end(isCommit)) !== "committed") return;
    for (const [partition, offset] of offsets) this.#positions.set(partition, offset);
  }

  async #sleep(): Promise<void> {
    const { client, random } = this.#options;
    await client.options.process.sleep(random.below(900_000), `${client.name}_sleeps`);
  }

  async #fetch(owned: readonly number[], bytesMax: number) {
    const { client, model, group } = this.#options;
    const asked = owned.map((index) => {
      return { partition: group.input.partitions[index]!, offset: this.#positions.get(index)! };
    });
    const how = { isolation: READ_COMMITTED, maxWaitMs: 50, bytesMax } as const;
    try {
      const brought = await fetchFrom(await client.connected(), model, asked, how);
      for (const { code, partition } of brought) {
        if (code === null || FETCH_AGAIN.has(code)) continue;
        model.fail(CHECKER, `${client.name}: fetching ${partition.label}: ${code}`);
      }
      return brought;
    } catch (error) {
      if (!(error instanceof ConnectionGone)) throw error;
      await client.backOff();
      return [];
    }
  }

  #outputFor(input: ModelPartition): ModelPartition {
    const { partitions } = this.#options.output;
    return partitions[(input.index + this.#options.random.below(2)) % partitions.length]!;
  }
}

export interface OffsetsFrom {
  readonly model: TransactionModel;
  readonly group: ModelGroup;
}

/** Committed offsets, judged; what is not stable, where that was asked for, is left out. Never rejects. */
export async function offsetsOf(
  client: SimClient,
  { model, group }: OffsetsFrom,
  partitions: readonly number[],
  requireStable: boolean,
): Promise<Map<number, number>> {
  const found = new Map<number, number>();
  const { groupId, input } = group;
  const pending = partitions.filter((partition) => model.isSurelyPending(group, partition));
  const floors = partitions.map((partition) => (requireStable ? group.floors[partition]! : -1));
  try {
    const connection = await client.connected();
    const version = connection.versionOf(OffsetFetch, requireStable ? STABLE_SINCE : 1);
    const asked = [
      { name: input.shape.name, topicId: input.id, partitionIndexes: [...partitions] },
    ];
    const response = await connection.request(OffsetFetch, version, {
      ...(version >= GROUPS_SINCE
        ? { groups: [{ groupId, topics: asked }] }
        : { groupId, topics: asked }),
      requireStable: requireStable && version >= STABLE_SINCE,
    });
    const [only] = response.groups;
    const topics = version >= GROUPS_SINCE ? only!.topics : response.topics;
    const rows = topics[0]?.partitions ?? [];
    const errorCode =
      version >= GROUPS_SINCE
        ? only!.errorCode
        : version >= 2
          ? response.errorCode
          : (rows[0]?.errorCode ?? 0);
    const code = errorByCode(errorCode)?.code;
    if (code !== undefined) {
      if (!PASSING.has(code)) model.fail(CHECKER, `${client.name}: offsets of ${groupId}: ${code}`);
      return found;
    }
    for (const [i, partition] of partitions.entries()) {
      const row = rows.find((each) => each.partitionIndex === partition);
      if (row === undefined) {
        model.fail(CHECKER, `${client.name}: no offset of ${groupId}, partition ${partition}`);
        continue;
      }
      const rowCode = errorByCode(row.errorCode)?.code;
      const where = `${groupId}: partition ${partition}`;
      // After a start a decided end may still be on its way into the group: that it comes is seen by the audit.
      if (rowCode === "unstable_offset_commit" && requireStable) continue;
      if (rowCode !== undefined) {
        model.fail(CHECKER, `${client.name}: offset of ${where}: ${rowCode}`);
        continue;
      }
      if (requireStable && pending.includes(partition) && model.isSurelyPending(group, partition)) {
        model.fail(OFFSETS, `${where} is said to be stable, and a transaction is open`);
      }
      model.offsetRead(group, partition, row.committedOffset, floors[i]!);
      found.set(partition, row.committedOffset);
    }
  } catch (error) {
    if (!(error instanceof ConnectionGone)) throw error;
  }
  return found;
}
