// Tells clients that came to the wrong broker who leads instead, so that they need not ask for metadata first (KIP-951).
// Kafka: KafkaApis.getCurrentLeader.

import type { Caller, CurrentLeader, LogApi } from "../../src/contracts/broker.ts";
import { wireCodeOf } from "../../src/protocol/errors.ts";

const NOT_LEADER = wireCodeOf("not_leader_or_follower");
const FENCED = wireCodeOf("fenced_leader_epoch");

interface NodeEndpoint {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

/** Collects the hints of one answer. */
export class LeaderHints {
  readonly #log: LogApi;
  readonly #caller: Caller;
  readonly #endpoints = new Map<number, NodeEndpoint>();

  constructor(log: LogApi, caller: Caller) {
    this.#log = log;
    this.#caller = caller;
  }

  /** Of the leaders told of so far, each once. */
  get nodeEndpoints(): readonly NodeEndpoint[] {
    return [...this.#endpoints.values()];
  }

  topicNameOf(topicId: string): string | null {
    return this.#log.topicNameOf(topicId);
  }

  /** For a refused partition; nothing where the refusal says nothing of who leads. */
  of(
    errorCode: number,
    topic: string | null,
    partition: number,
  ): { currentLeader?: { leaderId: number; leaderEpoch: number } } {
    if (topic === null || (errorCode !== NOT_LEADER && errorCode !== FENCED)) return {};
    const known: CurrentLeader | null =
      this.#log.currentLeader?.(this.#caller, topic, partition) ?? null;
    if (known === null) return {};
    const { leaderId, leaderEpoch, endpoint } = known;
    if (endpoint !== null) this.#endpoints.set(leaderId, { nodeId: leaderId, ...endpoint });
    return { currentLeader: { leaderId, leaderEpoch } };
  }
}
