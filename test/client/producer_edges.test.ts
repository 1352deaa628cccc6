// Where a producer hung, came late, or lost what it could have sent: each was a bug, over both ways.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client } from "../../src/client/mod.ts";
import { Rig, ways } from "./ports.ts";
import { failureOf } from "./rig.ts";

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.start();
});
afterEach(() => rig.stop());

for (const way of ways) {
  describe(`a producer over ${way}`, () => {
    let client: Client;
    beforeEach(async () => {
      client = rig.client(way, { requestTimeoutMs: 5_000 });
      await client.admin.createTopic({ name: "t", partitions: 1 });
    });

    test("that gives up on closing lets nobody wait who had no room", async () => {
      const producer = client.producer({ bufferBytesMax: 300 });
      await producer.send({ topic: "t", value: "first" });
      rig.faults.append = () => "no_answer";
      const sends = Array.from({ length: 6 }, () => {
        return failureOf(producer.send({ topic: "t", value: "x".repeat(100) }));
      });
      await new Promise((resolve) => setTimeout(resolve, 5));
      const closed = failureOf(producer.close(10));
      expect((await closed).message).toMatch(/within 10 ms of closing/);
      for (const send of sends) expect((await send).code).toMatch(/^(closed|buffer_full)$/);
    });
  });
}
