// The committed offsets of all groups of a shard: commits, fetches, deletions, and their end when nobody wants them.
// Invariant: a committed offset changes by a newer commit alone, and goes by a tombstone alone. An answer is given when
// what it says is committed, which is the host's part, so that no offset that anybody was told goes back.
// Kafka: OffsetMetadataManager.

import type {
  OffsetCommitRequest,
  OffsetCommitResponse,
} from "../../../protocol/messages/08_offset_commit.ts";
import type {
  TxnOffsetCommitRequest,
  TxnOffsetCommitResponse,
} from "../../../protocol/messages/28_txn_offset_commit.ts";
import type {
  OffsetDeleteRequest,
  OffsetDeleteResponse,
} from "../../../protocol/messages/47_offset_delete.ts";
import {
  answer,
  type Decision,
  type Now,
  type Producer,
  type Reply,
  type TransactionEnd,
} from "../runtime/shard.ts";
import type { GroupCall } from "./group.ts";
import type { GroupRecord, OffsetCommitRecord } from "./group_record.ts";
import type { FetchedGroup, FetchGroup } from "./group_requests.ts";
import type { GroupShardOptions } from "./group_shard_options.ts";
import type { Groups } from "./groups.ts";
import { type CommitOptions, decideCommit, decideTransactionalCommit } from "./offsets_commit.ts";
import { decideDelete, tombstone } from "./offsets_delete.ts";
import { walkExpired, walkTopics } from "./offsets_expiry.ts";
import { fetchOffsetsOf } from "./offsets_fetch.ts";
import { walkGone } from "./offsets_gone.ts";
import { sweep } from "./offsets_sweep.ts";
import { OffsetTable } from "./offsets_table.ts";
import { TransactionOffsets } from "./offsets_transactions.ts";

const EXPIRY_TIMER = "offsets expire";
/** A few milliseconds of looking. */
const SWEEP_STEPS_MAX = 20_000;

export interface GroupOffsetsInit {
  readonly options: GroupShardOptions;
  readonly groups: Groups;
  /** Makes the group that has nothing but offsets, unless there is one of that id. Part of the replay. */
  readonly ensureSimple: (groupId: string) => void;
  /** Most steps between two requests, of a walk over all offsets. Default: 20,000. */
  readonly sweepStepsMax?: number;
}

export class GroupOffsets {
  /** Hard state: written by replay alone. */
  readonly table = new OffsetTable();
  /** Hard state as well: what open transactions have committed. */
  readonly pending = new TransactionOffsets();
  readonly #options: GroupShardOptions;
  readonly #groups: Groups;
  readonly #ensureSimple: (groupId: string) => void;
  readonly #sweepStepsMax: number;
  #deletionCount = 0;

  constructor(init: GroupOffsetsInit) {
    this.#options = init.options;
    this.#groups = init.groups;
    this.#ensureSimple = init.ensureSimple;
    this.#sweepStepsMax = init.sweepStepsMax ?? SWEEP_STEPS_MAX;
  }

  /** OffsetCommit. Topics and partitions that are not there are refused one by one, also when others are committed. */
  commit(
    call: GroupCall,
    request: OffsetCommitRequest,
    reply: Reply<OffsetCommitResponse>,
  ): Decision<GroupRecord> {
    const { records, response } = decideCommit(call, request, this.#commitOptions(request.groupId));
    return { records, answers: [answer(reply, response)] };
  }

  /** TxnOffsetCommit, likewise. To be run in the transaction: what it commits is pending until its marker. */
  commitInTransaction(
    call: GroupCall,
    request: TxnOffsetCommitRequest,
    reply: Reply<TxnOffsetCommitResponse>,
  ): Decision<GroupRecord> {
    const { records, response } = decideTransactionalCommit(
      call,
      request,
      this.#commitOptions(request.groupId),
    );
    return { records, answers: [answer(reply, response)] };
  }

  #commitOptions(groupId: string): CommitOptions {
    const { topics, settings } = this.#options;
    return {
      group: this.#groups.get(groupId),
      topics: topics(),
      metadataLengthMax: settings.offsetMetadataBytesMax,
    };
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
        pending: this.pending,
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
      pending: this.pending,
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
    for (const { topic, partition } of this.pending.of(groupId)) {
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

  /** Writes offsets, as nothing but replayEnd does besides. A tombstone takes what is pending with it, whoever wrote it. */
  replay({ key, value }: OffsetCommitRecord, offset: number, producer: Producer | null): void {
    const { group, topic, partition } = key;
    if (value === null) {
      this.table.remove(group, topic, partition);
      this.pending.remove(group, topic, partition);
      return;
    }
    this.#ensureSimple(group);
    if (producer === null) this.table.put(group, topic, partition, value, offset);
    else this.pending.put(producer.producerId, group, topic, partition, value, offset);
  }

  replayEnd({ producerId, isCommit }: TransactionEnd): void {
    this.pending.end(producerId, isCommit ? this.table : null);
  }

  /**
   * What has expired stays until the first check, as in Kafka: whoever comes at once finds it. What was committed to topics
   * that are gone goes at once.
   */
  loaded(_now: Now): Decision<GroupRecord> {
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
      walk: walkGone(this.table, this.pending, topics),
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
    return { groups: this.#groups, table: this.table, pending: this.pending };
  }
}
