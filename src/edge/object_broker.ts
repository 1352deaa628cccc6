// A broker on the storage of a Durable Object: the core, storage-kv and the edge's runtime put together, with
// settings that fit into the memory of an edge.
// Invariant: what was acknowledged is confirmed by the object's storage; an object that is killed, evicted or
// moved loses nothing of it.

import {
  type DurableObjectStorageLike,
  durableObjectKeyValue,
  metadataKv,
  storageKv,
} from "../../plugins/storage-kv/edge.ts";
import type { AuthPlugin } from "../contracts/auth.ts";
import type { TransportPlugin } from "../contracts/transport.ts";
import { createBroker, type RunningBroker } from "../core/mod.ts";
import { type EdgeRuntimeOptions, edgeRuntime } from "../runtime/edge_runtime.ts";

/** What is needed of a Durable Object's `ctx`; the host's own is one. */
export interface DurableObjectContext {
  readonly id: { toString(): string; readonly name?: string };
  readonly storage: DurableObjectStorageLike;
  waitUntil(task: Promise<unknown>): void;
  /** Ends this instance; the next request makes a new one. */
  abort(reason?: string): void;
}

/** How the broker of an object is made; everything may be left out. */
export interface ObjectBrokerOptions {
  /** By Kafka's names, over those in OBJECT_SETTINGS. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** Who may come in, and what they may do. Default: everyone, everything. */
  readonly auth?: readonly AuthPlugin[];
  /** The lowest level that is logged, to the console as JSON lines. Default "warn". */
  readonly logLevel?: EdgeRuntimeOptions["logLevel"];
  /** Other codecs than snappy and lz4. */
  readonly compression?: EdgeRuntimeOptions["compression"];
}

const MIB = 1024 * 1024;

/** Settings of an object's broker where they differ from Kafka's: an instance has 128 MB of memory for everything. */
export const OBJECT_SETTINGS: Readonly<Record<string, string | number | boolean>> = {
  "millrace.journal.file.bytes": 8 * MIB,
  "millrace.journal.bytes": 32 * MIB,
  "queued.max.request.bytes": 8 * MIB,
  "socket.request.max.bytes": 16 * MIB,
  "fetch.max.bytes": 8 * MIB,
  // gzip and zstd cannot be opened here, and are kept as they came.
  "millrace.validate.compressed": false,
};

const BROKER_ID = 1;

/** For background tasks to end, after the broker has closed. */
const TASKS_GRACE_MS = 1000;

/**
 * Opens the broker of a Durable Object and recovers its logs. One at a time for an object: a later one takes over.
 * When its storage fails, the object is aborted, and the next request finds what had been acknowledged. A broker
 * that was stopped leaves no timer and aborts nothing.
 *
 * @throws {StorageError} @throws {SettingsError} @throws {MetadataStoreError}
 */
export async function openObjectBroker(
  context: DurableObjectContext,
  options: ObjectBrokerOptions,
  transports: readonly TransportPlugin[] = [],
): Promise<RunningBroker> {
  const edge = edgeRuntime({
    logLevel: options.logLevel ?? "warn",
    logFields: { object: context.id.name ?? context.id.toString() },
    ...(options.compression === undefined ? {} : { compression: options.compression }),
  });
  const open = () => durableObjectKeyValue(context.storage);
  const broker = await createBroker({
    broker: { id: BROKER_ID },
    runtime: edge.runtime,
    storage: storageKv({ open }),
    metadata: metadataKv({ open }),
    transports,
    settings: { ...OBJECT_SETTINGS, ...options.settings },
    ...(options.auth === undefined ? {} : { auth: options.auth }),
  });
  const stopBroker = broker.stop.bind(broker);
  let stopping: Promise<void> | null = null;
  const stop = (graceMs: number): Promise<void> => {
    stopping ??= stopBroker(graceMs).finally(() => edge.stop(TASKS_GRACE_MS));
    return stopping;
  };
  // What fails while it stops has nobody left to harm: whoever opens next reads what is stored.
  const abort = (reason: string) => stopping === null && context.abort(reason);
  void broker.failed.then(abort);
  void edge.failed.then(abort);
  try {
    await broker.start();
  } catch (error) {
    await stop(0);
    throw error;
  }
  return Object.assign(broker, { stop });
}
