// Where a producer hung, came late, or lost what it could have sent: each was a bug, over both ways.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client } from "../../src/client/mod.ts";
import { Rig, ways } from "./ports.ts";

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
      rig.faults.append = () => "no_answer";
      const producer = client.producer({ bufferBytesMax: 300 });
      const sends = Array.from({ length: 6 }, () => {
        return producer.send({ topic: "t", value: "x".repeat(100) });
      });
      await new Promise((resolve) => setTimeout(resolve, 5));
      const closed = producer.close(10);
      const outcomes = await Promise.allSettled([...sends, closed]);
      expect(outcomes.map(({ status }) => status)).toEqual(Array(7).fill("rejected"));
    });
  });
}
