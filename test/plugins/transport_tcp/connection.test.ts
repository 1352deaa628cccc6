// What a connection may hold, and for how long: bounds, deadlines, slow readers, and the end.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { encodeFrame } from "../../../plugins/transport-tcp/cbor.ts";
import { InvariantError } from "../../../src/base/assert.ts";
import { framed, settle } from "../transport_kafka/fakes.ts";
import { Harness } from "./harness.ts";

const produce = (id: number, value = new Uint8Array(10)) => ({
  id,
  op: "produce",
  topic: "t",
  records: [[null, value]],
});
const fetch = (id: number, bytesMax: number, waitMs = 0) => ({
  id,
  op: "fetch",
  topic: "t",
  partitions: [[0, 0]],
  bytesMax,
  waitMs,
});

/** The frames of the example in docs/PROTOCOL.md. */
function documentedFrames(): Uint8Array[] {
  const page = readFileSync(new URL("../../../docs/PROTOCOL.md", import.meta.url), "utf8");
  const example = /### An example.*?```\n(.*?)```/s.exec(page)![1]!;
  return example.split("\n\n").map((block) => {
    const lines = block.split("\n").map((line) => /^ *((?:[0-9a-f]+ ?)*)/.exec(line)![1]!);
    const digits = lines.join("").replaceAll(" ", "");
    return Uint8Array.from(digits.match(/../g)!, (pair) => Number.parseInt(pair, 16));
  });
}

describe("the example of the specification", () => {
  test("is what goes over the wire", async () => {
    const [hello, append, answer] = documentedFrames();
    const harness = await Harness.start();
    harness.hand.nowMs = 1_795_408_110_162;
    harness.log.appends.length = 17;
    const client = harness.connect();
    client.peer.send(hello!);
    client.peer.send(append!);
    await settle();
    expect(client.answer(0).version).toBe(1);
    expect(framed(client.peer.frames[1]!)).toEqual(answer!);
    expect(encodeFrame({ id: 0, op: "hello", version: 1 }).flatMap((part) => [...part])).toEqual([
      ...hello!,
    ]);
  });
});

describe("requests in flight", () => {
  test("are begun in order, and answered as they are done", async () => {
    const harness = await Harness.start();
    const client = await harness.greeted();
    let open = () => {};
    harness.log.gate = new Promise((resolve) => {
      open = resolve;
    });
    client.tell(produce(1), produce(2), { id: 3, op: "ping" });
    await settle();
    expect(harness.log.appends.length).toBe(2);
    expect(client.frames.map(({ id }) => id)).toEqual([0, 3]);
    open();
    await settle();
    expect(client.answer(1).results).toEqual([[0, 0, 1000]]);
    expect(client.answer(2).results).toEqual([[0, 1, 1000]]);
    expect(harness.budget.heldBytes).toBe(0);
  });

  test("are bounded: the next one waits for an answer", async () => {
    const harness = await Harness.start({ inFlightMax: 2 });
    const client = await harness.greeted();
    let open = () => {};
    harness.log.gate = new Promise((resolve) => {
      open = resolve;
    });
    client.tell(produce(1), produce(2), produce(3));
    await settle();
    expect(harness.log.appends.length).toBe(2);
    open();
    await settle();
    expect(harness.log.appends.length).toBe(3);
  });

  test("hold the broker's memory until their bytes are not looked at any more", async () => {
    const harness = await Harness.start({}, null, 5000);
    const client = await harness.greeted();
    let open = () => {};
    harness.log.gate = new Promise((resolve) => {
      open = resolve;
    });
    client.tell(produce(1, new Uint8Array(4000)), produce(2, new Uint8Array(4000)));
    await settle();
    expect(harness.budget.heldBytes).toBeGreaterThan(4000);
    expect(harness.budget.waiting).toBe(1);
    expect(harness.log.appends.length).toBe(1);
    open();
    await settle();
    expect(harness.log.appends.length).toBe(2);
    expect(harness.budget.heldBytes).toBe(0);
  });

  test("count their values as well: many small ones are not for nothing", async () => {
    const harness = await Harness.start({ frameItemsMax: 1000 });
    const client = await harness.greeted();
    client.tell({ id: 1, op: "ping", padding: new Array(900).fill(null) });
    await settle();
    expect(client.answer(1)).toEqual({ id: 1 });
    expect(harness.budget.peakBytes).toBeGreaterThan(900 * 40);
    client.tell({ id: 2, op: "ping", padding: new Array(1000).fill(null) });
    await settle();
    expect(client.answer(null).error.message).toContain("too_many_items");
    expect(harness.endings).toEqual(["frame_unreadable"]);
  });

  test("that fail without a reason end their connection, and a broken invariant the broker", async () => {
    const harness = await Harness.start();
    const client = await harness.greeted();
    harness.log.failure = new Error("nobody knows");
    client.tell(produce(1));
    await settle();
    expect(client.answer(1).error.code).toBe("unknown_server_error");
    expect(client.peer.closeReason).toBe("unknown_server_error");
    expect(harness.hand.eventsOf("tcp_request_failed").length).toBe(1);
    await Promise.all(harness.hand.spawned.splice(0));
    harness.log.failure = new InvariantError("broken");
    const other = await harness.greeted();
    other.tell(produce(1));
    await settle();
    const ended = await Promise.allSettled(harness.hand.spawned);
    expect(ended.some(({ status }) => status === "rejected")).toBe(true);
    expect(harness.budget.heldBytes).toBe(0);
  });
});

describe("slow readers", () => {
  test("are not read from while too many answers wait for them", async () => {
    const harness = await Harness.start({ responseBytesMax: 100_000, fetchBytesMax: 50_000 });
    const client = await harness.greeted();
    client.peer.isStalled = true;
    harness.log.valueBytes = 1000;
    for (let id = 1; id <= 50; id++) client.tell(fetch(id, 50_000));
    await settle();
    expect(harness.log.fetches.length).toBeLessThan(5);
    const begun = harness.log.fetches.length;
    await settle();
    expect(harness.log.fetches.length).toBe(begun);
    client.peer.resume();
    await settle();
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(client.frames.length).toBe(51);
    expect(harness.log.releases).toBe(harness.log.fetches.length);
  });

  test("hold a few large records, not one for each fetch that they sent", async () => {
    const harness = await Harness.start({ responseBytesMax: 1_000_000, replyBytesMax: 2_000_000 });
    harness.log.valueBytes = 300_000;
    const clients = [];
    for (let i = 0; i < 20; i++) clients.push(await harness.greeted());
    for (const { peer } of clients) peer.isStalled = true;
    for (const client of clients) {
      for (let id = 1; id <= 20; id++) client.tell(fetch(id, 1000));
    }
    for (let turn = 0; turn < 20; turn++) await settle();
    const begun = harness.log.fetches.length;
    for (let turn = 0; turn < 20; turn++) await settle();
    // Nobody goes round and round while nothing can be sent.
    expect(harness.log.fetches.length).toBe(begun);
    // Whoever does not read has to go where others wait: at the end everybody has.
    await harness.hand.advance(40_000);
    expect(harness.endings).toContain("peer_not_reading");
    for (const { peer } of clients) peer.resume();
    for (let turn = 0; turn < 200; turn++) await settle();
    for (const { peer } of clients) peer.finish();
    for (let turn = 0; turn < 50; turn++) await settle();
    expect(harness.log.releases).toBe(harness.log.fetches.length);
  });

  test("hold nothing while they wait, and then read one after the other, however many are woken", async () => {
    const harness = await Harness.start({ replyBytesMax: 2_000_000 });
    harness.log.isEmpty = true;
    const clients = [];
    for (let i = 0; i < 10; i++) clients.push(await harness.greeted());
    const partitions = [[0, 0]];
    for (const client of clients) {
      client.peer.isStalled = true;
      for (let id = 1; id <= 10; id++) {
        client.tell({ id, op: "subscribe", topic: "t", partitions, credit: 0x7fffffff });
      }
      for (let id = 11; id <= 20; id++) client.tell(fetch(id, 1_000_000, 60_000));
    }
    await settle();
    expect(harness.log.waits.length).toBeGreaterThanOrEqual(10);
    // Each fetch looks once before it waits.
    const looked = harness.log.fetches.length;
    harness.log.isEmpty = false;
    harness.log.valueBytes = 900_000;
    harness.log.news();
    for (let turn = 0; turn < 20; turn++) await settle();
    // Each of them would read 900,000 bytes; there is room for four.
    expect(harness.log.fetches.length - looked).toBeLessThanOrEqual(4);
    for (const { peer } of clients) peer.reset();
    await settle();
    expect(harness.log.releases).toBe(harness.log.fetches.length);
  });

  test("get whole batches of a subscription, and no room is held behind the last", async () => {
    const harness = await Harness.start();
    harness.log.valueBytes = 1000;
    harness.log.endOffset = 400;
    const client = await harness.greeted();
    const partitions = [[0, 0]];
    client.tell({ id: 1, op: "subscribe", topic: "t", partitions, credit: 0x7fffffff });
    await settle();
    expect(harness.log.fetches.map(({ bytesMax }) => bytesMax)).toEqual([1024 * 1024]);
    expect(harness.log.waits.length).toBe(2);
    client.peer.finish();
    await settle();
  });

  test("get nothing more of a subscription, whatever their credit", async () => {
    const harness = await Harness.start({ responseBytesMax: 100_000 });
    harness.log.valueBytes = 1000;
    const client = await harness.greeted();
    client.peer.isStalled = true;
    const partitions = [[0, 0]];
    const credit = 0x7fffffff;
    client.tell({ id: 1, op: "subscribe", topic: "t", partitions, credit, bytesMax: 30_000 });
    for (let turn = 0; turn < 10; turn++) await settle();
    const begun = harness.log.fetches.length;
    expect(begun).toBeLessThan(8);
    for (let turn = 0; turn < 10; turn++) await settle();
    expect(harness.log.fetches.length).toBe(begun);
    client.peer.reset();
    await settle();
    await Promise.all(harness.hand.spawned);
    expect(harness.endings).toEqual(["connection_lost"]);
  });

  test("are closed once they have read nothing for too long", async () => {
    const harness = await Harness.start({ connectionIdleMsMax: 60_000 });
    const client = await harness.greeted();
    client.peer.isStalled = true;
    client.tell({ id: 1, op: "ping" });
    await settle();
    await harness.hand.advance(70_000);
    expect(harness.endings).toEqual(["peer_not_reading"]);
  });
});

describe("deadlines", () => {
  test("who says nothing at first is closed", async () => {
    const harness = await Harness.start({ helloMsMax: 5000 });
    const silent = harness.connect();
    const talking = harness.connect();
    const half = harness.connect();
    half.peer.send(Uint8Array.of(0, 0));
    await talking.hello();
    await harness.hand.advance(11_000);
    expect(silent.peer.closeReason).toBe("hello_missing");
    expect(half.peer.closeReason).toBe("hello_missing");
    expect(talking.peer.closeReason).toBe(null);
  });

  test("who is quiet for too long is closed, but not who waits for an answer", async () => {
    const harness = await Harness.start({ connectionIdleMsMax: 60_000 });
    harness.log.isEmpty = true;
    const [quiet, waiting] = [await harness.greeted(), await harness.greeted()];
    waiting.tell(fetch(1, 1000, 300_000));
    await harness.hand.advance(70_000);
    expect(quiet.peer.closeReason).toBe("connection_idle");
    expect(waiting.peer.closeReason).toBe(null);
  });

  test("who stops in the middle of a frame is closed, and who drips as well", async () => {
    const harness = await Harness.start({ frameStallMsMax: 10_000 });
    const [stopped, dripping, whole] = [
      await harness.greeted(),
      await harness.greeted(),
      await harness.greeted(),
    ];
    const frame = framed(new Uint8Array(100_000));
    // Behind a whole frame in the same chunk, so that it begins without a read of its own.
    const ping = encodeFrame({ id: 1, op: "ping" });
    stopped.peer.send(Uint8Array.of(...ping[0]!, ...ping[1]!, ...frame.subarray(0, 9)));
    dripping.peer.send(frame.subarray(0, 9));
    whole.tell({ id: 1, op: "ping" });
    await settle();
    for (let at = 9; at < 40; at++) {
      await harness.hand.advance(1000);
      dripping.peer.send(frame.subarray(at, at + 1));
      await settle();
    }
    expect(stopped.peer.closeReason).toBe("frame_stalled");
    expect(dripping.peer.closeReason).toBe("frame_stalled");
    expect(whole.peer.closeReason).toBe(null);
  });

  test("a token's time is up in the middle of things", async () => {
    const expiresAtMs = 20_500;
    const harness = await Harness.start(
      {},
      {
        mechanisms: ["BEARER"],
        begin: () => ({
          respond: async () => ({
            kind: "done",
            message: new Uint8Array(0),
            principal: { type: "User", name: "alice" },
            expiresAtMs,
          }),
        }),
      },
    );
    const [busy, quiet] = [harness.connect(), harness.connect()];
    for (const client of [busy, quiet]) client.tell({ id: 0, op: "hello", version: 1, token: "x" });
    await settle();
    expect(busy.answer(0).expiresAtMs).toBe(expiresAtMs);
    await harness.hand.advance(19_400);
    busy.tell({ id: 1, op: "ping" });
    await settle();
    expect(busy.answer(1)).toEqual({ id: 1 });
    await harness.hand.advance(200);
    busy.tell({ id: 2, op: "ping" });
    await settle();
    expect(busy.answer(2).error.code).toBe("sasl_authentication_failed");
    expect(busy.peer.closeReason).not.toBe(null);
    await harness.hand.advance(10_000);
    expect(quiet.answer(null).error.code).toBe("sasl_authentication_failed");
    expect(quiet.peer.closeReason).toBe("token_expired");
  });
});

describe("a login that failed", () => {
  const denying = {
    mechanisms: ["BEARER"],
    begin: () => ({ respond: async () => ({ kind: "denied" as const, reason: "not known" }) }),
  };

  test("is answered after the delay, and the connection closed behind the answer", async () => {
    const harness = await Harness.start({}, denying);
    harness.log.settings["connection.failed.authentication.delay.ms"] = "100";
    const client = harness.connect();
    const ping = { id: 1, op: "ping" };
    client.tell({ id: 0, op: "hello", version: 1, token: "wrong" }, ping, ping);
    await settle();
    await harness.hand.advance(99);
    expect(client.frames).toEqual([]);
    await harness.hand.advance(1);
    expect(client.frames.length).toBe(1);
    expect(client.answer(0).error.code).toBe("sasl_authentication_failed");
    expect(client.peer.closeReason).toBe("sasl_authentication_failed");
    expect(harness.budget.heldBytes).toBe(0);
  });

  test("does not hold up the end of the transport, nor leave its timer", async () => {
    const harness = await Harness.start({}, denying);
    harness.log.settings["connection.failed.authentication.delay.ms"] = "60000";
    const client = harness.connect();
    client.tell({ id: 0, op: "hello", version: 1, token: "wrong" });
    await settle();
    const stopped = harness.transport.stop(1000);
    await settle();
    await stopped;
    expect(client.peer.closeReason).not.toBe(null);
    await harness.hand.advance(1000);
    expect(harness.hand.pendingTimers).toBe(0);
  });
});

describe("connections", () => {
  test("are bounded in all, by setting, and for each address", async () => {
    const harness = await Harness.start({ connectionsMax: 2 });
    const [first, second, third] = [harness.connect(), harness.connect(), harness.connect()];
    expect(third.peer.closeReason).toBe("too_many_connections");
    first.peer.finish();
    await settle();
    expect(harness.connect().peer.closeReason).toBe(null);
    second.peer.finish();
    await settle();
    harness.log.settings["max.connections.per.ip"] = "1";
    expect(harness.connect().peer.closeReason).toBe("too_many_connections");
  });

  test("are told that a frame is too large, or no CBOR, and closed", async () => {
    const harness = await Harness.start({ frameBytesMax: 2000 });
    const stranger = (await Harness.start()).connect();
    stranger.peer.send(Uint8Array.of(0, 1, 0, 1));
    await settle();
    expect(stranger.answer(null).error.code).toBe("message_too_large");
    const large = await harness.greeted();
    large.peer.send(Uint8Array.of(0, 0, 7, 209));
    await settle();
    expect(large.answer(null).error.code).toBe("message_too_large");
    expect(large.peer.closeReason).toBe("frame_too_large");
    for (const bytes of [[], [0xff], [0x9f], [0xc0, 0], [0x1b], [0x80, 0x80]]) {
      const client = await harness.greeted();
      client.peer.send(framed(Uint8Array.from(bytes)));
      await settle();
      expect(client.answer(null).error.code).toBe("invalid_request");
      expect(client.peer.closeReason).toBe("frame_unreadable");
    }
    for (const value of [[], 5, {}, { id: -1 }, { id: "1" }, { id: 2 ** 31 * 4 }, { op: "ping" }]) {
      const client = await harness.greeted();
      client.tell(
        typeof value === "object" && "id" in value && value.id === 2 ** 33
          ? { id: BigInt(value.id) }
          : (value as object),
      );
      await settle();
      expect(client.answer(null).error.code).toBe("invalid_request");
      expect(client.peer.closeReason).toBe("invalid_request");
    }
    await Promise.all(harness.hand.spawned);
    expect(harness.budget.heldBytes).toBe(0);
  });

  test("that end in the middle of things leave nothing behind", async () => {
    const harness = await Harness.start();
    harness.log.isEmpty = true;
    const client = await harness.greeted();
    const subscribe = { op: "subscribe", topic: "t", partitions: [[0, 0]] };
    // One waits for records, the other for credit.
    client.tell(
      fetch(1, 1000, 60_000),
      { id: 2, ...subscribe, credit: 9 },
      { id: 3, ...subscribe },
    );
    await settle();
    expect([harness.log.fetches.length, harness.log.waits.length]).toEqual([1, 2]);
    client.peer.finish();
    await settle();
    await Promise.all(harness.hand.spawned);
    // What was asked before is answered: with nothing, as nothing came.
    expect(client.answer(1).partitions[0].records).toEqual([]);
    expect(harness.endings).toEqual(["connection_ended"]);
    expect(harness.log.releases).toBe(1);
  });
});

describe("stop()", () => {
  test("ends what is parked, answers what is under way, and closes the rest", async () => {
    const harness = await Harness.start();
    harness.log.isEmpty = true;
    let open = () => {};
    harness.log.gate = new Promise((resolve) => {
      open = resolve;
    });
    const [idle, parked, busy] = [
      await harness.greeted(),
      await harness.greeted(),
      await harness.greeted(),
    ];
    parked.tell(fetch(1, 1000, 60_000));
    busy.tell(produce(1));
    await settle();
    let isStopped = false;
    const stopping = harness.transport.stop(5000).then(() => {
      isStopped = true;
    });
    await settle();
    expect(harness.hand.listening.size).toBe(0);
    expect(idle.peer.closeReason).toBe("transport_stopped");
    expect(parked.answer(1).partitions.length).toBe(1);
    expect(parked.peer.closeReason).toBe("transport_stopped");
    expect(isStopped).toBe(false);
    open();
    await stopping;
    expect(busy.answer(1).results.length).toBe(1);
    expect(busy.peer.closeReason).toBe("transport_stopped");
    expect(harness.hand.pendingTimers).toBe(0);
  });

  test("comes back within its grace", async () => {
    const harness = await Harness.start();
    harness.log.gate = new Promise(() => {});
    const client = await harness.greeted();
    client.tell(produce(1));
    await settle();
    const stopping = harness.transport.stop(5000);
    await settle();
    await harness.hand.advance(4999);
    expect(client.peer.closeReason).toBe(null);
    await harness.hand.advance(1);
    await stopping;
    expect(client.peer.closeReason).toBe("transport_stopped");
    await harness.transport.stop(0);
  });
});
