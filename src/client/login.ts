// A login over SASL/PLAIN on a connection, and when the next one is due.
// Invariant: a name or a password never stands in an error. Kafka: SaslClientAuthenticator, KIP-368.

import { SaslHandshake } from "../protocol/messages/17_sasl_handshake.ts";
import { SaslAuthenticate } from "../protocol/messages/36_sasl_authenticate.ts";
import type { RequestInputOf, ResponseOf } from "../protocol/mod.ts";
import type { Api } from "../protocol/schema.ts";
import { ClientError, requireNone } from "./client_error.ts";

/** Who the client is. PLAIN sends the password as it is: off loopback it belongs under TLS. */
export interface SaslOptions {
  readonly mechanism: "PLAIN";
  readonly username: string;
  /** The password, or the token. */
  readonly password: string;
}

/** What a login needs of a connection. */
export interface LoginConnection {
  readonly address: string;
  versionOf(api: Api, versionMin?: number, versionMax?: number): number;
  ask<A extends Api>(api: A, version: number, body: RequestInputOf<A>): Promise<ResponseOf<A>>;
}

const UNSUPPORTED_MECHANISM = 33;
const ILLEGAL_STATE = 34;
const utf8 = new TextEncoder();

/** Refuses what cannot be sent. @throws {TypeError} */
export function checkSasl(sasl: SaslOptions): SaslOptions {
  if (sasl.mechanism !== "PLAIN") {
    throw new TypeError(`sasl.mechanism must be PLAIN: found ${JSON.stringify(sasl.mechanism)}`);
  }
  for (const name of ["username", "password"] as const) {
    if (typeof sasl[name] !== "string" || sasl[name] === "" || sasl[name].includes("\0")) {
      throw new TypeError(`sasl.${name} must be text without zeros`);
    }
  }
  return sasl;
}

/**
 * Logs in.
 *
 * @returns For how many milliseconds; 0: for as long as the connection lasts.
 * @throws {ClientError} "sasl_authentication_failed", "unsupported_sasl_mechanism", "illegal_sasl_state" where
 *   no login is wanted, and what a request may fail with
 */
export async function logIn(connection: LoginConnection, sasl: SaslOptions): Promise<number> {
  const { address } = connection;
  const { mechanism } = sasl;
  const handshake = await connection.ask(SaslHandshake, connection.versionOf(SaslHandshake, 1), {
    mechanism,
  });
  if (handshake.errorCode === UNSUPPORTED_MECHANISM) {
    throw new ClientError(
      "unsupported_sasl_mechanism",
      `Cannot log in to ${address} by ${mechanism}: it offers ${handshake.mechanisms.join(", ")}`,
    );
  }
  if (handshake.errorCode === ILLEGAL_STATE) {
    throw new ClientError(
      "illegal_sasl_state",
      `Cannot log in to ${address}: it asks for no login`,
    );
  }
  requireNone(handshake.errorCode, `Cannot log in to ${address}`);
  const answer = await connection.ask(SaslAuthenticate, connection.versionOf(SaslAuthenticate), {
    authBytes: utf8.encode(`\0${sasl.username}\0${sasl.password}`),
  });
  requireNone(answer.errorCode, `Cannot log in to ${address}`, answer.errorMessage);
  return Number(answer.sessionLifetimeMs ?? 0);
}

/** When to log in again, of a login that lasts so long: at 85 to 95 % of it, so that not all come at once. */
export function renewalDelayMs(lifetimeMs: number, random: number): number {
  return Math.floor(Math.min(lifetimeMs, DELAY_MS_MAX) * (0.85 + 0.1 * (random / 2 ** 32)));
}

/** Longer timers are not to be had everywhere. */
const DELAY_MS_MAX = 2 ** 30;
