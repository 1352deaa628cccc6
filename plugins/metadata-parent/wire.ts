// What a parent and its brokers say to each other about the store: JSON texts, each behind its length as four bytes.
// Invariant: no frame is larger than FRAME_BYTES_MAX; who sends a larger one, or no JSON, is hung up on.

import { MetadataStoreError, type MetadataStoreErrorCode } from "../../src/contracts/errors.ts";
import type { Entry, RevisionChanges } from "../../src/contracts/metadata_store.ts";
import type { Connection } from "../../src/contracts/runtime.ts";

/** A commit of the largest size in base64, or a piece of a read, fits several times. */
export const FRAME_BYTES_MAX = 8 * 1024 * 1024;
const LENGTH_BYTES = 4;

/** An entry: key, value in base64, revision. */
export type WireEntry = readonly [key: string, value: string, revision: number];

/** What a broker asks; answers have the same id. */
export type Ask = { readonly id: number } & (
  | { readonly op: "hello"; readonly token: string }
  | { readonly op: "read"; readonly prefix: string }
  | {
      readonly op: "commit";
      readonly conditions: readonly (readonly [key: string, revision: number])[];
      readonly writes: readonly (readonly [
        key: string,
        value: string | null,
        session: string | null,
      ])[];
    }
  | { readonly op: "watch"; readonly prefix: string; readonly revision: number }
  | { readonly op: "unwatch" }
  | { readonly op: "session"; readonly ttlMs: number }
  | { readonly op: "renew"; readonly session: string }
  | { readonly op: "end"; readonly session: string }
);

/** What the parent says. `part` comes before the `done` of a read; `change` and `reset` belong to a watch. */
export type Say = { readonly id: number } & (
  | { readonly done: unknown }
  | { readonly part: readonly WireEntry[] }
  | {
      readonly change: readonly [
        revision: number,
        puts: readonly WireEntry[],
        deletes: readonly string[],
      ];
    }
  | { readonly reset: true }
  | { readonly fault: readonly [code: MetadataStoreErrorCode, message: string] }
);

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function base64Of(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(text);
}

export function bytesOf(base64: string): Uint8Array {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export function wireEntry({ key, value, revision }: Entry): WireEntry {
  return [key, base64Of(value), revision];
}

export function entryOf([key, value, revision]: WireEntry): Entry {
  return { key, value: bytesOf(value), revision };
}

export function changesOf([revision, puts, deletes]: Extract<
  Say,
  { change: unknown }
>["change"]): RevisionChanges {
  return { revision, puts: puts.map(entryOf), deletes };
}

export function closedError(): MetadataStoreError {
  return new MetadataStoreError("closed", "Cannot use metadata-parent after its close");
}

/** Frames over a connection: writes go one after the other, in the order of `send`. */
export class FrameChannel {
  readonly #connection: Connection;
  #queue: Uint8Array[] = [];
  #writing: Promise<void> | null = null;
  #isClosed = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Resolves when the host has taken it, or the connection is gone: then `frames` ends, too. */
  send(message: Ask | Say): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    const text = encoder.encode(JSON.stringify(message));
    const frame = new Uint8Array(LENGTH_BYTES + text.length);
    new DataView(frame.buffer).setUint32(0, text.length);
    frame.set(text, LENGTH_BYTES);
    this.#queue.push(frame);
    this.#writing ??= this.#write();
    return this.#writing;
  }

  /** Every message until the peer has gone, or says what is none. Never throws. */
  async *frames(): AsyncGenerator<unknown> {
    let held: Uint8Array[] = [];
    let heldBytes = 0;
    try {
      for (;;) {
        let needed = LENGTH_BYTES;
        if (heldBytes >= LENGTH_BYTES) {
          if (held.length > 1) held = [joined(held, heldBytes)];
          const [whole] = held as [Uint8Array];
          const length = new DataView(whole.buffer, whole.byteOffset).getUint32(0);
          if (length > FRAME_BYTES_MAX) return;
          needed += length;
          if (heldBytes >= needed) {
            held = [whole.subarray(needed)];
            heldBytes -= needed;
            yield JSON.parse(decoder.decode(whole.subarray(LENGTH_BYTES, needed)));
            continue;
          }
        }
        while (heldBytes < needed) {
          const chunk = await this.#connection.read();
          if (chunk === null) return;
          held.push(chunk);
          heldBytes += chunk.length;
        }
      }
    } catch {
      // A broken connection and a broken text end alike: whoever reads this hangs up.
    } finally {
      this.close();
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#queue = [];
    this.#connection.close("metadata_parent");
  }

  async #write(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const chunks = this.#queue;
        this.#queue = [];
        await this.#connection.write(chunks);
      }
    } catch {
      this.close(); // The reader of frames sees the end.
    } finally {
      this.#writing = null;
    }
  }
}

function joined(chunks: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
