// Opens a topic as a table: looks whether it is one that can be, and begins to read it.
// Kafka: StreamsBuilder.globalTable.

import { ClientError } from "../client_error.ts";
import { type CodecChoice, codecOf, type Decoded } from "../codec.ts";
import type { ClientContext } from "../context.ts";
import { checkNames, checkOptions, type OptionNames, requireObject } from "../option_checks.ts";
import type { Producer } from "../producer.ts";
import type { ProducerOptions } from "../producer_record.ts";
import { producerSettings } from "../producer_settings.ts";
import { Table, type TableParts } from "./table.ts";
import type { TableOptions } from "./table_options.ts";

const NAMES: OptionNames<TableOptions> = {
  key: true,
  value: true,
  keep: true,
  bytesMax: true,
  isolation: true,
  mayBeUncompacted: true,
  unknownWaitMs: true,
  batchBytesMax: true,
  bufferBytesMax: true,
  producer: true,
};
const LOWEST = { bytesMax: 1, unknownWaitMs: 0, batchBytesMax: 1, bufferBytesMax: 1 };
const WORDS = {
  keep: ["values", "offsets"],
  isolation: ["read_uncommitted", "read_committed"],
};

/** Less is not waited out: whoever reads again that often would do nothing else. */
const TOMBSTONES_MS_MIN = 60_000;
const TOMBSTONES_MS = 86_400_000;

/** What the client lends a table. */
export interface TableOwner {
  makeProducer(options: ProducerOptions): Producer;
  /** Called with a table that was made, and again when it was closed. */
  onOpen(table: { close(): Promise<void> }): void;
  onClose(table: { close(): Promise<void> }): void;
}

/**
 * A table over a topic. It is being loaded when this resolves.
 *
 * @throws {ClientError} "unknown_topic_or_partition", "invalid_config" for a topic that is not compacted, …
 * @throws {TypeError} for options that are none
 */
export async function openTable<K extends CodecChoice, V extends CodecChoice>(
  context: ClientContext,
  owner: TableOwner,
  name: string,
  options: TableOptions<K, V>,
): Promise<Table<Decoded<K>, Decoded<V>>> {
  if (typeof name !== "string") throw new TypeError(`A table wants a topic's name: found ${name}`);
  checkNames<TableOptions>(options, NAMES, "a table");
  checkOptions<TableOptions>(options, LOWEST, WORDS);
  const keys = codecOf(options.key ?? "bytes");
  const values = codecOf(options.value ?? "bytes");
  const { unknownWaitMs = 0, producer = {} } = options;
  requireObject(producer, "A table's producer");
  for (const word of ["acks", "mayCreateTopics", "transactionalId"]) {
    if (!(word in producer)) continue;
    throw new TypeError(
      `A table's producer has no option ${word}: send in a transaction, or by a producer of your own`,
    );
  }
  producerSettings(producer);
  await context.metadata.topic(name, { unknownWaitMs });
  const { policy, tombstonesMs } = await settingsOf(context, name);
  if (policy !== null && !policy.split(",").some((word) => word.trim() === "compact")) {
    if (options.mayBeUncompacted !== true) {
      const text = `Topic "${name}" is not compacted (cleanup.policy=${policy}), so a table of it would lose keys to retention: compact it, or say mayBeUncompacted`;
      throw new ClientError("invalid_config", text);
    }
  }
  const parts: TableParts<unknown, unknown> = {
    name,
    keys,
    values,
    tombstonesMs: Math.max(tombstonesMs, TOMBSTONES_MS_MIN),
    makeProducer: owner.makeProducer,
    onClose: owner.onClose,
  };
  const table = new Table(context, options, parts);
  owner.onOpen(table);
  try {
    await table.start();
  } catch (error) {
    await table.close();
    throw error;
  }
  return table as Table<Decoded<K>, Decoded<V>>;
}

/** What of the topic's settings matters; the policy is null where the broker does not tell. */
async function settingsOf(
  { admin }: ClientContext,
  name: string,
): Promise<{ readonly policy: string | null; readonly tombstonesMs: number }> {
  const names = ["cleanup.policy", "delete.retention.ms"];
  try {
    const configs = await admin.describeConfigs({ type: "topic", name }, names);
    const valueAt = (setting: string) => configs.find((each) => each.name === setting)?.value;
    const tombstonesMs = Number(valueAt("delete.retention.ms") ?? TOMBSTONES_MS);
    return { policy: valueAt("cleanup.policy") ?? null, tombstonesMs };
  } catch (error) {
    // Who may read a topic need not be allowed to see its settings.
    const code = error instanceof ClientError ? error.code : "";
    if (code !== "topic_authorization_failed" && code !== "unsupported_version") throw error;
    return { policy: null, tombstonesMs: TOMBSTONES_MS };
  }
}
