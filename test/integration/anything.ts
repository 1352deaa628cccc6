// Values that fit a request of any API, drawn by a seed: mostly such as mean something, and some that no sane client sends.

import { SeededRandom } from "../../src/base/prng.ts";
import { type AnyField, type AnyFields, versionRange } from "../../src/protocol/schema.ts";

export const LONG = "x".repeat(32_767);
export const NUMBERS = [0, 1, 2, -1, -2, 3, 10_000, 2_147_483_647, -2_147_483_648];

export interface AnythingOptions {
  /** By the name of the field; "default" for all others. */
  readonly strings: Readonly<Record<string, readonly string[]>>;
  /** By the name of the field, ahead of what its type would have; asked each time. */
  readonly numbers?: Readonly<Record<string, () => readonly (number | bigint)[]>>;
}

export class Anything {
  readonly #random: SeededRandom;
  readonly #options: AnythingOptions;
  /** Ids that the broker gave: otherwise nobody would ever be a member. */
  readonly memberIds: string[] = ["m"];
  topicIds: readonly string[] = [];

  constructor(seed: number, options: AnythingOptions) {
    this.#random = SeededRandom.of(seed);
    this.#options = options;
  }

  below(n: number): number {
    return this.#random.below(n);
  }

  one<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)]!;
  }

  struct(fields: AnyFields, version: number): Record<string, unknown> {
    const struct: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(fields)) {
      const [from, to] = versionRange(field.versions, 0, Number.POSITIVE_INFINITY);
      if (version >= from && version <= to) struct[name] = this.#value(name, field, version);
    }
    return struct;
  }

  #value(name: string, field: AnyField, version: number): unknown {
    if (this.#isNullable(field, version) && this.#random.below(3) === 0) return null;
    const numbers = this.#options.numbers?.[name];
    if (numbers !== undefined && field.type !== "array") return this.one(numbers());
    switch (field.type) {
      case "bool":
        return this.#random.below(2) === 0;
      case "int8":
        return this.one([0, 1, 2, -1, 127]);
      case "int16":
        return this.one([0, 1, -1, 32_767]);
      case "int32":
        // Mostly such as let a member in.
        if (/TimeoutMs$/.test(name)) return this.one([10_000, 10_000, 60_000, ...NUMBERS]);
        return this.one(NUMBERS);
      case "int64":
        return this.one([0, 1, -1, 5, 2 ** 53 - 1, 2n ** 63n - 1n]);
      case "string":
        if (name === "memberId" && this.#random.below(2) === 0) return this.one(this.memberIds);
        return this.one(this.#options.strings[name] ?? this.#options.strings["default"]!);
      case "uuid":
        return this.one([...this.topicIds, "EREREREiIjMzREREVVVVVQ", "AAAAAAAAAAAAAAAAAAAAAA"]);
      case "bytes":
        return this.one([
          new Uint8Array(0),
          new Uint8Array([0, 1, 0, 0, 0, 1, 0, 1, 116, 255, 255, 255, 255, 0, 0, 0, 0]),
          new Uint8Array([0, 3, 255, 255]),
          new Uint8Array(this.#random.below(300)).fill(7),
        ]);
      case "array":
        return Array.from({ length: this.#random.below(4) }, () =>
          this.#value(name, field.element!, version),
        );
      case "struct":
        return this.struct(field.fields!, version);
      default:
        throw new Error(`no ${field.type} for ${name}`);
    }
  }

  #isNullable(field: AnyField, version: number): boolean {
    if (field.nullable === undefined) return false;
    if (field.nullable === true) return true;
    const [from, to] = versionRange(field.nullable, 0, Number.POSITIVE_INFINITY);
    return version >= from && version <= to;
  }
}
