// The requests of a transaction, each until it is answered: by the coordinator of the transactional id, or of the group whose
// offsets are committed.
// Invariant: what may pass is tried again with growing pauses, and no call outlasts its time-out, even where nobody answers.
// Kafka: TransactionManager.TxnRequestHandler and its kinds.

import { ApiVersions } from "../../protocol/messages/18_api_versions.ts";
import { InitProducerId } from "../../protocol/messages/22_init_producer_id.ts";
import { AddPartitionsToTxn } from "../../protocol/messages/24_add_partitions_to_txn.ts";
import { AddOffsetsToTxn } from "../../protocol/messages/25_add_offsets_to_txn.ts";
import { EndTxn } from "../../protocol/messages/26_end_txn.ts";
import { TxnOffsetCommit } from "../../protocol/messages/28_txn_offset_commit.ts";
import { ClientError, requireNone } from "../client_error.ts";
import { SOFTWARE_NAME, SOFTWARE_VERSION } from "../connection.ts";
import type { ClientContext } from "../context.ts";
import { Coordinator } from "../coordinator.ts";
import type { GroupMetadata, OffsetToCommit } from "../group/group_options.ts";
import { byTopic, type TopicPartition } from "../group/partition_key.ts";
import type { ProducerIdentity } from "../producer_batch.ts";
import { type CallBounds, retrying, within } from "../waiting.ts";

/**
 * 1: partitions and groups are added before anything is written to them, and the epoch stays. 2 (KIP-890): the first batch and
 * the first offsets add them, and every end has an epoch of its own.
 */
export type TransactionProtocol = 1 | 2;

/** From these on a request is of the second protocol. */
const PRODUCE_OF_2 = 12;
const OFFSETS_OF_2 = 5;
const END_OF_2 = 5;
/** Later ones are for brokers. */
const ADD_PARTITIONS_MAX = 3;
/** Before, members cannot say who they are (KIP-447). */
const MEMBERS_SINCE = 3;
/** Before, nobody asks for the next epoch (KIP-360). */
const BUMP_SINCE = 3;
const OPERATION_NOT_ATTEMPTED = 55;
const MOVED: readonly number[] = [14, 15, 16];
/** A topic may be unknown for a moment after it was made, and not for long. */
const UNKNOWN_TOPIC_MS = 5_000;

let lanes = 0;

/** Which versions of Produce are of the protocol. */
export function produceVersionsOf(protocol: TransactionProtocol) {
  return protocol === 2
    ? { versionMin: PRODUCE_OF_2, versionMax: Number.POSITIVE_INFINITY }
    : { versionMin: 3, versionMax: PRODUCE_OF_2 - 1 };
}

export class TransactionCalls {
  readonly #context: ClientContext;
  readonly #transactionalId: string;
  readonly #coordinator: Coordinator;
  readonly #groups = new Map<string, Coordinator>();
  /** In order, and behind nobody else's. */
  readonly #lane = `transaction-${++lanes}`;

  constructor(context: ClientContext, transactionalId: string) {
    this.#context = context;
    this.#transactionalId = transactionalId;
    this.#coordinator = new Coordinator(context, "transaction", transactionalId);
  }

  /** Which one the cluster has settled on: its feature transaction.version. */
  protocol(bounds: CallBounds): Promise<TransactionProtocol> {
    return this.#retrying(bounds, async ({ signal }) => {
      const to = await this.#coordinator.nodeId({ signal });
      const request = {
        clientSoftwareName: SOFTWARE_NAME,
        clientSoftwareVersion: SOFTWARE_VERSION,
      };
      const response = await this.#context.port.send(ApiVersions, request, {
        to,
        lane: this.#lane,
        signal,
      });
      requireNone(response.errorCode, "Cannot ask for the levels of features");
      const feature = response.finalizedFeatures.find(({ name }) => name === "transaction.version");
      return (feature?.maxVersionLevel ?? 0) >= 2 ? 2 : 1;
    });
  }

  /** @param current asks for the next epoch of this one; null takes the transactional id over */
  initProducerId(
    transactionTimeoutMs: number,
    current: ProducerIdentity | null,
    bounds: CallBounds,
  ): Promise<ProducerIdentity> {
    const { coordinator, transactionalId } = this.#own;
    return this.#retrying(bounds, async ({ signal }) => {
      const response = await coordinator.askOnce(
        InitProducerId,
        { transactionalId, transactionTimeoutMs, ...(current ?? {}) },
        ({ errorCode }) => errorCode,
        { signal, lane: this.#lane, ...(current === null ? {} : { versionMin: BUMP_SINCE }) },
      );
      requireNone(response.errorCode, `Cannot begin with transactional id "${transactionalId}"`);
      return { producerId: response.producerId, producerEpoch: response.producerEpoch };
    });
  }

  /** Takes partitions into the transaction: all of them, or none. */
  addPartitions(
    identity: ProducerIdentity,
    partitions: readonly TopicPartition[],
    bounds: CallBounds,
  ): Promise<void> {
    const { coordinator, transactionalId } = this.#own;
    const topics = [...byTopic(partitions, ({ partition }) => partition)];
    return this.#retrying(bounds, async ({ signal }) => {
      const { resultsByTopicV3AndBelow: results } = await coordinator.askOnce(
        AddPartitionsToTxn,
        {
          v3AndBelowTransactionalId: transactionalId,
          v3AndBelowProducerId: identity.producerId,
          v3AndBelowProducerEpoch: identity.producerEpoch,
          v3AndBelowTopics: topics.map(([name, numbers]) => ({ name, partitions: numbers })),
        },
        ({ resultsByTopicV3AndBelow }) => movedAmong(resultsByTopicV3AndBelow, codesOfResult),
        { signal, lane: this.#lane, versionMax: ADD_PARTITIONS_MAX },
      );
      let skipped = 0;
      for (const { name, resultsByPartition } of results) {
        for (const { partitionIndex, partitionErrorCode: code } of resultsByPartition) {
          if (code === OPERATION_NOT_ATTEMPTED) skipped = code;
          else requireNone(code, `Cannot take ${name}-${partitionIndex} into the transaction`);
        }
      }
      requireNone(skipped, "Cannot take partitions into the transaction");
    });
  }

  /** Takes a group's offsets into the transaction. */
  addOffsets(identity: ProducerIdentity, groupId: string, bounds: CallBounds): Promise<void> {
    const { coordinator, transactionalId } = this.#own;
    return this.#retrying(bounds, async ({ signal }) => {
      const { errorCode } = await coordinator.askOnce(
        AddOffsetsToTxn,
        { transactionalId, ...identity, groupId },
        (body) => body.errorCode,
        { signal, lane: this.#lane },
      );
      requireNone(errorCode, `Cannot take the offsets of group "${groupId}" into the transaction`);
    });
  }

  /** Commits offsets that become visible with the transaction. */
  commitOffsets(
    identity: ProducerIdentity,
    protocol: TransactionProtocol,
    group: GroupMetadata,
    offsets: readonly OffsetToCommit[],
    bounds: CallBounds,
  ): Promise<void> {
    const { clock } = this.#context.runtime;
    const startMs = clock.monotonicMs();
    const { groupId, memberId, generation, instanceId } = group;
    const isMember = memberId !== "" || instanceId !== null;
    const topics = [...byTopic(offsets, committedOf)];
    return this.#retrying(bounds, async ({ signal }) => {
      const response = await this.#groupAt(groupId).askOnce(
        TxnOffsetCommit,
        (version) => ({
          transactionalId: this.#transactionalId,
          groupId,
          ...identity,
          ...(version >= MEMBERS_SINCE
            ? { generationId: generation, memberId, groupInstanceId: instanceId }
            : {}),
          topics: topics.map(([name, partitions]) => ({ name, partitions })),
        }),
        (body) =>
          movedAmong(body.topics, ({ partitions }) => partitions.map((each) => each.errorCode)),
        {
          signal,
          lane: this.#lane,
          versionMin: protocol === 2 ? OFFSETS_OF_2 : isMember ? MEMBERS_SINCE : 0,
          versionMax: protocol === 2 ? Number.POSITIVE_INFINITY : OFFSETS_OF_2 - 1,
        },
      );
      for (const { name, partitions } of response.topics) {
        for (const { partitionIndex, errorCode } of partitions) {
          const doing = `Cannot commit ${name}-${partitionIndex} of group "${groupId}" in the transaction`;
          try {
            requireNone(errorCode, doing);
          } catch (error) {
            const { code, message } = error as ClientError;
            const isLate = clock.monotonicMs() - startMs > UNKNOWN_TOPIC_MS;
            if (code !== "unknown_topic_or_partition" || !isLate) throw error;
            throw new ClientError(code, message, { retriable: false });
          }
        }
      }
    });
  }

  /**
   * Commits or aborts, until it is known that it is done.
   *
   * @param told gets what stood in the way of each attempt that may have been done all the same
   * @returns Who the producer is from now on; null: who it was.
   */
  end(
    identity: ProducerIdentity,
    protocol: TransactionProtocol,
    isCommit: boolean,
    bounds: CallBounds,
    told: (unsure: ClientError) => void,
  ): Promise<ProducerIdentity | null> {
    const { coordinator, transactionalId } = this.#own;
    const doing = `Cannot ${isCommit ? "commit" : "abort"} the transaction`;
    return this.#retrying(bounds, async ({ signal }) => {
      let response: Awaited<ReturnType<typeof ask>>;
      const ask = () =>
        coordinator.askOnce(
          EndTxn,
          { transactionalId, ...identity, committed: isCommit },
          ({ errorCode }) => errorCode,
          {
            signal,
            lane: this.#lane,
            versionMin: protocol === 2 ? END_OF_2 : 0,
            versionMax: protocol === 2 ? Number.POSITIVE_INFINITY : END_OF_2 - 1,
          },
        );
      try {
        response = await ask();
      } catch (error) {
        if (error instanceof ClientError) told(error);
        throw error;
      }
      requireNone(response.errorCode, doing);
      const { producerId, producerEpoch } = response;
      return producerId < 0 ? null : { producerId, producerEpoch };
    });
  }

  get #own() {
    return { coordinator: this.#coordinator, transactionalId: this.#transactionalId };
  }

  #groupAt(groupId: string): Coordinator {
    let coordinator = this.#groups.get(groupId);
    if (coordinator === undefined) {
      coordinator = new Coordinator(this.#context, "group", groupId);
      this.#groups.set(groupId, coordinator);
    }
    return coordinator;
  }

  #retrying<T>(bounds: CallBounds, attempt: (bounds: CallBounds) => Promise<T>): Promise<T> {
    const { runtime, backoff } = this.#context;
    return within(runtime, bounds, (own) =>
      retrying(runtime, { ...backoff, ...own }, () => attempt(own)),
    );
  }
}

function committedOf(each: OffsetToCommit) {
  return {
    partitionIndex: each.partition,
    committedOffset: each.offset,
    committedLeaderEpoch: each.leaderEpoch ?? -1,
    committedMetadata: each.metadata ?? "",
  };
}

function codesOfResult(result: {
  readonly resultsByPartition: readonly { readonly partitionErrorCode: number }[];
}): readonly number[] {
  return result.resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode);
}

/** The code that says that the coordinator is elsewhere, or not ready; 0 where none does. */
function movedAmong<T>(topics: readonly T[], codesOf: (topic: T) => readonly number[]): number {
  return topics.flatMap(codesOf).find((code) => MOVED.includes(code)) ?? 0;
}
