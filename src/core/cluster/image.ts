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

/** Where a broker is reached by one listener of one transport. */
export interface BrokerEndpoint {
  /** "kafka", "http", "tcp". */
  readonly protocol: string;
  readonly listener: string;
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** A broker whose session lives: it may lead and follow. Kafka: BrokerRegistration, unfenced. */
export interface BrokerImage {
  readonly id: number;
  /** Metadata store revision of its registration: grows with every one of that id. Kafka: broker epoch. */
  readonly epoch: number;
  /** Drawn at every start of the process. */
  readonly incarnation: string;
  readonly rack: string | null;
  readonly endpoints: readonly BrokerEndpoint[];
  /** The listener by which other brokers come; null: it cannot be reached. */
  readonly peer: BrokerEndpoint | null;
  /** Of package.json. */
  readonly release: string;
  /** Levels of features that it can work under, inclusive. */
  readonly features: ReadonlyMap<string, { readonly min: number; readonly max: number }>;
  /** It is handing over what it leads: it is given no leadership. */
  readonly isStopping: boolean;
}

/** A broker that has registered at some time and was not unregistered. */
export interface KnownBroker {
  readonly id: number;
  readonly rack: string | null;
  readonly release: string;
}

/** Who decides what nobody asked for: elections after a failure, balance, factors of internal topics. */
export interface ControllerImage {
  readonly brokerId: number;
  /** Grows with every holder of the seat. */
  readonly epoch: number;
  /** Metadata store revision of the seat's entry: what a controller commits has it as a condition. */
  readonly revision: number;
}

/** One partition as the cluster has agreed on it. Kafka: PartitionRegistration. */
export interface PartitionImage {
  /** -1: nobody may lead. */
  readonly leader: number;
  /** Grows with every change of the leader. */
  readonly leaderEpoch: number;
  /** Grows with every change of any field. */
  readonly partitionEpoch: number;
  /** In order of preference. */
  readonly replicas: readonly number[];
  /** Subset of `replicas`; never empty. */
  readonly isr: readonly number[];
  /** While it is reassigned: of `replicas`, those that are to come and those that are to go. */
  readonly adding: readonly number[];
  readonly removing: readonly number[];
  /** Eligible leader replicas: out of the ISR, and known to have all below the high watermark (KIP-966). */
  readonly elr: readonly number[];
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
  /** Live brokers by id, in ascending order; empty where one broker has the store for itself. */
  readonly brokers: ReadonlyMap<number, BrokerImage>;
  readonly knownBrokers: ReadonlyMap<number, KnownBroker>;
  readonly controller: ControllerImage | null;
  /** By topic id, as many as the topic has partitions; nothing for a topic of a store that one broker has for itself. */
  readonly partitions: ReadonlyMap<string, readonly PartitionImage[]>;
  /** Metadata store revisions of the entries that `partitions` came from, by topic id: one for each 100 partitions. */
  readonly blockRevisions: ReadonlyMap<string, readonly number[]>;
}
