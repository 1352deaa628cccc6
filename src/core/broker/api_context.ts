// What the APIs of topics and administration are given, and the few things they share.
// Invariant: an API answers from the newest image, read anew after every wait.

import type { Caller } from "../../contracts/broker.ts";
import { MetadataStoreError } from "../../contracts/errors.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Decision, Refusal } from "../cluster/decision.ts";
import type { BrokerImage } from "../cluster/image.ts";
import type { Partitions } from "../partition/partitions.ts";
import type { Settings } from "../settings/dynamic.ts";

/** Where clients reach a broker, as they are told. */
export interface AdvertisedEndpoint {
  readonly host: string;
  readonly port: number;
}

/** Where partitions lie, as DescribeLogDirs shows it. */
export interface LogDirectory {
  /** A path, or a name where storage is no folder. */
  readonly path: string;
  /** Size and free space of the volume in bytes; -1 where nobody knows. */
  volume(): Promise<{ readonly totalBytes: number; readonly usableBytes: number }>;
}

export interface ApiContext {
  readonly brokerId: number;
  readonly cluster: Cluster;
  readonly partitions: Partitions;
  readonly settings: Settings;
  readonly runtime: Runtime;
  /** The address of this broker to tell a client that came in by `listener`. */
  endpointOf(listener: string): AdvertisedEndpoint;
  readonly logDirectory: LogDirectory;
}

/** A broker as metadata lists it. */
export interface BrokerRow {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

/**
 * The live brokers, with the addresses of the caller's listener; those that clients cannot reach are left out. A broker that has
 * the store for itself is the only one.
 */
export function brokersFor(context: ApiContext, caller: Caller): readonly BrokerRow[] {
  const { brokers } = context.cluster.image;
  if (brokers.size === 0) {
    const { host, port } = context.endpointOf(caller.listener);
    return [{ id: context.brokerId, host, port, rack: context.settings.text("broker.rack") }];
  }
  const rows: BrokerRow[] = [];
  for (const broker of brokers.values()) {
    const endpoint = endpointFor(broker, caller.listener);
    if (endpoint === null) continue;
    rows.push({ id: broker.id, host: endpoint.host, port: endpoint.port, rack: broker.rack });
  }
  return rows;
}

/** Where who came in by `listener` reaches a broker; who came by one that it lacks is told its first one of Kafka's protocol. */
export function endpointFor(
  { endpoints }: BrokerImage,
  listener: string,
): AdvertisedEndpoint | null {
  return (
    endpoints.find((each) => each.listener === listener) ??
    endpoints.find((each) => each.protocol === "kafka") ??
    null
  );
}

/** The broker that clients are told is the controller: any would do, as all decide. The holder of the seat, where it lives. */
export function controllerIdOf({ brokerId, cluster }: ApiContext): number {
  const { brokers, controller } = cluster.image;
  if (brokers.size === 0) return brokerId;
  if (controller !== null && brokers.has(controller.brokerId)) return controller.brokerId;
  const [first = -1] = brokers.keys();
  return brokers.has(brokerId) ? brokerId : first;
}

/** Bits of the operations on a topic that Kafka reports: read, write, create, delete, alter, describe, describe and alter configs. */
export const TOPIC_OPERATIONS = 3576;
/** The same for the cluster: create, alter, describe, cluster action, describe and alter configs, idempotent write. */
export const CLUSTER_OPERATIONS = 8096;
/** Not asked for: the smallest int32. */
export const OPERATIONS_NOT_ASKED = -2147483648;

/** A decision as rows of an answer carry it. */
export interface WireRefusal {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

export const NO_REFUSAL: WireRefusal = { errorCode: NONE, errorMessage: null };

/** A refusal as rows of an answer carry it. */
export function wireRefusal(code: KafkaErrorName, message: string | null): WireRefusal {
  return { errorCode: wireCodeOf(code), errorMessage: message };
}

/**
 * Waits for a decision; a metadata store that could not commit becomes a refusal that clients retry.
 * Whatever else goes wrong is a defect and goes on being thrown.
 */
export async function settled<T>(
  context: ApiContext,
  what: string,
  decision: Promise<Decision<T>>,
): Promise<Decision<T>> {
  try {
    return await decision;
  } catch (error) {
    if (!(error instanceof MetadataStoreError)) throw error;
    context.runtime.log.error("metadata_commit_failed", {
      what,
      code: error.code,
      error: error.message,
    });
    const refusal: Refusal =
      error.code === "too_large"
        ? {
            code: "policy_violation",
            message: "The change is larger than the metadata store takes",
          }
        : { code: "request_timed_out", message: "The metadata store did not take the change" };
    return { ok: false, refusal };
  }
}

/** The names that occur more than once. */
export function repeated(names: Iterable<string>): ReadonlySet<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) twice.add(name);
    else seen.add(name);
  }
  return twice;
}
