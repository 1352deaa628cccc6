import { expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import { peerAuthenticator } from "../../../src/core/broker/peer_authenticator.ts";
import {
  calleeProof,
  callerProof,
  decodeChallenge,
  encodeHello,
} from "../../../src/protocol/peer_login.ts";
import { hostCryptography as crypto } from "../../../src/runtime/cryptography.ts";

const secret = new Uint8Array(32).fill(7);
const nonce = new Uint8Array(32).fill(9);
const random = SeededRandom.of(1);
const peer = { host: "127.0.0.1", listener: "kafka", tlsPeerCertificate: null };
const begin = () => {
  const options = { secret, crypto, random, brokerId: 2 };
  return peerAuthenticator(options).begin("MILLRACE-PEER", peer);
};
const hello = { brokerId: 1, brokerEpoch: 5, calleeId: 2, nonce };

async function challengeOf(session: ReturnType<typeof begin>) {
  const step = await session.respond(encodeHello(hello));
  if (step.kind !== "challenge") throw new Error(`found ${step.kind}`);
  return decodeChallenge(step.message);
}

test("a broker that knows the secret is let in as itself, and sees that the other knows it", async () => {
  const session = begin();
  const challenge = await challengeOf(session);
  expect(challenge.proof).toEqual(calleeProof(crypto, secret, hello, challenge.nonce));
  const step = await session.respond(callerProof(crypto, secret, hello, challenge.nonce));
  expect(step).toEqual({
    kind: "done",
    message: new Uint8Array(0),
    principal: { type: "Broker", name: "1" },
    expiresAtMs: null,
  });
});

test("another secret, the challenge sent back, a proof of another conversation: none is let in", async () => {
  const other = new Uint8Array(32).fill(8);
  for (const proofOf of [
    (callee: Uint8Array) => callerProof(crypto, other, hello, callee),
    (callee: Uint8Array) => calleeProof(crypto, secret, hello, callee),
    () => callerProof(crypto, secret, hello, nonce),
    (callee: Uint8Array) => callerProof(crypto, secret, { ...hello, brokerId: 3 }, callee),
    () => new Uint8Array(0),
  ]) {
    const session = begin();
    const challenge = await challengeOf(session);
    expect((await session.respond(proofOf(challenge.nonce))).kind).toBe("denied");
  }
});

test("a call for another broker, and what is no hello, is refused before any proof", async () => {
  const forThird = encodeHello({ ...hello, calleeId: 3 });
  expect((await begin().respond(forThird)).kind).toBe("denied");
  expect((await begin().respond(new Uint8Array(3))).kind).toBe("denied");
});
