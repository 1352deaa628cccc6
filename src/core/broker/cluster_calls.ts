// The calls of coordinators, over the connections between brokers. Kafka: InterBrokerSendThread.

import { AddPartitionsToTxn } from "../../protocol/messages/24_add_partitions_to_txn.ts";
import { WriteTxnMarkers } from "../../protocol/messages/27_write_txn_markers.ts";
import type { Peers } from "../replication/peers.ts";
import type { PeerCalls } from "./peer_calls.ts";

/**
 * Until a call is given up in ms. Ends of brokers are noticed sooner, by their sessions: this is for those whose answer waits for
 * replicas that are behind. Kafka: request.timeout.ms.
 */
const CALL_MS = 10_000;
const CALL = { timeoutMs: CALL_MS };

export function callsOver(peers: Peers): PeerCalls {
  return {
    async writeTxnMarkers(brokerId, request) {
      const answer = await peers.peer(brokerId, "calls").call(WriteTxnMarkers, request, CALL);
      return answer.ok ? answer.body : null;
    },
    async addPartitionsToTxn(brokerId, request) {
      const answer = await peers.peer(brokerId, "calls").call(AddPartitionsToTxn, request, CALL);
      // The batched form is what the answer is read as.
      return answer.ok && answer.version >= BATCHED_FROM ? answer.body : null;
    },
  };
}

/** First version of AddPartitionsToTxn with several transactions. */
const BATCHED_FROM = 4;
