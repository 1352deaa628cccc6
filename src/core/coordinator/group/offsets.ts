// The committed offsets of all groups of a shard: commits, fetches, deletions, and their end when nobody wants them.
// Invariant: a committed offset changes by a newer commit alone, and goes by a tombstone alone. An answer is given when
// what it says is committed, which is the host's part, so that no offset that anybody was told goes back.
// Kafka: OffsetMetadataManager.

import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../../../protocol/messages/08_offset_commit.ts";
import type {
  OffsetDeleteRequest,
  OffsetDeleteResponse,
} from "../../../protocol/messages/47_offset_delete.ts";
import { answer, type Decision, type Now, type Reply } from "../runtime/shard.ts";
import type { GroupCall } from "./group.ts";
import type { GroupRecord, OffsetCommitRecord } from "./group_record.ts";
import type { FetchedGroup, FetchGroup } from "./group_requests.ts";
import type { GroupShardOptions } from "./group_shard_options.ts";
import type { Groups } from "./groups.ts";
import { decideCommit } from "./offsets_commit.ts";
import { decideDelete, tombstone } from "./offsets_delete.ts";
import { walkExpired, walkTopics } from "./offsets_expiry.ts";
import { fetchOffsetsOf } from "./offsets_fetch.ts";
import { walkGone } from "./offsets_gone.ts";
import { OpenTransactions, type PendingOffsets } from "./offsets_pending.ts";
import { sweep } from "./offsets_sweep.ts";
import { OffsetTable } from "./offsets_table.ts";

const EXPIRY_TIMER = "offsets expire";
/** A few milliseconds of looking. */
const SWEEP_STEPS_MAX = 20_000;

export interface GroupOffsetsInit {
  readonly options: GroupShardOptions;
  readonly groups: Groups;
  /** Makes the group that has nothing but offsets, unless there is one of that id. Part of the replay. */
  readonly ensureSimple: (groupId: string) => void;
  /** For tests. Default: those that the log tells of. */
  readonly pending?: PendingOffsets;
  /** Most steps between two requests, of a walk over all offsets. Default: 20,000. */
  readonly sweepStepsMax?: number;
}

export class GroupOffsets {
  /** Hard state: written by replay alone. */
  readonly table = new OffsetTable();
  readonly #options: GroupShardOptions;
  readonly #groups: Groups;
  readonly #ensureSimple: (groupId: string) => void;
  readonly #open = new OpenTransactions();
  readonly #pending: PendingOffsets;
  readonly #sweepStepsMax: number;
  #deletionCount = 0;

  constructor(init: GroupOffsetsInit) {
    this.#options = init.options;
    this.#groups = init.groups;
    this.#ensureSimple = init.ensureSimple;
    this.#pending = init.pending ?? this.#open;
    this.#sweepStepsMax = init.sweepStepsMax ?? SWEEP_STEPS_MAX;
  }

  /** OffsetCommit. Topics and partitions that are not there are refused one by one, also when others are committed. */
  commit(
    call: GroupCall,
    request: OffsetCommitRequest,
    reply: Reply<OffsetCommitResponse>,
  ): Decision<GroupRecord> {
    const { records, response } = decideCommit(call, request, {
      group: this.#groups.get(request.groupId),
      topics: this.#options.topics(),
      metadataLengthMax: this.#options.settings.offsetMetadataBytesMax,
    });
    return { records, answers: [answer(reply, response)] };
  }

  /** OffsetFetch for any number of groups, by the names of topics. */
  fetch(
    asked: readonly FetchGroup[],
    requireStable: boolean,
    reply: Reply<readonly FetchedGroup[]>,
  ): Decision<GroupRecord> {
    const rows = asked.map((each) =>
      fetchOffsetsOf(each, {
        group: this.#groups.get(each.groupId),
        table: this.table,
        pending: this.#pending,
        topics: this.#options.topics(),
        requireStable,
      }),
    );
    return { records: [], answers: [answer(reply, rows)] };
  }

  /** OffsetDelete. */
  delete(request: OffsetDeleteRequest, reply: Reply<OffsetDeleteResponse>): Decision<GroupRecord> {
    const { records, response } = decideDelete(request, {
      group: this.#groups.get(request.groupId),
      table: this.table,
      pending: this.#pending,
      topics: this.#options.topics(),
    });
    return { records, answers: [answer(reply, response)], mayBeSplit: true };
  }

  /** Tombstones for all offsets of a group that is about to be deleted, those of open transactions too. */
  tombstonesOf(groupId: string): OffsetCommitRecord[] {
    const records: OffsetCommitRecord[] = [];
    for (const [topic, list] of this.table.of(groupId)) {
      for (const { partition } of list) records.push(tombstone(groupId, topic, partition));
    }
    for (const { topic, partition } of this.#pending.of(groupId)) {
      if (this.table.get(groupId, topic, partition) !== null) continue;
      records.push(tombstone(groupId, topic, partition));
    }
    return records;
  }

  /** These topics are gone, and with them their offsets, a slice at a time. Answered at the end with how many there were. */
  topicsDeleted(names: readonly string[], reply: Reply<number>): Decision<GroupRecord> {
    const { timers, topics, log } = this.#options;
    return sweep({
      key: `offsets of deleted topics ${this.#deletionCount++}`,
      timers,
      stepsMax: this.#sweepStepsMax,
      walk: walkTopics(this.#walked(), names, topics),
      ended: (count) => {
        if (count > 0) log.info("offsets_of_topics_deleted", { topics: names.length, count });
        return [answer(reply, count)];
      },
    });
  }

  /** An offset of a transaction: it holds once that is committed. */
  replayTransactional(
    { key, value }: OffsetCommitRecord,
    offset: number,
    producerId: number,
  ): void {
    // A removal does not wait for the end of any transaction, as in Kafka.
    if (value === null) {
      this.replay({ kind: "offset_commit", key, value }, offset);
      return;
    }
    this.#ensureSimple(key.group);
    this.#open.put(producerId, { key, value, recordOffset: offset });
  }

  /** A transaction ends. What was committed behind an offset of it, and before this, is newer. */
  replayMarker(producerId: number, isCommit: boolean): void {
    const commits = this.#open.end(producerId);
    if (!isCommit) return;
    for (const { key, value, recordOffset } of commits) {
      const { group, topic, partition } = key;
      const known = this.table.get(group, topic, partition);
      if (known !== null && known.recordOffset >= recordOffset) continue;
      this.#ensureSimple(group);
      this.table.put(group, topic, partition, value, recordOffset);
    }
  }

  /** The only writer of offsets outside of transactions. */
  replay({ key, value }: OffsetCommitRecord, offset: number): void {
    const { group, topic, partition } = key;
    if (value === null) {
      this.table.remove(group, topic, partition);
      this.#pending.remove(group, topic, partition);
      return;
    }
    this.#ensureSimple(group);
    this.table.put(group, topic, partition, value, offset);
  }

  /**
   * What has expired stays until the first check, as in Kafka: whoever comes at once finds it. What was committed to topics
   * that are gone goes at once.
   */
  loaded(_now: Now): Decision<GroupRecord> {
    // Whoever could end them is another broker, or was: here they will not, and must not be waited for.
    const { size } = this.#open;
    if (size > 0) this.#options.log.warn("open_transactions_dropped", { count: size });
    this.#open.clear();
    this.#expireLater();
    return this.#forgetGone();
  }

  /** Until it is through, a fetch does not tell of what it will remove. */
  #forgetGone(): Decision<GroupRecord> {
    const { timers, topics, log } = this.#options;
    return sweep({
      key: "offsets of topics that are gone",
      timers,
      stepsMax: this.#sweepStepsMax,
      walk: walkGone(this.table, topics),
      ended: (count) => {
        if (count > 0) log.info("offsets_of_gone_topics_deleted", { count });
        return [];
      },
    });
  }

  #expireLater(): void {
    const { timers, settings } = this.#options;
    timers.set(EXPIRY_TIMER, settings.offsetsRetentionCheckMs, (now) => this.#expire(now));
  }

  #expire(now: Now): Decision<GroupRecord> {
    const { timers, settings, log } = this.#options;
    return sweep({
      key: EXPIRY_TIMER,
      timers,
      stepsMax: this.#sweepStepsMax,
      walk: walkExpired(this.#walked(), now.wallMs, settings.offsetsRetentionMs),
      ended: (count) => {
        if (count > 0) log.info("offsets_expired", { count });
        this.#expireLater();
        return [];
      },
    });
  }

  #walked() {
    return { groups: this.#groups, table: this.table, pending: this.#pending };
  }
}
