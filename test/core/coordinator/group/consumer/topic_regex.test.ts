// Expressions of RE2's syntax against topic names: what they match, what is refused, and that nothing takes long.

import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../../../src/base/prng.ts";
import { RegexError } from "../../../../../src/core/coordinator/group/consumer/regex_syntax.ts";
import { TopicRegex } from "../../../../../src/core/coordinator/group/consumer/topic_regex.ts";

function matches(pattern: string, name: string): boolean {
  return new TopicRegex(pattern).matches(name);
}

describe("what matches", () => {
  const cases: readonly (readonly [
    pattern: string,
    yes: readonly string[],
    no: readonly string[],
  ])[] = [
    ["", [""], ["a"]],
    ["grp.*", ["grp", "grp-1"], ["agrp", "gr"]],
    ["a|b", ["a", "b"], ["ab", ""]],
    ["a|", ["a", ""], ["b"]],
    ["(a|b)+c?", ["a", "abab", "bc"], ["", "c", "acc"]],
    ["a{2,3}", ["aa", "aaa"], ["a", "aaaa"]],
    ["a{2}", ["aa"], ["a", "aaa"]],
    ["a{2,}", ["aa", "aaaaa"], ["a"]],
    ["a{0}b", ["b"], ["ab"]],
    ["a{", ["a{"], ["a"]],
    ["a{,2}", ["a{,2}"], ["aa"]],
    ["a+?b*?c??", ["a", "aabc"], ["b"]],
    ["[a-c_.-]+", ["a-b_c."], ["d", ""]],
    ["[^a-c]", ["d", "-"], ["a", ""]],
    ["[]a]+", ["]a"], ["["]],
    ["[a-]", ["a", "-"], ["b"]],
    ["[\\d\\-x]+", ["1-x"], ["y"]],
    ["[[:alpha:][:^alnum:]]", ["a", "_"], ["1"]],
    ["\\w+\\W\\d\\D\\S", ["ab.1aa"], ["ab.aa"]],
    ["\\pL+\\p{Nd}\\PN\\p{^L}", ["ab1a2"], ["1a"]],
    ["\\p{Greek}*a", ["a"], ["b"]],
    ["(?i)AbC", ["abc", "ABC"], ["abd"]],
    ["a(?i:b)c", ["abc", "aBc"], ["Abc", "abC"]],
    ["(?i)a(?-i)b", ["Ab", "ab"], ["AB"]],
    ["(?P<name>a)(?<other>b)(?:c)", ["abc"], ["ab"]],
    ["^a$", ["a"], ["ba"]],
    ["\\Aa\\z", ["a"], ["aa"]],
    ["a^b", [], ["ab"]],
    ["a\\b-b", ["a-b"], ["ab"]],
    ["a\\Bb", ["ab"], ["a-b"]],
    ["\\Qa.b*\\E+", ["a.b*", "a.b**"], ["aab"]],
    ["\\x41\\x{42}\\103\\.\\-", ["ABC.-"], ["ABC--"]],
    ["(a*)*", ["", "aaa"], ["b"]],
    ["(|a)+", ["", "aa"], ["b"]],
    ["日本|a", ["a"], ["b"]],
    [".", ["a", "."], ["", "ab"]],
  ];
  for (const [pattern, yes, no] of cases) {
    test(JSON.stringify(pattern), () => {
      for (const name of yes) expect([name, matches(pattern, name)]).toEqual([name, true]);
      for (const name of no) expect([name, matches(pattern, name)]).toEqual([name, false]);
    });
  }

  test("as a backtracking engine says, for random expressions", () => {
    const pieces = ["a", "b", ".", "[ab]", "[^a]", "(a|b)", "(?:ab)", "(b|)", "\\w", "\\d", "-"];
    const repeats = ["", "", "", "*", "+", "?", "{2}", "{1,2}", "*?"];
    for (let seed = 0; seed < 400; seed++) {
      const random = SeededRandom.of(`regex ${seed}`);
      let pattern = "";
      for (let piece = 0; piece <= random.below(5); piece++) {
        pattern += pieces[random.below(pieces.length)]! + repeats[random.below(repeats.length)]!;
        if (random.below(6) === 0) pattern += "|";
      }
      const reference = new RegExp(`^(?:${pattern})$`);
      for (let name = 0; name < 30; name++) {
        const length = random.below(7);
        const text = Array.from({ length }, () => "ab-1"[random.below(4)]).join("");
        expect([pattern, text, matches(pattern, text)]).toEqual([
          pattern,
          text,
          reference.test(text),
        ]);
      }
    }
  });
});

describe("what is refused", () => {
  const patterns = [
    "(",
    "a)",
    "(a",
    "[",
    "[a",
    "[]",
    "[b-a]",
    "[[:nope:]]",
    "*",
    "a**",
    "a+*",
    "a*+",
    "a{2}{3}",
    "+a",
    "a|*",
    "(*a)",
    "{2}",
    "a{1001}",
    "a{2,1}",
    "a{1,2000}",
    "(?=a)",
    "(?!a)",
    "(?<=a)",
    "(?<!a)",
    "(?>a)",
    "(?P=name)",
    "(?P<1a>a)",
    "(?z)a",
    "(?",
    "\\",
    "a\\",
    "[\\",
    "\\1",
    "(a)\\1",
    "\\8",
    "\\y",
    "\\Z",
    "\\p{Klingon}",
    "\\pX",
    "\\x{110000}",
    "\\xg",
    "(a{1000}){1000}",
    "((((){1000}){1000}){1000}){1000}",
    `${"(".repeat(2_000)}a${")".repeat(2_000)}`,
  ];
  for (const pattern of patterns) {
    test(pattern.length > 60 ? `${pattern.slice(0, 20)}…` : pattern, () => {
      expect(() => new TopicRegex(pattern)).toThrow(RegexError);
    });
  }
});

describe("cost", () => {
  test("what makes others hang takes as long as the name times the expression", () => {
    for (const pattern of ["(a*)*b", "(a+)+b", "(a|aa)+b", "(a|a?)+b", "(.*)*(.*)*x"]) {
      const regex = new TopicRegex(pattern);
      expect(regex.matches("a".repeat(249))).toBe(false);
      expect(regex.cost).toBeLessThan(250 * 50);
    }
  });

  test("the largest program there is, against the longest name", () => {
    const regex = new TopicRegex("(a?){999}(a?){999}(a?){999}");
    expect(regex.matches("a".repeat(249))).toBe(true);
    expect(regex.cost).toBeLessThan(249 * 20_000);
  });
});
