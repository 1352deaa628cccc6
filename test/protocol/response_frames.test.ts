import { describe, expect, test } from "bun:test";
import { DecodeError } from "../../src/base/byte_reader.ts";
import { FrameReader } from "../../src/protocol/response_frames.ts";

function frame(body: readonly number[]): number[] {
  return [0, 0, 0, body.length, ...body];
}

const BODIES = [
  [1, 2, 3, 4],
  [5, 6, 7, 8, 9, 10, 11],
  [12, 13, 14, 15],
];
const STREAM = new Uint8Array(BODIES.flatMap(frame));

describe("frames out of a stream", () => {
  test("come out whole, wherever the stream is cut twice", () => {
    for (let first = 0; first <= STREAM.length; first++) {
      for (let second = first; second <= STREAM.length; second++) {
        const frames: number[][] = [];
        const reader = new FrameReader(100, (body) => frames.push([...body]));
        reader.push(STREAM.subarray(0, first));
        reader.push(STREAM.subarray(first, second));
        reader.push(STREAM.subarray(second));
        expect(frames).toEqual(BODIES);
      }
    }
  });

  test("a frame within one chunk is a view of it", () => {
    let found: Uint8Array | null = null;
    new FrameReader(100, (body) => {
      found ??= body;
    }).push(STREAM);
    expect(found!.buffer).toBe(STREAM.buffer);
  });

  test("a length beyond the bound, or below a header, is refused before anything is allocated", () => {
    for (const prefix of [
      [0x7f, 0xff, 0xff, 0xff],
      [0, 0, 0, 101],
      [0xff, 0xff, 0xff, 0xff],
      [0, 0, 0, 3],
    ]) {
      const reader = new FrameReader(100, () => {});
      expect(() => reader.push(new Uint8Array(prefix))).toThrow(DecodeError);
    }
  });
});
