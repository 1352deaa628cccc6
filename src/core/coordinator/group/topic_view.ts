// What groups see of the cluster's topics: given by the broker, scripted in tests.

/** A topic as assignors see it. */
export interface TopicSeen {
  readonly name: string;
  /** Base64url, 22 characters. */
  readonly id: string;
  readonly partitionCount: number;
  /** Racks of the replicas of a partition; empty when none is known. */
  racks(partition: number): readonly string[];
}

/** The newest image. Cheap: asked at every heartbeat. */
export interface TopicView {
  /** Grows with every change of any topic. */
  readonly revision: number;
  named(name: string): TopicSeen | null;
  withId(id: string): TopicSeen | null;
  /** In no order that matters. */
  names(): Iterable<string>;
}
