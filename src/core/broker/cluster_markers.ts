// Markers of a cluster: those for partitions of this broker are appended here, the others are sent to who leads them.
// Invariants: a decided end is committed before its first marker is written, and a marker counts once it is committed where it
// lies: any of the brokers may be gone the moment after. Kafka: TransactionMarkerChannelManager.

import { ok } from "../../base/outcome.ts";
import type { TopicPartition } from "../../contracts/broker.ts";
import { errorByCode, NONE, type Outcome, refuse } from "../../protocol/errors.ts";
import type {
  WriteTxnMarkersRequest,
  WriteTxnMarkersResponse,
} from "../../protocol/messages/27_write_txn_markers.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { MarkerWriter, TransactionMarker } from "../coordinator/transaction/ports.ts";
import type { LocalMarkers } from "./local_markers.ts";
import { leadershipOf } from "./partition_leaders.ts";
import type { PeerCalls } from "./peer_calls.ts";
import { PeerQueue } from "./peer_queue.ts";

/** Passes: whoever writes markers tries again, with whoever leads then. */
const AGAIN = "not_leader_or_follower";
const UNANSWERED = "request_timed_out";

export interface ClusterMarkersOptions {
  readonly cluster: Cluster;
  readonly local: LocalMarkers;
  readonly peers: PeerCalls;
}

interface Sent {
  readonly marker: TransactionMarker;
  readonly partition: TopicPartition;
}

export class ClusterMarkers implements MarkerWriter {
  readonly #options: ClusterMarkersOptions;
  /** By broker id: as many as there ever were brokers. */
  readonly #queues = new Map<number, PeerQueue<Sent>>();

  constructor(options: ClusterMarkersOptions) {
    this.#options = options;
  }

  isOrderedWith(): boolean {
    return false;
  }

  write(marker: TransactionMarker, partition: TopicPartition): null | Promise<Outcome<null>> {
    const { cluster, local } = this.#options;
    const topic = cluster.image.topicsByName.get(partition.topic);
    // Of a topic that was deleted nothing is left to end.
    if (topic === undefined || partition.partition >= topic.partitionCount) return null;
    const { leader } = leadershipOf(cluster, topic, partition.partition);
    if (leader < 0) return Promise.resolve(refuse(AGAIN));
    if (leader !== cluster.brokerId) return this.#queueOf(leader).ask({ marker, partition });
    const appended = local.append(marker, partition);
    if (!appended.ok) return Promise.resolve(appended);
    return appended.value.then((isCommitted) => (isCommitted ? ok(null) : refuse(AGAIN)));
  }

  #queueOf(brokerId: number): PeerQueue<Sent> {
    const known = this.#queues.get(brokerId);
    if (known !== undefined) return known;
    const queue = new PeerQueue<Sent>({
      keyOf: ({ marker, partition }) => rowKey(marker.producerId, partition),
      send: async (items) => {
        const response = await this.#options.peers.writeTxnMarkers(brokerId, requestOf(items));
        return response === null ? null : outcomesOf(items, response);
      },
      unanswered: UNANSWERED,
    });
    this.#queues.set(brokerId, queue);
    return queue;
  }
}

function rowKey(producerId: number, { topic, partition }: TopicPartition): string {
  return `${producerId} ${partition} ${topic}`;
}

type Markers = WriteTxnMarkersRequest["markers"][number];

/** One row for each marker, with all its partitions. */
function requestOf(items: readonly Sent[]): WriteTxnMarkersRequest {
  const rows = new Map<string, { marker: TransactionMarker; topics: Map<string, number[]> }>();
  for (const { marker, partition } of items) {
    const { producerId, producerEpoch, coordinatorEpoch, isCommit, transactionVersion } = marker;
    const key = `${producerId} ${producerEpoch} ${coordinatorEpoch} ${isCommit} ${transactionVersion}`;
    let row = rows.get(key);
    if (row === undefined) {
      row = { marker, topics: new Map() };
      rows.set(key, row);
    }
    const numbers = row.topics.get(partition.topic);
    if (numbers === undefined) row.topics.set(partition.topic, [partition.partition]);
    else numbers.push(partition.partition);
  }
  const markers = Array.from(rows.values(), ({ marker, topics }): Markers => {
    const { producerId, producerEpoch, coordinatorEpoch, isCommit, transactionVersion } = marker;
    return {
      producerId,
      producerEpoch,
      transactionResult: isCommit,
      topics: Array.from(topics, ([name, partitionIndexes]) => ({ name, partitionIndexes })),
      coordinatorEpoch,
      transactionVersion,
    };
  });
  return { markers };
}

function outcomesOf(
  items: readonly Sent[],
  { markers }: WriteTxnMarkersResponse,
): readonly Outcome<null>[] {
  const codes = new Map<string, number>();
  for (const { producerId, topics } of markers) {
    for (const { name: topic, partitions } of topics) {
      for (const { partitionIndex: partition, errorCode } of partitions) {
        codes.set(rowKey(producerId, { topic, partition }), errorCode);
      }
    }
  }
  return items.map(({ marker, partition }) => {
    const code = codes.get(rowKey(marker.producerId, partition));
    if (code === NONE) return ok(null);
    const error = code === undefined ? null : errorByCode(code);
    return refuse(error?.code ?? UNANSWERED);
  });
}
