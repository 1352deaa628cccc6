// What both group protocols are to the rest: a member that runs until it is told to leave.
// Kafka: ConsumerCoordinator, ConsumerMembershipManager.

import type { ClientContext } from "../context.ts";
import type { GroupCoordinator } from "./coordinator.ts";
import type { MemberIdentity } from "./group_offsets.ts";
import type { GroupPlan } from "./group_options.ts";
import type { Ownership } from "./ownership.ts";
import type { Subscription } from "./subscription.ts";

/** What a member works with. */
export interface MemberHost {
  readonly context: ClientContext;
  readonly plan: GroupPlan;
  readonly coordinator: GroupCoordinator;
  readonly subscription: Subscription;
  readonly ownership: Ownership;
  /** Requests that the broker may park go there. */
  readonly lane: string;
  /** Fires when the consumer closes. */
  readonly closing: AbortSignal;
  /** Whether what this member has is what it is to have, for now. */
  settled(isSettled: boolean): void;
}

/** One membership of one group. */
export interface GroupMember {
  /** Joins, and joins again, until the consumer closes. @throws what no rejoining can mend */
  run(): Promise<void>;
  /** The application has had records in hand for too long: leaves until it comes back. */
  expire(): void;
  /** Tells the coordinator of the end. @throws {ClientError} when it could not be told */
  leave(): Promise<void>;
  /** Null outside of the group. */
  identity(): MemberIdentity | null;
}
