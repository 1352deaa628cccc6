// Sets of the characters that topic names are made of, for expressions held against them. A topic name is ASCII, so
// a set is 128 bits; what an expression says of other characters is read and forgotten.

/** Four words of 32 bits: whether each ASCII code is in. */
export type CharSet = Uint32Array;

export function emptySet(): CharSet {
  return new Uint32Array(4);
}

export function addCode(set: CharSet, code: number): void {
  if (code < 128) set[code >> 5]! |= 1 << (code & 31);
}

export function addRange(set: CharSet, from: number, to: number): void {
  for (let code = from; code <= Math.min(to, 127); code++) addCode(set, code);
}

export function addSet(set: CharSet, other: CharSet): void {
  for (let word = 0; word < 4; word++) set[word]! |= other[word]!;
}

export function hasCode(set: CharSet, code: number): boolean {
  return code < 128 && (set[code >> 5]! & (1 << (code & 31))) !== 0;
}

export function inverted(set: CharSet): CharSet {
  return set.map((word) => ~word);
}

/** With the other case of every letter in it. */
export function foldedCase(set: CharSet): CharSet {
  const folded = set.slice();
  for (let code = 65; code <= 90; code++) {
    if (hasCode(set, code)) addCode(folded, code + 32);
    if (hasCode(set, code + 32)) addCode(folded, code);
  }
  return folded;
}

export function setOf(...ranges: readonly (readonly [from: number, to: number])[]): CharSet {
  const set = emptySet();
  for (const [from, to] of ranges) addRange(set, from, to);
  return set;
}

const DIGIT = setOf([48, 57]);
const UPPER = setOf([65, 90]);
const LOWER = setOf([97, 122]);
const ALPHA = setOf([65, 90], [97, 122]);
const WORD = setOf([48, 57], [65, 90], [95, 95], [97, 122]);
const PUNCTUATION = setOf([33, 47], [58, 64], [91, 96], [123, 126]);

/** \d, \s, \w. */
export const PERL_SETS: Readonly<Record<string, CharSet>> = {
  d: DIGIT,
  s: setOf([9, 10], [12, 13], [32, 32]),
  w: WORD,
};

/** [[:alpha:]] and the others. */
export const POSIX_SETS: Readonly<Record<string, CharSet>> = {
  alnum: setOf([48, 57], [65, 90], [97, 122]),
  alpha: ALPHA,
  ascii: setOf([0, 127]),
  blank: setOf([9, 9], [32, 32]),
  cntrl: setOf([0, 31], [127, 127]),
  digit: DIGIT,
  graph: setOf([33, 126]),
  lower: LOWER,
  print: setOf([32, 126]),
  punct: PUNCTUATION,
  space: setOf([9, 13], [32, 32]),
  upper: UPPER,
  word: WORD,
  xdigit: setOf([48, 57], [65, 70], [97, 102]),
};

const OTHER = setOf([0, 31], [127, 127]);
const DASH = setOf([45, 45]);
const CONNECTOR = setOf([95, 95]);
const OPEN = setOf([40, 40], [91, 91], [123, 123]);
const CLOSE = setOf([41, 41], [93, 93], [125, 125]);
const MATH = setOf([43, 43], [60, 62], [124, 124], [126, 126]);
const CURRENCY = setOf([36, 36]);
const MODIFIER = setOf([94, 94], [96, 96]);
const SPACE = setOf([32, 32]);
const NONE = emptySet();

function both(...sets: readonly CharSet[]): CharSet {
  const all = emptySet();
  for (const set of sets) addSet(all, set);
  return all;
}

const SYMBOL = both(MATH, CURRENCY, MODIFIER);

/** The ASCII part of Unicode's general categories. */
const CATEGORIES: Readonly<Record<string, CharSet>> = {
  C: OTHER,
  Cc: OTHER,
  L: ALPHA,
  Ll: LOWER,
  Lu: UPPER,
  N: DIGIT,
  Nd: DIGIT,
  P: both(
    setOf([33, 35], [37, 42], [44, 47], [58, 59], [63, 64], [92, 92]),
    OPEN,
    CLOSE,
    CONNECTOR,
  ),
  Pc: CONNECTOR,
  Pd: DASH,
  Pe: CLOSE,
  Po: setOf([33, 35], [37, 39], [42, 42], [44, 44], [46, 47], [58, 59], [63, 64], [92, 92]),
  Ps: OPEN,
  S: SYMBOL,
  Sc: CURRENCY,
  Sk: MODIFIER,
  Sm: MATH,
  Z: SPACE,
  Zs: SPACE,
  Any: setOf([0, 127]),
};
const EMPTY_CATEGORIES = new Set("Cf Co Cs Lm Lo Lt M Mc Me Mn Nl No Pf Pi So Zl Zp".split(" "));

/** \p{name}: null when there is no such category or script. */
export function unicodeSet(name: string): CharSet | null {
  if (Object.hasOwn(CATEGORIES, name)) return CATEGORIES[name]!;
  if (EMPTY_CATEGORIES.has(name)) return NONE;
  if (name === "Latin") return ALPHA;
  if (name === "Common") return inverted(ALPHA);
  // Every other script is outside of ASCII: only whether it is one has to be found out.
  if (!/^[A-Z][a-z]+(_[A-Za-z]+)*$/.test(name)) return null;
  try {
    new RegExp(`\\p{Script=${name}}`, "u");
    return NONE;
  } catch {
    return null;
  }
}
