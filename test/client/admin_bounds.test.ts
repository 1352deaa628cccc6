// Every admin call ends when its signal fires or its time is over, wherever it stands: over a wire whose broker does not
// answer, and over a broker in this process that does not.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Admin, AdminCallOptions } from "../../src/client/mod.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import { Rig, ways } from "./ports.ts";
import { failureOf, startRig } from "./rig.ts";

const place = { topic: "t", partition: 0 };
const set = { name: "retention.ms", operation: "set", value: "1" } as const;
const calls: Record<string, (admin: Admin, options: AdminCallOptions) => Promise<unknown>> = {
  createTopics: (admin, options) => admin.createTopics([{ name: "a" }], options),
  createTopic: (admin, options) => admin.createTopic({ name: "a" }, options),
  deleteTopics: (admin, options) => admin.deleteTopics(["t"], options),
  deleteTopic: (admin, options) => admin.deleteTopic("t", options),
  listTopics: (admin, options) => admin.listTopics(options),
  topic: (admin, options) => admin.topic("t", options),
  describeTopic: (admin, options) => admin.describeTopic("t", options),
  createPartitions: (admin, options) => admin.createPartitions("t", 9, options),
  describeConfigs: (admin, options) =>
    admin.describeConfigs({ type: "topic", name: "t" }, null, options),
  alterConfigs: (admin, options) =>
    admin.alterConfigs({ type: "topic", name: "t" }, [set], options),
  describeCluster: (admin, options) => admin.describeCluster(options),
  offsets: (admin, options) => admin.offsets([{ ...place, at: "latest" }], options),
  deleteRecords: (admin, options) => admin.deleteRecords([{ ...place, beforeOffset: 0 }], options),
};
/** They ask for metadata alone. */
const ofMetadata = ["listTopics", "topic"];

for (const way of ways) {
  for (const isDeaf of [true, false]) {
    describe(`over ${way}, ${isDeaf ? "nothing" : "only metadata"} is answered:`, () => {
      let rig: Rig;
      let admin: Admin;
      beforeEach(async () => {
        rig = await Rig.start();
        const client = rig.client(way, { requestTimeoutMs: 60_000, timeoutMs: 60_000 });
        admin = client.admin;
        await admin.createTopic({ name: "t", partitions: 1 });
        await client.connect();
        rig.faults.isDeafTo = (method) => isDeaf || method !== "metadata";
      });
      afterEach(() => rig.stop());

      for (const [name, call] of Object.entries(calls)) {
        if (!isDeaf && ofMetadata.includes(name)) continue;
        test(`${name} ends by its signal and its time`, async () => {
          const gone = failureOf(call(admin, { signal: AbortSignal.abort() }));
          expect((await gone).code).toBe("aborted");
          const controller = new AbortController();
          const aborted = failureOf(call(admin, { signal: controller.signal }));
          setTimeout(() => controller.abort(), 5);
          expect((await aborted).code).toBe("aborted");
          const late = await failureOf(call(admin, { timeoutMs: 10 }));
          expect(late.code).toBe("request_timed_out");
          expect(late.message).toMatch(/10 ms/);
          const wrong = await failureOf(call(admin, { timeoutMs: Number.NaN }));
          expect(wrong).toBeInstanceOf(TypeError);
        });
      }
    });
  }
}

test("a call that ends early leaves the connection, and those that wait for the same answer, as they are", async () => {
  const rig = await startRig();
  rig.cluster.addTopic("t", 1);
  await rig.client.connect();
  const [broker] = rig.brokers;
  const hold = broker!.hold(Metadata);
  const { admin } = rig.client;
  const controller = new AbortController();
  const leaving = failureOf(admin.topic("t", { signal: controller.signal }));
  const staying = admin.topic("t");
  await hold.held;
  controller.abort();
  expect((await leaving).code).toBe("aborted");
  hold.release();
  expect((await staying).name).toBe("t");
  expect(broker!.count(Metadata)).toBe(2);
  await rig.stop();
});
