// The stored form of coordinator records: an int16 in front of key and value, which says what follows.
// Invariant: a key starts with its record type, a value with its own version.
// Kafka: CoordinatorRecordSerde, MessageUtil.toVersionPrefixedBytes.

import { ByteReader, DecodeError } from "../base/byte_reader.ts";
import { ByteWriter, EncodeError } from "../base/byte_writer.ts";
import { codecOf } from "./compile.ts";
import type { MessageInputOf, MessageOf } from "./infer.ts";
import type { Message } from "./schema.ts";

/** The key of a coordinator record: record type, then the key in its only version. */
export function encodeStoredKey<const M extends Message>(
  message: M,
  key: MessageInputOf<M>,
): Uint8Array<ArrayBuffer> {
  if (message.recordType === null) throw new EncodeError(`${message.name} has no record type`);
  return withPrefix(message, message.recordType, 0, key);
}

/** The value of a coordinator record: version, then the value. */
export function encodeStoredValue<const M extends Message>(
  message: M,
  version: number,
  value: MessageInputOf<M>,
): Uint8Array<ArrayBuffer> {
  return withPrefix(message, version, version, value);
}

/** The record type of a stored key. @throws {DecodeError} when there are not even two bytes */
export function storedRecordType(key: Uint8Array): number {
  return new ByteReader(key).int16();
}

/** A stored key of a type that `storedRecordType` told. @throws {DecodeError} */
export function decodeStoredKey<const M extends Message>(
  message: M,
  key: Uint8Array,
): MessageOf<M> {
  const reader = new ByteReader(key);
  if (reader.int16() !== message.recordType) throw new DecodeError(`Not a ${message.name}`);
  return codecOf(message, 0).read(reader);
}

/** A stored value, of whatever version it is. @throws {DecodeError} also for a version that we do not know */
export function decodeStoredValue<const M extends Message>(
  message: M,
  value: Uint8Array,
): MessageOf<M> {
  const reader = new ByteReader(value);
  const version = reader.int16();
  if (version < message.lowest || version > message.highest) {
    throw new DecodeError(`${message.name} has no version ${version}`);
  }
  return codecOf(message, version).read(reader);
}

function withPrefix<const M extends Message>(
  message: M,
  prefix: number,
  version: number,
  value: MessageInputOf<M>,
): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  writer.int16(prefix);
  codecOf(message, version).write(writer, value);
  return writer.toBytes();
}
