// A group of the classic protocol: who is in it, who leads, what was voted for, and in which state it is.
// Invariants: a generation has one leader and one protocol; a group without members is Empty, PreparingRebalance or
// Dead; `stored` is what the log holds, all else is soft and made of it anew at load.
// Kafka: ClassicGroup.

import { assert } from "../../../../base/assert.ts";
import type { KafkaErrorName } from "../../../../protocol/errors.ts";
import type { GroupMetadataValue } from "../../../../protocol/internal_records/classic_group.ts";
import type { JoinGroupResponse } from "../../../../protocol/messages/11_join_group.ts";
import type { SyncGroupResponse } from "../../../../protocol/messages/14_sync_group.ts";
import type { Now, Reply } from "../../runtime/shard.ts";
import type { Group, OffsetCaller } from "../group.ts";
import type { GroupRecord } from "../group_record.ts";
import { ClassicMember, type JoinProtocol, type ParkedJoin } from "./member.ts";
import { ProtocolVotes } from "./protocol_votes.ts";
import { joined, joinRefused, syncRefused } from "./responses.ts";
import { type ClassicState, mayFollow } from "./states.ts";
import { CONSUMER_PROTOCOL_TYPE } from "./subscription.ts";
import type { Turn } from "./turn.ts";

/** What a group asks of whoever keeps its members' sessions. */
export interface Sessions {
  /** The member has been heard of: its session starts anew. */
  start(group: ClassicGroup, member: ClassicMember): void;
}

export interface ClassicGroupInit {
  readonly groupId: string;
  /** Default: a new group, empty. */
  readonly state?: "Empty" | "Stable";
  readonly generation?: number;
  readonly protocolType?: string;
  readonly protocolName?: string | null;
  readonly leaderId?: string | null;
  /** Wall time since which it is in its state; -1 when unknown. */
  readonly stateSinceMs?: number;
  readonly members?: readonly ClassicMember[];
}

export class ClassicGroup implements Group {
  readonly type = "classic";
  readonly groupId: string;
  /** The group's record; null when the log has none: a simple group, or one that is about to be written. */
  stored: GroupMetadataValue | null = null;
  generation: number;
  /** What members call their kind of protocol; "" as long as there was none. */
  protocolType: string;
  /** What the members of this generation go by. */
  protocolName: string | null;
  leaderId: string | null;
  stateSinceMs: number;
  /** Topics that the members of this generation read; null when that is not known. */
  subscribed: ReadonlySet<string> | null = null;
  /** A member came while the first rebalance waits for more. */
  hasNewMember = false;
  /** Ids that were given out, and not joined with yet. */
  readonly pendingJoins = new Set<string>();
  /** Members of this generation whose sync is to come. */
  readonly pendingSyncs = new Set<string>();
  readonly #sessions: Sessions;
  #state: ClassicState;
  #previousState: ClassicState = "Dead";
  readonly #members = new Map<string, ClassicMember>();
  /** Member ids by group instance id. */
  readonly #staticMembers = new Map<string, string>();
  readonly #votes = new ProtocolVotes();
  #joinCount = 0;

  constructor(init: ClassicGroupInit, sessions: Sessions) {
    this.groupId = init.groupId;
    this.#sessions = sessions;
    this.#state = init.state ?? "Empty";
    this.generation = init.generation ?? 0;
    this.protocolType = init.protocolType ?? "";
    this.protocolName = init.protocolName ?? null;
    this.leaderId = init.leaderId ?? null;
    this.stateSinceMs = init.stateSinceMs ?? -1;
    for (const member of init.members ?? []) this.add(member, this.protocolType);
  }

  // Who and what

  get stateName(): ClassicState {
    return this.#state;
  }

  get previousStateName(): ClassicState {
    return this.#previousState;
  }

  get isEmpty(): boolean {
    return this.#state === "Empty";
  }

  get memberCount(): number {
    return this.#members.size;
  }

  /** Members whose join waits. */
  get joinCount(): number {
    return this.#joinCount;
  }

  get staticMemberCount(): number {
    return this.#staticMembers.size;
  }

  /** Whether a rebalance may begin: it goes on, or there is nothing to divide, otherwise. */
  get mayRebalance(): boolean {
    return mayFollow("PreparingRebalance", this.#state);
  }

  get haveAllJoined(): boolean {
    return this.#members.size === this.#joinCount && this.pendingJoins.size === 0;
  }

  /** The longest of its members'. */
  get rebalanceTimeoutMs(): number {
    let longestMs = 0;
    for (const member of this.#members.values()) {
      longestMs = Math.max(longestMs, member.rebalanceTimeoutMs);
    }
    return longestMs;
  }

  get usesConsumerProtocol(): boolean {
    return this.protocolType === CONSUMER_PROTOCOL_TYPE;
  }

  members(): IterableIterator<ClassicMember> {
    return this.#members.values();
  }

  /** Members as an upgrade to a consumer group takes them over. */
  membersSeen(): Iterable<ClassicMember> {
    return this.#members.values();
  }

  member(memberId: string): ClassicMember | undefined {
    return this.#members.get(memberId);
  }

  staticMemberId(groupInstanceId: string): string | undefined {
    return this.#staticMembers.get(groupInstanceId);
  }

  /** Why the caller is not who it says; null when it is. */
  checkMember(memberId: string, groupInstanceId: string | null): KafkaErrorName | null {
    if (groupInstanceId !== null) {
      const holder = this.#staticMembers.get(groupInstanceId);
      if (holder === undefined) return "unknown_member_id";
      if (holder !== memberId) return "fenced_instance_id";
    }
    return this.#members.has(memberId) ? null : "unknown_member_id";
  }

  /** Whether a member with these protocols fits in: one of them must be known to all. */
  supports(protocolType: string, protocols: readonly JoinProtocol[]): boolean {
    if (this.#state === "Empty") return protocolType !== "" && protocols.length > 0;
    if (protocolType !== this.protocolType) return false;
    return protocols.some(({ name }) => this.#votes.count(name) === this.#members.size);
  }

  // Members come and go

  /** The first one says what protocol type the group is of. */
  add(member: ClassicMember, protocolType: string): void {
    const { memberId, groupInstanceId } = member;
    if (groupInstanceId !== null) {
      assert(!this.#staticMembers.has(groupInstanceId), "a static member is there once");
      this.#staticMembers.set(groupInstanceId, memberId);
    }
    if (this.#members.size === 0) this.protocolType = protocolType;
    this.leaderId ??= memberId;
    this.#members.set(memberId, member);
    this.#votes.add(member.protocols);
    this.pendingJoins.delete(memberId);
  }

  /** The member, or the id that was given out, is gone. Whoever waits for it has been told. */
  remove(memberId: string): void {
    const member = this.#members.get(memberId);
    if (member !== undefined) {
      this.#members.delete(memberId);
      this.#votes.remove(member.protocols);
      assert(member.join === null && member.sync === null, "nobody is left without an answer");
      if (member.groupInstanceId !== null) this.#staticMembers.delete(member.groupInstanceId);
    }
    if (this.leaderId === memberId) {
      const [next] = this.#members.keys();
      this.leaderId = next ?? null;
    }
    this.pendingJoins.delete(memberId);
    this.pendingSyncs.delete(memberId);
  }

  /** What a member says anew. */
  update(
    member: ClassicMember,
    said: Pick<ClassicMember, "protocols" | "rebalanceTimeoutMs" | "sessionTimeoutMs">,
  ): void {
    this.#votes.remove(member.protocols);
    member.protocols = said.protocols;
    this.#votes.add(member.protocols);
    member.rebalanceTimeoutMs = said.rebalanceTimeoutMs;
    member.sessionTimeoutMs = said.sessionTimeoutMs;
  }

  /**
   * A static member comes back under a new id: it is the same member, and whoever uses the old id is fenced.
   * Its client id and address stay those it first came with, as in Kafka.
   */
  replaceStatic(oldMemberId: string, newMemberId: string, turn: Turn): ClassicMember {
    const old = this.#members.get(oldMemberId)!;
    this.refuseJoin(turn, old, "fenced_instance_id", oldMemberId);
    this.refuseSync(turn, old, "fenced_instance_id");
    const member = new ClassicMember({
      memberId: newMemberId,
      groupInstanceId: old.groupInstanceId,
      clientId: old.clientId,
      clientHost: old.clientHost,
      rebalanceTimeoutMs: old.rebalanceTimeoutMs,
      sessionTimeoutMs: old.sessionTimeoutMs,
      protocols: old.protocols,
      assignment: old.assignment,
    });
    this.#members.delete(oldMemberId);
    this.#members.set(newMemberId, member);
    this.pendingSyncs.delete(oldMemberId);
    this.#staticMembers.set(old.groupInstanceId!, newMemberId);
    if (this.leaderId === oldMemberId) this.leaderId = newMemberId;
    return member;
  }

  // Who waits

  /** The member waits for the end of the rebalance. An earlier join of its own has nobody behind it any more, as a rule. */
  parkJoin(turn: Turn, member: ClassicMember, join: ParkedJoin): void {
    this.refuseJoin(turn, member, "rebalance_in_progress");
    member.join = join;
    this.#joinCount++;
  }

  /** The member waits for the leader's assignment. */
  parkSync(turn: Turn, member: ClassicMember, reply: Reply<SyncGroupResponse>): void {
    this.refuseSync(turn, member, "rebalance_in_progress");
    member.sync = reply;
  }

  answerJoin(turn: Turn, member: ClassicMember, fields: Partial<JoinGroupResponse>): void {
    const { join } = member;
    if (join === null) return;
    turn.answer(join.reply, joined(join.version, { memberId: member.memberId, ...fields }));
    this.#unpark(member);
  }

  /** @param memberId What the answer says the caller's id is; "": it is to come back as a new member. */
  refuseJoin(
    turn: Turn,
    member: ClassicMember,
    error: KafkaErrorName,
    memberId: string = member.memberId,
  ): void {
    const { join } = member;
    if (join === null) return;
    turn.answer(join.reply, joinRefused(join.version, memberId, error));
    this.#unpark(member);
  }

  /** @returns whether a sync waited */
  answerSync(turn: Turn, member: ClassicMember, response: SyncGroupResponse): boolean {
    if (member.sync === null) return false;
    turn.answer(member.sync, response);
    member.sync = null;
    return true;
  }

  refuseSync(turn: Turn, member: ClassicMember, error: KafkaErrorName): boolean {
    return this.answerSync(turn, member, syncRefused(error));
  }

  #unpark(member: ClassicMember): void {
    member.join = null;
    this.#joinCount--;
  }

  // Rebalances

  /** @param now Of the wall clock: it is stored with the next record. */
  become(state: ClassicState, now: Now): void {
    assert(mayFollow(state, this.#state), `${this.#state} is not followed by ${state}`);
    this.#previousState = this.#state;
    this.#state = state;
    this.stateSinceMs = now.wallMs;
  }

  /** It is no group any more. Whoever still holds it learns so. */
  die(): void {
    this.#previousState = this.#state;
    this.#state = "Dead";
  }

  /** A sync whose record could not be written has not taken place. */
  takeSyncBack(): void {
    assert(this.#state === "Stable", "only a stable group has just been synced");
    this.#state = "CompletingRebalance";
  }

  /** The leader goes on if it has joined; else whoever has. @returns false when nobody can lead */
  electLeader(): boolean {
    if (this.leaderId === null) return false;
    if (this.#members.get(this.leaderId)?.join != null) return true;
    for (const member of this.#members.values()) {
      if (member.join === null) continue;
      this.leaderId = member.memberId;
      return true;
    }
    return false;
  }

  /** What most members prefer of what all know. There are members. */
  selectProtocol(): string {
    return this.#votes.winner(this.#members.values(), this.#members.size);
  }

  startGeneration(now: Now): void {
    this.generation++;
    const isEmpty = this.#members.size === 0;
    this.protocolName = isEmpty ? null : this.selectProtocol();
    this.become(isEmpty ? "Empty" : "CompletingRebalance", now);
    this.pendingSyncs.clear();
  }

  /** All members as a leader sees them. */
  joinMembers(): JoinGroupResponse["members"] {
    return [...this.#members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      metadata: member.metadata(this.protocolName),
    }));
  }

  // As a group among others

  checkOffsetCommit(caller: OffsetCaller, _now: Now): KafkaErrorName | null {
    const { memberId, groupInstanceId, generationOrEpoch, isTransactional } = caller;
    if (this.#state === "Dead") return "coordinator_not_available";
    // Simple consumers and admins: they commit as long as nobody else does.
    if (generationOrEpoch < 0 && this.#state === "Empty") return null;
    if (generationOrEpoch >= 0 || memberId !== "" || groupInstanceId !== null) {
      const error = this.checkMember(memberId, groupInstanceId);
      if (error !== null) return error;
      if (generationOrEpoch !== this.generation) return "illegal_generation";
    } else if (!isTransactional) {
      return "unknown_member_id";
    }
    if (isTransactional) return null;
    // Its generation is valid, so that it has seen the answer to its join: it is to sync first.
    if (this.#state === "CompletingRebalance") return "rebalance_in_progress";
    const member = this.#members.get(memberId);
    if (member !== undefined) this.#sessions.start(this, member);
    return null;
  }

  checkOffsetFetch(_memberId: string | null, _memberEpoch: number): KafkaErrorName | null {
    return this.#state === "Dead" ? "group_id_not_found" : null;
  }

  checkOffsetDelete(): KafkaErrorName | null {
    if (this.#state === "Dead") return "group_id_not_found";
    return this.#state === "Empty" || this.usesConsumerProtocol ? null : "non_empty_group";
  }

  checkDelete(): KafkaErrorName | null {
    if (this.#state === "Dead") return "group_id_not_found";
    return this.#state === "Empty" ? null : "non_empty_group";
  }

  isSubscribedTo(topic: string): boolean {
    // Members whose metadata cannot be read may read anything.
    return this.subscribed?.has(topic) ?? this.usesConsumerProtocol;
  }

  offsetsAgeFrom(topic: string): number | "commit" | null {
    if (this.protocolType === "") return "commit";
    if (this.#state === "Empty") return this.stateSinceMs === -1 ? "commit" : this.stateSinceMs;
    const isKnown = this.usesConsumerProtocol && this.subscribed !== null;
    return isKnown && this.#state === "Stable" && !this.isSubscribedTo(topic) ? "commit" : null;
  }

  tombstones(): readonly GroupRecord[] {
    return [{ kind: "classic_group", key: { group: this.groupId }, value: null }];
  }
}
