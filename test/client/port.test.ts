import { expect, test } from "bun:test";
import { SeededRandom } from "../../src/base/prng.ts";
import { type ClientPort, createClient } from "../../src/client/mod.ts";
import { MemoryNetwork } from "../../src/testing/memory_network.ts";
import { modelAnswer } from "../../src/testing/scripted_answers.ts";
import { ScriptedCluster } from "../../src/testing/scripted_log.ts";
import { clientRuntime, text } from "./rig.ts";

test("everything works over a port that has no wire: a broker in the same process", async () => {
  const network = new MemoryNetwork();
  const cluster = new ScriptedCluster(SeededRandom.of(1));
  cluster.brokers.push({ nodeId: 1, host: "here", port: 0 });
  const asked: string[] = [];
  let learned = 0;
  const port: ClientPort = {
    async send(api, request, options = {}) {
      asked.push(`${api.name}${options.to ?? ""}`);
      const version = Math.min(api.highestStable, options.versionMax ?? api.highestStable);
      const body = typeof request === "function" ? request(version) : request;
      // Defaults that the wire would fill in.
      const filled = { topicId: "", name: null, ...(body as object) };
      const answer = modelAnswer(cluster, 1, api, filled) as {
        responses?: object[];
        topics?: object[];
      };
      return withBytes({ errorCode: 0, ...answer }) as never;
    },
    learn(brokers) {
      learned += brokers.length;
    },
    close() {},
  };
  const client = createClient(clientRuntime(network), { port });
  await client.admin.createTopic({ name: "t", partitions: 1 });
  const producer = client.producer();
  await Promise.all(["a", "b"].map((value) => producer.send({ topic: "t", value })));
  const found: (string | null)[] = [];
  for await (const { value } of client.consumer({ topics: ["t"], untilEnd: true }))
    found.push(text(value));
  expect(found).toEqual(["a", "b"]);
  expect(asked).toContain("Produce1");
  expect(learned).toBeGreaterThan(0);
  expect(network.connectCount).toBe(0);
  await client.close();
});

/** What decoding would have done to a modelled answer: lists of views joined, defaults there. */
function withBytes(answer: unknown): unknown {
  if (Array.isArray(answer)) {
    if (answer.length > 0 && answer.every((each) => each instanceof Uint8Array)) {
      const parts = answer as Uint8Array[];
      const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        joined.set(part, at);
        at += part.length;
      }
      return joined;
    }
    return answer.map(withBytes);
  }
  if (answer instanceof Uint8Array || typeof answer !== "object" || answer === null) return answer;
  const filled = { recordErrors: [], errorMessage: null, ...answer };
  return Object.fromEntries(Object.entries(filled).map(([key, value]) => [key, withBytes(value)]));
}
