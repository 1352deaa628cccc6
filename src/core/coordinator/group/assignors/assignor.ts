// What an assignor is: members and topics in, partitions of each member out. Pure, and equal for equal input.
// Racks: Kafka 4.3 dropped them from its server-side assignors, and neither of ours looks at them; they only count into
// the hash of a group's topics, as there. Kafka: ConsumerGroupPartitionAssignor, GroupSpec.

/** Partitions of a member, ascending, by topic id. No topic has an empty list. */
export type TopicPartitions = ReadonlyMap<string, readonly number[]>;

export const NO_PARTITIONS: TopicPartitions = new Map();

export interface AssignedMember {
  readonly memberId: string;
  /** Name of a static member; null for a dynamic one. */
  readonly instanceId: string | null;
  /** Ids of the topics that it reads and that exist. */
  readonly topicIds: ReadonlySet<string>;
  /** Its target so far: an assignor that is sticky keeps what it can of it. */
  readonly target: TopicPartitions;
}

export interface AssignorInput {
  /** The order decides between equals. */
  readonly members: readonly AssignedMember[];
  /** Whether all members read the same topics. */
  readonly isHomogeneous: boolean;
  /** Of every topic that a member reads. */
  partitionCount(topicId: string): number;
}

export interface Assignor {
  readonly name: string;
  /** The new targets by member id; a member that is left out gets nothing. */
  assign(input: AssignorInput): ReadonlyMap<string, TopicPartitions>;
}
