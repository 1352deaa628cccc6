// The immutable picture of what the cluster agrees on, as this broker last saw it in the metadata
// store: brokers, topics, dynamic configs and levels of features. A new image on every revision; nobody changes one.

/** A topic; partitions are 0 … partitionCount−1. On one broker every partition has that replica and leader. */
export interface TopicImage {
  readonly name: string;
  /** Base64url, 22 characters; never used again once the topic is deleted. */
  readonly id: string;
  readonly partitionCount: number;
  readonly replicationFactor: number;
  /** Only what was set on the topic itself, by Kafka's name. */
  readonly configs: ReadonlyMap<string, string>;
  readonly leaderEpoch: number;
  /** Internal topics are made by the broker (`__consumer_offsets`). */
  readonly isInternal: boolean;
  /** Metadata store revision of the topic's entry. */
  readonly revision: number;
}

/** Dynamic settings of one broker, of all of them, or of one group. */
export interface ConfigsImage {
  readonly configs: ReadonlyMap<string, string>;
  /** Metadata store revision of the entry. */
  readonly revision: number;
}

/** Levels of features that somebody has set; the others have their defaults (features.ts). */
export interface FeaturesImage {
  readonly levels: ReadonlyMap<string, number>;
  /** Metadata store revision of the entry; 0 when there is none. */
  readonly revision: number;
}

export interface ClusterImage {
  readonly revision: number;
  readonly clusterId: string;
  /** Iterate without awaiting in between: the newest image's maps are handed on to the next image. */
  readonly topicsByName: ReadonlyMap<string, TopicImage>;
  readonly topicsById: ReadonlyMap<string, TopicImage>;
  /** Names that contain "." or "_", by the name with every "." as "_": two topics of one such key collide. */
  readonly topicsByCollisionKey: ReadonlyMap<string, string>;
  /** Dynamic broker configs: cluster-wide (key "") and per broker (key: id as text). */
  readonly brokerConfigs: ReadonlyMap<string, ConfigsImage>;
  /** What is set on groups, by their ids; whether there is such a group is another question. */
  readonly groupConfigs: ReadonlyMap<string, ConfigsImage>;
  readonly features: FeaturesImage;
}
