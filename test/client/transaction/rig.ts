// What tests of transactions share: one broker, either way to it, either protocol.

import type { Client, ConsumedRecord, ConsumerOptions } from "../../../src/client/mod.ts";
import { UpdateFeatures } from "../../../src/protocol/messages/57_update_features.ts";
import { Rig, type Way, ways } from "../ports.ts";
import { text } from "../rig.ts";

/** What `transaction.version` says, and what the client makes of it. */
export const levels = [0, 2] as const;
export type Level = (typeof levels)[number];

/** Every way with every protocol. */
export const cases = ways.flatMap((way) => levels.map((level) => ({ way, level })));

export async function startRig(
  level: Level,
  settings: Record<string, string | number | boolean> = {},
): Promise<Rig> {
  const rig = await Rig.start({ "group.initial.rebalance.delay.ms": 0, ...settings });
  if (level !== 2) await lower(rig, level);
  return rig;
}

async function lower(rig: Rig, level: number): Promise<void> {
  const port = rig.port("in process");
  const { errorCode, errorMessage } = await port.send(UpdateFeatures, {
    timeoutMs: 10_000,
    featureUpdates: [{ feature: "transaction.version", maxVersionLevel: level, upgradeType: 2 }],
    validateOnly: false,
  });
  port.close();
  if (errorCode !== 0) throw new Error(`Cannot lower transaction.version: ${errorMessage}`);
}

export async function read(client: Client, options: ConsumerOptions): Promise<ConsumedRecord[]> {
  const records: ConsumedRecord[] = [];
  for await (const record of client.consumer({ untilEnd: true, ...options })) records.push(record);
  return records;
}

/** Values that a reader of what is committed sees, or of everything. */
export async function valuesOf(
  client: Client,
  topic: string,
  isolation: "read_committed" | "read_uncommitted" = "read_committed",
): Promise<(string | null)[]> {
  return (await read(client, { topics: [topic], isolation })).map(({ value }) => text(value));
}

export type { Rig, Way };
