// How one broker of a cluster proves to another that it is of that cluster, in both directions: SASL mechanism
// MILLRACE-PEER, two steps by the cluster's secret (ADR 44). Invariant: neither side sends what the other could
// send back as its own proof, and a proof holds for these two brokers and these two nonces alone.
// Kafka: none; its brokers log in as any client does.

import { ByteReader, DecodeError } from "../base/byte_reader.ts";
import { ByteWriter } from "../base/byte_writer.ts";

/** Bytes of a nonce and of the cluster's secret. */
export const PEER_NONCE_BYTES = 32;
const PROOF_BYTES = 32;
const VERSION = 1;
const CALLER_LABEL = "millrace peer caller";
const CALLEE_LABEL = "millrace peer callee";

/** HMAC-SHA-256 and a comparison whose time tells nothing: what Runtime.crypto has. */
export interface PeerCryptography {
  hmac(hash: "SHA-256", key: Uint8Array, data: Uint8Array): Uint8Array;
  timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean;
}

/** The first token, of the broker that calls. */
export interface PeerHello {
  /** Who calls. */
  readonly brokerId: number;
  readonly brokerEpoch: number;
  /** Who is meant: another broker at that address refuses. */
  readonly calleeId: number;
  readonly nonce: Uint8Array;
}

/** The answer to the first token. The second token is `callerProof`, and its answer is empty. */
export interface PeerChallenge {
  readonly nonce: Uint8Array;
  readonly proof: Uint8Array;
}

export function encodeHello(hello: PeerHello): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  writer.int8(VERSION);
  writer.int32(hello.brokerId);
  writer.int64(hello.brokerEpoch);
  writer.int32(hello.calleeId);
  writer.bytes(hello.nonce);
  return writer.toBytes();
}

/** @throws {DecodeError} when the token is of another form */
export function decodeHello(token: Uint8Array): PeerHello {
  const reader = new ByteReader(token);
  const version = reader.int8();
  if (version !== VERSION) throw new DecodeError(`A peer's login has no version ${version}`);
  const brokerId = reader.int32();
  const brokerEpoch = Number(reader.int64());
  const calleeId = reader.int32();
  const nonce = reader.view(PEER_NONCE_BYTES).slice();
  if (reader.remaining > 0) throw new DecodeError("A peer's login has bytes too many");
  return { brokerId, brokerEpoch, calleeId, nonce };
}

export function encodeChallenge({ nonce, proof }: PeerChallenge): Uint8Array<ArrayBuffer> {
  const token = new Uint8Array(PEER_NONCE_BYTES + PROOF_BYTES);
  token.set(nonce, 0);
  token.set(proof, PEER_NONCE_BYTES);
  return token;
}

/** @throws {DecodeError} when the token is of another form */
export function decodeChallenge(token: Uint8Array): PeerChallenge {
  if (token.length !== PEER_NONCE_BYTES + PROOF_BYTES) {
    throw new DecodeError(`A peer's challenge has 64 bytes: this one has ${token.length}`);
  }
  return { nonce: token.slice(0, PEER_NONCE_BYTES), proof: token.slice(PEER_NONCE_BYTES) };
}

/** What the caller sends last: it knows the secret. */
export function callerProof(
  cryptography: PeerCryptography,
  secret: Uint8Array,
  hello: PeerHello,
  calleeNonce: Uint8Array,
): Uint8Array {
  return cryptography.hmac("SHA-256", secret, transcript(CALLER_LABEL, hello, calleeNonce));
}

/** What the callee sends with its nonce: it knows the secret too. */
export function calleeProof(
  cryptography: PeerCryptography,
  secret: Uint8Array,
  hello: PeerHello,
  calleeNonce: Uint8Array,
): Uint8Array {
  return cryptography.hmac("SHA-256", secret, transcript(CALLEE_LABEL, hello, calleeNonce));
}

function transcript(label: string, hello: PeerHello, calleeNonce: Uint8Array): Uint8Array {
  const said = encodeHello(hello);
  const bytes = new Uint8Array(label.length + said.length + calleeNonce.length);
  for (let i = 0; i < label.length; i++) bytes[i] = label.charCodeAt(i);
  bytes.set(said, label.length);
  bytes.set(calleeNonce, label.length + said.length);
  return bytes;
}
