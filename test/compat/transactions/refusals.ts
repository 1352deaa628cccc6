// The cases of test/integration/transaction_*refusals.ts against a broker in a process, Apache Kafka as a rule: what it says has to
// be what was recorded, or with --record is written down.
//   refusals.ts FOLDER [--record]      RUNTIME as in lib.sh

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { WireClient } from "../../integration/live.ts";
import type { Codes } from "../../integration/refusal_rig.ts";
import { runRefusals } from "../../integration/transaction_cases.ts";
import { KillableBroker } from "../killable_broker.ts";
import { java } from "./clients.ts";

const [folder = "", flag] = process.argv.slice(2);
const file = join(import.meta.dirname, "../../vectors/kafka/transaction_refusals.json.gz");
const host = hostRuntime({ log: { level: "off" } });
let failed = 0;

async function casesAt(version: number): Promise<Record<string, Codes>> {
  const settings = ["offsets.topic.num.partitions=5", "transaction.state.log.num.partitions=5"];
  const broker = await KillableBroker.start(join(folder, String(version)), settings);
  try {
    const [command, ...flags] = java().slice(0, -1);
    const tool = ["org.apache.kafka.tools.FeatureCommand", "--bootstrap-server", broker.bootstrap];
    const set = ["downgrade", "--feature", `transaction.version=${version}`];
    if (version < 2) {
      const done = spawnSync(command!, [...flags, ...tool, ...set], { encoding: "utf8" });
      if (done.status !== 0) throw new Error(`transaction.version ${version}: ${done.stdout}`);
    }
    const [name = "", port] = broker.bootstrap.split(":");
    const to = { host: name, port: Number(port), timeoutMs: 10_000 };
    const client = new WireClient(await host.runtime.network.connect(to));
    const seen: Record<string, Codes> = {};
    try {
      await runRefusals(client, seen, version);
      return seen;
    } catch (error) {
      throw new Error(`after ${Object.keys(seen).at(-1)}: ${error}`);
    } finally {
      client.close();
    }
  } finally {
    await broker.stop();
  }
}

const seen: Record<string, Record<string, Codes>> = {};
for (const version of [0, 1, 2]) {
  seen[version] = await casesAt(version);
  console.error(`asked at ${version}`);
}
if (flag === "--record") {
  writeFileSync(file, gzipSync(JSON.stringify(seen), { level: 9 }));
  console.log(`ok recorded ${Object.keys(seen[2]!).length} cases, at three levels`);
} else {
  const recorded = JSON.parse(gunzipSync(readFileSync(file)).toString());
  for (const [version, cases] of Object.entries(seen)) {
    for (const what of new Set([...Object.keys(cases), ...Object.keys(recorded[version])])) {
      const [now, then] = [cases[what], recorded[version][what]].map((each) =>
        JSON.stringify(each),
      );
      if (now === then) continue;
      failed++;
      console.log(`not ok refusals_at_${version} ${what}: ${now}, recorded ${then}`);
    }
    if (failed === 0) console.log(`ok refusals_at_${version} (${Object.keys(cases).length} cases)`);
  }
}
await host.stop(1000);
process.exit(failed === 0 ? 0 : 1);
