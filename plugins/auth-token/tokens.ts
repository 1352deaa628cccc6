// Proves names by tokens: SASL/PLAIN with a name and its token, BEARER with the token alone.
// Invariant: a token is found by its hash before any name is looked at, so a wrong token takes the same
// steps whether its name is known, unknown, or has tokens of its own.

import {
  type Authenticator,
  type AuthSession,
  type AuthStep,
  BEARER_MECHANISM,
} from "../../src/contracts/auth.ts";
import type { Clock, Cryptography } from "../../src/contracts/runtime.ts";
import { hexOf, type TokenRow } from "./options.ts";
import { parsePlain, TOKEN_BYTES_MAX } from "./plain.ts";

const PLAIN_MECHANISM = "PLAIN";
const NO_BYTES = new Uint8Array(0);
const HASH_BYTES = 32;

/** An authenticator over the tokens given. */
export function tokenAuthenticator(
  tokens: readonly TokenRow[],
  crypto: Cryptography,
  clock: Clock,
): Authenticator {
  const byHash = new Map(tokens.map((row) => [hexOf(row.hash), row]));
  const nobody: TokenRow = { name: "", hash: new Uint8Array(HASH_BYTES), expiresAtMs: null };

  const find = (token: Uint8Array): TokenRow | null => {
    const hash = crypto.digest("SHA-256", token);
    const row = byHash.get(hexOf(hash)) ?? nobody;
    // The table is asked for hashes, which nobody can aim; what decides takes the same time for all.
    return crypto.timingSafeEqual(row.hash, hash) && row !== nobody ? row : null;
  };

  const prove = (token: Uint8Array, userName: string | null): AuthStep => {
    const row = find(token);
    if (row === null || (userName !== null && row.name !== userName)) {
      return { kind: "denied", reason: "the token is not one of this user" };
    }
    const { expiresAtMs } = row;
    if (expiresAtMs !== null && expiresAtMs <= clock.wallMs()) {
      return { kind: "denied", reason: `the token of User:${row.name} has expired` };
    }
    const principal = { type: "User", name: row.name };
    return { kind: "done", message: NO_BYTES, principal, expiresAtMs };
  };

  const answer: Readonly<Record<string, (message: Uint8Array) => AuthStep>> = {
    [PLAIN_MECHANISM](message) {
      const login = parsePlain(message);
      return typeof login === "string"
        ? { kind: "denied", reason: login }
        : prove(login.password, login.userName);
    },
    [BEARER_MECHANISM](message) {
      if (message.length === 0) return { kind: "denied", reason: "the token is empty" };
      if (message.length > TOKEN_BYTES_MAX) {
        return { kind: "denied", reason: "the token is too long" };
      }
      return prove(message, null);
    },
  };

  return {
    mechanisms: Object.keys(answer),
    begin(mechanism): AuthSession {
      const one = answer[mechanism];
      if (one === undefined) throw new TypeError(`auth-token has no mechanism "${mechanism}"`);
      let isOver = false;
      return {
        async respond(message) {
          if (isOver) return { kind: "denied", reason: "the conversation is over" };
          isOver = true;
          return one(message);
        },
      };
    },
  };
}
