// The logins that were tried on Apache Kafka 4.3.1 (probes.json, section sasl), tried on our broker: who is let
// in, error codes, and what closes the connection. SCRAM is not served, and texts are our own.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { authToken } from "../../plugins/auth-token/mod.ts";
import { apis } from "../../src/protocol/all_messages.ts";
import { SaslHandshake } from "../../src/protocol/messages/17_sasl_handshake.ts";
import { decodeResponse } from "../../src/protocol/mod.ts";
import { hostCryptography } from "../../src/runtime/cryptography.ts";
import { bytesOfHex, loadProbes, type Probe } from "../vectors/load.ts";
import { Live, type WireClient } from "./live.ts";

/** One connection each, in the order of the recording; a number is a handshake of that version, unrecorded. */
const CONNECTIONS: readonly (readonly (string | number)[])[] = [
  [
    "ApiVersions before the handshake",
    "handshake v1, unknown mechanism: list of the enabled ones, then the connection is closed",
    "closed",
  ],
  ["Metadata before authentication: connection closed"],
  ["SaslAuthenticate without handshake"],
  [
    "handshake v1 PLAIN",
    "authenticate v2",
    "then a normal request",
    "handshake again on an authenticated connection (no re-authentication configured)",
  ],
  [1, "wrong password: error 58, then the connection is closed", "closed"],
  [1, "authorisation id of another user", "closed"],
  [
    "handshake v0 PLAIN: the token follows in a bare frame",
    "bare token frame after handshake v0: the answer is a bare frame of length 0",
    "then a normal request",
  ],
  [0, "bare token frame with a wrong password: closed without an answer"],
];

type SaslProbe = Probe & { readonly sentHex?: string; readonly receivedHex?: string };
const probes: readonly SaslProbe[] = loadProbes().filter(({ section }) => section === "sasl");
let live: Live;

beforeAll(async () => {
  const digest = hostCryptography.digest("SHA-256", new TextEncoder().encode("alice-secret"));
  const hash = `sha256:${Buffer.from(digest).toString("hex")}`;
  live = await Live.start({
    auth: [authToken({ tokens: [{ principal: "User:alice", hash }] })],
    settings: { "connection.failed.authentication.delay.ms": 1 },
  });
});
afterAll(() => live.stop());

test("all that was tried with PLAIN is here", () => {
  const known = new Set(CONNECTIONS.flat());
  const left = probes.map(({ what }) => what).filter((what) => !known.has(what));
  expect(left.filter((what) => !what.includes("SCRAM"))).toEqual([]);
});

for (const steps of CONNECTIONS) {
  test(steps.filter((step) => typeof step === "string").join("; "), async () => {
    const client = await live.connect();
    for (const step of steps) {
      if (step === "closed") expect(await client.receive()).toBeNull();
      else if (typeof step === "number") {
        const answer = await client.ask(SaslHandshake, step, { mechanism: "PLAIN" });
        expect(answer.errorCode).toBe(0);
      } else await tryAgain(client, probes.find(({ what }) => what === step)!);
    }
    client.close();
  });
}

async function tryAgain(client: WireClient, probe: SaslProbe): Promise<void> {
  if (probe.sentHex !== undefined) await client.sendBytes(bytesOfHex(probe.sentHex));
  else await client.send(bytesOfHex(probe.requestHex!));
  const frame = await client.receive();
  if (probe.outcome === "closed") {
    expect(frame).toBeNull();
    return;
  }
  if (probe.receivedHex !== undefined) {
    expect(frame!.length).toBe(bytesOfHex(probe.receivedHex).length - 4);
    return;
  }
  const api = apis.find(({ name }) => name === probe.api)!;
  const decode = (bytes: Uint8Array) =>
    decodeResponse(api, probe.version!, bytes).body as Record<string, unknown>;
  const ours = decode(frame!);
  const theirs = decode(bytesOfHex(probe.responseHex!));
  expect(Object.keys(ours).sort()).toEqual(Object.keys(theirs).sort());
  expect(ours["errorCode"]).toBe(theirs["errorCode"]);
  expect(ours["sessionLifetimeMs"]).toEqual(theirs["sessionLifetimeMs"]);
  expect(ours["authBytes"]).toEqual(theirs["authBytes"]);
  if (Array.isArray(theirs["mechanisms"])) {
    const withoutScram = (theirs["mechanisms"] as string[]).filter((name) => name === "PLAIN");
    expect(ours["mechanisms"]).toEqual(withoutScram);
  }
}
