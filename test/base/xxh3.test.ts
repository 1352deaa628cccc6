import { describe, expect, test } from "bun:test";
import { xxh3 } from "../../src/base/xxh3.ts";

/** Made by another implementation, for the bytes of `input`. */
const VECTORS: readonly (readonly [sizeBytes: number, hash: bigint])[] = [
  [0, 0x2d06800538d394c2n],
  [1, 0x4c5cca45d0f4811fn],
  [2, 0xcd32887c1142aecbn],
  [3, 0xde31dc6f857de05cn],
  [4, 0x4096389f9b7508e9n],
  [5, 0x1d95cb3307be2209n],
  [7, 0x3dd7f3d3f46a7e9bn],
  [8, 0xa2531ca9bc96d2f3n],
  [9, 0x5c524f921e1bf5c1n],
  [12, 0x681a7ed13c6a1e81n],
  [15, 0x690d3dd0b6067e2dn],
  [16, 0xee77c8a8ffd8a230n],
  [17, 0x52bed7fe433711c6n],
  [31, 0xe7840c78b9aa9475n],
  [32, 0x924947473d17d6c9n],
  [33, 0xeb60dc3465fa59b3n],
  [48, 0xf58a4d80ea343f4an],
  [63, 0x48cb27ee0a1cffb7n],
  [64, 0x84107b991359b565n],
  [65, 0xa1d9f2fd06bc6080n],
  [95, 0x58c0c784b619db84n],
  [96, 0x3f3c540122056418n],
  [97, 0xce4dff711377fdddn],
  [127, 0x78e5a167f9183a62n],
  [128, 0x9a2f37300d60586cn],
  [129, 0x948c53319c03562fn],
  [130, 0xdb41b1f394ab0b6en],
  [145, 0x3c8bdb3741038d01n],
  [200, 0x6c2657ee70dbb58en],
  [239, 0x699756a2ce75550cn],
  [240, 0x6bc234dfc9ae5843n],
  [241, 0x4bddf45e258b6299n],
  [255, 0x45d73f5c0f940db1n],
  [256, 0x266a2c816cbb31c5n],
  [300, 0xf572dea85b88e8f1n],
  [511, 0x416318c2e6cdae6fn],
  [512, 0xd3a5291037dfe500n],
  [1023, 0xf2ca2e0f5a21fcf1n],
  [1024, 0xbd7c43cd9a89cb69n],
  [1025, 0x66c4487c41e127a7n],
  [1088, 0x34e49d4986ab1c83n],
  [2048, 0xd65c6d0c8c6ab041n],
  [2049, 0x581cd184fd9b76c5n],
  [5000, 0x540ba6bcae3c577n],
];

function input(sizeBytes: number): Uint8Array {
  return new Uint8Array(sizeBytes).map((_, at) => (at * 131 + sizeBytes * 7) & 255);
}

describe("xxh3", () => {
  test("gives what others give, in every range of lengths", () => {
    const got = VECTORS.map(([sizeBytes]) => [sizeBytes, xxh3(input(sizeBytes))] as const);
    expect(got).toEqual([...VECTORS]);
  });

  test("reads the bytes of a view, not those around it", () => {
    const around = new Uint8Array(400).fill(7);
    around.set(input(300), 50);
    expect(xxh3(around.subarray(50, 350))).toBe(xxh3(input(300)));
  });
});
