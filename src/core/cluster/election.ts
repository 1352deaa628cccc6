// Who leads a partition: pure functions from what it is and who is there to what changes. Invariant: only a replica that has all
// below the high watermark is elected (in the ISR, or eligible), unless the topic allows unclean elections.
// Kafka: PartitionChangeBuilder (ElectionResult), KIP-966.

import { NOBODY } from "./cluster_entries.ts";
import type { PartitionImage } from "./image.ts";
import type { PartitionChange } from "./partition_edits.ts";

export interface ElectionContext {
  /** Whether its session lives. */
  isLive(brokerId: number): boolean;
  /** Whether it is handing over: it keeps what it leads until somebody else can, and is given nothing. */
  isStopping(brokerId: number): boolean;
  /** `unclean.leader.election.enable` of the topic. */
  readonly isUncleanAllowed: boolean;
  /**
   * `min.insync.replicas` of the topic. A leader with fewer in sync than this holds its high watermark still, so that who left the
   * ISR then has all below it.
   */
  readonly minIsr: number;
}

/**
 * What changes of a partition when brokers have come, gone or begun to stop; null where nothing does. Who is gone leaves the ISR, but
 * never all of it: when nobody of it is there, it stays as it is, and its first that returns leads.
 */
export function afterBrokersChanged(
  partition: PartitionImage,
  context: ElectionContext,
): PartitionChange | null {
  const { leader, isr, elr } = partition;
  const liveIsr = isr.filter((id) => context.isLive(id));
  if (liveIsr.length > 0) {
    const canStay = context.isLive(leader) && liveIsr.includes(leader);
    const next =
      canStay && !context.isStopping(leader)
        ? leader
        : (candidateOf(partition, liveIsr, context) ?? (canStay ? leader : -1));
    const isSame = next === leader && liveIsr.length === isr.length;
    if (isSame) return null;
    // Of those in sync nobody is there who may lead, and so nobody changes the ISR either.
    return { leader: next, isr: liveIsr, elr: eligibleAfter(partition, liveIsr, context) };
  }
  const eligible = isElrValid(partition, context) ? candidateOf(partition, elr, context) : null;
  if (eligible !== null) return { leader: eligible, isr: [eligible], elr: without(elr, eligible) };
  if (context.isUncleanAllowed) return unclean(partition, context);
  return leader === -1 ? null : { leader: -1 };
}

/** The partition with its preferred replica as leader; null where that leads already, or may not. */
export function preferred(
  partition: PartitionImage,
  context: ElectionContext,
): PartitionChange | null {
  const first = preferredOf(partition);
  if (first === partition.leader || !partition.isr.includes(first)) return null;
  return mayLead(first, context) ? { leader: first } : null;
}

/** The replica that should lead. */
export function preferredOf({ replicas, removing }: PartitionImage): number {
  return replicas.find((id) => !removing.includes(id)) ?? replicas[0]!;
}

/** Somebody who is there leads, whatever is lost; null where nobody is there. */
export function unclean(
  partition: PartitionImage,
  context: ElectionContext,
): PartitionChange | null {
  const next = candidateOf(partition, partition.replicas, context);
  return next === null ? null : { leader: next, isr: [next], elr: NOBODY };
}

/** Another leader than `brokerId`, out of the ISR; null where there is none. */
export function successorOf(
  partition: PartitionImage,
  brokerId: number,
  context: ElectionContext,
): number | null {
  return candidateOf(partition, without(partition.isr, brokerId), context);
}

/** Whether who is eligible still is: since `min.insync.replicas` was lowered the high watermark goes on without them. */
export function isElrValid(
  { isr, replicas }: Pick<PartitionImage, "isr" | "replicas">,
  { minIsr }: Pick<ElectionContext, "minIsr">,
): boolean {
  return isr.length < Math.min(minIsr, replicas.length);
}

/** Those who are out of `isr` and may be elected where it is lost. */
export function eligibleAfter(
  { isr: before, elr, replicas }: PartitionImage,
  isr: readonly number[],
  { minIsr }: Pick<ElectionContext, "minIsr">,
): readonly number[] {
  if (!isElrValid({ isr, replicas }, { minIsr })) return NOBODY;
  const left = before.filter((id) => !isr.includes(id));
  // While fewer than `minIsr` are in sync the high watermark stands, so nobody of the older ones has missed anything.
  const eligible = [...elr.filter((id) => !isr.includes(id) && !left.includes(id)), ...left];
  return eligible.slice(-Math.max(0, Math.min(minIsr, replicas.length) - isr.length));
}

function candidateOf(
  { replicas, removing }: PartitionImage,
  among: readonly number[],
  context: ElectionContext,
): number | null {
  const able = replicas.filter((id) => among.includes(id) && mayLead(id, context));
  return able.find((id) => !removing.includes(id)) ?? able[0] ?? null;
}

function mayLead(id: number, context: ElectionContext): boolean {
  return context.isLive(id) && !context.isStopping(id);
}

function without(ids: readonly number[], id: number): readonly number[] {
  return ids.filter((each) => each !== id);
}
