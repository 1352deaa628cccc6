// The codecs of the host: round trips, every framing of every client, bounds, and damage.

import { describe, expect, test } from "bun:test";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
// @ts-expect-error: ships no types; here only to have a second opinion on our frames.
import * as lz4js from "lz4js";
// @ts-expect-error: ships no types; here only to have a second opinion on our blocks.
import * as snappyjs from "snappyjs";
import { xxh32 } from "../../src/base/xxh32.ts";
import { zstdFramesIn } from "../../src/record/codecs/zstd_frames.ts";
import { type CompressionCodec, CompressionError } from "../../src/record/compression.ts";
import { batchesIn } from "../../src/record/record_batch.ts";
import { readRecords } from "../../src/record/record_reader.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { fromHex, loadVectors } from "../record/vectors.ts";

const { compress, decompress } = hostCompression;
const codecs: readonly CompressionCodec[] = ["gzip", "snappy", "lz4", "zstd"];
const MIB = 1024 * 1024;

/** The code of the error that `act` ends in, or what it returned. */
function codeOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    if (error instanceof CompressionError) return error.code;
    throw error;
  }
}

/** Text-like bytes: words from a small set, so that matches of all lengths and distances occur. */
const wordy = fc
  .array(
    fc.constantFrom("a", "key", "value", "millrace ", "0123456789abcdef", "\n", "zzzzzzzzzzz"),
    {
      maxLength: 400,
    },
  )
  .map((words) => new TextEncoder().encode(words.join("")));
const anyBytes = fc.oneof(fc.uint8Array({ minLength: 0, maxLength: 300 }), wordy);

/** Deterministic bytes of a given size: runs, repeats at every distance up to 64 KiB, and noise. */
function mixture(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let state = sizeBytes + 1;
  for (let at = 0; at < sizeBytes; ) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const length = Math.min(1 + ((state >>> 8) % 90), sizeBytes - at);
    const distance = 1 + ((state >>> 4) % 65536);
    if (state % 3 === 0 || distance > at) {
      for (let i = 0; i < length; i++) bytes[at + i] = (state >>> (i % 24)) ^ i;
    } else {
      for (let i = 0; i < length; i++) bytes[at + i] = bytes[at + i - distance]!;
    }
    at += length;
  }
  return bytes;
}

describe.each(codecs)("%s", (codec) => {
  test("gives back any bytes", () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const packed = compress(codec, bytes);
        const back = decompress(codec, packed, bytes.length);
        expect(back).toEqual(new Uint8Array(bytes));
        expect(back.constructor).toBe(Uint8Array);
      }),
    );
  });

  test("gives back bytes of sizes around every block boundary, and makes them smaller", () => {
    const sizes = [0, 1, 5, 12, 13, 32767, 32768, 32769, 65535, 65536, 65537, 131073, 700_001];
    for (const size of sizes) {
      const bytes = mixture(size);
      const packed = compress(codec, bytes);
      expect(Buffer.compare(decompress(codec, packed, size), bytes)).toBe(0);
      if (size > 1000) expect(packed.length).toBeLessThan(size);
    }
    const noise = new Uint8Array(100_000);
    for (let i = 0, x = 1; i < noise.length; i++) noise[i] = (x = Math.imul(x, 48271) >>> 0) >>> 13;
    const packed = compress(codec, noise);
    expect(packed.length).toBeLessThan(noise.length * 1.02 + 64);
    expect(Buffer.compare(decompress(codec, packed, noise.length), noise)).toBe(0);
  });

  test("lets exactly the bound come out and not one byte more", () => {
    for (const size of [1, 1000, 100_000]) {
      const packed = compress(codec, mixture(size));
      expect(decompress(codec, packed, size).length).toBe(size);
      expect(codeOf(() => decompress(codec, packed, size - 1))).toBe("too_large");
      expect(codeOf(() => decompress(codec, packed, 0))).toBe("too_large");
    }
    expect(decompress(codec, compress(codec, new Uint8Array(0)), 0).length).toBe(0);
  });

  test("stops a bomb at the bound", () => {
    const bomb = compress(codec, new Uint8Array(64 * MIB));
    expect(codeOf(() => decompress(codec, bomb, MIB))).toBe("too_large");
    expect(decompress(codec, bomb, 64 * MIB).length).toBe(64 * MIB);
  });

  test("refuses data that is cut short anywhere", () => {
    const bytes = mixture(500);
    const packed = compress(codec, bytes);
    for (let length = 0; length < packed.length; length++) {
      // A xerial stream has no end mark: cut between blocks it is a shorter stream.
      const isWholeStream = codec === "snappy" && length === 16;
      const got = codeOf(() => decompress(codec, packed.subarray(0, length), 1 << 20));
      if (isWholeStream) expect(got).toEqual(new Uint8Array(0));
      else expect(got).toBe("corrupt");
    }
  });

  test("survives any change of its input: an error of ours, or bytes within the bound", () => {
    const change = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom("set", "insert", "delete", "cut"),
      byte: fc.integer({ min: 0, max: 255 }),
    });
    fc.assert(
      fc.property(wordy, fc.array(change, { minLength: 1, maxLength: 6 }), (bytes, changes) => {
        const packed = [...compress(codec, bytes)];
        for (const { at, kind, byte } of changes) {
          const where = at % (packed.length + 1);
          if (kind === "set") packed[where] = byte;
          else if (kind === "insert") packed.splice(where, 0, byte);
          else packed.splice(where, kind === "cut" ? packed.length : 1);
        }
        const got = codeOf(() => decompress(codec, Uint8Array.from(packed), 5000));
        if (got instanceof Uint8Array) expect(got.length).toBeLessThanOrEqual(5000);
        else expect(["corrupt", "too_large"]).toContain(got as string);
      }),
      { numRuns: 500 },
    );
  });

  test("survives random bytes, with and without a true beginning", () => {
    const heads = [[], [...compress(codec, mixture(40)).subarray(0, 8)], [0x80], [0xff, 0xff]];
    fc.assert(
      fc.property(
        fc.constantFrom(...heads),
        fc.uint8Array({ minLength: 0, maxLength: 200 }),
        (head, tail) => {
          const got = codeOf(() => decompress(codec, Uint8Array.from([...head, ...tail]), 5000));
          if (got instanceof Uint8Array) expect(got.length).toBeLessThanOrEqual(5000);
          else expect(["corrupt", "too_large"]).toContain(got as string);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("reads a view in the middle of a larger buffer", () => {
    const bytes = mixture(3000);
    const packed = compress(codec, bytes);
    const larger = new Uint8Array(packed.length + 20).fill(0xee);
    larger.set(packed, 7);
    expect(decompress(codec, larger.subarray(7, 7 + packed.length), 3000)).toEqual(bytes);
  });
});

describe("batches of real clients", () => {
  interface ClientBatch {
    readonly client: string;
    readonly codec: string;
    readonly form: string;
    readonly count: number;
    readonly hex: string;
  }
  const batches = loadVectors<ClientBatch>("client-batches");

  test("cover every form that clients send", () => {
    expect(new Set(batches.map((batch) => `${batch.codec} ${batch.form}`.trim()))).toEqual(
      new Set([
        "none",
        "gzip",
        "snappy raw",
        "snappy xerial",
        "lz4 flg 60 bd 40",
        "lz4 flg 64 bd 40",
        "lz4 flg 64 bd 70",
        "lz4 flg 68 bd 40",
        "lz4 flg 70 bd 40",
        "zstd",
      ]),
    );
  });

  for (const [i, { client, codec, form, count, hex }] of batches.entries()) {
    test(`${i}: ${client} ${codec} ${form} is read`, () => {
      const batch = batchesIn(fromHex(hex)).batches[0]!;
      expect(batch.check()).toBeNull();
      const { records, fault } = readRecords(batch, {
        compression: hostCompression,
        sizeBytesMax: MIB,
      });
      expect(fault).toBeNull();
      expect(records.length).toBe(count);
      expect(batch.codec).toBe(codec as CompressionCodec);
    });
  }
});

describe("levels", () => {
  test("gzip and zstd take Kafka's; every level reads back", () => {
    const bytes = mixture(20_000);
    for (const level of [-1, 1, 6, 9]) {
      expect(decompress("gzip", compress("gzip", bytes, level), bytes.length)).toEqual(bytes);
    }
    for (const level of [-5, 1, 3, 19, 22]) {
      expect(decompress("zstd", compress("zstd", bytes, level), bytes.length)).toEqual(bytes);
    }
    for (const level of [1, 9, 17]) {
      expect(decompress("lz4", compress("lz4", bytes, level), bytes.length)).toEqual(bytes);
    }
    expect(compress("gzip", bytes, 9).length).toBeLessThan(compress("gzip", bytes, 1).length);
    expect(compress("zstd", bytes, 19).length).toBeLessThan(compress("zstd", bytes, -5).length);
  });
});

/** An lz4 frame put together by hand. */
function lz4Frame(
  flg: number,
  blocks: readonly { readonly bytes: number[]; readonly isStored?: boolean }[],
  content: Uint8Array,
  bd = 0x40,
): Uint8Array {
  const le = (value: number, count: number) =>
    Array.from({ length: count }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);
  const descriptor = [flg, bd, ...((flg & 8) === 0 ? [] : le(content.length, 8))];
  const frame = [
    ...le(0x184d2204, 4),
    ...descriptor,
    (xxh32(Uint8Array.from(descriptor)) >>> 8) & 0xff,
  ];
  for (const { bytes, isStored } of blocks) {
    frame.push(...le(bytes.length + (isStored === true ? 0x80000000 : 0), 4), ...bytes);
    if ((flg & 0x10) !== 0) frame.push(...le(xxh32(Uint8Array.from(bytes)), 4));
  }
  frame.push(0, 0, 0, 0);
  if ((flg & 4) !== 0) frame.push(...le(xxh32(content), 4));
  return Uint8Array.from(frame);
}

describe("lz4 frames", () => {
  const ascii = (value: string) => [...new TextEncoder().encode(value)];
  const content = Uint8Array.from(ascii("0123456789abcdef0123456789abcdef!!!!!"));
  // 16 literals; then five literals after a match of 16 that reaches 16 back, into the first block.
  const first = { bytes: [0xf0, 1, ...ascii("0123456789abcdef")] };
  const second = { bytes: [0x0c, 16, 0, 0x50, ...ascii("!!!!!")] };

  test("linked blocks reach into the block before, independent ones may not", () => {
    expect(decompress("lz4", lz4Frame(0x40, [first, second], content), 100)).toEqual(content);
    expect(codeOf(() => decompress("lz4", lz4Frame(0x60, [first, second], content), 100))).toBe(
      "corrupt",
    );
  });

  test("all flags together: linked, both checksums, content size; any bit changed is noticed", () => {
    const frame = lz4Frame(0x5c, [first, second], content);
    expect(decompress("lz4", frame, content.length)).toEqual(content);
    for (let i = 0; i < frame.length; i++) {
      for (const bit of [1, 0x80]) {
        const changed = frame.slice();
        changed[i]! ^= bit;
        const got = codeOf(() => decompress("lz4", changed, 1000));
        // Turning the magic number into that of a skippable frame is the one change that reads.
        if (!(got instanceof Uint8Array)) expect(got).toBe("corrupt");
        else expect(got.length).toBe(0);
      }
    }
  });

  test("stored blocks, empty frames, skippable frames and several frames are read", () => {
    const stored = lz4Frame(0x60, [{ bytes: [...content], isStored: true }], content);
    expect(decompress("lz4", stored, 100)).toEqual(content);
    const empty = lz4Frame(0x64, [], new Uint8Array(0));
    expect(decompress("lz4", empty, 100).length).toBe(0);
    const skippable = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
    const several = Uint8Array.from([...stored, ...skippable, ...empty, ...stored]);
    expect(decompress("lz4", several, 100)).toEqual(Uint8Array.from([...content, ...content]));
    expect(codeOf(() => decompress("lz4", several, content.length * 2 - 1))).toBe("too_large");
    expect(codeOf(() => decompress("lz4", Uint8Array.from([...stored, 1]), 100))).toBe("corrupt");
  });

  test("a block past the frame's block size, a dictionary, and a false content size are refused", () => {
    const long = { bytes: [0x1f, 65, 1, 0, ...new Array(300).fill(255), 0, 0x10, 65] };
    const frame = (bd: number) => lz4Frame(0x60, [long], content, bd);
    expect(codeOf(() => decompress("lz4", frame(0x40), MIB))).toBe("corrupt");
    expect((codeOf(() => decompress("lz4", frame(0x50), MIB)) as Uint8Array).length).toBe(
      1 + 4 + 15 + 300 * 255 + 1,
    );
    expect(codeOf(() => decompress("lz4", lz4Frame(0x61, [first], content), 100))).toBe("corrupt");
    expect(codeOf(() => decompress("lz4", lz4Frame(0x68, [first], content), 100))).toBe("corrupt");
    expect(codeOf(() => decompress("lz4", lz4Frame(0x68, [first], content), 20))).toBe("too_large");
  });

  test("another decoder reads ours, and we read another encoder's", () => {
    for (const size of [20, 300, 65536, 200_000]) {
      const bytes = mixture(size);
      expect(Buffer.compare(lz4js.decompress(compress("lz4", bytes)), bytes)).toBe(0);
      expect(Buffer.compare(decompress("lz4", lz4js.compress(bytes), size), bytes)).toBe(0);
    }
  });
});

describe("snappy", () => {
  /** The raw blocks inside a xerial stream. */
  function blocksOf(stream: Uint8Array): Uint8Array[] {
    const blocks: Uint8Array[] = [];
    const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
    for (let at = 16; at < stream.length; at += 4 + view.getInt32(at)) {
      blocks.push(stream.slice(at + 4, at + 4 + view.getInt32(at)));
    }
    return blocks;
  }

  test("writes the xerial stream of Java: header, then blocks of 32 KiB", () => {
    const bytes = mixture(70_000);
    const stream = compress("snappy", bytes);
    expect([...stream.subarray(0, 16)]).toEqual([
      ...[0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1],
    ]);
    const blocks = blocksOf(stream);
    expect(blocks.length).toBe(3);
    const joined = blocks.map((block) => Buffer.from(snappyjs.uncompress(block)));
    expect(Buffer.compare(Buffer.concat(joined), bytes)).toBe(0);
  });

  test("reads raw blocks, another encoder's too", () => {
    for (const size of [0, 1, 100, 65537, 150_000]) {
      const bytes = mixture(size);
      const raw = new Uint8Array(snappyjs.compress(bytes));
      expect(Buffer.compare(decompress("snappy", raw, size), bytes)).toBe(0);
    }
    expect(decompress("snappy", blocksOf(compress("snappy", mixture(500)))[0]!, 500)).toEqual(
      mixture(500),
    );
  });

  test("reads copies with four-byte distances and literals with long lengths", () => {
    const raw = [10, 0x10, 1, 2, 3, 4, 5, 0x13, 5, 0, 0, 0];
    expect([...decompress("snappy", Uint8Array.from(raw), 10)]).toEqual([
      1, 2, 3, 4, 5, 1, 2, 3, 4, 5,
    ]);
    for (const lengthBytes of [1, 2, 3, 4]) {
      const tag = (59 + lengthBytes) << 2;
      const length = [99, 0, 0, 0].slice(0, lengthBytes);
      const block = Uint8Array.from([100, tag, ...length, ...new Array(100).fill(7)]);
      expect(decompress("snappy", block, 100)).toEqual(new Uint8Array(100).fill(7));
    }
  });

  test("refuses what would send a decoder backwards, or take memory on its word", () => {
    const refused: Readonly<Record<string, number[]>> = {
      "a literal of 2^32 bytes": [20, 0xfc, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4],
      "a literal of 2^31 + 1 bytes": [20, 0xfc, 0, 0, 0, 0x80, 1, 2, 3, 4],
      "a copy 2^31 back": [8, 0x0c, 1, 2, 3, 4, 0x0f, 0, 0, 0, 0x80],
      "a copy of distance 0": [8, 0x0c, 1, 2, 3, 4, 0x0e, 0, 0],
      "a copy before the beginning": [8, 0x0c, 1, 2, 3, 4, 0x0e, 5, 0],
      "a declared length out of reach": [0xff, 0xff, 0xff, 0x7f, 0x0c, 1, 2, 3, 4],
      "less than declared": [9, 0x0c, 1, 2, 3, 4],
      "more than declared": [3, 0x0c, 1, 2, 3, 4],
    };
    for (const block of Object.values(refused)) {
      expect(codeOf(() => decompress("snappy", Uint8Array.from(block), 1 << 30))).toBe("corrupt");
    }
  });
});

describe("zstd frames", () => {
  const bytes = mixture(5000);
  // By hand, as encoders that are not streaming know the size: no size, no checksum, one raw block.
  const header = (bytes.length << 3) | 1;
  const unsized = Uint8Array.from([
    ...[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58],
    ...[header & 0xff, header >> 8, header >> 16],
    ...bytes,
  ]);
  const sized = new Uint8Array(zstdCompressSync(bytes, { pledgedSrcSize: bytes.length }));
  const checked = new Uint8Array(
    zstdCompressSync(bytes, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
  );

  test("are read with and without a content size", () => {
    expect(zstdFramesIn(unsized, 5000)).toEqual([
      { start: 0, end: unsized.length, contentSizeBytes: null },
    ]);
    expect(zstdFramesIn(sized, 5000)[0]!.contentSizeBytes).toBe(5000);
    expect(decompress("zstd", unsized, 5000)).toEqual(bytes);
    expect(decompress("zstd", sized, 5000)).toEqual(bytes);
    expect(codeOf(() => decompress("zstd", sized, 4999))).toBe("too_large");
    expect(codeOf(() => decompress("zstd", unsized, 4999))).toBe("too_large");
  });

  test("follow one another, with skippable ones between", () => {
    const skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7];
    const several = Uint8Array.from([...skippable, ...unsized, ...skippable, ...sized]);
    const twice = Uint8Array.from([...bytes, ...bytes]);
    expect(decompress("zstd", several, 10_000)).toEqual(twice);
    expect(codeOf(() => decompress("zstd", several, 9_999))).toBe("too_large");
    expect(codeOf(() => decompress("zstd", Uint8Array.from([...sized, 1, 2]), 9_999))).toBe(
      "corrupt",
    );
    expect(codeOf(() => decompress("zstd", Uint8Array.from(skippable), 10))).toBe("corrupt");
  });

  test("with a checksum that does not match are refused", () => {
    expect(decompress("zstd", checked, 5000)).toEqual(bytes);
    const changed = checked.slice();
    changed[changed.length - 1]! ^= 1;
    expect(codeOf(() => decompress("zstd", changed, 5000))).toBe("corrupt");
  });
});

describe("gzip", () => {
  test("several members follow one another; a changed checksum is refused", () => {
    const bytes = mixture(3000);
    const member = gzipSync(bytes);
    const twice = decompress("gzip", Uint8Array.from([...member, ...member]), 6000);
    expect(twice).toEqual(Uint8Array.from([...bytes, ...bytes]));
    const changed = Uint8Array.from(member);
    changed[changed.length - 6]! ^= 1;
    expect(codeOf(() => decompress("gzip", changed, 6000))).toBe("corrupt");
  });
});
