// What stands between a program's values and the bytes of records, where a reader is asked for values.
// Invariant: what `encode` made, `decode` reads; bytes handed to `decode` are its own to keep.
// Kafka: org.apache.kafka.common.serialization.Serde.

import { bytesOf } from "./producer_record.ts";

/** Between values and bytes. What it throws, a call for that key or value rejects with. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** A codec, or one of those that are known by a word. */
export type CodecChoice = "bytes" | "text" | "json" | Codec<unknown>;

/** What a codec's values are. */
export type Decoded<C> =
  C extends Codec<infer T>
    ? T
    : C extends "text"
      ? string
      : C extends "json"
        ? unknown
        : Uint8Array;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const bytesCodec: Codec<Uint8Array> = {
  encode(value) {
    if (value instanceof Uint8Array) return value;
    throw new TypeError(`Bytes are wanted: found ${typeof value}`);
  },
  decode: (bytes) => bytes,
};

const textCodec: Codec<string> = {
  encode(value) {
    if (typeof value === "string") return bytesOf(value)!;
    throw new TypeError(`Text is wanted: found ${typeof value}`);
  },
  decode: (bytes) => decoder.decode(bytes),
};

/** JSON in UTF-8, of values that the program takes to be `T`: nothing is checked. */
export function jsonCodec<T>(): Codec<T> {
  return {
    encode(value) {
      const text = JSON.stringify(value);
      if (text !== undefined) return bytesOf(text)!;
      throw new TypeError(`JSON cannot hold ${typeof value}`);
    },
    decode: (bytes) => JSON.parse(decoder.decode(bytes)) as T,
  };
}

/** The codec that was chosen. @throws {TypeError} for a word that is none */
export function codecOf(choice: CodecChoice): Codec<unknown> {
  if (choice === "bytes") return bytesCodec as Codec<unknown>;
  if (choice === "text") return textCodec as Codec<unknown>;
  if (choice === "json") return jsonCodec<unknown>();
  if (typeof choice?.encode === "function" && typeof choice.decode === "function") return choice;
  const shown = typeof choice === "string" ? JSON.stringify(choice) : String(choice);
  throw new TypeError(`A codec is "bytes", "text", "json" or { encode, decode }: found ${shown}`);
}
