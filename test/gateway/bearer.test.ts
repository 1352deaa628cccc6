// Tokens and whom they stand for.

import { describe, expect, test } from "bun:test";
import type { Authenticator, AuthStep, Peer } from "../../src/contracts/auth.ts";
import { authenticateBearer, mustTakeBearer } from "../../src/gateway/bearer.ts";

const peer: Peer = { host: "::1", listener: "tcp", tlsPeerCertificate: null };

/** An authenticator that answers so, and writes down what it was asked. */
function answering(step: AuthStep, mechanisms: readonly string[] = ["BEARER"]) {
  const asked: unknown[] = [];
  const authenticator: Authenticator = {
    mechanisms,
    begin: (mechanism, from) => ({
      respond: async (message) => {
        asked.push([mechanism, from, message]);
        return step;
      },
    }),
  };
  return { authenticator, asked };
}

describe("authenticateBearer()", () => {
  test("lets everyone in as anonymous where nobody asks", async () => {
    for (const token of [null, Uint8Array.of(1)]) {
      expect(await authenticateBearer(null, token, peer)).toEqual({
        ok: true,
        principal: { type: "User", name: "ANONYMOUS" },
        expiresAtMs: null,
      });
    }
  });

  test("asks with the token's bytes, and says who that is and until when", async () => {
    const principal = { type: "User", name: "alice" };
    const step: AuthStep = { kind: "done", message: new Uint8Array(0), principal, expiresAtMs: 7 };
    const { authenticator, asked } = answering(step);
    const token = Uint8Array.of(1, 2);
    expect(await authenticateBearer(authenticator, token, peer)).toEqual({
      ok: true,
      principal,
      expiresAtMs: 7,
    });
    expect(asked).toEqual([["BEARER", peer, token]]);
  });

  test("refuses who shows none, without asking, and who shows a wrong one", async () => {
    const { authenticator, asked } = answering({ kind: "denied", reason: "unknown token" });
    expect(await authenticateBearer(authenticator, null, peer)).toMatchObject({ ok: false });
    expect(asked).toEqual([]);
    expect(await authenticateBearer(authenticator, Uint8Array.of(1), peer)).toEqual({
      ok: false,
      reason: "unknown token",
    });
    const more = answering({ kind: "challenge", message: new Uint8Array(0) }).authenticator;
    expect(await authenticateBearer(more, Uint8Array.of(1), peer)).toMatchObject({ ok: false });
  });
});

describe("mustTakeBearer()", () => {
  test("throws for an authenticator that takes no tokens, and names what it takes", () => {
    const step: AuthStep = { kind: "denied", reason: "" };
    expect(() => mustTakeBearer(answering(step, ["PLAIN"]).authenticator)).toThrow(/PLAIN/);
    expect(() => mustTakeBearer(answering(step, ["PLAIN", "BEARER"]).authenticator)).not.toThrow();
    expect(() => mustTakeBearer(null)).not.toThrow();
  });
});
