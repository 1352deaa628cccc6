// Hostile bytes: whatever comes, a connection ends with a reason or goes on, nothing hangs, nothing is
// kept, and the neighbour is served. Seeds are fixed, so a failure repeats.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import { ApiVersions } from "../../../src/protocol/messages/18_api_versions.ts";
import { bytesOfHex, loadCaptures } from "../../vectors/load.ts";
import { framed, join, settle } from "./fakes.ts";
import { type Client, Harness } from "./scripted.ts";

/** Requests of served APIs as real clients sent them, small ones only. */
const seeds: Uint8Array[] = [];
const seen = new Set<string>();
for (const { exchanges } of loadCaptures()) {
  for (const { api, v, q } of exchanges) {
    const kind = `${api} ${v} ${q.length >> 5}`;
    if (q.length > 2000 || seen.has(kind)) continue;
    seen.add(kind);
    seeds.push(bytesOfHex(q));
  }
}

async function start(): Promise<Harness> {
  const harness = await Harness.start({ frameBytesMax: 1 << 20 });
  for (const name of [
    "metadata",
    "createTopics",
    "deleteTopics",
    "createPartitions",
    "deleteRecords",
    "describeTopicPartitions",
    "describeConfigs",
    "alterConfigs",
    "incrementalAlterConfigs",
    "describeCluster",
    "describeLogDirs",
    "describeProducers",
    "initProducerId",
  ]) {
    // Not the right shape for most: encoding fails, which must cost that connection alone.
    harness.scripted.answers.set(name, () => ({ throttleTimeMs: 0, topics: [], brokers: [] }));
  }
  return harness;
}

/** Whatever a client did, after it hangs up nothing of it is left. */
async function leave(harness: Harness, client: Client): Promise<void> {
  await settle();
  client.peer.finish();
  await settle();
  await Promise.all(harness.hand.spawned.splice(0));
  expect(client.peer.closeReason).not.toBe(null);
  expect(harness.budget.heldBytes).toBe(0);
  expect(harness.budget.waiting).toBe(0);
}

describe("the transport under hostile bytes", () => {
  test("random bytes", async () => {
    const random = SeededRandom.of(11);
    const harness = await start();
    for (let round = 0; round < 400; round++) {
      const client = harness.connect();
      const bytes = random.fill(new Uint8Array(random.uint32() % 300));
      // Half of them behind an honest length.
      client.peer.send(round % 2 === 0 ? bytes : framed(bytes));
      await leave(harness, client);
    }
    expect((await harness.connect().ask(ApiVersions, 0, {})).errorCode).toBe(0);
  });

  test("real requests with bytes changed, cut and repeated, in chunks of any size", async () => {
    const random = SeededRandom.of(12);
    const harness = await start();
    expect(seeds.length).toBeGreaterThan(100);
    for (let round = 0; round < 1500; round++) {
      const client = harness.connect();
      const frames: Uint8Array[] = [];
      for (let count = 1 + (random.uint32() % 4); count > 0; count--) {
        const request = seeds[random.uint32() % seeds.length]!.slice();
        const mode = random.uint32() % 4;
        if (mode === 0) request[random.uint32() % request.length] = random.uint32();
        else if (mode === 1) {
          for (let hits = 8; hits > 0; hits--) {
            request[8 + (random.uint32() % Math.max(1, request.length - 8))] = random.uint32();
          }
        }
        const cut = mode === 2 ? request.subarray(0, random.uint32() % request.length) : request;
        frames.push(framed(cut));
      }
      const bytes = join(frames);
      for (let at = 0; at < bytes.length; ) {
        const size = 1 + (random.uint32() % 200);
        client.peer.send(bytes.slice(at, at + size));
        at += size;
      }
      if (round % 7 === 0) client.peer.reset();
      await leave(harness, client);
    }
    expect((await harness.connect().ask(ApiVersions, 0, {})).errorCode).toBe(0);
  });

  test("lengths that promise what never comes", async () => {
    const random = SeededRandom.of(13);
    const harness = await start();
    const clients: Client[] = [];
    for (let round = 0; round < 200; round++) {
      const client = harness.connect();
      const chunk = new Uint8Array(4 + (random.uint32() % 50));
      new DataView(chunk.buffer).setInt32(0, random.uint32() % (1 << 20));
      client.peer.send(chunk);
      clients.push(client);
    }
    await settle();
    // Half-read frames without proof of bytes hold no budget at all.
    expect(harness.budget.heldBytes).toBe(0);
    await harness.hand.advance(606_000);
    for (const client of clients) expect(client.peer.closeReason).not.toBe(null);
  });
});
