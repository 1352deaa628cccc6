import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { crc32c, crc32cOf, crc32cPlain } from "../../src/base/crc32c.ts";
import { hostCrc32c, loadNativeCrc32c } from "../../src/runtime/native_crc32c.ts";

const native = await loadNativeCrc32c();

describe("loadNativeCrc32c()", () => {
  // The package is optional: where it does not load, there is nothing to compare.
  test.skipIf(native === undefined)("equals the plain one on any bytes, offset and seed", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 5000 }),
        fc.nat({ max: 9 }),
        fc.nat({ max: 0xffffffff }),
        (bytes, skip, seed) => {
          const part = bytes.subarray(Math.min(skip, bytes.length));
          expect(native!(part, seed)).toBe(crc32c(part, 0, part.length, seed));
        },
      ),
    );
  });

  test.skipIf(native === undefined)("equals the plain one over chained chunks", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 0, maxLength: 2000 }), { maxLength: 6 }),
        (chunks) => {
          expect(crc32cOf(chunks, 0, native!)).toBe(crc32cOf(chunks));
        },
      ),
    );
  });
});

describe("hostCrc32c()", () => {
  test("starts plain, loads after the bytes it was told, and agrees throughout", async () => {
    const bytes = Uint8Array.from({ length: 3000 }, (_, i) => i * 7);
    const want = crc32cPlain(bytes, 0);
    let told = 0;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const compute = hostCrc32c({
      afterBytes: 6000,
      onLoaded: (isNative) => {
        told++;
        resolve(isNative);
      },
    });
    expect(compute(bytes, 0)).toBe(want);
    await Promise.resolve();
    expect(told).toBe(0);
    expect(compute(bytes, 0)).toBe(want);
    expect(await promise).toBe(native !== undefined);
    expect(compute(bytes, 0)).toBe(want);
    expect(compute(bytes.subarray(1), 12345)).toBe(crc32cPlain(bytes.subarray(1), 12345));
    expect(told).toBe(1);
  });
});
