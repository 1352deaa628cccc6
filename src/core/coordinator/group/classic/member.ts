// A member of a classic group: what it said when it joined, what it was given, and the request that waits for it.
// Invariant: it owns its bytes; those of a request are lent.
// Kafka: ClassicGroupMember.

import type { JoinGroupResponse } from "../../../../protocol/messages/11_join_group.ts";
import type { SyncGroupResponse } from "../../../../protocol/messages/14_sync_group.ts";
import type { Reply } from "../../runtime/shard.ts";
import { NO_BYTES } from "./responses.ts";

/** A way of assigning that a member can go by, and what it says to a leader that goes by it. */
export interface JoinProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
}

/** A join that waits for the end of the rebalance. Its version shapes the answer. */
export interface ParkedJoin {
  readonly reply: Reply<JoinGroupResponse>;
  readonly version: number;
}

export interface ClassicMemberInit {
  readonly memberId: string;
  /** Null for a dynamic member. */
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  /** In order of preference, each name once. */
  readonly protocols: readonly JoinProtocol[];
  readonly assignment?: Uint8Array;
}

export class ClassicMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  rebalanceTimeoutMs: number;
  sessionTimeoutMs: number;
  protocols: readonly JoinProtocol[];
  assignment: Uint8Array;
  /** Null unless a join waits. Written by ClassicGroup alone, which counts them. */
  join: ParkedJoin | null = null;
  /** Null unless a sync waits. */
  sync: Reply<SyncGroupResponse> | null = null;
  /** Has never been answered a join: it cannot send heartbeats, and its session ends even while it waits. */
  isNew = false;

  constructor(init: ClassicMemberInit) {
    this.memberId = init.memberId;
    this.groupInstanceId = init.groupInstanceId;
    this.clientId = init.clientId;
    this.clientHost = init.clientHost;
    this.rebalanceTimeoutMs = init.rebalanceTimeoutMs;
    this.sessionTimeoutMs = init.sessionTimeoutMs;
    this.protocols = init.protocols;
    this.assignment = init.assignment ?? NO_BYTES;
  }

  /** Whoever waits for others is alive for as long as it waits. */
  get isExcusedFromHeartbeats(): boolean {
    return !this.isNew && (this.join !== null || this.sync !== null);
  }

  /** What it says to a leader that goes by this protocol. */
  metadata(protocolName: string | null): Uint8Array {
    return this.protocols.find(({ name }) => name === protocolName)?.metadata ?? NO_BYTES;
  }

  /** Whether a join says what the member has said before. */
  matches(protocols: readonly JoinProtocol[]): boolean {
    if (protocols.length !== this.protocols.length) return false;
    return this.protocols.every(({ name, metadata }, index) => {
      const other = protocols[index]!;
      return name === other.name && isEqual(metadata, other.metadata);
    });
  }
}

/** Protocols of a request, as a member keeps them. Of a name that comes twice the first counts. */
export function ownProtocols(protocols: readonly JoinProtocol[]): readonly JoinProtocol[] {
  const byName = new Map<string, JoinProtocol>();
  for (const { name, metadata } of protocols) {
    if (!byName.has(name)) byName.set(name, { name, metadata: metadata.slice() });
  }
  return [...byName.values()];
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
