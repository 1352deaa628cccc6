import { describe, expect, test } from "bun:test";
import { ArrivalMemory } from "../../../plugins/transport-kafka/arrival_memory.ts";
import {
  Frame,
  FrameError,
  FrameReader,
  PROOF_BYTES,
} from "../../../plugins/transport-kafka/framing.ts";
import { BufferPool } from "../../../src/base/buffer_pool.ts";
import { framed, join, TestBudget } from "./fakes.ts";

function patterned(sizeBytes: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let state = seed;
  for (let index = 0; index < sizeBytes; index++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[index] = state >>> 16;
  }
  return bytes;
}

const MIB = 1024 * 1024;

function setUp(
  options: {
    budgetBytes?: number;
    frameBytesMax?: number;
    arrivals?: ArrivalMemory;
    recycle?: (chunk: Uint8Array) => void;
  } = {},
) {
  const pool = new BufferPool({ idleBytesMax: 64 * 1024 * 1024 });
  const budget = new TestBudget(options.budgetBytes ?? 1 << 30);
  const arrivals = options.arrivals ?? new ArrivalMemory(16 * MIB);
  const reader = new FrameReader({
    pool,
    budget,
    arrivals,
    frameBytesMax: options.frameBytesMax ?? 100 * 1024 * 1024,
    ...(options.recycle === undefined ? {} : { recycle: options.recycle }),
  });
  return { pool, budget, arrivals, reader };
}

/** Feeds `bytes` in chunks of `chunkBytes` and collects the frames. */
function readAll(reader: FrameReader, bytes: Uint8Array, chunkBytes: number): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    reader.push(bytes.slice(at, at + chunkBytes));
    for (;;) {
      const step = reader.next();
      if (step === "need_bytes") break;
      if (step === "need_memory") throw new Error("no memory was expected to lack");
      frames.push(step);
    }
  }
  return frames;
}

function stepFrame(reader: FrameReader): Frame {
  const step = reader.next();
  if (!(step instanceof Frame)) throw new Error(`expected a frame, got ${step}`);
  return step;
}

describe("FrameReader", () => {
  test("gives a chunk back when it is used up and the frames that lie in it are released", () => {
    const recycled: Uint8Array[] = [];
    const { reader } = setUp({ recycle: (chunk) => recycled.push(chunk) });
    const long = patterned(40_000, 3);
    const bytes = join([framed(patterned(100)), framed(patterned(200, 2)), framed(long)]);
    const [first, second, third] = [
      bytes.slice(0, 500),
      bytes.slice(500, 30_000),
      bytes.slice(30_000),
    ];
    reader.push(first);
    const frames = [stepFrame(reader), stepFrame(reader)];
    expect(reader.next()).toBe("need_bytes");
    frames[1]!.release();
    expect(recycled).toEqual([]);
    frames[0]!.release();
    frames[0]!.release();
    expect(recycled).toEqual([first]);
    // What is copied into a buffer of the pool needs its chunks no more.
    reader.push(second);
    expect(reader.next()).toBe("need_bytes");
    expect(recycled).toEqual([first, second]);
    reader.push(third);
    const frame = stepFrame(reader);
    expect(recycled).toEqual([first, second, third]);
    expect(frame.bytes).toEqual(long);
    frame.release();
    expect(recycled.length).toBe(3);
  });

  test("gives no chunk back under a frame that is still held, whatever the sizes", () => {
    const recycled = new Set<ArrayBufferLike>();
    // As a host does that frees: a view of a freed chunk reads as empty.
    const free = (chunk: Uint8Array<ArrayBuffer>) => recycled.add(chunk.buffer.transfer(0));
    const { reader } = setUp({ recycle: (chunk) => free(chunk as Uint8Array<ArrayBuffer>) });
    const sizes = [1, 17_000, 30, 65_536, 0, 5_000, 5_000, 5_000, 120_000, 9];
    const bodies = sizes.map((size, seed) => patterned(size, seed + 1));
    const bytes = join(bodies.map(framed));
    for (const chunkBytes of [1_000, 7_777, 20_000, 70_000, bytes.length]) {
      const frames = readAll(reader, bytes, chunkBytes);
      expect(frames.map((frame) => frame.bytes)).toEqual(bodies);
      for (const frame of frames) frame.release();
    }
    expect(recycled.size).toBeGreaterThan(10);
  });

  test("hands out small frames of one chunk as views of it", () => {
    const { reader, pool, budget } = setUp();
    const chunk = join([framed(patterned(10)), framed(patterned(0)), framed(patterned(300, 2))]);
    reader.push(chunk);
    const first = stepFrame(reader);
    const empty = stepFrame(reader);
    const third = stepFrame(reader);
    expect(reader.next()).toBe("need_bytes");
    expect(first.bytes.buffer).toBe(chunk.buffer);
    expect(first.bytes.byteOffset).toBe(4);
    expect(empty.bytes.length).toBe(0);
    expect(third.bytes).toEqual(patterned(300, 2));
    expect(pool.lentBytes).toBe(0);
    expect(budget.heldBytes).toBe(310);
    for (const frame of [first, empty, third]) frame.release();
    expect(budget.heldBytes).toBe(0);
  });

  test("puts frames together whatever the chunk boundaries are", () => {
    const bodies = [0, 1, 3, 4, 5, 4096, PROOF_BYTES - 1, PROOF_BYTES, PROOF_BYTES + 1, 70_000].map(
      (size, index) => patterned(size, index + 1),
    );
    const bytes = join(bodies.map(framed));
    for (const chunkBytes of [1, 2, 3, 7, 1000, 4096, PROOF_BYTES, 65_536, bytes.length]) {
      const { reader, pool, budget } = setUp();
      const frames = readAll(reader, bytes, chunkBytes);
      expect(frames.length).toBe(bodies.length);
      for (let index = 0; index < bodies.length; index++) {
        expect(Buffer.compare(frames[index]!.bytes, bodies[index]!)).toBe(0);
      }
      for (const frame of frames) frame.release();
      expect(pool.lentBytes).toBe(0);
      expect(budget.heldBytes).toBe(0);
      expect(reader.inFlightBytes).toBe(0);
    }
  });

  test("copies a frame above the largest pooled class once past its first part", () => {
    const body = patterned(5 * 1024 * 1024);
    const { reader, pool, budget } = setUp();
    const [frame] = readAll(reader, framed(body), 100_000);
    expect(Buffer.compare(frame!.bytes, body)).toBe(0);
    frame!.release();
    expect(pool.lentBytes).toBe(0);
    expect(budget.heldBytes).toBe(0);
  });

  test("reuses the buffer of an earlier frame", () => {
    const { reader } = setUp();
    const bytes = framed(patterned(200_000));
    const [first] = readAll(reader, bytes, 60_000);
    const memory = first!.bytes.buffer;
    first!.release();
    const [second] = readAll(reader, bytes, 60_000);
    expect(second!.bytes.buffer).toBe(memory);
  });

  test("refuses a length beyond the bound, or below zero, before allocating", () => {
    for (const [length, code] of [
      [101, "frame_too_large"],
      [0x7fffffff, "frame_too_large"],
      [-1, "frame_length_negative"],
      [-0x80000000, "frame_length_negative"],
    ] as const) {
      const { reader, pool, budget } = setUp({ frameBytesMax: 100 });
      const chunk = new Uint8Array(8);
      new DataView(chunk.buffer).setInt32(0, length);
      reader.push(chunk);
      let thrown: unknown;
      try {
        reader.next();
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(FrameError);
      expect((thrown as FrameError).code).toBe(code);
      expect((thrown as FrameError).lengthBytes).toBe(length);
      expect(pool.lentBytes).toBe(0);
      expect(budget.heldBytes).toBe(0);
    }
  });

  test("a hostile length with few bytes behind it costs a small buffer and no budget", () => {
    const { reader, pool, budget, arrivals } = setUp();
    const chunk = new Uint8Array(4 + PROOF_BYTES - 1);
    new DataView(chunk.buffer).setInt32(0, 100 * 1024 * 1024);
    reader.push(chunk);
    expect(reader.next()).toBe("need_bytes");
    expect(pool.lentBytes).toBeLessThanOrEqual(PROOF_BYTES);
    expect(budget.heldBytes).toBe(0);
    expect(reader.holdsMemory).toBe(false);
    // Then its memory grows in steps with what arrives, and none of it is of the budget.
    reader.push(new Uint8Array(1));
    expect(reader.next()).toBe("need_bytes");
    reader.push(new Uint8Array(1));
    expect(reader.next()).toBe("need_bytes");
    expect(pool.lentBytes).toBe(4 * MIB);
    expect(reader.holdsMemory).toBe(true);
    expect(arrivals.heldBytes).toBe(MIB);
    reader.push(new Uint8Array(MIB));
    expect(reader.next()).toBe("need_bytes");
    expect(arrivals.heldBytes).toBe(2 * MIB);
    expect(budget.heldBytes).toBe(0);
    reader.close();
    expect(pool.lentBytes).toBe(0);
    expect(arrivals.heldBytes).toBe(0);
  });

  test("a frame put together waits for the budget when it is whole, without losing a byte", async () => {
    const { reader, budget, arrivals } = setUp({ budgetBytes: 100_000 });
    expect(budget.tryTake(60_000)).toBe(true);
    const body = patterned(50_000);
    const bytes = framed(body);
    reader.push(bytes.slice(0, 30_000));
    expect(reader.next()).toBe("need_bytes");
    expect(arrivals.heldBytes).toBe(50_000);
    reader.push(bytes.slice(30_000));
    expect(reader.next()).toBe("need_memory");
    expect(reader.next()).toBe("need_memory");
    const acquired = reader.acquireMemory();
    budget.give(60_000);
    await acquired;
    const frame = stepFrame(reader);
    expect(Buffer.compare(frame.bytes, body)).toBe(0);
    expect(budget.heldBytes).toBe(50_000);
    expect(arrivals.heldBytes).toBe(0);
    frame.release();
    frame.release();
    expect(budget.heldBytes).toBe(0);
  });

  test("half-read frames wait for one another's memory, and one of them always goes on", async () => {
    const arrivals = new ArrivalMemory(100_000);
    const bytes = framed(patterned(80_000));
    const [a, b, c] = [setUp({ arrivals }), setUp({ arrivals }), setUp({ arrivals })];
    for (const { reader } of [a, b]) {
      reader.push(bytes.slice(0, 40_000));
      expect(reader.next()).toBe("need_bytes");
    }
    // The second went beyond the limit; a third may not.
    expect(arrivals.heldBytes).toBe(160_000);
    expect(arrivals.isContended).toBe(false);
    c.reader.push(bytes.slice(0, 40_000));
    expect(c.reader.next()).toBe("need_memory");
    const acquired = c.reader.acquireMemory();
    expect(arrivals.isContended).toBe(true);
    b.reader.push(bytes.slice(40_000));
    stepFrame(b.reader);
    await acquired;
    expect(arrivals.isContended).toBe(false);
    expect(c.reader.next()).toBe("need_bytes");
    c.reader.push(bytes.slice(40_000));
    expect(Buffer.compare(stepFrame(c.reader).bytes, patterned(80_000))).toBe(0);
    a.reader.close();
    expect(arrivals.heldBytes).toBe(0);
  });

  test("memory that comes after close() is given back", async () => {
    const arrivals = new ArrivalMemory(0);
    const [holder, late] = [setUp({ arrivals }), setUp({ arrivals, budgetBytes: 10 })];
    const bytes = framed(patterned(80_000));
    for (const { reader } of [holder, late]) reader.push(bytes.slice(0, 40_000));
    expect(holder.reader.next()).toBe("need_bytes");
    expect(late.reader.next()).toBe("need_memory");
    const acquired = late.reader.acquireMemory();
    late.reader.close();
    holder.reader.close();
    await acquired;
    expect(arrivals.heldBytes).toBe(0);
    expect(arrivals.tryTake(5, {})).toBe(true);
  });

  test("a whole frame in the chunk waits for memory too", async () => {
    const { reader, budget } = setUp({ budgetBytes: 100 });
    budget.tryTake(100);
    reader.push(framed(patterned(60)));
    expect(reader.next()).toBe("need_memory");
    const acquired = reader.acquireMemory();
    budget.give(100);
    await acquired;
    expect(stepFrame(reader).bytes).toEqual(patterned(60));
    expect(reader.next()).toBe("need_bytes");
  });

  test("admits a frame larger than the whole budget when nothing else is held", () => {
    const { reader } = setUp({ budgetBytes: 1000 });
    const [frame] = readAll(reader, framed(patterned(40_000)), 10_000);
    expect(frame!.bytes.length).toBe(40_000);
  });

  test("close() in the middle of a frame gives back what it held, and later releases still count", () => {
    const { reader, pool, budget, arrivals } = setUp();
    const bytes = join([framed(patterned(100)), framed(patterned(300_000))]);
    reader.push(bytes.slice(0, 200_000));
    const frame = stepFrame(reader);
    expect(reader.next()).toBe("need_bytes");
    expect(reader.isAtBoundary).toBe(false);
    expect(arrivals.heldBytes).toBe(300_000);
    reader.close();
    expect(arrivals.heldBytes).toBe(0);
    expect(pool.lentBytes).toBe(0);
    expect(budget.heldBytes).toBe(100);
    frame.release();
    expect(budget.heldBytes).toBe(0);
    expect(reader.next()).toBe("need_bytes");
  });

  test("stands at a boundary only between frames", () => {
    const { reader } = setUp();
    expect(reader.isAtBoundary).toBe(true);
    reader.push(new Uint8Array([0, 0]));
    expect(reader.next()).toBe("need_bytes");
    expect(reader.isAtBoundary).toBe(false);
    reader.push(new Uint8Array([0, 1]));
    expect(reader.next()).toBe("need_bytes");
    expect(reader.isAtBoundary).toBe(false);
    reader.push(new Uint8Array([9]));
    expect(stepFrame(reader).bytes).toEqual(new Uint8Array([9]));
    expect(reader.isAtBoundary).toBe(true);
  });
});
