// Hostile bytes: whatever comes, a connection ends with a reason or goes on, nothing hangs, nothing is kept, and
// the neighbour is served. Seeds are fixed, so a failure repeats.

import { describe, expect, test } from "bun:test";
import { encodeFrame } from "../../../plugins/transport-tcp/cbor.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { Random } from "../../../src/contracts/runtime.ts";
import { framed, join, settle } from "../transport_kafka/fakes.ts";
import { type Client, Harness } from "./harness.ts";

const requests: readonly object[] = [
  { id: 1, op: "ping" },
  {
    id: 2,
    op: "produce",
    topic: "t",
    records: [
      [null, new Uint8Array(30)],
      [new Uint8Array(3), null, [["h", null]], 5, 0],
    ],
  },
  {
    id: 3,
    op: "fetch",
    topic: "t",
    partitions: [
      [0, 0],
      [1, 5],
    ],
    bytesMax: 500,
  },
  { id: 4, op: "subscribe", topic: "t", partitions: [[0, 5]], credit: 1000, bytesMax: 300 },
  { id: 5, op: "credit", subscription: 4, bytes: 500 },
  { id: 6, op: "unsubscribe", subscription: 4 },
  { id: 7, op: "list_topics" },
  { id: 8, op: "create_topic", topic: "x", partitions: 3, config: { "retention.ms": "5" } },
  { id: 9, op: "offsets", topic: "t", partitions: [[0, 5]] },
  { id: 10, op: "auth", token: "x" },
  { id: 11, op: "hello", version: 1 },
];

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

async function neighbourIsServed(harness: Harness): Promise<void> {
  const neighbour = await harness.greeted();
  neighbour.tell({ id: 77, op: "ping" });
  await settle();
  expect(neighbour.answer(77)).toEqual({ id: 77 });
}

function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.uint32() % from.length]!;
}

/** Sends the bytes in chunks of any size. */
function scatter(random: Random, client: Client, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + (random.uint32() % 200);
    client.peer.send(bytes.slice(at, at + size));
    at += size;
  }
}

describe("the transport under hostile bytes", () => {
  test("random bytes, before a hello and after", async () => {
    const random = SeededRandom.of(21);
    const harness = await Harness.start();
    for (let round = 0; round < 300; round++) {
      const client = round % 3 === 0 ? harness.connect() : await harness.greeted();
      const bytes = random.fill(new Uint8Array(random.uint32() % 300));
      client.peer.send(round % 2 === 0 ? bytes : framed(bytes));
      await leave(harness, client);
    }
    await neighbourIsServed(harness);
  });

  test("requests with bytes changed, cut and repeated, in chunks of any size", async () => {
    const random = SeededRandom.of(22);
    const harness = await Harness.start();
    harness.log.endOffset = 20;
    for (let round = 0; round < 800; round++) {
      const client = await harness.greeted();
      const frames: Uint8Array[] = [];
      for (let count = 1 + (random.uint32() % 5); count > 0; count--) {
        const body = encodeFrame(pick(random, requests))[1]!.slice();
        const mode = random.uint32() % 4;
        if (mode === 0) body[random.uint32() % body.length] = random.uint32();
        else if (mode === 1) {
          for (let hits = 4; hits > 0; hits--)
            body[random.uint32() % body.length] = random.uint32();
        }
        frames.push(framed(mode === 2 ? body.subarray(0, random.uint32() % body.length) : body));
      }
      scatter(random, client, join(frames));
      if (round % 7 === 0) client.peer.reset();
      await leave(harness, client);
    }
    await neighbourIsServed(harness);
  });

  test("requests with values of any type in any place", async () => {
    const random = SeededRandom.of(23);
    const harness = await Harness.start();
    harness.log.endOffset = 20;
    const odd = [
      null,
      true,
      -1,
      2 ** 31,
      9n ** 16n,
      "",
      "earliest",
      "__proto__",
      [],
      [[]],
      {},
      { a: [] },
      new Uint8Array(2),
    ];
    const change = (value: unknown): unknown => {
      if (random.uint32() % 6 === 0) return pick(random, odd);
      if (Array.isArray(value)) return value.map(change);
      if (value instanceof Uint8Array || typeof value !== "object" || value === null) return value;
      return Object.fromEntries(
        Object.entries(value).map(([name, each]) => [
          name,
          name === "id" || name === "op" ? each : change(each),
        ]),
      );
    };
    let refusals = 0;
    for (let round = 0; round < 800; round++) {
      const client = await harness.greeted();
      client.tell(change(pick(random, requests)) as object, { id: 99, op: "ping" });
      await settle();
      if (client.frames.some(({ error }) => error !== undefined)) refusals++;
      for (const { error } of client.frames) expect(error?.code).not.toBe("unknown_server_error");
      await leave(harness, client);
    }
    expect(refusals).toBeGreaterThan(100);
    expect(harness.hand.eventsOf("tcp_request_failed")).toEqual([]);
    expect(harness.hand.eventsOf("tcp_connection_failed")).toEqual([]);
    await neighbourIsServed(harness);
  });

  test("lengths that promise what never comes", async () => {
    const random = SeededRandom.of(24);
    const harness = await Harness.start({ helloMsMax: 60_000 });
    const clients: Client[] = [];
    for (let round = 0; round < 200; round++) {
      const client = round % 2 === 0 ? harness.connect() : await harness.greeted();
      const chunk = new Uint8Array(4 + (random.uint32() % 50));
      new DataView(chunk.buffer).setUint32(0, 1000 + (random.uint32() % (1 << 20)));
      client.peer.send(chunk);
      clients.push(client);
    }
    await settle();
    expect(harness.budget.heldBytes).toBe(0);
    await harness.hand.advance(200_000);
    for (const client of clients) expect(client.peer.closeReason).not.toBe(null);
  });
});
