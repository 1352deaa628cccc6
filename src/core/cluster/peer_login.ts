// How one broker proves to another that it is of the same cluster: a challenge each way, answered by HMAC with
// the cluster's secret. Invariant: neither side says anything that depends on the secret before it has given a
// nonce of its own, and a proof holds for these two brokers, this direction and these nonces alone. ADR 44.

import type { Authenticator, AuthSession, AuthStep, Principal } from "../../contracts/auth.ts";
import { PEER_MECHANISM, PEER_TYPE } from "../../contracts/auth.ts";
import type { Cryptography, Random } from "../../contracts/runtime.ts";

const VERSION = 1;
const NONCE_BYTES = 32;
const PROOF_BYTES = 32;
/** Version, who calls, who is called, nonce. */
const HELLO_BYTES = 1 + 4 + 4 + NONCE_BYTES;
const NO_BYTES = new Uint8Array(0);
const encoder = new TextEncoder();
const BY_CALLER = encoder.encode("millrace-peer caller ");
const BY_CALLED = encoder.encode("millrace-peer called ");

export interface PeerLoginOptions {
  /** `cluster/secret` of the metadata store: who reads the store is a broker. */
  readonly secret: Uint8Array;
  readonly crypto: Cryptography;
  readonly random: Random;
  /** This broker. */
  readonly brokerId: number;
}

/** The side that is called: for transports, beside whatever authenticates clients. */
export function peerAuthenticator(options: PeerLoginOptions): Authenticator {
  return { mechanisms: [PEER_MECHANISM], begin: () => new CalledSide(options) };
}

/** The principal of a broker that has logged in. */
export function peerPrincipal(brokerId: number): Principal {
  return { type: PEER_TYPE, name: String(brokerId) };
}

/** The side that calls broker `peerId`; one object a connection. */
export class PeerCall {
  readonly #options: PeerLoginOptions;
  /** What is sent first. */
  readonly hello: Uint8Array;

  constructor(options: PeerLoginOptions, peerId: number) {
    this.#options = options;
    this.hello = new Uint8Array(HELLO_BYTES);
    const view = new DataView(this.hello.buffer);
    view.setUint8(0, VERSION);
    view.setInt32(1, options.brokerId);
    view.setInt32(5, peerId);
    options.random.fill(this.hello.subarray(9));
  }

  /** What is sent next; null where the peer did not prove that it is of this cluster: the caller hangs up. */
  answer(challenge: Uint8Array): Uint8Array | null {
    if (challenge.length !== NONCE_BYTES + PROOF_BYTES) return null;
    const nonce = challenge.subarray(0, NONCE_BYTES);
    const expected = proof(this.#options, BY_CALLED, this.hello, nonce);
    const { crypto } = this.#options;
    if (!crypto.timingSafeEqual(expected, challenge.subarray(NONCE_BYTES))) return null;
    return proof(this.#options, BY_CALLER, this.hello, nonce);
  }
}

class CalledSide implements AuthSession {
  readonly #options: PeerLoginOptions;
  readonly #nonce = new Uint8Array(NONCE_BYTES);
  #hello: Uint8Array | null = null;

  constructor(options: PeerLoginOptions) {
    this.#options = options;
  }

  async respond(message: Uint8Array): Promise<AuthStep> {
    return this.#hello === null ? this.#challenge(message) : this.#verdict(this.#hello, message);
  }

  #challenge(message: Uint8Array): AuthStep {
    if (message.length !== HELLO_BYTES) return denied("a hello of another form");
    const hello = message.slice();
    const view = new DataView(hello.buffer);
    if (view.getUint8(0) !== VERSION) return denied(`a hello of version ${view.getUint8(0)}`);
    const calledId = view.getInt32(5);
    if (calledId !== this.#options.brokerId) return denied(`a call for broker ${calledId}`);
    this.#hello = hello;
    this.#options.random.fill(this.#nonce);
    const challenge = new Uint8Array(NONCE_BYTES + PROOF_BYTES);
    challenge.set(this.#nonce);
    challenge.set(proof(this.#options, BY_CALLED, hello, this.#nonce), NONCE_BYTES);
    return { kind: "challenge", message: challenge };
  }

  #verdict(hello: Uint8Array, message: Uint8Array): AuthStep {
    const expected = proof(this.#options, BY_CALLER, hello, this.#nonce);
    if (!this.#options.crypto.timingSafeEqual(expected, message)) {
      return denied("a broker of another cluster, or none");
    }
    const callerId = new DataView(hello.buffer).getInt32(1);
    return {
      kind: "done",
      message: NO_BYTES,
      principal: peerPrincipal(callerId),
      expiresAtMs: null,
    };
  }
}

function denied(reason: string): AuthStep {
  return { kind: "denied", reason };
}

function proof(
  { crypto, secret }: PeerLoginOptions,
  side: Uint8Array,
  hello: Uint8Array,
  nonce: Uint8Array,
): Uint8Array {
  const text = new Uint8Array(side.length + hello.length + nonce.length);
  text.set(side);
  text.set(hello, side.length);
  text.set(nonce, side.length + hello.length);
  return crypto.hmac("SHA-256", secret, text);
}
