// The cluster's topics as coordinators see them. Invariant: the revision grows with every change that an assignment may
// rest on, and with none of the rest: heartbeats compare it, and look no further while it stays.

import type { Cluster } from "../cluster/cluster.ts";
import type { TopicImage } from "../cluster/image.ts";
import type { TopicSeen, TopicView } from "../coordinator/group/topic_view.ts";
import type { Settings } from "../settings/dynamic.ts";

const NO_RACKS: readonly string[] = [];

export class ClusterTopicView implements TopicView {
  readonly #cluster: Cluster;
  readonly #settings: Settings;
  readonly #seen = new Map<string, { readonly topic: TopicImage; readonly seen: TopicSeen }>();
  #revision = 1;

  constructor(cluster: Cluster, settings: Settings) {
    this.#cluster = cluster;
    this.#settings = settings;
  }

  get revision(): number {
    return this.#revision;
  }

  /** A topic was made, changed or deleted. */
  changed(topic: TopicImage): void {
    this.#revision++;
    this.#seen.delete(topic.name);
  }

  named(name: string): TopicSeen | null {
    const topic = this.#cluster.image.topicsByName.get(name);
    return topic === undefined ? null : this.#see(topic);
  }

  withId(id: string): TopicSeen | null {
    const topic = this.#cluster.image.topicsById.get(id);
    return topic === undefined ? null : this.#see(topic);
  }

  names(): Iterable<string> {
    return this.#cluster.image.topicsByName.keys();
  }

  #see(topic: TopicImage): TopicSeen {
    const known = this.#seen.get(topic.name);
    if (known?.topic === topic) return known.seen;
    const { name, id, partitionCount } = topic;
    const racks = (partition: number) => this.#racks(id, partition);
    const seen: TopicSeen = { name, id, partitionCount, racks };
    this.#seen.set(name, { topic, seen });
    return seen;
  }

  #racks(topicId: string, partition: number): readonly string[] {
    const { brokers, partitions } = this.#cluster.image;
    const placed = partitions.get(topicId);
    if (placed === undefined) {
      // One broker: it has every replica.
      const rack = this.#settings.text("broker.rack");
      return rack === null ? NO_RACKS : [rack];
    }
    const racks = new Set<string>();
    for (const id of placed[partition]?.replicas ?? []) {
      const rack = brokers.get(id)?.rack ?? null;
      if (rack !== null) racks.add(rack);
    }
    return [...racks];
  }
}
