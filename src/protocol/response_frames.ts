// Cuts a stream of responses into frames, for whoever asks a broker: four bytes of length, then so many bytes.
// Invariant: a frame that lies in one chunk is a view of it; any other is copied once, into memory of
// its own size. Nothing is allocated for a length beyond the bound.

import { DecodeError } from "../base/byte_reader.ts";

export class FrameReader {
  readonly #sizeBytesMax: number;
  readonly #onFrame: (frame: Uint8Array) => void;
  readonly #prefix = new Uint8Array(4);
  #prefixBytes = 0;
  #body: Uint8Array | null = null;
  #bodyBytes = 0;

  /** @param onFrame gets each frame without its length; the bytes are the receiver's */
  constructor(sizeBytesMax: number, onFrame: (frame: Uint8Array) => void) {
    this.#sizeBytesMax = sizeBytesMax;
    this.#onFrame = onFrame;
  }

  /** Takes the next bytes of the stream. @throws {DecodeError} for a length that cannot be */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const body = this.#body;
      if (body !== null) {
        const taken = Math.min(body.length - this.#bodyBytes, chunk.length - at);
        body.set(chunk.subarray(at, at + taken), this.#bodyBytes);
        this.#bodyBytes += taken;
        at += taken;
        if (this.#bodyBytes === body.length) {
          this.#body = null;
          this.#onFrame(body);
        }
        continue;
      }
      while (this.#prefixBytes < 4 && at < chunk.length) {
        this.#prefix[this.#prefixBytes++] = chunk[at++]!;
      }
      if (this.#prefixBytes < 4) return;
      this.#prefixBytes = 0;
      const [a, b, c, d] = this.#prefix as unknown as [number, number, number, number];
      const sizeBytes = (a << 24) | (b << 16) | (c << 8) | d;
      if (sizeBytes < 4 || sizeBytes > this.#sizeBytesMax) {
        throw new DecodeError(
          `A response must have 4 to ${this.#sizeBytesMax} bytes: its length says ${sizeBytes}`,
        );
      }
      if (sizeBytes <= chunk.length - at) {
        this.#onFrame(chunk.subarray(at, at + sizeBytes));
        at += sizeBytes;
      } else {
        this.#body = new Uint8Array(sizeBytes);
        this.#bodyBytes = 0;
      }
    }
  }
}
