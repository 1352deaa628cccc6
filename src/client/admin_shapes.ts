// What operators' calls take and give: topics, settings, the cluster, and how patient a call is.
// Kafka: NewTopic, ConfigEntry, ConfigResource, AlterConfigOp, AbstractOptions.

import type { TopicInfo } from "./metadata.ts";
import type { BrokerAddress } from "./port.ts";
import type { BackoffOptions } from "./waiting.ts";

/** A topic to be made. */
export interface NewTopic {
  readonly name: string;
  /** The broker's default when left out. */
  readonly partitions?: number;
  /** The broker's default when left out. */
  readonly replicationFactor?: number;
  readonly configs?: Readonly<Record<string, string | null>>;
}

/** A topic that was made. */
export interface CreatedTopic {
  readonly name: string;
  readonly topicId: string | null;
  /** -1 from brokers that do not say. */
  readonly partitions: number;
  readonly replicationFactor: number;
}

/** Where a setting's value comes from. */
export type ConfigSource =
  | "topic"
  | "broker"
  | "cluster"
  | "static"
  | "default"
  | "logger"
  | "client_metrics"
  | "group"
  | "unknown";
export const SOURCES: readonly ConfigSource[] = [
  "unknown",
  "topic",
  "broker",
  "cluster",
  "static",
  "default",
  "logger",
  "client_metrics",
  "group",
];

/** A setting as a broker tells of it. */
export interface ConfigEntry {
  readonly name: string;
  /** Null when it has none, or may not be shown. */
  readonly value: string | null;
  readonly source: ConfigSource;
  readonly isReadOnly: boolean;
  readonly isSensitive: boolean;
  readonly documentation: string | null;
}

/** What has settings. */
export type ConfigResource =
  | { readonly type: "topic"; readonly name: string }
  /** One broker by its id, or the default of all with the empty name. */
  | { readonly type: "broker"; readonly name: string };
export const RESOURCE_TYPES = { topic: 2, broker: 4 } as const;

/** One change of a setting. */
export type ConfigChange =
  | {
      readonly name: string;
      readonly operation: "set" | "append" | "subtract";
      readonly value: string;
    }
  | { readonly name: string; readonly operation: "delete" };
export const OPERATIONS = { set: 0, delete: 1, append: 2, subtract: 3 } as const;

/** A topic with its settings. */
export interface TopicDescription extends TopicInfo {
  readonly configs: readonly ConfigEntry[];
}

/** The cluster and its brokers. */
export interface ClusterDescription {
  readonly clusterId: string | null;
  readonly controllerId: number;
  readonly brokers: readonly (BrokerAddress & { readonly isFenced: boolean })[];
}

/** How patient admin calls are. */
export interface AdminOptions extends BackoffOptions {
  /** How long a call may take, retries included, in ms. */
  readonly timeoutMs: number;
}

/** What every call takes. */
export interface AdminCallOptions {
  /** Ends the call with "aborted", wherever it stands; what was asked for may be done all the same. */
  readonly signal?: AbortSignal | undefined;
  /** Until it ends with "request_timed_out", retries included, in ms. The client's `timeoutMs` when left out. */
  readonly timeoutMs?: number | undefined;
}

/** What calls take that may only be tried out. */
export interface AdminChangeOptions extends AdminCallOptions {
  /** The broker says what would come of it, and changes nothing. */
  readonly validateOnly?: boolean;
}
