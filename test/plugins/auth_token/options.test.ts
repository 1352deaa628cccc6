import { describe, expect, test } from "bun:test";
import { type AuthTokenOptions, authToken } from "../../../plugins/auth-token/mod.ts";
import { checkOptions } from "../../../plugins/auth-token/options.ts";

const HEX = "a".repeat(64);
const alice = { principal: "User:alice", hash: `sha256:${HEX}` };

/** The lines that the options are refused with. */
function problems(options: unknown): string[] {
  try {
    authToken(options as AuthTokenOptions);
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
    return (error as TypeError).message.split("\n");
  }
  return [];
}

describe("options", () => {
  test("a hash is hex or base64url, with or without padding", () => {
    const bytes = Uint8Array.from({ length: 32 }, (_, i) => 255 - i * 7);
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const base64url = btoa(String.fromCharCode(...bytes))
      .replaceAll("+", "-")
      .replaceAll("/", "_");
    for (const text of [hex, hex.toUpperCase(), base64url, base64url.replace("=", "")]) {
      const { tokens } = checkOptions({
        tokens: [{ principal: "User:alice", hash: `sha256:${text}` }],
      });
      expect(tokens[0]!.hash).toEqual(bytes);
    }
  });

  test("a principal may have several tokens, to replace one without a gap", () => {
    const second = { ...alice, hash: `sha256:${"b".repeat(64)}`, expiresAt: "2027-01-31T12:00Z" };
    const { tokens } = checkOptions({ tokens: [alice, second] });
    expect(tokens.map(({ name, expiresAtMs }) => [name, expiresAtMs])).toEqual([
      ["alice", null],
      ["alice", Date.UTC(2027, 0, 31, 12)],
    ]);
  });

  test("all problems are told at once, by place", () => {
    const found = problems({
      tokens: [
        { principal: "alice", hash: "sha256:123", expiresAt: "tomorrow" },
        alice,
        { ...alice, principal: "User:bob" },
      ],
      rules: [{ principal: "User:", allow: ["reed"], topics: ["a"] }],
      superUser: [],
    });
    expect(found).toEqual([
      'auth-token does not know "superUser": did you mean "superUsers"',
      'tokens[0].principal must be "User:NAME": found "alice"',
      'tokens[0].hash must be "sha256:" and 64 hex digits, or 43 of base64url: `millrace token hash` prints it',
      'tokens[0].expiresAt must be a time with its zone, e.g. "2027-01-31T00:00:00Z": found "tomorrow"',
      "tokens[2].hash is the hash of tokens[1].hash again",
      'rules[0].allow[0] is no operation: found "reed": did you mean "read"',
      'rules[0].principal must be "User:NAME": found "User:"',
    ]);
  });

  const wrong: [string, unknown, string][] = [
    ["no tokens", {}, "nobody could log in"],
    ["an empty list of tokens", { tokens: [] }, "nobody could log in"],
    ["tokens that are no list", { tokens: alice }, "tokens must be a list"],
    ["a token that is text", { tokens: ["mr_secret"] }, "tokens[0] must be an object"],
    ["a time without a zone", { tokens: [{ ...alice, expiresAt: "2027-01-31T00:00:00" }] }, "zone"],
    ["a day that is none", { tokens: [{ ...alice, expiresAt: "2027-13-31T00:00:00Z" }] }, "zone"],
    ["a token in the clear", { tokens: [{ ...alice, token: "mr_x" }] }, 'does not know "token"'],
    [
      "a name with a zero",
      { tokens: [{ ...alice, principal: "User:a\0b" }] },
      'must be "User:NAME"',
    ],
    [
      "a rule for nothing",
      { tokens: [alice], rules: [{ principal: "*", allow: ["read"] }] },
      "for nothing",
    ],
    [
      "a rule that allows nothing",
      { tokens: [alice], rules: [{ principal: "*", allow: [], cluster: true }] },
      "names no operation",
    ],
    [
      "a rule without allow",
      { tokens: [alice], rules: [{ principal: "*", cluster: true }] },
      "names no operation",
    ],
    ["a rule that is none", { tokens: [alice], rules: ["*"] }, "rules[0] must be an object"],
    [
      "an operation far from all",
      { tokens: [alice], rules: [{ principal: "*", allow: ["fly"], cluster: true }] },
      "known are all, read, write",
    ],
    [
      "cluster as text",
      { tokens: [alice], rules: [{ principal: "*", allow: ["all"], cluster: "yes" }] },
      "true or false",
    ],
    [
      "a prefix that is a number",
      { tokens: [alice], rules: [{ principal: "*", allow: ["all"], topics: [1] }] },
      "rules[0].topics[0] must be text",
    ],
    [
      "Kafka's form of everyone",
      { tokens: [alice], rules: [{ principal: "User:*", allow: ["all"], cluster: true }] },
      'rules[0].principal must be one user: "*" alone',
    ],
    ["super users of another form", { tokens: [alice], superUsers: ["admin"] }, "superUsers[0]"],
  ];
  test.each(wrong)("refuses %s", (_name, options, text) => {
    expect(problems(options).join("\n")).toContain(text);
  });

  test("what stands where a hash should be is not repeated: it may be the token", () => {
    const found = problems({ tokens: [{ principal: "User:alice", hash: "mr_very-secret" }] });
    expect(found.length).toBe(1);
    expect(found[0]).not.toContain("very-secret");
  });
});
