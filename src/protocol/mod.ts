// The face of the Kafka wire: frames to values and back, sans I/O, for brokers and for clients.
// Invariant: a frame here has no length prefix when it is read, and has one when it is written.
// Kafka: RequestContext.parseRequest, SendBuilder, NetworkClient.parseResponse.

import { ByteReader, DecodeError } from "../base/byte_reader.ts";
import { ByteWriter, EncodeError } from "../base/byte_writer.ts";
import type { ApiRegistry } from "./api_registry.ts";
import { codecOf } from "./compile.ts";
import {
  apiKeyOf,
  apiVersionOf,
  type RequestHeader,
  readRequestHeader,
  readResponseHeader,
  requestHeaderVersion,
  responseHeaderVersion,
  writeRequestHeader,
  writeResponseHeader,
} from "./header.ts";
import type {
  MessageInputOf,
  MessageOf,
  RequestInputOf,
  RequestOf,
  ResponseInputOf,
  ResponseOf,
} from "./infer.ts";
import type { Api, Message } from "./schema.ts";

export { type ApiRegistry, createApiRegistry } from "./api_registry.ts";
export { type Codec, codecOf } from "./compile.ts";
export { withDefaults } from "./defaults.ts";
export {
  errorByCode,
  errorByName,
  errors,
  type KafkaError,
  type KafkaErrorName,
  kafkaError,
  kafkaErrors,
  NONE,
  type Outcome,
  refuse,
  wireCodeOf,
} from "./errors.ts";
export {
  apiKeyOf,
  apiVersionOf,
  correlationIdOf,
  REQUEST_PREFIX_BYTES,
  type RequestHeader,
  requestHeaderVersion,
  responseHeaderVersion,
} from "./header.ts";
export type {
  MessageInputOf,
  MessageOf,
  RequestInputOf,
  RequestOf,
  ResponseInputOf,
  ResponseOf,
} from "./infer.ts";
export { type Api, api, type Message, message, type UnknownTags, unknownTags } from "./schema.ts";
export {
  decodeStoredKey,
  decodeStoredValue,
  encodeStoredKey,
  encodeStoredValue,
  storedRecordType,
} from "./stored.ts";
export { DecodeError, EncodeError };

/** A client asked for the response itself, and a large cluster has many partitions: 16 times what a request may hold. */
const RESPONSE_ELEMENTS_MAX = 1 << 24;

/** A request as it came. Its bytes and records are views of the frame. */
export interface DecodedRequest<A> {
  readonly header: RequestHeader;
  readonly body: RequestOf<A>;
  /** Bytes after the body, which Kafka ignores: librdkafka 2.16 sends three with Metadata v13. */
  readonly trailingBytes: number;
  /** Some int64 is outside ±(2^53−1), and is a bigint against its type: to be refused (decision 6). */
  readonly hasBigint: boolean;
}

/** A response as it came. Its bytes and records are views of the frame. */
export interface DecodedResponse<A> {
  readonly correlationId: number;
  readonly body: ResponseOf<A>;
  readonly trailingBytes: number;
  readonly hasBigint: boolean;
}

/**
 * Reads a request of a known API. Look at `apiKeyOf` and `apiVersionOf` first: the caller has found the API by its
 * key and knows that it has the version.
 *
 * @param frame header and body, without the length
 * @throws {DecodeError} when the bytes are not such a request
 */
export function decodeRequest<const A extends Api>(api: A, frame: Uint8Array): DecodedRequest<A> {
  const version = apiVersionOf(frame);
  requireVersion(api, version);
  const reader = new ByteReader(frame);
  const header = readRequestHeader(reader, requestHeaderVersion(api, version));
  const body = readBody(reader, api.request, version) as RequestOf<A>;
  return {
    header,
    body,
    trailingBytes: reader.remaining,
    hasBigint: reader.bigintCount > 0,
  };
}

/** Reads a request of whatever API of the registry. @throws {DecodeError} also for a key that is not there */
export function decodeAnyRequest(
  registry: ApiRegistry,
  frame: Uint8Array,
): DecodedRequest<Api> & { readonly api: Api } {
  const apiKey = apiKeyOf(frame);
  const api = registry.get(apiKey);
  if (api === undefined) throw new DecodeError(`API key ${apiKey} is not served`);
  return { api, ...decodeRequest(api, frame) };
}

/** A response as frame parts for a gathering send, length in front. Large records go along uncopied. */
export function encodeResponse<const A extends Api>(
  api: A,
  version: number,
  correlationId: number,
  body: ResponseInputOf<A>,
): Uint8Array[] {
  const writer = new ByteWriter();
  const lengthAt = writer.reserveInt32();
  writeResponseHeader(writer, responseHeaderVersion(api, version), correlationId);
  codecOf(api.response, version).write(writer, body as never);
  writer.patchInt32(lengthAt, writer.sizeBytes - 4);
  return writer.finish();
}

/** A request as frame parts for a gathering send, length in front. Large records go along uncopied. */
export function encodeRequest<const A extends Api>(
  api: A,
  version: number,
  correlationId: number,
  clientId: string | null,
  body: RequestInputOf<A>,
): Uint8Array[] {
  const writer = new ByteWriter();
  const lengthAt = writer.reserveInt32();
  const header = { apiKey: api.apiKey, apiVersion: version, correlationId, clientId };
  writeRequestHeader(writer, requestHeaderVersion(api, version), header);
  codecOf(api.request, version).write(writer, body as never);
  writer.patchInt32(lengthAt, writer.sizeBytes - 4);
  return writer.finish();
}

/**
 * Reads a response to a request that was sent with that API and version.
 *
 * @param frame header and body, without the length
 * @throws {DecodeError} when the bytes are not such a response
 */
export function decodeResponse<const A extends Api>(
  api: A,
  version: number,
  frame: Uint8Array,
): DecodedResponse<A> {
  requireVersion(api, version);
  const reader = new ByteReader(frame);
  reader.elementsLeft = RESPONSE_ELEMENTS_MAX;
  const correlationId = readResponseHeader(reader, responseHeaderVersion(api, version));
  const body = readBody(reader, api.response, version) as ResponseOf<A>;
  return {
    correlationId,
    body,
    trailingBytes: reader.remaining,
    hasBigint: reader.bigintCount > 0,
  };
}

/** A message by itself: stored, embedded, or inside another's bytes. */
export function encodeMessage<const M extends Message>(
  message: M,
  version: number,
  value: MessageInputOf<M>,
): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  codecOf(message, version).write(writer, value);
  return writer.toBytes();
}

/** Reads a message by itself; what follows it is ignored. @throws {DecodeError} */
export function decodeMessage<const M extends Message>(
  message: M,
  version: number,
  bytes: Uint8Array,
): MessageOf<M> {
  if (version < message.lowest || version > message.highest) {
    throw new DecodeError(`${message.name} has no version ${version}`);
  }
  return readBody(new ByteReader(bytes), message, version);
}

function requireVersion(api: Api, version: number): void {
  if (version < api.lowest || version > api.highest) {
    throw new DecodeError(`${api.name} has no version ${version}`);
  }
}

function readBody<const M extends Message>(
  reader: ByteReader,
  message: M,
  version: number,
): MessageOf<M> {
  try {
    return codecOf(message, version).read(reader);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    // The line in the log should say which message it was; the place in the frame comes with it.
    const where = `${message.name} v${version}, byte ${reader.position}`;
    throw new DecodeError(`${where}: ${error.message}`, { cause: error });
  }
}
