// What the soak wrote, as the newest fate of every key: by the writers' own word alone. Invariant: a key belongs to one
// writer, so that its order is that writer's; what a transaction wrote counts once it is known to have been committed.

import { SeededRandom } from "../../src/base/prng.ts";

/** Padding is cut from it: text that codecs make little of. */
const PADDING = ((): string => {
  const random = SeededRandom.of(1);
  let text = "";
  while (text.length < 1 << 20) text += random.uint32().toString(36);
  return text;
})();

/** A record's value says which key it is of and which write of all it was; padding makes it longer by so much. */
export function textOf(version: number, key: number, isDoomed: boolean, padding: number): string {
  const at = (version * 7919) % (PADDING.length - padding);
  const pad = PADDING.slice(at, at + padding);
  return `${version} ${key} ${isDoomed ? "aborted" : "kept"} ${pad}`;
}

export interface ReadValue {
  readonly version: number;
  readonly key: number;
  /** Of a transaction that was to be aborted: nobody who reads what is committed may see it. */
  readonly isDoomed: boolean;
}

/** Null where it is none of the soak's. */
export function readValue(text: string): ReadValue | null {
  const found = /^(\d+) (\d+) (aborted|kept) /.exec(text);
  if (found === null) return null;
  return { version: Number(found[1]), key: Number(found[2]), isDoomed: found[3] === "aborted" };
}

export const keyOf = (key: number): string => `key-${String(key).padStart(8, "0")}`;
export const transactionKeyOf = (n: number): string => `transaction-${n}`;

/** One write of a transaction that nobody knows the end of yet. */
interface Pending {
  readonly transaction: number;
  /** By key: the version, negative for a deletion. */
  readonly writes: ReadonlyMap<number, number>;
}

export class Reference {
  /** Version of the newest write by key: 0 none, negative a deletion. */
  readonly newest: Float64Array;
  /** Transactions whose end was not answered, in their order, and all that came after them. */
  readonly #pending: Pending[] = [];
  version = 0;

  constructor(keys: number) {
    this.newest = new Float64Array(keys);
  }

  wrote(key: number, version: number, isDeletion: boolean): void {
    this.newest[key] = isDeletion ? -version : version;
  }

  committed(transaction: number, writes: ReadonlyMap<number, number>, isKnown: boolean): void {
    if (!isKnown || this.#pending.length > 0) this.#pending.push({ transaction, writes });
    else for (const [key, version] of writes) this.newest[key] = version;
  }

  /** @param isThere Whether the record that a transaction wrote under a key of its own can be read */
  resolve(isThere: (transaction: number) => boolean): void {
    for (const { transaction, writes } of this.#pending.splice(0)) {
      if (!isThere(transaction)) continue;
      for (const [key, version] of writes) this.newest[key] = version;
    }
  }

  /** What is wrong with a table that was read; at most `most` sentences. */
  wrongIn(table: ReadonlyMap<number, ReadValue>, most = 5): string[] {
    const wrong: string[] = [];
    for (let key = 0; key < this.newest.length && wrong.length < most; key++) {
      const newest = this.newest[key]!;
      const found = table.get(key);
      if (newest > 0 && found?.version !== newest) {
        wrong.push(`${keyOf(key)} is ${found?.version ?? "not there"}, last written was ${newest}`);
      } else if (newest <= 0 && found !== undefined) {
        const last = newest === 0 ? "never written" : `deleted by ${-newest}`;
        wrong.push(`${keyOf(key)} is ${found.version}, and was ${last}`);
      }
    }
    return wrong;
  }
}
