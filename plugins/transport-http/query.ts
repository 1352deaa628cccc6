// The query of a URL, read by name; what no route reads is refused, so that a slip of the pen is not obeyed silently.
// Invariant: every parameter is asked for once at most, and is in range when it leaves here.

import { badRequest } from "./problem.ts";

export class Query {
  readonly #values: URLSearchParams;

  /** @throws {Refusal} 400 for a parameter that is not among `names`, or is given twice */
  constructor(url: string, names: readonly string[]) {
    this.#values = new URL(url).searchParams;
    const seen = new Set<string>();
    for (const name of this.#values.keys()) {
      if (name === "access_token") {
        throw badRequest("A token is taken from the Authorization header alone, never from a URL");
      }
      if (!names.includes(name)) {
        const known = names.length === 0 ? "none is known here" : `known: ${names.join(", ")}`;
        throw badRequest(`Unknown parameter ${JSON.stringify(name)}; ${known}`, {
          parameter: name,
        });
      }
      if (seen.has(name)) {
        throw badRequest(`Parameter "${name}" is given twice`, { parameter: name });
      }
      seen.add(name);
    }
  }

  text(name: string): string | null {
    return this.#values.get(name);
  }

  /** A whole number within bounds, both inclusive. */
  whole(name: string, lowest: number, highest: number): number | null {
    const text = this.#values.get(name);
    if (text === null) return null;
    const value = Number(text);
    if (/^-?\d{1,16}$/.test(text) && value >= lowest && value <= highest) return value;
    throw badRequest(`${name} must be a whole number from ${lowest} to ${highest}`, {
      parameter: name,
    });
  }

  oneOf<const T extends string>(name: string, words: readonly T[]): T | null {
    const text = this.#values.get(name);
    if (text === null) return null;
    const word = words.find((each) => each === text);
    if (word !== undefined) return word;
    throw badRequest(`${name} must be one of ${words.join(", ")}`, { parameter: name });
  }
}
