import { expect, test } from "bun:test";
import { bootstrapAddresses } from "../../src/client/client.ts";
import { ClientError, clientOptionsOf, connectWith } from "../../src/client/mod.ts";
import { clientRuntime, failureOf, startRig } from "./rig.ts";

test("an address says where, how and as whom", () => {
  expect(clientOptionsOf("kafka://a.example")).toEqual({
    bootstrap: [{ host: "a.example", port: 9092 }],
  });
  expect(clientOptionsOf("kafka://a:1,[::1]:2,c/?clientId=billing&timeoutMs=500")).toEqual({
    bootstrap: [
      { host: "a", port: 1 },
      { host: "::1", port: 2 },
      { host: "c", port: 9092 },
    ],
    clientId: "billing",
    timeoutMs: 500,
  });
  expect(clientOptionsOf("KAFKAS://al%40ice:p%3Aa%2Fs:s@a:1")).toEqual({
    bootstrap: [{ host: "a", port: 1 }],
    tls: {},
    sasl: { mechanism: "PLAIN", username: "al@ice", password: "p:a/s:s" },
  });
});

test("what an address cannot mean is refused by name, and passwords are not repeated", () => {
  const refusals: readonly (readonly [string, RegExp])[] = [
    ["http://a:1", /"http:\/\/": the schemes are kafka:\/\/ and kafkas:\/\//],
    ["a:1", /an address is kafka:\/\/HOST:PORT/],
    ["kafka://", /an address is kafka:\/\/HOST:PORT/],
    ["kafka://a:1/topic", /an address is kafka:\/\/HOST:PORT/],
    ["kafka://a:99999", /HOST:PORT: found "a:99999"/],
    ["kafka://a?clientID=x", /no option "clientID": there are clientId, connectTimeoutMs/],
    ["kafka://a?timeoutMs=soon", /timeoutMs must be a whole number from 1 on: found "soon"/],
    ["kafka://a?timeoutMs=0", /timeoutMs must be a whole number from 1 on: found "0"/],
    ["kafka://a?timeoutMs=1&timeoutMs=2", /timeoutMs twice/],
    ["kafka://alice@a", /a name and a password/],
    ["kafka://alice:%zz@a", /%25/],
    ["kafka://alice:secret@", /an address is/],
    ["kafka://alice:sec@ret@a", /an address is/],
    ["kafka://alice:9?sec=1@a", /is written %3F/],
    ["kafka://alice:secret", /HOST:PORT: found "alice:…"/],
  ];
  for (const [url, message] of refusals) {
    expect(() => clientOptionsOf(url)).toThrow(TypeError);
    expect(() => clientOptionsOf(url)).toThrow(message);
  }
  const secret = ["kafka://alice:secret@", "kafka://alice:sec@ret@a", "kafka://a:secret@b/c"];
  for (const url of [...secret, "kafka://alice:9?sec=1@a", "kafka://alice:secret"]) {
    expect(() => clientOptionsOf(url)).not.toThrow(/sec/);
  }
  // An address where only its hosts belong.
  for (const bootstrap of [...secret, "kafka://alice:se,cret@a:1"]) {
    expect(() => bootstrapAddresses(bootstrap)).toThrow(/^A bootstrap address must be HOST:PORT/);
    expect(() => bootstrapAddresses(bootstrap)).not.toThrow(/se,?c|cret/);
  }
});

test("connecting reaches the cluster at once, or says why not", async () => {
  const rig = await startRig();
  const { host, port } = rig.brokers[0]!.address;
  const runtime = clientRuntime(rig.network);
  const client = await connectWith(runtime, `kafka://${host}:${port}`, { backoffMs: 2 });
  await client.admin.createTopic({ name: "t", partitions: 1 });
  expect((await client.producer().send({ topic: "t", value: "a" })).offset).toBe(0);
  await client.close();
  const failure = await failureOf(connectWith(runtime, "kafka://nowhere:1", { backoffMs: 2 }));
  expect(failure).toBeInstanceOf(ClientError);
  expect(failure.code).toBe("network_exception");
  await rig.stop();
});
