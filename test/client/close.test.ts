// What closing says of records that were not delivered, over both ways: told once, and never swallowed.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Client } from "../../src/client/mod.ts";
import { Rig, ways } from "./ports.ts";
import { failureOf } from "./rig.ts";

for (const way of ways) {
  describe(`closing over ${way}`, () => {
    let rig: Rig;
    let client: Client;
    beforeEach(async () => {
      rig = await Rig.start();
      client = rig.client(way);
      await client.admin.createTopic({
        name: "t",
        partitions: 1,
        configs: { "max.message.bytes": "500" },
      });
    });
    afterEach(() => rig.stop());
    const large = { topic: "t", value: "x".repeat(600) };

    test("a client tells how many enqueued records failed, and why the first did", async () => {
      const producer = client.producer();
      for (let count = 0; count < 3; count++) void producer.enqueue(large);
      void producer.enqueue({ topic: "t", value: "small" });
      const failure = await failureOf(client.close());
      expect(failure.code).toBe("message_too_large");
      expect(failure.message).toMatch(/^3 enqueued records were not delivered, the first since: /);
      expect(producer.stats).toMatchObject({ delivered: 1, failed: 3 });
      // All has ended all the same.
      expect((await failureOf(client.admin.listTopics())).code).toBe("closed");
      expect((await failureOf(client.close())).message).toBe(failure.message);
    });

    test("a client of several producers names each", async () => {
      for (let count = 0; count < 2; count++) void client.producer().enqueue(large);
      const failure = await failureOf(client.close());
      expect(failure.message).toMatch(/^2 producers could not deliver everything, the first: /);
      expect((failure.cause as AggregateError).errors.length).toBe(2);
    });

    test("what flush has told, and what has a promise of its own, is not told again", async () => {
      const producer = client.producer();
      const sent = failureOf(producer.send(large));
      void producer.enqueue(large);
      expect((await failureOf(producer.flush())).code).toBe("message_too_large");
      expect((await sent).code).toBe("message_too_large");
      expect((await failureOf(producer.send(large))).code).toBe("message_too_large");
      await producer.flush();
      await client.close();
    });

    test("after its grace every promise rejects, and the client says how many were left", async () => {
      const producer = client.producer();
      await producer.send({ topic: "t", value: "first" });
      rig.faults.append = () => "no_answer";
      const sends = [1, 2, 3].map((value) => {
        return failureOf(producer.send({ topic: "t", value: `${value}` }));
      });
      const failure = await failureOf(client.close(20));
      expect(failure.code).toBe("request_timed_out");
      expect(failure.message).toMatch(/within 20 ms of closing: 3 records/);
      for (const send of sends) expect((await send).code).toBe("closed");
    });
  });
}
