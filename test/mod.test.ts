// The public face: a broker embedded in a program, and a client of it.

import { describe, expect, test } from "bun:test";
import { defineConfig, Millrace, type MillraceConfig } from "../mod.ts";

const config: MillraceConfig = defineConfig({
  storage: "memory",
  metadata: "memory",
  transports: [{ use: "kafka", options: { listen: "127.0.0.1:0" } }],
  settings: { "num.partitions": 3 },
  log: { level: "off" },
});

describe("Millrace", () => {
  test("starts a broker in this process, and its client writes and reads back", async () => {
    const millrace = await Millrace.start(config);
    const [endpoint] = millrace.endpoints;
    expect(endpoint).toMatchObject({ protocol: "kafka", listener: "kafka", host: "127.0.0.1" });
    expect(endpoint!.port).toBeGreaterThan(0);
    expect(millrace.broker.setting("num.partitions")).toBe("3");
    const client = millrace.client();
    await client.admin.createTopics([{ name: "greetings", partitions: 2 }]);
    const producer = client.producer();
    const sent = await Promise.all(
      ["a", "b", "c"].map((value) => producer.send({ topic: "greetings", key: "k", value })),
    );
    expect(sent.map((each) => each.offset)).toEqual([0, 1, 2]);
    const values: string[] = [];
    for await (const record of client.consumer({
      topics: ["greetings"],
      untilEnd: true,
      from: "beginning",
    })) {
      values.push(new TextDecoder().decode(record.value!));
    }
    expect(values).toEqual(["a", "b", "c"]);
    await millrace.stop();
    await millrace.stop();
  });

  test("refuses a configuration that is wrong, and settings that nobody knows", async () => {
    await expect(Millrace.start({ ...config, dta: "x" } as MillraceConfig)).rejects.toMatchObject({
      name: "ConfigError",
      message: 'Unknown key "dta": did you mean "data"',
    });
    await expect(
      Millrace.start({ ...config, settings: { "num.partition": 1 } }),
    ).rejects.toMatchObject({ name: "SettingsError" });
  });

  test("a second broker on the same port is refused, and leaves nothing behind", async () => {
    await using first = await Millrace.start(config);
    const { port } = first.endpoints[0]!;
    const transports = [{ use: "kafka", options: { listen: `127.0.0.1:${port}` } }];
    await expect(Millrace.start({ ...config, transports })).rejects.toMatchObject({
      name: "NetworkError",
      code: "in_use",
    });
  });
});
