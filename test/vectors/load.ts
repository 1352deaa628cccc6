// Loads what Kafka 4.3.1 gave us: golden vectors, schemas, probes and captured sessions, under test/vectors/kafka.
// Where they come from and how they are made is in test/vectors/kafka/README.md.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import type { Schemas, StoredSchemas } from "../../scripts/schema_data.ts";

const folder = new URL("./kafka/", import.meta.url);

/** A value of a message in JSON (int64 as decimal text, bytes as hex, uuids dashed) and its bytes. */
export interface GoldenVector {
  /** Version of the message. */
  readonly v: number;
  readonly kind: string;
  readonly json: Readonly<Record<string, unknown>>;
  readonly hex: string;
  /** The form in the log: an int16 in front, record type for keys, version for values. */
  readonly stored?: string;
}

export interface ApiVectors {
  readonly apiKey: number;
  readonly name: string;
  readonly request: readonly GoldenVector[];
  readonly response: readonly GoldenVector[];
}

/** A crafted request and what a real broker answered. Hex is header and body, without the length. */
export interface Probe {
  readonly section: string;
  readonly what: string;
  readonly api?: string;
  readonly key?: number;
  readonly version?: number;
  readonly request?: unknown;
  readonly requestHex?: string;
  readonly outcome: string;
  readonly response?: unknown;
  readonly responseHex?: string;
  /** Layout of the response where it is not that of the request's version. */
  readonly responseVersion?: number;
  readonly note?: string;
  readonly edited?: unknown;
  readonly sentHex?: string;
  readonly receivedHex?: string;
  readonly correlationIds?: unknown;
}

/** One exchange of a recorded session. Hex is header and body, without the length. */
export interface Exchange {
  readonly phase: string;
  /** Number of the connection within the session. */
  readonly conn: number;
  readonly api: string;
  readonly key: number;
  readonly v: number;
  readonly client: string | null;
  /** The request. */
  readonly q: string;
  /** The response; null where none came. */
  readonly r: string | null;
  /** An ApiVersions request above the broker's highest version: the response has the v0 layout. */
  readonly answeredAsV0?: boolean;
  /** Bytes left over after the request body. */
  readonly trailingBytes?: number;
  readonly edited?: unknown;
}

export interface Capture {
  /** Client and version, e.g. "java-4.3.1". */
  readonly client: string;
  readonly exchanges: readonly Exchange[];
}

/** Text of a .gz file under test/vectors/kafka. */
export function gunzipText(name: string): string {
  return new TextDecoder().decode(gunzipSync(readFileSync(fileURLToPath(new URL(name, folder).href))));
}

/** Golden vectors of every API, by ascending key. */
export function loadApiVectors(): readonly ApiVectors[] {
  return JSON.parse(gunzipText("apis.json.gz")) as ApiVectors[];
}

/** Golden vectors of headers, embedded and stored messages, by message name. */
export function loadOtherVectors(): ReadonlyMap<string, readonly GoldenVector[]> {
  const groups = JSON.parse(gunzipText("other.json.gz")) as Record<string, unknown>[];
  const byName = new Map<string, readonly GoldenVector[]>();
  for (const group of groups) {
    for (const [name, vectors] of Object.entries(group)) {
      if (name !== "group") byName.set(name, vectors as GoldenVector[]);
    }
  }
  return byName;
}

export function loadSchemas(): Schemas {
  return JSON.parse(gunzipText("schemas.json.gz")) as Schemas;
}

export function loadStoredSchemas(): StoredSchemas {
  return JSON.parse(gunzipText("schemas_other.json.gz")) as StoredSchemas;
}

/** Kafka's error table: code, name, whether its own client retries. */
export function loadErrors(): readonly { code: number; name: string; retriable: boolean }[] {
  return JSON.parse(gunzipText("errors.json.gz")).errors;
}

export function loadProbes(): readonly Probe[] {
  return JSON.parse(gunzipText("probes.json.gz")).probes as Probe[];
}

/** What a broker had in __consumer_offsets, and what it said of it. Rows of offsets are "topic-partition=offset/epoch/metadata/error". */
export interface OffsetsTopic {
  /** Of "t", which all offsets are of. */
  readonly topicId: string;
  /** Hex of the batches of each partition. */
  readonly partitions: readonly string[];
  /** "group type state protocolType" */
  readonly listed: readonly string[];
  /** By group; `stable` with requireStable. */
  readonly fetched: Readonly<Record<string, { readonly any: readonly string[]; readonly stable: readonly string[] }>>;
}

/** One as it was written, and one that Kafka's cleaner has gone over, with gaps. */
export function loadOffsetsTopics(): Readonly<Record<"asWritten" | "cleaned", OffsetsTopic>> {
  return JSON.parse(gunzipText("offsets_topic.json.gz"));
}

/** __transaction_state of a broker, and what it said of it itself. */
export interface TransactionStateTopic {
  /** Bytes of the log of each partition, in hex. */
  readonly partitions: readonly string[];
  /** Rows of DescribeTransactions in the order of their ids; partitions as "topic/partition". */
  readonly described: readonly unknown[];
}

/** By transaction.version. */
export function loadTransactionStates(): Readonly<Record<string, TransactionStateTopic>> {
  return JSON.parse(gunzipText("transaction_state.json.gz"));
}

/** By what was wrong: the error codes of the answer. See test/integration/group_refusals.ts. */
export function loadGroupRefusals(): Readonly<Record<string, readonly (number | string)[]>> {
  return JSON.parse(gunzipText("group_refusals.json.gz"));
}

/** By transaction.version and by what was asked: the codes of the answer. See test/integration/transaction_refusals.ts. */
export function loadTransactionRefusals(): Readonly<Record<string, Readonly<Record<string, readonly (number | string)[]>>>> {
  return JSON.parse(gunzipText("transaction_refusals.json.gz"));
}

/** The recorded sessions, by client. */
export function loadCaptures(): readonly Capture[] {
  const files = readdirSync(fileURLToPath(new URL("captures/", folder).href)).filter((name) => name.endsWith(".gz"));
  return files.sort().map((file) => ({
    client: file.replace(".jsonl.gz", ""),
    exchanges: gunzipText(`captures/${file}`)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Exchange),
  }));
}

/** Bytes of hexadecimal text. */
export function bytesOfHex(hex: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(hex.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}

/** Lower-case hexadecimal text of bytes. */
export function hexOfBytes(bytes: Uint8Array): string {
  let hex = "";
  for (let index = 0; index < bytes.length; index++) {
    hex += (bytes[index]! < 16 ? "0" : "") + bytes[index]!.toString(16);
  }
  return hex;
}
