// The clients whose loops are run, as programs that speak the words of worker.ts, and what is known of each.

import { join } from "node:path";

const given = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: use run.sh`);
  return value;
};

/** The Java side of the checks, up to its verb. */
export const java = (): readonly string[] => [
  ...["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"],
  ...["-cp", given("JAVA_CP"), "Client"],
];
const here = import.meta.dirname;

export interface LoopClient {
  readonly command: () => readonly string[];
  /** A process that follows a dead one under its transactional id is served. */
  readonly mayRestart: boolean;
}

export const clients: Readonly<Record<string, LoopClient>> = {
  java: { command: () => [...java(), "transform", "protocol=classic"], mayRestart: true },
  java_consumer: { command: () => [...java(), "transform", "protocol=consumer"], mayRestart: true },
  librdkafka: {
    command: () => [given("VENV_PYTHON"), join(here, "confluent_transform.py")],
    mayRestart: true,
  },
  franz_go: { command: () => [given("FRANZ_GO"), "transform"], mayRestart: true },
  kafkajs: { command: () => [given("BUN"), join(here, "kafkajs_transform.ts")], mayRestart: true },
  platformatic: {
    command: () => [given("BUN"), join(here, "platformatic_transform.ts")],
    // Restarted under its transactional id it is fenced, by Kafka as by us: it says producer id 0 (clients.md, trap 8).
    mayRestart: false,
  },
};
