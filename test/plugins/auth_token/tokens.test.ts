import { beforeEach, describe, expect, test } from "bun:test";
import { type AuthTokenOptions, authToken } from "../../../plugins/auth-token/mod.ts";
import { NAME_CHARACTERS_MAX } from "../../../plugins/auth-token/options.ts";
import { parsePlain, TOKEN_BYTES_MAX } from "../../../plugins/auth-token/plain.ts";
import type { Auth, AuthStep, Peer } from "../../../src/contracts/auth.ts";
import type { Cryptography, Runtime } from "../../../src/contracts/runtime.ts";
import { hostCryptography } from "../../../src/runtime/cryptography.ts";

const utf8 = new TextEncoder();
const peer: Peer = { host: "192.0.2.1", listener: "kafka", tlsPeerCertificate: null };
const hashOf = (token: string) =>
  `sha256:${[...hostCryptography.digest("SHA-256", utf8.encode(token))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")}`;

let nowMs: number;
/** What of the cryptography was asked, in order. */
let asked: string[];

const crypto: Cryptography = {
  ...hostCryptography,
  digest(hash, data) {
    asked.push(`digest ${data.length}`);
    return hostCryptography.digest(hash, data);
  },
  timingSafeEqual(a, b) {
    asked.push(`compare ${a.length} ${b.length}`);
    return hostCryptography.timingSafeEqual(a, b);
  },
};

async function open(options: AuthTokenOptions): Promise<Auth> {
  const runtime = { crypto, clock: { wallMs: () => nowMs } } as unknown as Runtime;
  return authToken(options).open({
    runtime,
    brokerId: 1,
    credentials: { scram: () => null },
  });
}

const tokens = [
  { principal: "User:alice", hash: hashOf("alice-token") },
  { principal: "User:alice", hash: hashOf("alice-new-one"), expiresAt: "1970-01-01T00:00:05Z" },
  { principal: "User:bob", hash: hashOf("bob-token!!") },
];

beforeEach(() => {
  nowMs = 1000;
  asked = [];
});

async function plain(auth: Auth, message: string | Uint8Array): Promise<AuthStep> {
  const bytes = typeof message === "string" ? utf8.encode(message) : message;
  return auth.authenticator!.begin("PLAIN", peer).respond(bytes);
}
const bearer = (auth: Auth, token: string) =>
  auth.authenticator!.begin("BEARER", peer).respond(utf8.encode(token));

describe("the authenticator", () => {
  test("offers PLAIN and BEARER, and begins no other", async () => {
    const { authenticator } = await open({ tokens });
    expect(authenticator!.mechanisms).toEqual(["PLAIN", "BEARER"]);
    expect(() => authenticator!.begin("GSSAPI", peer)).toThrow("GSSAPI");
  });

  test("PLAIN: a name with one of its tokens", async () => {
    const auth = await open({ tokens });
    const done = { kind: "done", message: new Uint8Array(0) } as const;
    const principal = { type: "User", name: "alice" };
    expect(await plain(auth, "\0alice\0alice-token")).toEqual({
      ...done,
      principal,
      expiresAtMs: null,
    });
    expect(await plain(auth, "alice\0alice\0alice-new-one")).toEqual({
      ...done,
      principal,
      expiresAtMs: 5000,
    });
  });

  test("BEARER: the token says who", async () => {
    const auth = await open({ tokens });
    const step = await bearer(auth, "bob-token!!");
    expect(step.kind === "done" && step.principal.name).toBe("bob");
    expect((await bearer(auth, "bob-token!")).kind).toBe("denied");
    expect((await bearer(auth, "")).kind).toBe("denied");
    expect((await bearer(auth, hashOf("bob-token!!"))).kind).toBe("denied");
  });

  test("a token is refused from its end on", async () => {
    const auth = await open({ tokens });
    nowMs = 4999;
    expect((await bearer(auth, "alice-new-one")).kind).toBe("done");
    nowMs = 5000;
    for (const step of [
      await bearer(auth, "alice-new-one"),
      await plain(auth, "\0alice\0alice-new-one"),
    ]) {
      expect(step).toEqual({ kind: "denied", reason: "the token of User:alice has expired" });
    }
  });

  test("a wrong token takes the same steps, whether its name is known or not", async () => {
    const auth = await open({ tokens });
    const traces: string[] = [];
    const reasons = new Set<string>();
    for (const login of ["\0alice\0bob-token!!", "\0alice\0wrong-token", "\0nobody\0wrong-token"]) {
      asked = [];
      const step = await plain(auth, login);
      reasons.add(step.kind === "denied" ? step.reason : step.kind);
      traces.push(asked.join(", "));
    }
    expect(new Set(traces)).toEqual(new Set(["digest 11, compare 32 32"]));
    expect([...reasons]).toEqual(["the token is not one of this user"]);
  });

  test("a conversation has one message", async () => {
    const auth = await open({ tokens });
    const session = auth.authenticator!.begin("BEARER", peer);
    expect((await session.respond(utf8.encode("wrong"))).kind).toBe("denied");
    expect((await session.respond(utf8.encode("bob-token!!"))).kind).toBe("denied");
  });

  test("an over-long token is not even hashed", async () => {
    const auth = await open({ tokens });
    expect((await bearer(auth, "x".repeat(TOKEN_BYTES_MAX + 1))).kind).toBe("denied");
    expect((await plain(auth, `\0alice\0${"x".repeat(TOKEN_BYTES_MAX + 1)}`)).kind).toBe("denied");
    expect(asked).toEqual([]);
  });
});

describe("the PLAIN message", () => {
  const bytes = (text: string) => utf8.encode(text);
  const wrong: [string, Uint8Array, string][] = [
    ["nothing", bytes(""), "three parts"],
    ["one part", bytes("alice"), "three parts"],
    ["two parts", bytes("alice\0token"), "three parts"],
    ["four parts", bytes("\0alice\0token\0more"), "more than three"],
    ["a zero behind the password", bytes("\0alice\0token\0"), "more than three"],
    ["no user", bytes("\0\0token"), "no user"],
    ["no password", bytes("\0alice\0"), "no password"],
    ["another to act as", bytes("bob\0alice\0token"), "act as another"],
    ["a user that is not UTF-8", Uint8Array.of(0, 0xc3, 0x28, 0, 65), "UTF-8"],
    ["a password that is not UTF-8", Uint8Array.of(0, 65, 0, 0xff), "UTF-8"],
    ["half of a surrogate pair", Uint8Array.of(0, 0xed, 0xa0, 0x80, 0, 65), "UTF-8"],
    ["a long name", bytes(`\0${"x".repeat(NAME_CHARACTERS_MAX + 1)}\0t`), "too long"],
    ["a long password", bytes(`\0x\0${"x".repeat(TOKEN_BYTES_MAX + 1)}`), "too long"],
    ["a long message", new Uint8Array(1_000_000), "too long"],
  ];
  test.each(wrong)("with %s is refused", (_name, message, text) => {
    const login = parsePlain(message);
    expect(login).toContain(text);
  });

  test("is read to the letter: no trimming, no normal forms, a BOM is part of a name", () => {
    const login = parsePlain(bytes("\0 \u{feff}größer \0 pa ss "));
    expect(typeof login === "string" ? login : login.userName).toBe(" \u{feff}größer ");
    expect(typeof login === "string" ? login : login.password).toEqual(bytes(" pa ss "));
  });
});
