// The minimal plugin that docs/plugins/auth.md shows is taken from the page and asked over Kafka's wire.

import { afterAll, beforeAll, expect, test } from "bun:test";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { type Client, type ClientError, createClient } from "../../src/client/mod.ts";
import { type AuthPlugin, BEARER_MECHANISM } from "../../src/contracts/auth.ts";
import { type HostRuntime, hostRuntime } from "../../src/runtime/host_runtime.ts";
import { Live } from "../integration/live.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-docs-"));
let plugin: AuthPlugin;
let live: Live;
let host: HostRuntime;
const clients: Client[] = [];

beforeAll(async () => {
  const page = fs.readFileSync(new URL("../../docs/plugins/auth.md", import.meta.url), "utf8");
  const [, code] = /```ts\n([\s\S]*?)```/.exec(page)!;
  const contracts = new URL("../../src/contracts/mod.ts", import.meta.url).href;
  const file = path.join(folder, "auth.ts");
  fs.writeFileSync(file, code!.replace('"millrace/contracts"', JSON.stringify(contracts)));
  const { authShared } = (await import(pathToFileURL(file).href)) as {
    authShared: (options: { password: string }) => AuthPlugin;
  };
  plugin = authShared({ password: "open sesame" });
  live = await Live.start({
    auth: [plugin],
    settings: { "connection.failed.authentication.delay.ms": 1 },
  });
  host = hostRuntime({ log: { level: "off" } });
});
afterAll(async () => {
  for (const client of clients) await client.close();
  await live.stop();
  await host.stop(1000);
  fs.rmSync(folder, { recursive: true });
});

function client(username: string, password = "open sesame"): Client {
  const made = createClient(host.runtime, {
    bootstrap: `127.0.0.1:${live.port}`,
    sasl: { mechanism: "PLAIN", username, password },
  });
  clients.push(made);
  return made;
}
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (error) => (error as ClientError).code,
  );

test("a name with the password owns its topics, and others read them", async () => {
  const alice = client("alice");
  await alice.admin.createTopic({ name: "alice.orders", partitions: 1 });
  const sent = await alice.producer().send({ topic: "alice.orders", value: "hello" });
  expect(sent.offset).toBe(0);
  const bob = client("bob");
  const consumer = bob.consumer({ topics: ["alice.orders"], from: "beginning", untilEnd: true });
  let count = 0;
  for await (const record of consumer) {
    expect(new TextDecoder().decode(record.value!)).toBe("hello");
    count++;
  }
  expect(count).toBe(1);
  expect(await codeOf(bob.admin.deleteTopic("alice.orders"))).toBe("topic_authorization_failed");
  const writing = bob.producer().send({ topic: "alice.orders", value: "x" });
  // A stranger to the topic gets no producer id either.
  expect(["topic_authorization_failed", "cluster_authorization_failed"]).toContain(
    await codeOf(writing),
  );
});

test("a wrong password or an odd name is not let in", async () => {
  expect(await codeOf(client("alice", "sesame").connect())).toBe("sasl_authentication_failed");
  expect(await codeOf(client("Alice").connect())).toBe("sasl_authentication_failed");
});

test("takes bearer tokens too", async () => {
  const { authenticator } = await plugin.open({
    runtime: host.runtime,
    brokerId: 1,
    credentials: { scram: () => null },
  });
  const peer = { host: "::1", listener: "http", tlsPeerCertificate: null };
  const say = (text: string) =>
    authenticator!.begin(BEARER_MECHANISM, peer).respond(new TextEncoder().encode(text));
  expect(await say("alice:open sesame")).toMatchObject({ principal: { name: "alice" } });
  for (const wrong of ["alice", "alice:open", ":open sesame", ""]) {
    expect((await say(wrong)).kind).toBe("denied");
  }
});
