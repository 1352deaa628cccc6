// Lets other brokers of the cluster in: the called side of the peers' login (protocol/peer_login.ts, ADR 44).
// Invariant: who has not proven that it knows the cluster's secret is no peer, and learns nothing that helps to prove it.

import { DecodeError } from "../../base/byte_reader.ts";
import {
  type Authenticator,
  type AuthSession,
  type AuthStep,
  PEER_MECHANISM,
  PEER_TYPE,
} from "../../contracts/auth.ts";
import type { Cryptography, Random } from "../../contracts/runtime.ts";
import {
  calleeProof,
  callerProof,
  decodeHello,
  encodeChallenge,
  PEER_NONCE_BYTES,
  type PeerHello,
} from "../../protocol/peer_login.ts";

const NO_BYTES = new Uint8Array(0);

export interface PeerAuthenticatorOptions {
  /** `cluster/secret` of the metadata store: who reads the store is a broker. */
  readonly secret: Uint8Array;
  readonly crypto: Cryptography;
  readonly random: Random;
  /** This broker: a call that is meant for another one is refused. */
  readonly brokerId: number;
}

/** For transports, beside whatever authenticates clients. Principals are `Broker:ID`. */
export function peerAuthenticator(options: PeerAuthenticatorOptions): Authenticator {
  return { mechanisms: [PEER_MECHANISM], begin: () => new CalledSide(options) };
}

class CalledSide implements AuthSession {
  readonly #options: PeerAuthenticatorOptions;
  readonly #nonce = new Uint8Array(PEER_NONCE_BYTES);
  #hello: PeerHello | null = null;

  constructor(options: PeerAuthenticatorOptions) {
    this.#options = options;
  }

  async respond(message: Uint8Array): Promise<AuthStep> {
    return this.#hello === null ? this.#challenge(message) : this.#verdict(this.#hello, message);
  }

  #challenge(message: Uint8Array): AuthStep {
    const { brokerId, crypto: cryptography, random, secret } = this.#options;
    let hello: PeerHello;
    try {
      hello = decodeHello(message);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return denied(error.message);
    }
    if (hello.calleeId !== brokerId) return denied(`a call for broker ${hello.calleeId}`);
    this.#hello = hello;
    const nonce = random.fill(this.#nonce);
    const proof = calleeProof(cryptography, secret, hello, nonce);
    return { kind: "challenge", message: encodeChallenge({ nonce, proof }) };
  }

  #verdict(hello: PeerHello, message: Uint8Array): AuthStep {
    const { crypto: cryptography, secret } = this.#options;
    const expected = callerProof(cryptography, secret, hello, this.#nonce);
    if (!cryptography.timingSafeEqual(expected, message)) {
      return denied("a broker of another cluster, or none");
    }
    const principal = { type: PEER_TYPE, name: String(hello.brokerId) };
    return { kind: "done", message: NO_BYTES, principal, expiresAtMs: null };
  }
}

function denied(reason: string): AuthStep {
  return { kind: "denied", reason };
}
