// Randomness of the host: the system's own generator, drawn in blocks.
// Invariant: fit for secrets; every fork is independent because every draw is.

import type { Random } from "../contracts/runtime.ts";

const BLOCK_BYTES = 1024;
/** getRandomValues refuses more at a time. */
const DRAW_BYTES_MAX = 65_536;

export class HostRandom implements Random {
  readonly #block = new Uint32Array(BLOCK_BYTES / 4);
  #used = BLOCK_BYTES / 4;

  uint32(): number {
    if (this.#used === this.#block.length) {
      crypto.getRandomValues(this.#block);
      this.#used = 0;
    }
    const drawn = this.#block[this.#used]!;
    // What was given out does not stay in memory.
    this.#block[this.#used++] = 0;
    return drawn;
  }

  fill(target: Uint8Array): Uint8Array {
    for (let at = 0; at < target.byteLength; at += DRAW_BYTES_MAX) {
      crypto.getRandomValues(target.subarray(at, at + DRAW_BYTES_MAX) as Uint8Array<ArrayBuffer>);
    }
    return target;
  }

  fork(_label: string): Random {
    return this;
  }
}
