// Regular expressions in the syntax of RE2 (no backreferences, no lookaround), read into a tree.
// Invariant: what RE2 refuses is refused, so that every expression can be matched in linear time; a tree is of bounded
// depth, and repeats count at most to 1,000. Kafka: com.google.re2j.Pattern.

import {
  addCode,
  addRange,
  addSet,
  type CharSet,
  emptySet,
  foldedCase,
  inverted,
  PERL_SETS,
  POSIX_SETS,
  unicodeSet,
} from "./regex_sets.ts";

export type RegexNode =
  | { readonly kind: "set"; readonly set: CharSet }
  | { readonly kind: "all"; readonly nodes: readonly RegexNode[] }
  | { readonly kind: "any"; readonly nodes: readonly RegexNode[] }
  | {
      readonly kind: "repeat";
      readonly node: RegexNode;
      readonly min: number;
      readonly max: number;
    }
  | { readonly kind: "assert"; readonly what: "start" | "end" | "boundary" | "no_boundary" };

/** Why an expression is refused. */
export class RegexError extends Error {
  override readonly name = "RegexError";
}

const REPEAT_MAX = 1_000;
const DEPTH_MAX = 250;
const CODE_POINT_MAX = 0x10ffff;
const ESCAPES: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };

/** @throws {RegexError} */
export function parseRegex(pattern: string): RegexNode {
  return new Parser(pattern).parse();
}

class Parser {
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;
  #foldsCase = false;

  constructor(pattern: string) {
    this.#chars = [...pattern];
  }

  parse(): RegexNode {
    const node = this.#alternatives();
    if (this.#at < this.#chars.length) throw new RegexError("unexpected )");
    return node;
  }

  #alternatives(): RegexNode {
    if (++this.#depth > DEPTH_MAX) throw new RegexError("expression nests too deeply");
    const nodes = [this.#sequence()];
    while (this.#take("|")) nodes.push(this.#sequence());
    this.#depth--;
    return nodes.length === 1 ? nodes[0]! : { kind: "any", nodes };
  }

  #sequence(): RegexNode {
    const nodes: RegexNode[] = [];
    for (;;) {
      const char = this.#chars[this.#at];
      if (char === undefined || char === "|" || char === ")") return { kind: "all", nodes };
      const repeat = this.#repeat();
      if (repeat !== null) {
        const node = nodes.pop();
        if (node === undefined) throw new RegexError("missing argument to repetition operator");
        nodes.push({ kind: "repeat", node, ...repeat });
      } else nodes.push(...this.#atom(char));
    }
  }

  /** A repetition operator with its lazy mark, if one stands here. */
  #repeat(): { readonly min: number; readonly max: number } | null {
    const first = this.#operator();
    if (first === null) return null;
    this.#take("?");
    const before = this.#at;
    if (this.#operator() !== null) throw new RegexError("invalid nested repetition operator");
    this.#at = before;
    return first;
  }

  #operator(): { readonly min: number; readonly max: number } | null {
    if (this.#take("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take("?")) return { min: 0, max: 1 };
    // A brace that is no repetition stands for itself.
    const text = this.#chars.slice(this.#at, this.#at + 24).join("");
    const braces = /^\{(\d+)(,(\d*))?\}/.exec(text);
    if (braces === null) return null;
    const min = Number(braces[1]);
    const max =
      braces[2] === undefined
        ? min
        : braces[3] === ""
          ? Number.POSITIVE_INFINITY
          : Number(braces[3]);
    if (min > REPEAT_MAX || (max !== Number.POSITIVE_INFINITY && max > REPEAT_MAX) || min > max) {
      throw new RegexError("invalid repeat count");
    }
    this.#at += braces[0].length;
    return { min, max };
  }

  #atom(char: string): readonly RegexNode[] {
    switch (char) {
      case "(":
        return this.#group();
      case "[":
        return [this.#setNode(this.#brackets())];
      case ".":
        this.#at++;
        return [{ kind: "set", set: inverted(emptySet()) }];
      case "^":
        this.#at++;
        return [{ kind: "assert", what: "start" }];
      case "$":
        this.#at++;
        return [{ kind: "assert", what: "end" }];
      case "\\":
        return this.#escaped();
      default:
        this.#at++;
        return [this.#literal(char.codePointAt(0)!)];
    }
  }

  #group(): readonly RegexNode[] {
    this.#at++;
    const foldsCase = this.#foldsCase;
    if (this.#take("?") && !this.#groupStart()) return [];
    const node = this.#alternatives();
    if (!this.#take(")")) throw new RegexError("missing closing )");
    this.#foldsCase = foldsCase;
    return [node];
  }

  /** Behind "(?". @returns false when it was flags for the rest of the enclosing group */
  #groupStart(): boolean {
    const rest = this.#chars.slice(this.#at, this.#at + 256).join("");
    const named = /^P?<([A-Za-z_][A-Za-z0-9_]*)>/.exec(rest);
    if (named !== null) {
      this.#at += named[0].length;
      return true;
    }
    const flags = /^([imsU]*)(?:-([imsU]+))?([:)])/.exec(rest);
    if (flags === null || flags[0] === ")") {
      throw new RegexError("invalid or unsupported Perl syntax");
    }
    this.#at += flags[0].length;
    // The others are about lines and greed: a topic name is one line, and it matters only whether all of it matches.
    if (flags[1]!.includes("i")) this.#foldsCase = true;
    if (flags[2]?.includes("i") === true) this.#foldsCase = false;
    return flags[3] === ":";
  }

  #escaped(): readonly RegexNode[] {
    const char = this.#chars[this.#at + 1];
    switch (char) {
      case undefined:
        throw new RegexError("trailing backslash at end of expression");
      case "A":
        this.#at += 2;
        return [{ kind: "assert", what: "start" }];
      case "z":
        this.#at += 2;
        return [{ kind: "assert", what: "end" }];
      case "b":
        this.#at += 2;
        return [{ kind: "assert", what: "boundary" }];
      case "B":
        this.#at += 2;
        return [{ kind: "assert", what: "no_boundary" }];
      case "Q":
        return this.#quoted();
      default: {
        const set = this.#escapedSet();
        return [set === null ? this.#literal(this.#escapedCode()) : this.#setNode(set)];
      }
    }
  }

  #quoted(): readonly RegexNode[] {
    this.#at += 2;
    const nodes: RegexNode[] = [];
    for (; this.#at < this.#chars.length; this.#at++) {
      if (this.#chars[this.#at] === "\\" && this.#chars[this.#at + 1] === "E") {
        this.#at += 2;
        break;
      }
      nodes.push(this.#literal(this.#chars[this.#at]!.codePointAt(0)!));
    }
    return nodes;
  }

  /** \d, \pL, \p{Greek} and their opposites; null when it is none of these. */
  #escapedSet(): CharSet | null {
    const char = this.#chars[this.#at + 1]!;
    const perl = PERL_SETS[char.toLowerCase()];
    if (perl !== undefined) {
      this.#at += 2;
      return char === char.toLowerCase() ? perl : inverted(perl);
    }
    if (char !== "p" && char !== "P") return null;
    const rest = this.#chars.slice(this.#at + 2, this.#at + 64).join("");
    const name = /^(?:\{(\^?)([A-Za-z_]+)\}|([A-Z]))/.exec(rest);
    const set = name === null ? null : unicodeSet(name[2] ?? name[3]!);
    if (name === null || set === null) throw new RegexError("invalid character class range");
    this.#at += 2 + name[0].length;
    return (char === "P") !== (name[1] === "^") ? inverted(set) : set;
  }

  /** The code point that an escape stands for. */
  #escapedCode(): number {
    const char = this.#chars[this.#at + 1];
    if (char === undefined) throw new RegexError("trailing backslash at end of expression");
    const rest = this.#chars.slice(this.#at + 1, this.#at + 16).join("");
    // One digit is a backreference, unless it is a zero.
    const octal = /^(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/.exec(rest);
    if (octal !== null) return this.#number(octal[0], octal[0], 8);
    const hex = /^x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,8})\})/.exec(rest);
    if (hex !== null) return this.#number(hex[0], hex[1] ?? hex[2]!, 16);
    if (Object.hasOwn(ESCAPES, char)) {
      this.#at += 2;
      return ESCAPES[char]!;
    }
    const code = char.codePointAt(0)!;
    if (code >= 128 || /[A-Za-z0-9]/.test(char)) throw new RegexError("invalid escape sequence");
    this.#at += 2;
    return code;
  }

  #number(text: string, digits: string, radix: number): number {
    const code = Number.parseInt(digits, radix);
    if (code > CODE_POINT_MAX) throw new RegexError("invalid escape sequence");
    this.#at += 1 + text.length;
    return code;
  }

  #brackets(): CharSet {
    this.#at++;
    const isInverted = this.#take("^");
    let set = emptySet();
    for (let isFirst = true; ; isFirst = false) {
      const char = this.#chars[this.#at];
      if (char === undefined) throw new RegexError("missing closing ]");
      if (char === "]" && !isFirst) break;
      const named = this.#posixSet() ?? (char === "\\" ? this.#escapedSetHere() : null);
      if (named !== null) addSet(set, named);
      else this.#bracketRange(set);
    }
    this.#at++;
    if (this.#foldsCase) set = foldedCase(set);
    return isInverted ? inverted(set) : set;
  }

  #escapedSetHere(): CharSet | null {
    if (this.#chars[this.#at + 1] === undefined) throw new RegexError("missing closing ]");
    return this.#escapedSet();
  }

  /** [:alpha:] inside of brackets. */
  #posixSet(): CharSet | null {
    const rest = this.#chars.slice(this.#at, this.#at + 16).join("");
    const posix = /^\[:(\^?)([a-z]+):\]/.exec(rest);
    if (posix === null) return null;
    if (!Object.hasOwn(POSIX_SETS, posix[2]!)) {
      throw new RegexError("invalid character class range");
    }
    this.#at += posix[0].length;
    const set = POSIX_SETS[posix[2]!]!;
    return posix[1] === "^" ? inverted(set) : set;
  }

  #bracketRange(set: CharSet): void {
    const from = this.#bracketCode();
    const next = this.#chars[this.#at + 1];
    if (this.#chars[this.#at] !== "-" || next === undefined || next === "]") {
      addCode(set, from);
      return;
    }
    this.#at++;
    const to = this.#bracketCode();
    if (to < from) throw new RegexError("invalid character class range");
    addRange(set, from, to);
  }

  #bracketCode(): number {
    const char = this.#chars[this.#at]!;
    if (char === "\\") return this.#escapedCode();
    this.#at++;
    return char.codePointAt(0)!;
  }

  #literal(code: number): RegexNode {
    const set = emptySet();
    addCode(set, code);
    return this.#setNode(this.#foldsCase ? foldedCase(set) : set);
  }

  #setNode(set: CharSet): RegexNode {
    return { kind: "set", set };
  }

  #take(char: string): boolean {
    if (this.#chars[this.#at] !== char) return false;
    this.#at++;
    return true;
  }
}
