// Headers of requests and responses: which version goes with which API version, and how they are laid out.
// Invariant: key, version and correlation id stand at the same place in every request, so that they can be
// looked at before anything else is known. The client id keeps its classic form in the flexible header.
// Kafka: RequestHeader, ResponseHeader, ApiKeys.requestHeaderVersion.

import { type ByteReader, DecodeError } from "../base/byte_reader.ts";
import type { ByteWriter } from "../base/byte_writer.ts";
import type { Api } from "./schema.ts";

/** Key, version and correlation id: what every request starts with. */
export const REQUEST_PREFIX_BYTES = 8;
const API_VERSIONS_KEY = 18;

/** What a request says of itself ahead of its body. */
export interface RequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  /** Null where the client sent none. */
  readonly clientId: string | null;
}

/** The API key of a request frame (without its length). @throws {DecodeError} below 8 bytes */
export function apiKeyOf(frame: Uint8Array): number {
  return int16At(frame, 0);
}

/** The API version of a request frame. @throws {DecodeError} below 8 bytes */
export function apiVersionOf(frame: Uint8Array): number {
  return int16At(frame, 2);
}

/** The correlation id of a request frame. @throws {DecodeError} below 8 bytes */
export function correlationIdOf(frame: Uint8Array): number {
  return (int16At(frame, 4) << 16) | (int16At(frame, 6) & 0xffff);
}

/** Header version of a request: 2 with the flexible versions of the API, else 1. */
export function requestHeaderVersion(api: Api, version: number): 1 | 2 {
  return version >= api.flexibleFrom ? 2 : 1;
}

/** Header version of a response: 1 with the flexible versions, else 0; for ApiVersions always 0 (KIP-511). */
export function responseHeaderVersion(api: Api, version: number): 0 | 1 {
  return version >= api.flexibleFrom && api.apiKey !== API_VERSIONS_KEY ? 1 : 0;
}

/** Reads a request header. Its unknown tags are skipped. @throws {DecodeError} */
export function readRequestHeader(reader: ByteReader, headerVersion: 1 | 2): RequestHeader {
  const apiKey = reader.int16();
  const apiVersion = reader.int16();
  const correlationId = reader.int32();
  const clientIdBytes = reader.int16();
  const clientId = clientIdBytes < 0 ? null : reader.utf8(clientIdBytes);
  if (headerVersion === 2) skipTags(reader);
  return { apiKey, apiVersion, correlationId, clientId };
}

/** Writes a request header. */
export function writeRequestHeader(
  writer: ByteWriter,
  headerVersion: 1 | 2,
  header: RequestHeader,
): void {
  writer.int16(header.apiKey);
  writer.int16(header.apiVersion);
  writer.int32(header.correlationId);
  if (header.clientId === null) writer.int16(-1);
  else writer.string16(header.clientId);
  if (headerVersion === 2) writer.uvarint(0);
}

/** Reads a response header and returns the correlation id. Its unknown tags are skipped. @throws {DecodeError} */
export function readResponseHeader(reader: ByteReader, headerVersion: 0 | 1): number {
  const correlationId = reader.int32();
  if (headerVersion === 1) skipTags(reader);
  return correlationId;
}

/** Writes a response header. */
export function writeResponseHeader(
  writer: ByteWriter,
  headerVersion: 0 | 1,
  correlationId: number,
): void {
  writer.int32(correlationId);
  if (headerVersion === 1) writer.uvarint(0);
}

function skipTags(reader: ByteReader): void {
  for (let count = reader.uvarint(); count > 0; count--) {
    reader.uvarint();
    reader.skip(reader.uvarint());
  }
}

function int16At(frame: Uint8Array, at: number): number {
  if (frame.length < REQUEST_PREFIX_BYTES) throw new DecodeError("A request has at least 8 bytes");
  return ((frame[at]! << 24) >> 16) | frame[at + 1]!;
}
