// (message, version) → closures that read and write it. No eval and no new Function, so it runs on workerd.
// Invariant: nothing is allocated before the bytes that justify it are known to be there; whatever the
// bytes, reading ends in a value or a DecodeError. Codecs are made at first use and kept on the message.
// Kafka: the generated message classes; Kafka's own rule for fields that a version lacks.

import { type ByteReader, DecodeError } from "../base/byte_reader.ts";
import { ByteWriter, EncodeError } from "../base/byte_writer.ts";
import { readUuid, writeUuid } from "../base/uuid.ts";
import { defaultOf, defaultsOf, defaultTest, type StructValue } from "./defaults.ts";
import type { MessageInputOf, MessageOf } from "./infer.ts";
import {
  type AnyField,
  type AnyFields,
  type Message,
  unknownTags,
  versionRange,
} from "./schema.ts";

/** Reads and writes one version of one message. */
export interface Codec<M> {
  /** @throws {DecodeError} when the bytes are not such a message; leftovers stay in the reader */
  read(reader: ByteReader): MessageOf<M>;
  /** @throws {EncodeError} when the value has something that this version cannot carry */
  write(writer: ByteWriter, value: MessageInputOf<M>): void;
}

type Read = (reader: ByteReader) => unknown;
type Write = (writer: ByteWriter, value: never) => void;
interface Compiled {
  readonly read: Read;
  readonly write: Write;
  /** Fewest bytes a value can take: what bounds the length of an array of them. */
  readonly bytesMin: number;
}
interface Scope {
  readonly message: string;
  readonly version: number;
  readonly highest: number;
  readonly flexible: boolean;
}

/** Longest string on the wire; the compact form could say more, and Kafka refuses it too. */
const STRING_BYTES_MAX = 0x7fff;

/**
 * The codec of one version of a message.
 *
 * @throws {EncodeError} when the message has no such version: the caller has checked the range
 */
export function codecOf<const M extends Message>(message: M, version: number): Codec<M> {
  const known = message.codecs[version - message.lowest];
  if (known !== undefined) return known as Codec<M>;
  if (!(Number.isInteger(version) && version >= message.lowest && version <= message.highest)) {
    throw new EncodeError(`${message.name} has no version ${version}`);
  }
  const codec = structOf(message.fields, {
    message: message.name,
    version,
    highest: message.highest,
    flexible: version >= message.flexibleFrom,
  });
  message.codecs[version - message.lowest] = codec;
  return codec as unknown as Codec<M>;
}

interface TaggedField {
  readonly tag: number;
  readonly name: string;
  readonly read: Read;
  readonly write: Write;
  readonly isDefault: (value: unknown) => boolean;
}

function structOf(fields: AnyFields, scope: Scope): Compiled {
  const names: string[] = [];
  const reads: Read[] = [];
  const writes: Write[] = [];
  const standards: unknown[] = [];
  const tagged: TaggedField[] = [];
  /** Fields that this version lacks and that must not be dropped in silence. */
  const lacking: { name: string; isDefault: (value: unknown) => boolean }[] = [];
  let bytesMin = 0;
  for (const name of Object.keys(fields)) {
    const field = fields[name]!;
    const [from, to] = versionRange(field.versions, 0, scope.highest);
    if (scope.version < from || scope.version > to) {
      if (field.ignorable !== true) lacking.push({ name, isDefault: defaultTest(field) });
      continue;
    }
    const { read, write, bytesMin: min } = compileField(name, field, scope);
    if (field.tag !== undefined) {
      tagged.push({ tag: field.tag, name, read, write, isDefault: defaultTest(field) });
      continue;
    }
    names.push(name);
    reads.push(read);
    writes.push(write);
    standards.push(defaultOf(field));
    bytesMin += min;
  }
  tagged.sort((a, b) => a.tag - b.tag);
  const template = Object.freeze(defaultsOf(fields));
  const count = names.length;
  const flexible = scope.flexible;
  return {
    read(reader) {
      // A copy of the template has its shape at once, so that filling it makes no transitions.
      const value: StructValue = { ...template };
      for (let index = 0; index < count; index++) value[names[index]!] = reads[index]!(reader);
      if (flexible) {
        const tags = reader.uvarint();
        if (tags !== 0) readTags(reader, tags, tagged, value);
      }
      return value;
    },
    write(writer, given: StructValue) {
      for (let index = 0; index < lacking.length; index++) {
        const { name, isDefault } = lacking[index]!;
        if (!isDefault(given[name])) {
          throw new EncodeError(`${scope.message} v${scope.version} cannot carry "${name}"`);
        }
      }
      for (let index = 0; index < count; index++) {
        const value = given[names[index]!];
        writes[index]!(writer, (value === undefined ? standards[index] : value) as never);
      }
      if (flexible) writeTags(writer, tagged, given);
    },
    bytesMin: flexible ? bytesMin + 1 : bytesMin,
  };
}

function readTags(
  reader: ByteReader,
  count: number,
  tagged: readonly TaggedField[],
  value: StructValue,
): void {
  let unknown: Map<number, Uint8Array> | undefined;
  for (let index = 0; index < count; index++) {
    const tag = reader.uvarint();
    const sizeBytes = reader.uvarint();
    if (sizeBytes > reader.remaining) throw new DecodeError("The bytes end inside a tagged field");
    const field = tagged.find((each) => each.tag === tag);
    if (field === undefined) {
      // A view and an entry of a map weigh more than most elements do.
      reader.spendElements(4);
      unknown ??= new Map();
      unknown.set(tag, reader.view(sizeBytes));
      continue;
    }
    const end = reader.position + sizeBytes;
    value[field.name] = field.read(reader);
    if (reader.position !== end) throw new DecodeError("A tagged field differs from its size");
  }
  if (unknown !== undefined) value[unknownTags] = unknown;
}

function writeTags(writer: ByteWriter, tagged: readonly TaggedField[], given: StructValue): void {
  let count = 0;
  for (let index = 0; index < tagged.length; index++) {
    const field = tagged[index]!;
    if (!field.isDefault(given[field.name])) count++;
  }
  const unknown = given[unknownTags];
  if (count === 0 && unknown === undefined) {
    writer.uvarint(0);
    return;
  }
  const entries: { tag: number; bytes: Uint8Array }[] = [];
  for (const field of tagged) {
    const value = given[field.name];
    if (field.isDefault(value)) continue;
    const inner = new ByteWriter();
    field.write(inner, value as never);
    entries.push({ tag: field.tag, bytes: inner.toBytes() });
  }
  if (unknown !== undefined) {
    for (const [tag, bytes] of unknown) entries.push({ tag, bytes });
  }
  entries.sort((a, b) => a.tag - b.tag);
  writer.uvarint(entries.length);
  for (const { tag, bytes } of entries) {
    writer.uvarint(tag);
    writer.uvarint(bytes.length);
    writer.view(bytes);
  }
}

function compileField(name: string, field: AnyField, scope: Scope): Compiled {
  const [from, to] = versionRange(
    field.nullable === true ? undefined : field.nullable,
    0,
    scope.highest,
  );
  const nullable = field.nullable !== undefined && scope.version >= from && scope.version <= to;
  const where = `${scope.message}.${name}`;
  switch (field.type) {
    case "string":
      return stringOf(where, scope.flexible && field.nonFlexible !== true, nullable);
    case "bytes":
    case "records":
      return bytesOf(where, scope.flexible, nullable);
    case "array":
      return arrayOf(where, compileField(name, field.element!, scope), scope.flexible, nullable);
    case "struct": {
      const inner = structOf(field.fields!, scope);
      return nullable ? nullableStruct(inner, field.tag !== undefined) : refusingNull(where, inner);
    }
    default:
      return scalarOf(where, field.type);
  }
}

function scalarOf(where: string, type: AnyField["type"]): Compiled {
  switch (type) {
    case "bool":
      return { read: (r) => r.bool(), write: (w, v: boolean) => w.bool(v), bytesMin: 1 };
    case "int8":
      return {
        read: (r) => r.int8(),
        write: (w, v: number) => {
          if ((v << 24) >> 24 !== v) throw outOfRange(where, type, v);
          w.int8(v);
        },
        bytesMin: 1,
      };
    case "int16":
      return {
        read: (r) => r.int16(),
        write: (w, v: number) => {
          if ((v << 16) >> 16 !== v) throw outOfRange(where, type, v);
          w.int16(v);
        },
        bytesMin: 2,
      };
    case "uint16":
      return {
        read: (r) => r.uint16(),
        write: (w, v: number) => {
          if ((v & 0xffff) !== v) throw outOfRange(where, type, v);
          w.int16(v);
        },
        bytesMin: 2,
      };
    case "int32":
      return {
        read: (r) => r.int32(),
        write: (w, v: number) => {
          if ((v | 0) !== v) throw outOfRange(where, type, v);
          w.int32(v);
        },
        bytesMin: 4,
      };
    case "uint32":
      return {
        read: (r) => r.uint32(),
        write: (w, v: number) => {
          if (v >>> 0 !== v) throw outOfRange(where, type, v);
          w.int32(v);
        },
        bytesMin: 4,
      };
    case "int64":
      return { read: (r) => r.int64(), write: (w, v: number | bigint) => w.int64(v), bytesMin: 8 };
    case "float64":
      return { read: (r) => r.float64(), write: (w, v: number) => w.float64(v), bytesMin: 8 };
    case "uuid":
      return { read: readUuid, write: (w, v: string) => writeUuid(w, v), bytesMin: 16 };
    default:
      throw new EncodeError(`${where} has no scalar type`);
  }
}

function stringOf(where: string, compact: boolean, nullable: boolean): Compiled {
  return {
    bytesMin: compact ? 1 : 2,
    read(reader) {
      const sizeBytes = compact ? reader.uvarint() - 1 : reader.int16();
      if (sizeBytes < 0) {
        if (nullable) return null;
        throw isNull(where);
      }
      if (sizeBytes > STRING_BYTES_MAX) throw new DecodeError(`${where} is too long`);
      return reader.utf8(sizeBytes);
    },
    write(writer, value: string | null) {
      if (value === null) {
        if (!nullable) throw notNullable(where);
        if (compact) writer.uvarint(0);
        else writer.int16(-1);
      } else if (compact) writer.compactString(value);
      else writer.string16(value);
    },
  };
}

function bytesOf(where: string, compact: boolean, nullable: boolean): Compiled {
  return {
    bytesMin: compact ? 1 : 4,
    read(reader) {
      const sizeBytes = compact ? reader.uvarint() - 1 : reader.int32();
      if (sizeBytes < 0) {
        if (nullable) return null;
        throw isNull(where);
      }
      return reader.view(sizeBytes);
    },
    write(writer, value: Uint8Array | readonly Uint8Array[] | null) {
      if (value === null && !nullable) throw notNullable(where);
      writeLength(writer, compact, value === null ? -1 : sizeOf(value));
      if (value !== null) writer.view(value);
    },
  };
}

function arrayOf(where: string, element: Compiled, compact: boolean, nullable: boolean): Compiled {
  const { read, write, bytesMin } = element;
  // Without it a frame of a few bytes could ask for an array of any length.
  if (bytesMin < 1) throw new EncodeError(`${where} has elements that take no bytes`);
  return {
    bytesMin: compact ? 1 : 4,
    read(reader) {
      const count = compact ? reader.uvarint() - 1 : reader.int32();
      if (count < 0) {
        if (nullable) return null;
        throw isNull(where);
      }
      if (count * bytesMin > reader.remaining) {
        throw new DecodeError(`${where} has ${count} elements in ${reader.remaining} bytes`);
      }
      reader.spendElements(count);
      const values: unknown[] = [];
      for (let index = 0; index < count; index++) values.push(read(reader));
      return values;
    },
    write(writer, values: readonly unknown[] | null) {
      if (values === null) {
        if (!nullable) throw notNullable(where);
        writeLength(writer, compact, -1);
        return;
      }
      writeLength(writer, compact, values.length);
      for (let index = 0; index < values.length; index++) write(writer, values[index] as never);
    },
  };
}

/** Null is -1, but 0 inside a tag, where Kafka writes a varint; 1 stands ahead of the fields in both. */
function nullableStruct(inner: Compiled, isTagged: boolean): Compiled {
  const none = isTagged ? 0 : -1;
  return {
    bytesMin: 1,
    read: (reader) => (reader.int8() <= none ? null : inner.read(reader)),
    write(writer, value: StructValue | null) {
      writer.int8(value === null ? none : 1);
      if (value !== null) inner.write(writer, value as never);
    },
  };
}

function refusingNull(where: string, inner: Compiled): Compiled {
  return {
    ...inner,
    write(writer, value: StructValue | null) {
      if (value === null) throw notNullable(where);
      inner.write(writer, value as never);
    },
  };
}

function writeLength(writer: ByteWriter, compact: boolean, length: number): void {
  if (compact) writer.uvarint(length + 1);
  else writer.int32(length);
}

function sizeOf(value: Uint8Array | readonly Uint8Array[]): number {
  if (value instanceof Uint8Array) return value.length;
  let sizeBytes = 0;
  for (let index = 0; index < value.length; index++) sizeBytes += value[index]!.length;
  return sizeBytes;
}

function isNull(where: string): DecodeError {
  return new DecodeError(`${where} is null`);
}

function notNullable(where: string): EncodeError {
  return new EncodeError(`${where} must not be null in this version`);
}

function outOfRange(where: string, type: string, value: unknown): EncodeError {
  return new EncodeError(`${where} must be an ${type}: it is ${String(value)}`);
}
