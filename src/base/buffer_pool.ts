// Byte buffers for reuse, in power-of-two classes: fresh memory is the dearest thing on a busy host.
// Invariant: what lies idle here never passes idleBytesMax, nor, with what is lent, heldBytesMax; a lent buffer
// is released at most once, and its memory is freed at once where it is not kept.
// Contents are not cleared between uses.

import { assert } from "./assert.ts";

const CLASS_BITS_MIN = 12;
const CLASS_BITS_MAX = 25;
/** Size of the smallest class: 4 KiB. */
export const POOLED_BYTES_MIN = 1 << CLASS_BITS_MIN;
/** Size of the largest class: 32 MiB. Larger requests get a fresh buffer that is never kept. */
export const POOLED_BYTES_MAX = 1 << CLASS_BITS_MAX;

/** A size-classed pool of buffers. */
export class BufferPool {
  /** Most bytes that may lie idle, over all classes. */
  readonly idleBytesMax: number;
  /** Idle buffers go where they and the lent ones would be more than this; lending is not bounded by it. */
  readonly heldBytesMax: number;
  readonly #idle: Uint8Array<ArrayBuffer>[][] = [];
  /** Lent and not yet back. Weak, so that a holder who never releases costs a buffer, not a leak. */
  readonly #lent = new WeakSet<Uint8Array>();
  #idleBytes = 0;
  #lentBytes = 0;

  /** @param options bytes; `heldBytesMax` is unbounded when left out */
  constructor(options: { readonly idleBytesMax: number; readonly heldBytesMax?: number }) {
    assert(options.idleBytesMax >= 0, "idleBytesMax must not be negative");
    this.idleBytesMax = options.idleBytesMax;
    this.heldBytesMax = options.heldBytesMax ?? Number.POSITIVE_INFINITY;
    for (let bits = CLASS_BITS_MIN; bits <= CLASS_BITS_MAX; bits++) this.#idle.push([]);
  }

  /** Bytes that lie here unused. */
  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** Bytes acquired and neither released nor forgotten. */
  get lentBytes(): number {
    return this.#lentBytes;
  }

  /**
   * Lends a buffer of at least `bytesMin` bytes: the size of its class, or exactly `bytesMin` above
   * POOLED_BYTES_MAX. It may hold bytes of an earlier use.
   */
  acquire(bytesMin: number): Uint8Array<ArrayBuffer> {
    assert(Number.isInteger(bytesMin) && bytesMin >= 0, "bytesMin must be a non-negative integer");
    let buffer: Uint8Array<ArrayBuffer> | undefined;
    if (bytesMin > POOLED_BYTES_MAX) {
      buffer = new Uint8Array(bytesMin);
    } else {
      const bits = classBitsOf(bytesMin);
      buffer = this.#idle[bits - CLASS_BITS_MIN]!.pop();
      if (buffer !== undefined) this.#idleBytes -= buffer.length;
      else {
        this.#trimFor(1 << bits);
        buffer = new Uint8Array(1 << bits);
      }
    }
    this.#lent.add(buffer);
    this.#lentBytes += buffer.length;
    return buffer;
  }

  /**
   * Takes back a buffer that `acquire` gave: the very array, not a view of it. Nobody may touch it
   * afterwards. Releasing twice, or a buffer of another origin, is an assertion.
   */
  release(buffer: Uint8Array<ArrayBuffer>): void {
    this.forget(buffer);
    const idleBytes = this.#idleBytes + buffer.length;
    const isKept =
      idleBytes <= this.idleBytesMax && idleBytes + this.#lentBytes <= this.heldBytesMax;
    if (!isKept || buffer.length > POOLED_BYTES_MAX) {
      free(buffer);
      return;
    }
    this.#idle[classBitsOf(buffer.length) - CLASS_BITS_MIN]!.push(buffer);
    this.#idleBytes += buffer.length;
  }

  /** Ends the loan without taking the buffer back: the holder keeps it for good. */
  forget(buffer: Uint8Array<ArrayBuffer>): void {
    assert(this.#lent.delete(buffer), "buffer released twice, or not lent by this pool");
    this.#lentBytes -= buffer.length;
  }

  /** Lets go of idle buffers, the largest first, until at most `idleBytes` are left. */
  trim(idleBytes = 0): void {
    for (let at = this.#idle.length - 1; at >= 0 && this.#idleBytes > idleBytes; at--) {
      const buffers = this.#idle[at]!;
      while (buffers.length > 0 && this.#idleBytes > idleBytes) {
        const buffer = buffers.pop()!;
        this.#idleBytes -= buffer.length;
        free(buffer);
      }
    }
  }

  /** Makes room for a fresh buffer. */
  #trimFor(sizeBytes: number): void {
    const idleBytesMax = this.heldBytesMax - this.#lentBytes - sizeBytes;
    if (this.#idleBytes > idleBytesMax) this.trim(Math.max(0, idleBytesMax));
  }
}

/** Without waiting for the collector, which does not know how much hangs on a small object. Node 20 has to wait. */
function free(buffer: Uint8Array<ArrayBuffer>): void {
  buffer.buffer.transfer?.(0);
}

function classBitsOf(bytes: number): number {
  return bytes <= POOLED_BYTES_MIN ? CLASS_BITS_MIN : 32 - Math.clz32(bytes - 1);
}
