// The public face: a broker embedded in a program, and a client of it.

import { describe, expect, test } from "bun:test";
import {
  type AuthPlugin,
  type AuthStep,
  connect,
  defineConfig,
  Millrace,
  type MillraceConfig,
} from "../mod.ts";
import { transportKafka } from "../plugins/transport-kafka/mod.ts";
import { TEST_CERTIFICATE_PEM, TEST_PRIVATE_KEY_PEM } from "./runtime/test_certificate.ts";

const config: MillraceConfig = defineConfig({
  storage: "memory",
  metadata: "memory",
  transports: [{ use: "kafka", options: { listen: "127.0.0.1:0" } }],
  settings: { "num.partitions": 3 },
  log: { level: "off" },
});

/** Knows one user, by PLAIN. */
function plainFor(user: string, password: string): AuthPlugin {
  const respond = async (message: Uint8Array): Promise<AuthStep> => {
    const isRight = new TextDecoder().decode(message) === `\0${user}\0${password}`;
    if (!isRight) return { kind: "denied", reason: "wrong" };
    const principal = { type: "User", name: user };
    return { kind: "done", message: new Uint8Array(0), principal, expiresAtMs: null };
  };
  const authenticator = { mechanisms: ["PLAIN"], begin: () => ({ respond }) };
  const open = async () => ({ authenticator, close: async () => {} });
  return { kind: "auth", name: "plain-for-one", contract: 1, open };
}

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

  test("over TLS, with the name and password of the address; without either it is refused", async () => {
    const tls = { certificatePem: TEST_CERTIFICATE_PEM, privateKeyPem: TEST_PRIVATE_KEY_PEM };
    const listener = { name: "kafka", host: "127.0.0.1", port: 0, advertisedHost: "localhost" };
    await using millrace = await Millrace.start({
      ...config,
      transports: [transportKafka({ listeners: [{ ...listener, tls }] })],
      auth: [plainFor("alice", "p@ss/word")],
    });
    const { port } = millrace.endpoints[0]!;
    const patience = { timeoutMs: 500, tls: { caPem: TEST_CERTIFICATE_PEM } };
    const url = `kafkas://alice:p%40ss%2Fword@localhost:${port}`;
    const client = await connect(url, patience);
    expect((await client.connect()).brokers).toMatchObject([{ host: "localhost", port }]);
    await client.admin.createTopic({ name: "t", partitions: 1 });
    expect((await client.producer().send({ topic: "t", value: "x" })).offset).toBe(0);
    await client.close();
    const refused = async (...target: Parameters<typeof connect>) =>
      await connect(...target).then(
        () => "connected",
        (error) => error.code,
      );
    expect(await refused(url.replace("word", "w0rd"), patience)).toBe("sasl_authentication_failed");
    // Nobody vouches for this certificate but us.
    expect(await refused(url)).toBe("network_exception");
    expect(await refused(`kafkas://localhost:${port}`, patience)).toBe("network_exception");
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
