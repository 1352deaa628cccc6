// A changed broker id does not begin an empty log beside the one that is there.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Millrace, type MillraceConfig } from "../../mod.ts";
import { readEnvironment, readFlags } from "../../src/config/layers.ts";
import { refuseOtherBrokers } from "../../src/config/other_broker.ts";
import { planStart } from "../../src/config/start_plan.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-broker-id-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

for (const storage of ["fs", "kv"] as const) {
  test(`${storage}: another id is refused, and the first one finds its records`, async () => {
    const data = join(folder, storage);
    const config: MillraceConfig = { data, storage, transports: [] };
    const first = await Millrace.start(config);
    await first.producer().send({ topic: "t", value: "kept" });
    await first.stop();
    const other = await Millrace.start({ ...config, broker: { id: 2 } }).catch((error) => error);
    expect(String(other)).toContain(
      `Cannot start broker 2 on "${data}" as it holds the logs of broker 1 and none of broker 2: say --broker-id 1`,
    );
    const again = await Millrace.start(config);
    const values: string[] = [];
    for await (const { value } of again.consumer({ topics: ["t"], untilEnd: true })) {
      values.push(new TextDecoder().decode(value!));
    }
    await again.stop();
    expect(values).toEqual(["kept"]);
  });
}

test("empty folders, other folders and other storages are nobody's logs", () => {
  const data = join(folder, "empty");
  mkdirSync(join(data, "broker-1"), { recursive: true });
  writeFileSync(join(data, "broker-1", "format.json"), "{}");
  mkdirSync(join(data, "metadata"));
  const check = (config: MillraceConfig, ...words: string[]) =>
    refuseOtherBrokers(
      planStart(
        { path: "", folder, config },
        readEnvironment({}),
        readFlags(["--broker-id", "2", ...words]),
        process.cwd(),
      ),
    );
  check({ data });
  check({ data: join(folder, "none") });
  mkdirSync(join(data, "broker-1", "journal"));
  expect(() => check({ data })).toThrow("the logs of broker 1");
  expect(() => check({}, "--data", data)).toThrow("the logs of broker 1");
  check({ data, storage: "memory" });
  check({ data, storage: { use: "kv", options: { path: join(data, "x.sqlite") } } });
  check({ data, storage: { use: "fs", options: { directory: join(folder, "elsewhere") } } });
  mkdirSync(join(data, "broker-2"));
  check({ data });
});
