// Asks other brokers, which keep a transaction, whether batches may be appended here: they join it, or must have joined.
// Invariant: what another broker lets in is committed there before it says so. Kafka: AddPartitionsToTxnManager.

import { ok } from "../../base/outcome.ts";
import type { TopicPartition } from "../../contracts/broker.ts";
import { errorByCode, NONE, type Outcome, refuse } from "../../protocol/errors.ts";
import type {
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnResponse,
} from "../../protocol/messages/24_add_partitions_to_txn.ts";
import type { ProducerAsk } from "../coordinator/transaction/add_partitions.ts";
import type { PeerCalls } from "./peer_calls.ts";
import { PeerQueue } from "./peer_queue.ts";

/** Nobody knows what became of it: the client comes again. */
const UNANSWERED = "network_exception";

/** Whether a producer's batches may go into all of those partitions. */
export interface RemoteAsk extends ProducerAsk {
  readonly partitions: readonly TopicPartition[];
  /** They join the transaction; else they must have been added before. */
  readonly adds: boolean;
}

export class RemoteGate {
  readonly #peers: PeerCalls;
  /** By broker id: as many as there ever were brokers. */
  readonly #queues = new Map<number, PeerQueue<RemoteAsk>>();

  constructor(peers: PeerCalls) {
    this.#peers = peers;
  }

  /** Codes as TransactionGate has them. Never rejects. */
  ask(brokerId: number, ask: RemoteAsk): Promise<Outcome<null>> {
    let queue = this.#queues.get(brokerId);
    if (queue === undefined) {
      queue = new PeerQueue<RemoteAsk>({
        // An answer has one row for each transactional id.
        keyOf: ({ transactionalId }) => transactionalId,
        send: async (asks) => {
          const response = await this.#peers.addPartitionsToTxn(brokerId, requestOf(asks));
          return response === null ? null : outcomesOf(asks, response);
        },
        unanswered: UNANSWERED,
      });
      this.#queues.set(brokerId, queue);
    }
    return queue.ask(ask);
  }
}

function requestOf(asks: readonly RemoteAsk[]): AddPartitionsToTxnRequest {
  const transactions = asks.map(({ partitions, adds, ...producer }) => {
    const topics = new Map<string, number[]>();
    for (const { topic, partition } of partitions) {
      const known = topics.get(topic);
      if (known === undefined) topics.set(topic, [partition]);
      else known.push(partition);
    }
    return {
      ...producer,
      verifyOnly: !adds,
      topics: Array.from(topics, ([name, numbers]) => ({ name, partitions: numbers })),
    };
  });
  return {
    transactions,
    v3AndBelowTransactionalId: "",
    v3AndBelowProducerId: 0,
    v3AndBelowProducerEpoch: 0,
    v3AndBelowTopics: [],
  };
}

function outcomesOf(
  asks: readonly RemoteAsk[],
  { errorCode, resultsByTransaction }: AddPartitionsToTxnResponse,
): readonly Outcome<null>[] {
  if (errorCode !== NONE) {
    const refused = refuse(errorByCode(errorCode)?.code ?? UNANSWERED);
    return asks.map(() => refused);
  }
  const byId = new Map(resultsByTransaction.map((each) => [each.transactionalId, each]));
  return asks.map(({ transactionalId, partitions }) => {
    const rows = byId.get(transactionalId)?.topicResults ?? [];
    let answered = 0;
    let code = NONE;
    for (const { resultsByPartition } of rows) {
      for (const { partitionErrorCode } of resultsByPartition) {
        answered++;
        if (partitionErrorCode !== NONE && code === NONE) code = partitionErrorCode;
      }
    }
    if (code !== NONE) return refuse(errorByCode(code)?.code ?? UNANSWERED);
    return answered < partitions.length ? refuse(UNANSWERED) : ok(null);
  });
}
