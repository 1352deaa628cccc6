// The public face: a broker embedded in a program, and a client of it.

import { describe, expect, test } from "bun:test";
import { connect, defineConfig, Millrace, type MillraceConfig } from "../mod.ts";

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

  test("its producer, consumer and admin need no transport", async () => {
    const millrace = await Millrace.start({ ...config, transports: [] });
    expect(millrace.endpoints).toEqual([]);
    await millrace.admin().createTopic({ name: "t", partitions: 1 });
    const sent = millrace.producer({ lingerMs: 60_000 }).send({ topic: "t", key: "k", value: "v" });
    // What a producer still holds is sent before the broker stops.
    const reading = (async () => {
      for await (const { value } of millrace.consumer({ topics: ["t"] })) {
        return new TextDecoder().decode(value!);
      }
      return null;
    })();
    const other = millrace.client({ clientId: "other", principal: { type: "User", name: "o" } });
    expect((await other.admin.listTopics()).map(({ name }) => name)).toEqual(["t"]);
    await millrace.stop();
    expect((await sent).offset).toBe(0);
    expect(await reading).toBeNull();
    await expect(other.admin.listTopics()).rejects.toMatchObject({ code: "closed" });
  });

  test("is reached by its address too, and what is no address is refused", async () => {
    await using millrace = await Millrace.start(config);
    const { host, port } = millrace.endpoints[0]!;
    const client = await connect(`kafka://${host}:${port}?clientId=billing`);
    await client.admin.createTopic({ name: "t", partitions: 1 });
    expect((await millrace.admin().listTopics()).map(({ name }) => name)).toEqual(["t"]);
    await client.close();
    const elsewhere = millrace.client({ bootstrap: [{ host, port }] });
    expect((await elsewhere.connect()).brokers[0]!.port).toBe(port);
    await expect(connect("redis://127.0.0.1")).rejects.toThrow("the schemes are kafka://");
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
