// Records as bytes on the way out: values, keys and values, or JSON lines, gathered into large writes.
// Invariant: in the plain formats every byte of key and value comes out as it is; JSON holds text where the
// bytes are UTF-8, and base64 where they are not, so that nothing is lost either way.

import type { ConsumedRecord, FetchedBatch } from "../client/mod.ts";
import { RecordCursor } from "../record/record_reader.ts";
import type { ByteSink } from "./host.ts";

export interface OutputFormat {
  readonly kind: "lines" | "json" | "raw";
  /** Between key and value; null leaves keys out. */
  readonly keySeparator: Uint8Array | null;
  /** After each record. */
  readonly separator: Uint8Array;
}

const WRITE_BYTES = 512 * 1024;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Collects bytes and hands them on in large pieces. */
export class RecordWriter {
  readonly #sink: ByteSink;
  readonly #format: OutputFormat;
  #buffer = new Uint8Array(WRITE_BYTES * 2);
  #used = 0;
  records = 0;
  bytes = 0;

  constructor(sink: ByteSink, format: OutputFormat) {
    this.#sink = sink;
    this.#format = format;
  }

  /** Writes at most `countMax` records of a batch. */
  async write(batch: FetchedBatch, countMax: number): Promise<void> {
    if (this.#format.kind === "json") {
      for (const record of batch.records(countMax)) {
        this.#put(encoder.encode(`${jsonLine(record)}\n`));
        this.records++;
        if (this.#used >= WRITE_BYTES) await this.flush();
      }
      return;
    }
    const { keySeparator, separator } = this.#format;
    const cursor = new RecordCursor(batch.block);
    const { bytes } = batch.block;
    let left = countMax;
    while (left > 0 && cursor.next()) {
      const offset = batch.baseOffset + cursor.offsetDelta;
      if (offset < batch.from) continue;
      if (offset >= batch.end) return;
      const { keyStart, keyLength, valueStart, valueLength } = cursor;
      if (keySeparator !== null) {
        if (keyLength > 0) this.#copy(bytes, keyStart, keyLength);
        this.#put(keySeparator);
      }
      if (valueLength > 0) this.#copy(bytes, valueStart, valueLength);
      this.#put(separator);
      this.records++;
      left--;
      if (this.#used >= WRITE_BYTES) await this.flush();
    }
    if (left > 0) batch.requireSound(cursor);
  }

  /** Hands on what is here. */
  async flush(): Promise<void> {
    if (this.#used === 0) return;
    // The sink has the bytes when it resolves, so the buffer may be filled again.
    await this.#sink.write(this.#buffer.subarray(0, this.#used));
    this.bytes += this.#used;
    this.#used = 0;
  }

  #put(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#copy(bytes, 0, bytes.length);
  }

  #copy(bytes: Uint8Array, start: number, length: number): void {
    const needed = this.#used + length;
    if (needed > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, this.#used));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes.subarray(start, start + length), this.#used);
    this.#used = needed;
  }
}

/** What `produce --format json` reads. */
export function jsonLine(record: ConsumedRecord): string {
  return JSON.stringify({
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestamp: record.timestampMs,
    key: jsonPayload(record.key),
    value: jsonPayload(record.value),
    headers: record.headers.map(({ key, value }) => ({ key, value: jsonPayload(value) })),
  });
}

/** Text, or base64 where the bytes are no UTF-8. */
export function jsonPayload(bytes: Uint8Array | null): string | { base64: string } | null {
  if (bytes === null) return null;
  try {
    return decoder.decode(bytes);
  } catch {
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return { base64: btoa(text) };
  }
}

/** A separator as people type it: \n, \t, \r, \0, \\ and \xNN stand for bytes. Null when malformed. */
export function separatorBytes(text: string): Uint8Array | null {
  const named: Readonly<Record<string, string>> = {
    n: "\n",
    t: "\t",
    r: "\r",
    "0": "\0",
    "\\": "\\",
  };
  const parts: Uint8Array[] = [];
  for (const [token] of text.matchAll(/\\x[0-9a-fA-F]{2}|\\.|\\$|[^\\]+/gsu)) {
    if (!token.startsWith("\\")) parts.push(encoder.encode(token));
    else if (token.length === 4) parts.push(new Uint8Array([Number.parseInt(token.slice(2), 16)]));
    else {
      const plain = named[token.slice(1)];
      if (plain === undefined) return null;
      parts.push(encoder.encode(plain));
    }
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
