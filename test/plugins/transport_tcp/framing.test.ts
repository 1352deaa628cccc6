// Chunks to frames, and the memory of those that are still arriving.

import { describe, expect, test } from "bun:test";
import { FREE_BYTES, FrameReader, FrameTooLarge } from "../../../plugins/transport-tcp/framing.ts";
import { ArrivalMemory, ReplyMemory } from "../../../plugins/transport-tcp/memory.ts";
import { SeededRandom } from "../../../src/base/prng.ts";

function framed(body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(4 + body.length);
  new DataView(frame.buffer).setUint32(0, body.length);
  frame.set(body, 4);
  return frame;
}

/** All frames that are whole in what was pushed; waits for memory where it must. */
async function drain(reader: FrameReader): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for (;;) {
    const step = reader.next();
    if (step === "need_bytes") return frames;
    if (step === "need_memory") await reader.acquireMemory();
    else frames.push(step.slice());
  }
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let isDone = false;
  void promise.then(() => {
    isDone = true;
  });
  for (let turn = 0; turn < 20; turn++) await null;
  return !isDone;
}

describe("FrameReader", () => {
  test("gives the frames that were sent, in chunks of any size", async () => {
    const random = SeededRandom.of(5);
    const arrivals = new ArrivalMemory(1 << 20);
    for (let round = 0; round < 30; round++) {
      const reader = new FrameReader(arrivals, 1 << 20);
      const bodies = Array.from({ length: 5 }, (_, i) =>
        random.fill(new Uint8Array(random.uint32() % (i === 3 ? 200_000 : 40))),
      );
      const bytes = new Uint8Array(bodies.reduce((sum, body) => sum + body.length + 4, 0));
      let at = 0;
      for (const body of bodies) {
        bytes.set(framed(body), at);
        at += body.length + 4;
      }
      const found: Uint8Array[] = [];
      const sizeMax = [1, 7, 5000, 300_000][round % 4]!;
      if (sizeMax === 1 && bytes.length > 20_000) continue;
      for (let from = 0; from < bytes.length; ) {
        const size = 1 + (random.uint32() % sizeMax);
        reader.push(bytes.slice(from, from + size));
        found.push(...(await drain(reader)));
        from += size;
      }
      expect(found).toEqual(bodies);
      expect(reader.isAtBoundary).toBe(true);
    }
    expect(arrivals.heldBytes).toBe(0);
  });

  test("judges a length before anything is kept for it", () => {
    const reader = new FrameReader(new ArrivalMemory(0), 1000);
    for (const hex of [
      [0, 0, 3, 233],
      [0x80, 0, 0, 0],
      [255, 255, 255, 255],
    ]) {
      const other = new FrameReader(new ArrivalMemory(0), 1000);
      other.push(Uint8Array.from(hex));
      expect(() => other.next()).toThrow(FrameTooLarge);
    }
    reader.push(Uint8Array.of(0, 0, 3, 232));
    expect(reader.next()).toBe("need_bytes");
  });

  test("keeps no more than has arrived, twice over", async () => {
    const arrivals = new ArrivalMemory(1 << 30);
    const reader = new FrameReader(arrivals, 0x7fffffff);
    reader.push(Uint8Array.of(0x7f, 0xff, 0xff, 0xff));
    await drain(reader);
    expect(arrivals.heldBytes).toBe(0);
    for (let arrived = 0; arrived < 1 << 20; arrived += 1 << 16) {
      reader.push(new Uint8Array(1 << 16));
      await drain(reader);
      expect(arrivals.heldBytes).toBeLessThanOrEqual(Math.max(FREE_BYTES, (arrived + 65_536) * 2));
    }
    reader.close();
    expect(arrivals.heldBytes).toBe(0);
  });

  test("lets one frame finish where the memory is used up, and then the next", async () => {
    const arrivals = new ArrivalMemory(0);
    const readers = [0, 1].map(() => new FrameReader(arrivals, 1 << 20));
    const body = new Uint8Array(100_000).fill(3);
    const [first, second] = readers as [FrameReader, FrameReader];
    first.push(framed(body).subarray(0, 50_000));
    expect(await drain(first)).toEqual([]);
    second.push(framed(body).subarray(0, 50_000));
    const waiting = drain(second);
    expect(await isPending(waiting)).toBe(true);
    first.push(framed(body).subarray(50_000));
    expect(await drain(first)).toEqual([body]);
    expect(await waiting).toEqual([]);
    // Who leaves in the middle of a frame gives everything back.
    second.close();
    expect(arrivals.heldBytes).toBe(0);
  });

  test("gives back what is granted to one that has gone", async () => {
    const arrivals = new ArrivalMemory(0);
    const [first, second] = [0, 1].map(() => new FrameReader(arrivals, 1 << 20));
    const part = framed(new Uint8Array(100_000)).subarray(0, 50_000);
    first!.push(part);
    await drain(first!);
    second!.push(part);
    expect(second!.next()).toBe("need_memory");
    const waiting = second!.acquireMemory();
    second!.close();
    first!.close();
    await waiting;
    expect(arrivals.heldBytes).toBe(0);
  });
});

describe("ReplyMemory", () => {
  test("has room up to its limit, for the only answer of a connection up to the double, and for the first", () => {
    const replies = new ReplyMemory(1000);
    expect(replies.hasRoom(5000, false)).toBe(true);
    replies.made(900);
    expect(replies.hasRoom(100, false)).toBe(true);
    expect(replies.hasRoom(101, false)).toBe(false);
    expect(replies.hasRoom(1100, true)).toBe(true);
    expect(replies.hasRoom(1101, true)).toBe(false);
    expect(replies.isScarce).toBe(false);
    replies.made(100);
    expect(replies.isScarce).toBe(true);
  });

  test("wakes one after the other, and is scarce while somebody waits", () => {
    const replies = new ReplyMemory(1000);
    const woken: number[] = [];
    const wakes = [0, 1, 2, 3].map((at) => () => void woken.push(at));
    replies.made(500);
    for (const wake of wakes) replies.enter(wake);
    expect(replies.isScarce).toBe(true);
    replies.leave(wakes[1]!);
    replies.sent(0);
    expect(woken).toEqual([]);
    replies.sent(500);
    expect(woken).toEqual([0]);
    replies.wakeNext();
    replies.wakeNext();
    replies.wakeNext();
    expect(woken).toEqual([0, 2, 3]);
    expect(replies.isScarce).toBe(false);
  });
});
