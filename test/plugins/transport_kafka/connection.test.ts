import { describe, expect, test } from "bun:test";
import { ArrivalMemory } from "../../../plugins/transport-kafka/arrival_memory.ts";
import { KafkaConnection } from "../../../plugins/transport-kafka/connection.ts";
import {
  ConnectionRefusal,
  type Job,
  type Overlap,
  type Reply,
} from "../../../plugins/transport-kafka/exchange.ts";
import { type Frame, FrameReader } from "../../../plugins/transport-kafka/framing.ts";
import { ReplyMemory } from "../../../plugins/transport-kafka/reply_memory.ts";
import { InvariantError } from "../../../src/base/assert.ts";
import { BufferPool } from "../../../src/base/buffer_pool.ts";
import { framed, HandRuntime, join, settle, TestBudget, TestPeer } from "./fakes.ts";

/**
 * A request here is: byte 0 its kind, byte 1 its number, the rest ballast. Kinds: p parallel, s serial,
 * x exclusive, f fetch (byte 2: how many KiB it expects), n no reply, r refused by the decoder.
 */
interface Call {
  readonly number: number;
  readonly frame: Frame;
  isReleased: boolean;
  answer(sizeBytes?: number): void;
  fail(error: unknown): void;
}

function setUp(
  options: {
    inFlightMax?: number;
    responseBytesMax?: number;
    requestBytesMax?: number;
    budgetBytes?: number;
    pool?: BufferPool;
    budget?: TestBudget;
    arrivals?: ArrivalMemory;
    hand?: HandRuntime;
  } = {},
) {
  const hand = options.hand ?? new HandRuntime();
  const budget = options.budget ?? new TestBudget(options.budgetBytes ?? 1 << 30);
  const pool = options.pool ?? new BufferPool({ idleBytesMax: 1 << 26 });
  const peer = new TestPeer();
  const calls: Call[] = [];
  const state = { aborted: false };
  const arrivals = options.arrivals ?? new ArrivalMemory(1 << 24);
  const replies = new ReplyMemory(1 << 28);
  const reader = new FrameReader({ pool, budget, arrivals, frameBytesMax: 1 << 24 });
  const connection = new KafkaConnection({
    connection: peer.connection,
    runtime: hand.runtime,
    reader,
    decoder: { decode: (frame) => decode(frame, calls) },
    limits: {
      inFlightMax: options.inFlightMax ?? 100,
      requestBytesMax: options.requestBytesMax ?? 1 << 26,
      responseBytesMax: options.responseBytesMax ?? 1 << 26,
    },
    replies,
    abort: () => {
      state.aborted = true;
    },
  });
  const ended = connection.run();
  return { hand, budget, arrivals, pool, peer, calls, connection, ended, state, replies };
}

function decode(frame: Frame, calls: Call[]): Job {
  const kind = String.fromCharCode(frame.bytes[0]!);
  const number = frame.bytes[1]!;
  if (kind === "r") throw new ConnectionRefusal("request_undecodable", "kind r");
  const overlaps: Record<string, Overlap> = { s: "serial", x: "exclusive" };
  return {
    overlap: overlaps[kind] ?? "parallel",
    dataBytesMax: kind === "f" ? frame.bytes[2]! * 1024 : 0,
    run: () =>
      new Promise((resolve, reject) => {
        const call: Call = {
          number,
          frame,
          isReleased: false,
          answer: (sizeBytes = 1) => {
            frame.release();
            if (kind === "n") {
              resolve(null);
              return;
            }
            const body = new Uint8Array(sizeBytes).fill(number);
            const bytes = framed(body);
            const reply: Reply = {
              chunks: [bytes.subarray(0, 4), bytes.subarray(4)],
              sizeBytes: bytes.length,
              release: () => {
                if (call.isReleased) throw new Error("released twice");
                call.isReleased = true;
              },
            };
            resolve(reply);
          },
          fail: (error) => {
            frame.release();
            reject(error);
          },
        };
        calls.push(call);
      }),
  };
}

function request(kind: string, number: number, third = 0, ballast = 0): Uint8Array {
  const body = new Uint8Array(3 + ballast);
  body[0] = kind.charCodeAt(0);
  body[1] = number;
  body[2] = third;
  return framed(body);
}

const numbers = (calls: readonly Call[]) => calls.map((call) => call.number);
const answers = (peer: TestPeer) => peer.frames.map((frame) => frame[0]!);

describe("KafkaConnection", () => {
  test("runs pipelined requests side by side and answers in the order of the requests", async () => {
    const { peer, calls } = setUp();
    peer.send(join([request("p", 1), request("p", 2), request("p", 3)]));
    await settle();
    expect(numbers(calls)).toEqual([1, 2, 3]);
    calls[2]!.answer();
    calls[1]!.answer();
    await settle();
    expect(peer.received.length).toBe(0);
    calls[0]!.answer();
    await settle();
    expect(answers(peer)).toEqual([1, 2, 3]);
    expect(peer.writes).toEqual([6]);
    expect(calls.every((call) => call.isReleased)).toBe(true);
  });

  test("sends replies that become ready together in one write", async () => {
    const { peer, calls } = setUp();
    peer.send(join(Array.from({ length: 20 }, (_, index) => request("p", index))));
    await settle();
    for (const call of calls) call.answer();
    await settle();
    expect(peer.writes.length).toBe(1);
    expect(answers(peer)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  test("an exclusive request waits for earlier ones and holds later ones", async () => {
    const { peer, calls } = setUp();
    peer.send(join([request("p", 1), request("p", 2), request("x", 3), request("p", 4)]));
    await settle();
    expect(numbers(calls)).toEqual([1, 2]);
    calls[0]!.answer();
    await settle();
    expect(numbers(calls)).toEqual([1, 2]);
    calls[1]!.answer();
    await settle();
    expect(numbers(calls)).toEqual([1, 2, 3]);
    calls[2]!.answer();
    await settle();
    expect(numbers(calls)).toEqual([1, 2, 3, 4]);
    calls[3]!.answer();
    await settle();
    expect(answers(peer)).toEqual([1, 2, 3, 4]);
  });

  test("a serial request starts beside earlier ones and holds later ones", async () => {
    const { peer, calls } = setUp();
    peer.send(join([request("p", 1), request("s", 2), request("p", 3)]));
    await settle();
    expect(numbers(calls)).toEqual([1, 2]);
    calls[1]!.answer();
    await settle();
    expect(numbers(calls)).toEqual([1, 2, 3]);
  });

  test("stops reading at inFlightMax and goes on when answers have left", async () => {
    const { peer, calls } = setUp({ inFlightMax: 2 });
    peer.send(join([request("p", 1), request("p", 2), request("p", 3)]));
    peer.send(request("p", 4));
    await settle();
    expect(numbers(calls)).toEqual([1, 2]);
    const reads = peer.readCount;
    calls[0]!.answer();
    await settle();
    expect(numbers(calls)).toEqual([1, 2, 3]);
    expect(peer.readCount).toBe(reads);
    calls[1]!.answer();
    calls[2]!.answer();
    await settle();
    expect(numbers(calls)).toEqual([1, 2, 3, 4]);
  });

  test("holds back a peer whose requests are too many bytes, though one is always let in", async () => {
    const { peer, calls } = setUp({ requestBytesMax: 100 });
    peer.send(join([request("p", 1, 0, 5000), request("p", 2, 0, 10)]));
    await settle();
    expect(numbers(calls)).toEqual([1]);
    calls[0]!.answer();
    await settle();
    expect(numbers(calls)).toEqual([1, 2]);
  });

  test("a peer that does not read stops being read, and holds no more than the bound and one write", async () => {
    const { peer, calls, connection } = setUp({ responseBytesMax: 10_000 });
    peer.isStalled = true;
    for (let number = 0; number < 50; number++) peer.send(request("s", number));
    for (let round = 0; round < 50; round++) {
      await settle();
      for (const call of calls) if (!call.isReleased) call.answer(4000);
    }
    expect(calls.length).toBeLessThan(6);
    expect(connection.unsentBytes).toBeLessThan(10_000 + 2 * 4004);
    const reads = peer.readCount;
    await settle();
    expect(peer.readCount).toBe(reads);
    for (let round = 0; round < 100; round++) {
      peer.isStalled = false;
      peer.resume();
      await settle();
      for (const call of calls) if (!call.isReleased) call.answer(4000);
    }
    await settle();
    expect(answers(peer)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(connection.unsentBytes).toBe(0);
  });

  test("starts a fetch only while the data of those before it fits the bound", async () => {
    const { peer, calls } = setUp({ responseBytesMax: 100 * 1024 });
    peer.isStalled = true;
    peer.send(
      join([request("f", 1, 60), request("f", 2, 30), request("f", 3, 30), request("p", 4)]),
    );
    await settle();
    expect(numbers(calls)).toEqual([1, 2]);
    calls[0]!.answer(50 * 1024);
    calls[1]!.answer(30 * 1024);
    await settle();
    // Both wait to be read by the peer: the third still waits, and so does what comes behind it.
    expect(numbers(calls)).toEqual([1, 2]);
    peer.resume();
    await settle();
    expect(numbers(calls)).toEqual([1, 2, 3, 4]);
  });

  test("starts one fetch at a time while the answers of all connections fill their memory", async () => {
    const { peer, calls, replies } = setUp();
    replies.hold(1 << 28); // Of others.
    peer.isStalled = true;
    peer.send(join([request("f", 1, 1), request("f", 2, 1), request("f", 3, 1)]));
    await settle();
    expect(numbers(calls)).toEqual([1]);
    calls[0]!.answer();
    await settle();
    expect(numbers(calls)).toEqual([1]);
    peer.resume();
    await settle();
    expect(numbers(calls)).toEqual([1, 2]);
    replies.give(1 << 28);
    calls[1]!.answer();
    await settle();
    calls[2]!.answer();
    await settle();
    expect(answers(peer)).toEqual([1, 2, 3]);
    expect(replies.heldBytes).toBe(0);
  });

  test("a fetch that expects more than the bound starts alone", async () => {
    const { peer, calls } = setUp({ responseBytesMax: 1024 });
    peer.send(join([request("p", 0), request("f", 1, 200), request("f", 2, 200)]));
    await settle();
    expect(numbers(calls)).toEqual([0, 1]);
    calls[0]!.answer();
    calls[1]!.answer(200 * 1024);
    await settle();
    expect(numbers(calls)).toEqual([0, 1, 2]);
  });

  test("a request without reply keeps its place and sends nothing", async () => {
    const { peer, calls, connection } = setUp();
    peer.send(join([request("n", 1), request("p", 2), request("n", 3)]));
    await settle();
    calls[1]!.answer();
    calls[2]!.answer();
    await settle();
    expect(peer.received.length).toBe(0);
    calls[0]!.answer();
    await settle();
    expect(answers(peer)).toEqual([2]);
    expect(connection.isBusy).toBe(false);
  });

  test("a request that cannot be decoded closes the connection behind the answers before it", async () => {
    const { peer, calls, hand, budget, ended } = setUp();
    peer.send(join([request("p", 1), request("r", 2), request("p", 3)]));
    await settle();
    expect(numbers(calls)).toEqual([1]);
    expect(peer.closeReason).toBe(null);
    calls[0]!.answer();
    await ended;
    expect(answers(peer)).toEqual([1]);
    expect(peer.closeReason).toBe("request_undecodable");
    expect(budget.heldBytes).toBe(0);
    expect(hand.eventsOf("kafka_connection_closed")).toEqual([
      { reason: "request_undecodable", detail: "kind r", peer: "192.0.2.1:4000" },
    ]);
    expect(hand.lines.at(-1)!.level).toBe("warn");
  });

  test("a refusal by a running request closes behind earlier answers, not before them", async () => {
    const { peer, calls, ended } = setUp();
    peer.send(join([request("p", 1), request("n", 2), request("p", 3)]));
    await settle();
    calls[1]!.fail(new ConnectionRefusal("produce_without_acks_failed", "topic t"));
    calls[2]!.answer();
    await settle();
    expect(peer.closeReason).toBe(null);
    calls[0]!.answer();
    await ended;
    expect(answers(peer)).toEqual([1]);
    expect(peer.closeReason).toBe("produce_without_acks_failed");
    expect(calls[2]!.isReleased).toBe(true);
  });

  test("an oversized frame closes the connection with a logged reason, and nobody else", async () => {
    const shared = { budget: new TestBudget(1 << 20), hand: new HandRuntime() };
    const bad = setUp(shared);
    const good = setUp(shared);
    bad.peer.send(new Uint8Array([0x7f, 0xff, 0xff, 0xff, 1, 2, 3]));
    good.peer.send(request("p", 5));
    await bad.ended;
    expect(bad.peer.closeReason).toBe("frame_too_large");
    good.calls[0]!.answer();
    await settle();
    expect(answers(good.peer)).toEqual([5]);
    expect(good.peer.closeReason).toBe(null);
  });

  test("an unknown error costs the connection; a broken invariant also goes to the runtime", async () => {
    const { peer, calls, hand, ended } = setUp();
    peer.send(request("p", 1));
    await settle();
    calls[0]!.fail(new Error("surprise"));
    await ended;
    expect(peer.closeReason).toBe("request_failed");
    expect(hand.eventsOf("kafka_request_failed").length).toBe(1);
    expect(hand.spawned.length).toBe(0);

    const broken = setUp({ hand });
    broken.peer.send(request("p", 1));
    await settle();
    broken.calls[0]!.fail(new InvariantError("high watermark went down"));
    await broken.ended;
    expect(hand.spawned.length).toBe(1);
    await expect(hand.spawned[0]!).rejects.toThrow("high watermark");
  });

  test("at the end of the peer's stream parked calls end, and what came before is still answered", async () => {
    const { peer, calls, state, ended } = setUp();
    peer.send(join([request("p", 1), request("p", 2)]));
    peer.finish();
    await settle();
    expect(state.aborted).toBe(true);
    expect(peer.closeReason).toBe(null);
    calls[1]!.answer();
    calls[0]!.answer();
    await ended;
    expect(answers(peer)).toEqual([1, 2]);
    expect(peer.closeReason).toBe("connection_ended");
  });

  test("a reset gives back everything, also of requests that end later", async () => {
    const { peer, calls, budget, pool, ended, hand, state } = setUp();
    peer.send(join([request("p", 1, 0, 1000), request("p", 2)]));
    peer.send(request("p", 3, 0, 100_000).slice(0, 50_000));
    await settle();
    calls[1]!.answer();
    await settle();
    peer.reset();
    await settle();
    expect(state.aborted).toBe(true);
    expect(calls[1]!.isReleased).toBe(true);
    expect(pool.lentBytes).toBe(0);
    calls[0]!.answer();
    await ended;
    expect(calls[0]!.isReleased).toBe(true);
    expect(budget.heldBytes).toBe(0);
    expect(hand.lines.every((line) => line.level === "debug")).toBe(true);
  });

  test("memory: whole requests over the budget take turns", async () => {
    const budget = new TestBudget(100_000);
    const a = setUp({ budget });
    const b = setUp({ budget });
    const big = (number: number) => request("p", number, 0, 80_000);
    a.peer.send(big(1).slice(0, 40_000));
    b.peer.send(big(2));
    await settle();
    // What has only begun to arrive holds up nobody.
    expect(numbers(b.calls)).toEqual([2]);
    a.peer.send(big(1).slice(40_000));
    await settle();
    expect(budget.waiting).toBe(1);
    expect(numbers(a.calls)).toEqual([]);
    expect(a.peer.isBeingRead).toBe(false);
    b.calls[0]!.answer();
    await settle();
    expect(numbers(a.calls)).toEqual([1]);
    a.calls[0]!.answer();
    await settle();
    expect(answers(a.peer)).toEqual([1]);
    expect(budget.heldBytes).toBe(0);
    expect(budget.peakBytes).toBeLessThanOrEqual(100_000);
  });

  test("memory: peers that stall in the middle of large requests keep nobody else's from being served", async () => {
    const shared = { budget: new TestBudget(100_000), arrivals: new ArrivalMemory(200_000) };
    const stalled = Array.from({ length: 8 }, () => setUp(shared));
    for (const { peer } of stalled) peer.send(request("p", 1, 0, 90_000).slice(0, 40_000));
    await settle();
    expect(shared.arrivals.isContended).toBe(true);
    const good = setUp(shared);
    good.peer.send(request("p", 2, 0, 10_000));
    await settle();
    good.calls[0]!.answer();
    await settle();
    expect(answers(good.peer)).toEqual([2]);
  });

  test("reap() closes a peer that is slow with a large request while others wait for its memory", async () => {
    const { peer, connection, hand, arrivals } = setUp();
    const bytes = request("p", 1, 0, 1_000_000);
    peer.send(bytes.slice(0, 30_000));
    await settle();
    const step = async (count: number, isContended: boolean) => {
      hand.nowMs += 5000;
      peer.send(bytes.slice(30_000, 30_000 + count));
      await settle();
      connection.reap(hand.nowMs, 600_000, 30_000, isContended);
    };
    connection.reap(hand.nowMs, 600_000, 30_000, true);
    await step(10, false);
    expect(peer.closeReason).toBe(null);
    await step(400_000, true);
    await step(400_000, true);
    expect(peer.closeReason).toBe(null);
    await step(10, true);
    expect(peer.closeReason).toBe("frame_stalled");
    expect(arrivals.heldBytes).toBe(0);
  });

  test("memory: half-read small frames hold none of it, so they cannot block each other", async () => {
    const budget = new TestBudget(20_000);
    const all = Array.from({ length: 10 }, () => setUp({ budget }));
    const frame = request("p", 7, 0, 15_000);
    for (const { peer } of all) peer.send(frame.slice(0, 14_000));
    await settle();
    expect(budget.heldBytes).toBe(0);
    for (const { peer } of all) peer.send(frame.slice(14_000));
    for (let round = 0; round < 10; round++) {
      await settle();
      for (const { calls } of all) calls[0]?.answer();
    }
    await settle();
    for (const { peer } of all) expect(answers(peer)).toEqual([7]);
    expect(budget.peakBytes).toBeLessThanOrEqual(20_000);
  });

  test("memory: a connection closed while it waits gives back what it is handed later", async () => {
    const budget = new TestBudget(100);
    budget.tryTake(100);
    const { peer, connection, ended } = setUp({ budget });
    peer.send(request("p", 1, 0, 50));
    await settle();
    connection.close("connection_lost", "test");
    budget.give(100);
    await ended;
    expect(budget.heldBytes).toBe(0);
  });

  test("reap() closes quiet connections, not those with a request in progress", async () => {
    const { peer, calls, connection, hand } = setUp();
    await settle();
    hand.nowMs += 1000;
    connection.reap(hand.nowMs, 1000, 100, false);
    expect(peer.closeReason).toBe(null);
    peer.send(request("p", 1));
    await settle();
    hand.nowMs += 5000;
    connection.reap(hand.nowMs, 1000, 100, false);
    expect(peer.closeReason).toBe(null);
    calls[0]!.answer();
    await settle();
    hand.nowMs += 1001;
    connection.reap(hand.nowMs, 1000, 100, false);
    expect(peer.closeReason).toBe("connection_idle");
  });

  test("reap() closes a peer that stalls within a frame that holds memory", async () => {
    const { peer, connection, hand, arrivals } = setUp();
    peer.send(request("p", 1, 0, 100_000).slice(0, 30_000));
    await settle();
    expect(arrivals.heldBytes).toBeGreaterThan(100_000);
    hand.nowMs += 101;
    connection.reap(hand.nowMs, 600_000, 100, false);
    expect(peer.closeReason).toBe("frame_stalled");
    expect(arrivals.heldBytes).toBe(0);
  });

  test("reap() closes a peer that does not read its answers", async () => {
    const { peer, calls, connection, hand, ended } = setUp();
    peer.isStalled = true;
    peer.send(request("p", 1));
    await settle();
    calls[0]!.answer();
    await settle();
    hand.nowMs += 1001;
    connection.reap(hand.nowMs, 1000, 100, false);
    expect(peer.closeReason).toBe("peer_not_reading");
    await ended;
    expect(calls[0]!.isReleased).toBe(true);
  });

  test("end() closes a quiet connection at once and a busy one after its answers", async () => {
    const quiet = setUp();
    const busy = setUp();
    busy.peer.send(join([request("p", 1), request("p", 2)]));
    await settle();
    quiet.connection.end();
    busy.connection.end();
    expect(quiet.peer.closeReason).toBe("transport_stopped");
    expect(busy.peer.closeReason).toBe(null);
    busy.peer.send(request("p", 3));
    await settle();
    for (const call of busy.calls) call.answer();
    await settle();
    expect(answers(busy.peer).slice(0, 2)).toEqual([1, 2]);
    expect(busy.calls.length).toBe(2);
    expect(busy.peer.closeReason).not.toBe(null);
    await busy.ended;
    await quiet.ended;
  });
});
