// A shard of groups in its host, over a log in memory: commits, plain and in transactions, and their ends; what a client
// reads; restarts, which load the log anew.

import type { GroupRecord } from "../../../../src/core/coordinator/group/group_record.ts";
import { groupRecordSerde } from "../../../../src/core/coordinator/group/group_record_serde.ts";
import type {
  DeletedGroup,
  FetchedGroup,
} from "../../../../src/core/coordinator/group/group_requests.ts";
import { GroupShard } from "../../../../src/core/coordinator/group/group_shard.ts";
import type { AskAdmission } from "../../../../src/core/coordinator/runtime/admissions.ts";
import type { CoordinatorLog } from "../../../../src/core/coordinator/runtime/coordinator_log.ts";
import type { Decide, Producer } from "../../../../src/core/coordinator/runtime/shard.ts";
import { ShardHost } from "../../../../src/core/coordinator/runtime/shard_host.ts";
import { withDefaults } from "../../../../src/protocol/defaults.ts";
import { errorByCode, type Outcome } from "../../../../src/protocol/errors.ts";
import {
  OffsetCommit,
  type OffsetCommitResponse,
} from "../../../../src/protocol/messages/08_offset_commit.ts";
import {
  TxnOffsetCommit,
  type TxnOffsetCommitResponse,
} from "../../../../src/protocol/messages/28_txn_offset_commit.ts";
import type { OffsetDeleteResponse } from "../../../../src/protocol/messages/47_offset_delete.ts";
import { TestRuntime } from "../../../support/test_runtime.ts";
import { ScriptedLog } from "../scripted_log.ts";
import { RigTopics, rigSettings } from "../shard_rig.ts";
import { snapshotOf } from "./offsets_rig.ts";

const CALL = { clientId: "c", clientHost: "/h" };

/** A producer as it is by now: its epoch is the caller's to raise. */
export interface RigProducer {
  producerId: number;
  producerEpoch: number;
}

export interface CommitFields {
  readonly groupId?: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly memberId?: string;
  readonly instanceId?: string | null;
  readonly generation?: number;
  readonly metadata?: string | null;
  readonly version?: number;
}

/** An offset that is read; or that it is not stable; or the name of an error. */
export type Read = number | "unstable" | string;

export class TransactionsRig {
  readonly test = new TestRuntime();
  readonly topics = new RigTopics();
  readonly log: ScriptedLog;
  readonly settings = rigSettings({ initialRebalanceDelayMs: 0 });
  host: ShardHost<GroupShard, GroupRecord>;
  shard!: GroupShard;
  /** What the gate says. */
  admit: AskAdmission = () => ({ ok: true, value: null });
  coordinatorEpoch = 0;
  readonly #signal = new AbortController().signal;

  /** @param topics Names, of four partitions each */
  constructor(topics: readonly string[] = ["t"], log = new ScriptedLog()) {
    this.log = log;
    for (const name of topics) this.topics.create(name, 4);
    this.host = this.hostOf(log);
  }

  hostOf(log: CoordinatorLog): ShardHost<GroupShard, GroupRecord> {
    const { runtime } = this.test;
    return new ShardHost({
      log,
      serde: groupRecordSerde,
      runtime,
      makeShard: (timers) => {
        this.shard = new GroupShard({
          timers,
          topics: () => this.topics,
          settings: this.settings,
          random: runtime.random,
          log: runtime.log,
        });
        return this.shard;
      },
      codec: () => "none",
      pendingMax: 1000,
    });
  }

  /** The broker dies with all that was not committed, and comes back. */
  crash(): void {
    this.host.close();
    this.log.fail();
    this.host = this.hostOf(this.log);
  }

  run<Response>(decide: Decide<GroupShard, GroupRecord, Response>): Promise<Outcome<Response>> {
    return this.host.run(decide, this.#signal);
  }

  /** @returns "none", or the name of what it was refused with */
  async commit(offset: number, fields: CommitFields = {}): Promise<string> {
    const request = withDefaults(OffsetCommit.request, {
      groupId: fields.groupId ?? "g",
      memberId: fields.memberId ?? "",
      generationIdOrMemberEpoch: fields.generation ?? -1,
      topics: topicsOf(offset, fields),
    });
    return namedRow(
      await this.run<OffsetCommitResponse>((shard, now, reply) =>
        shard.commitOffsets({ ...CALL, now, version: fields.version ?? 9 }, request, reply),
      ),
    );
  }

  /** @returns "none", or the name of what it was refused with */
  async commitIn(producer: Producer, offset: number, fields: CommitFields = {}): Promise<string> {
    const request = withDefaults(TxnOffsetCommit.request, {
      transactionalId: "tx",
      groupId: fields.groupId ?? "g",
      ...producer,
      memberId: fields.memberId ?? "",
      groupInstanceId: fields.instanceId ?? null,
      generationId: fields.generation ?? -1,
      topics: topicsOf(offset, fields),
    });
    return namedRow(
      await this.host.runInTransaction<TxnOffsetCommitResponse>(
        { producer: { ...producer }, admit: () => this.admit() },
        (shard, now, reply) =>
          shard.commitOffsetsInTransaction(
            { ...CALL, now, version: fields.version ?? 5 },
            request,
            reply,
          ),
        this.#signal,
      ),
    );
  }

  /**
   * By the first protocol the marker has the epoch of the batches, by the second the next one, which the producer has then.
   *
   * @returns "none", or the name of what the marker was refused with
   */
  async end(producer: RigProducer, isCommit: boolean, transactionVersion = 2): Promise<string> {
    if (transactionVersion >= 2) producer.producerEpoch++;
    const ended = this.host.endTransaction({
      ...producer,
      coordinatorEpoch: this.coordinatorEpoch,
      isCommit,
      transactionVersion,
    });
    if (!ended.ok) return ended.error.code;
    return (await ended.value.committed) ? "none" : "lost";
  }

  async delete(topic: string, partition: number, groupId = "g"): Promise<string> {
    const outcome = await this.run<OffsetDeleteResponse>((shard, now, reply) =>
      shard.deleteOffsets(
        { ...CALL, now, version: 0 },
        { groupId, topics: [{ name: topic, partitions: [{ partitionIndex: partition }] }] },
        reply,
      ),
    );
    if (!outcome.ok) return outcome.error.code;
    const { errorCode } = outcome.value;
    return errorCode === 0 ? namedRow(outcome) : nameOf(errorCode);
  }

  async deleteGroup(groupId = "g"): Promise<string> {
    const outcome = await this.run<readonly DeletedGroup[]>((shard, now, reply) =>
      shard.deleteGroups({ ...CALL, now, version: 2 }, [groupId], reply),
    );
    return outcome.ok ? nameOf(outcome.value[0]!.errorCode) : outcome.error.code;
  }

  /** As broker and clients see it: the topic is gone, and the shard hears of it. */
  async deleteTopic(name: string): Promise<void> {
    this.topics.delete(name);
    await this.run<number>((shard, now, reply) => shard.topicsDeleted([name], now, reply));
  }

  /** What is read of each of the four partitions; -1 where nothing is. */
  async read(topic = "t", requireStable = true, groupId = "g"): Promise<Read[]> {
    const asked = [
      {
        groupId,
        memberId: null,
        memberEpoch: -1,
        topics: [
          { name: topic, topicId: this.topics.named(topic)!.id, partitionIndexes: [0, 1, 2, 3] },
        ],
      },
    ];
    const outcome = await this.run<readonly FetchedGroup[]>((shard, now, reply) =>
      shard.fetchOffsets({ ...CALL, now, version: 9 }, asked, requireStable, reply),
    );
    if (!outcome.ok) throw new Error(outcome.error.code);
    return outcome.value[0]!.topics[0]!.partitions.map(({ committedOffset, errorCode }) => {
      if (errorCode === 0) return committedOffset;
      const name = nameOf(errorCode);
      return name === "unstable_offset_commit" ? "unstable" : name;
    });
  }

  /** All hard state of offsets: what is committed, and what is pending, by producer. */
  snapshot(): unknown {
    const { table, pending } = this.shard.offsets;
    const tables = [...pending.tables()].filter(([, each]) => each.size > 0);
    tables.sort(([a], [b]) => a - b);
    return {
      committed: sorted(snapshotOf(table)),
      pending: tables.map(([producerId, each]) => [producerId, sorted(snapshotOf(each))]),
    };
  }
}

function sorted(map: Map<string, unknown>): [string, unknown][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

function topicsOf(offset: number, { topic = "t", partition = 0, metadata = "" }: CommitFields) {
  return [
    {
      name: topic,
      partitions: [
        { partitionIndex: partition, committedOffset: offset, committedMetadata: metadata },
      ],
    },
  ];
}

function nameOf(errorCode: number): string {
  return errorCode === 0 ? "none" : (errorByCode(errorCode)?.code ?? String(errorCode));
}

interface Rows {
  readonly topics: readonly {
    readonly partitions: readonly { readonly errorCode: number }[];
  }[];
}

function namedRow(outcome: Outcome<Rows>): string {
  if (!outcome.ok) return outcome.error.code;
  return nameOf(outcome.value.topics[0]!.partitions[0]!.errorCode);
}
