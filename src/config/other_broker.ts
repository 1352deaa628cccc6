// A data folder keeps one folder a broker, by its id: who changes the id would find no log, and begin an empty one.
// Invariant: no broker begins beside the logs of others as if there were nothing; a missing folder is fine.
// Kafka: InconsistentBrokerIdException of meta.properties.

import { ConfigError } from "./config_error.ts";
import type { PluginUse } from "./define_config.ts";
import type { StartPlan } from "./start_plan.ts";

/** What lies in a broker's folder once it keeps a log, in files or in SQLite. */
const LOGS = ["journal", "segments", "log.sqlite"];

/** @throws {ConfigError} where the built-in storage holds logs of other brokers alone */
export function refuseOtherBrokers({ storage, metadata, data, broker }: StartPlan): void {
  // Brokers below one parent share its folder.
  if ((metadata as Partial<PluginUse>).use === "parent") return;
  const { use, options = {} } = storage as Partial<PluginUse>;
  if ((use !== "fs" && use !== "kv") || options["path"] !== undefined) return;
  const { existsSync, readdirSync } = process.getBuiltinModule("node:fs");
  const { join } = process.getBuiltinModule("node:path");
  const directory = String(options["directory"] ?? data);
  const own = `broker-${broker.id}`;
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return; // Not there yet; where it cannot be read, the storage says why.
  }
  if (names.includes(own)) return;
  const others = names.filter(
    (name) =>
      /^broker-\d+$/.test(name) && LOGS.some((log) => existsSync(join(directory, name, log))),
  );
  const [first] = others;
  if (first === undefined) return;
  const id = first.slice("broker-".length);
  throw new ConfigError(
    `Cannot start broker ${broker.id} on "${directory}" as it holds the logs of broker ${id} and none of broker ${broker.id}: say --broker-id ${id}, or choose another data folder`,
  );
}
