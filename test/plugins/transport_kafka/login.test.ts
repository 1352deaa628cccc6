// The login of a connection, from bytes to bytes: who may speak when, what is answered, logged and closed.

import { describe, expect, test } from "bun:test";
import type { Authenticator, AuthStep } from "../../../src/contracts/auth.ts";
import { Fetch } from "../../../src/protocol/messages/01_fetch.ts";
import { Metadata } from "../../../src/protocol/messages/03_metadata.ts";
import { SaslHandshake } from "../../../src/protocol/messages/17_sasl_handshake.ts";
import { ApiVersions } from "../../../src/protocol/messages/18_api_versions.ts";
import { SaslAuthenticate } from "../../../src/protocol/messages/36_sasl_authenticate.ts";
import { decodeResponse, encodeRequest } from "../../../src/protocol/mod.ts";
import { framed, join, settle } from "./fakes.ts";
import { type Client, Harness } from "./scripted.ts";

const text = new TextEncoder();
const words = new TextDecoder();
const FAILED = 58;
const UNSUPPORTED_MECHANISM = 33;
const ILLEGAL_STATE = 34;

/** "alice" and "bob" are let in; TWO-STEP asks "who?" first. "alice 5000" is alice for 5 seconds. */
function authenticator(wallMs: () => number): Authenticator {
  return {
    mechanisms: ["PLAIN", "TWO-STEP", "BEARER"],
    begin(mechanism) {
      let step = 0;
      return {
        async respond(message): Promise<AuthStep> {
          const [name, lifetime] = words.decode(message).split(" ");
          if (mechanism === "TWO-STEP" && step++ === 0) {
            return { kind: "challenge", message: text.encode("who?") };
          }
          if (name === "broken") throw new Error("the directory is down");
          if (name !== "alice" && name !== "bob") return { kind: "denied", reason: "nobody" };
          return {
            kind: "done",
            message: text.encode(`hello ${name}`),
            principal: { type: "User", name },
            expiresAtMs: lifetime === undefined ? null : wallMs() + Number(lifetime),
          };
        },
      };
    },
  };
}

async function start(
  settings: Record<string, string> = {},
  options: Parameters<typeof Harness.start>[0] = {},
): Promise<Harness> {
  let harness: Harness | null = null;
  const wallMs = () => harness!.hand.nowMs;
  harness = await Harness.start(options, 1 << 28, authenticator(wallMs));
  for (const [name, value] of Object.entries(settings)) harness.scripted.settings.set(name, value);
  harness.scripted.answers.set("metadata", () => ({
    throttleTimeMs: 0,
    brokers: [],
    clusterId: "c",
    controllerId: 1,
    topics: [],
  }));
  return harness;
}

const handshake = (client: Client, mechanism = "PLAIN", version = 1) =>
  client.ask(SaslHandshake, version, { mechanism });
const authenticate = (client: Client, token: string, version = 2) =>
  client.ask(SaslAuthenticate, version, { authBytes: text.encode(token) });
const metadata = (client: Client) => client.ask(Metadata, 1, { topics: [] });
const closing = (harness: Harness) => harness.hand.eventsOf("kafka_connection_closed").at(-1);

async function loggedIn(harness: Harness, token = "alice"): Promise<Client> {
  const client = harness.connect();
  await handshake(client);
  expect((await authenticate(client, token)).errorCode).toBe(0);
  return client;
}

describe("a login", () => {
  test("goes by ApiVersions, handshake and token, and then the caller has a name", async () => {
    const harness = await start();
    const client = harness.connect();
    const { apiKeys } = await client.ask(ApiVersions, 3, {
      clientSoftwareName: "test",
      clientSoftwareVersion: "1",
    });
    expect(apiKeys.filter(({ apiKey }) => apiKey === 17 || apiKey === 36).length).toBe(2);
    expect(await handshake(client)).toEqual({ errorCode: 0, mechanisms: ["PLAIN", "TWO-STEP"] });
    const answer = await authenticate(client, "alice");
    expect(answer.errorCode).toBe(0);
    expect(words.decode(answer.authBytes)).toBe("hello alice");
    expect(answer.sessionLifetimeMs).toBe(0);
    await metadata(client);
    const { caller } = harness.scripted.calls[0]!;
    expect(caller.principal).toEqual({ type: "User", name: "alice" });
    expect(caller.clientId).toBe("test");
  });

  for (const version of [0, 1, 2]) {
    test(`takes several messages (SaslAuthenticate v${version})`, async () => {
      const client = (await start()).connect();
      await handshake(client, "TWO-STEP");
      const first = await authenticate(client, "x", version);
      expect([first.errorCode, words.decode(first.authBytes)]).toEqual([0, "who?"]);
      const second = await authenticate(client, "bob", version);
      expect([second.errorCode, words.decode(second.authBytes)]).toEqual([0, "hello bob"]);
      expect((await metadata(client)).controllerId).toBe(1);
    });
  }

  test("behind a handshake v0 has bare tokens both ways", async () => {
    const harness = await start();
    const client = harness.connect();
    expect((await handshake(client, "TWO-STEP", 0)).errorCode).toBe(0);
    client.sendRaw(text.encode("x"));
    await settle();
    expect(words.decode(client.peer.frames.at(-1))).toBe("who?");
    client.sendRaw(text.encode("alice"));
    await settle();
    expect(words.decode(client.peer.frames.at(-1))).toBe("hello alice");
    await metadata(client);
    expect(harness.scripted.calls[0]!.caller.principal.name).toBe("alice");
  });

  test("may be sent in one piece with the requests behind it", async () => {
    const harness = await start();
    const client = harness.connect();
    client.peer.send(
      join([
        ...encodeRequest(SaslHandshake, 1, 1, "c", { mechanism: "PLAIN" }),
        ...encodeRequest(SaslAuthenticate, 2, 2, "c", { authBytes: text.encode("alice") }),
        ...encodeRequest(Metadata, 1, 3, "c", { topics: [] }),
      ]),
    );
    await settle();
    expect(client.peer.frames.length).toBe(3);
    expect(decodeResponse(Metadata, 1, client.peer.frames[2]!).correlationId).toBe(3);
    expect(harness.scripted.calls[0]!.caller.principal.name).toBe("alice");
  });

  test("once done, another is illegal_sasl_state, and the connection stays", async () => {
    const client = await loggedIn(await start());
    expect((await handshake(client)).errorCode).toBe(ILLEGAL_STATE);
    expect((await authenticate(client, "alice")).errorCode).toBe(ILLEGAL_STATE);
    expect((await metadata(client)).controllerId).toBe(1);
  });
});

describe("before a login", () => {
  const requests: [string, (client: Client) => void, string][] = [
    ["Metadata", (client) => client.send(Metadata, 1, { topics: [] }), "request_before_login"],
    [
      "Fetch",
      (client) => client.send(Fetch, 4, { maxWaitMs: 0, minBytes: 0, topics: [] }),
      "request_before_login",
    ],
    [
      "SaslAuthenticate",
      (client) => client.send(SaslAuthenticate, 2, { authBytes: text.encode("alice") }),
      "request_before_login",
    ],
    [
      "a token without a handshake",
      (client) => client.sendRaw(text.encode("\0alice\0alice-secret")),
      "request_before_login",
    ],
    ["four bytes", (client) => client.sendRaw(text.encode("pass")), "request_undecodable"],
    [
      "a handshake cut short",
      (client) => client.sendRaw(Uint8Array.of(0, 17, 0, 1, 0, 0, 0, 1, 0, 99, 65)),
      "request_undecodable",
    ],
  ];
  for (const [name, send, event] of requests) {
    test(`${name} closes the connection, unanswered and unlogged`, async () => {
      const harness = await start();
      const client = harness.connect();
      send(client);
      await settle();
      expect(client.peer.frames).toEqual([]);
      expect(client.peer.closeReason).toBe(event);
      expect(harness.scripted.calls).toEqual([]);
      const log = JSON.stringify(harness.hand.lines);
      expect(log).not.toContain("secret");
      // Nor as hex of its first bytes.
      expect(log).not.toContain("616c696365");
      expect(log).not.toContain("70617373");
    });
  }

  test("a large frame is refused by its length", async () => {
    const harness = await start({ "sasl.server.max.receive.size": "1000" });
    const client = harness.connect();
    client.peer.send(Uint8Array.of(0, 0, 3, 0xe9));
    await settle();
    expect(client.peer.closeReason).toBe("frame_too_large");
    expect(harness.budget.peakBytes).toBe(0);
    const other = await loggedIn(harness);
    other.peer.send(Uint8Array.of(0, 0, 3, 0xe9));
    await settle();
    expect(other.peer.closeReason).toBeNull();
  });

  test("whoever does not log in is closed after a while, half-way too", async () => {
    const harness = await start({}, { loginMsMax: 2000 });
    const silent = harness.connect();
    const halfWay = harness.connect();
    await handshake(halfWay);
    const done = await loggedIn(harness);
    await harness.hand.advance(2500);
    expect(silent.peer.closeReason).toBeNull();
    await harness.hand.advance(2500);
    expect(silent.peer.closeReason).toBe("login_timed_out");
    expect(halfWay.peer.closeReason).toBe("login_timed_out");
    expect(done.peer.closeReason).toBeNull();
  });

  test("asking for versions again and again does not buy time", async () => {
    const harness = await start({}, { loginMsMax: 2000 });
    const client = harness.connect();
    for (let i = 0; i < 4; i++) {
      if (client.peer.closeReason === null) await client.ask(ApiVersions, 0, {});
      await harness.hand.advance(1000);
    }
    expect(client.peer.closeReason).toBe("login_timed_out");
  });
});

describe("a login that fails", () => {
  const DELAY = { "connection.failed.authentication.delay.ms": "100" };

  test("is answered late, says nothing, and ends the connection", async () => {
    const harness = await start(DELAY);
    const client = harness.connect();
    await handshake(client);
    client.send(SaslAuthenticate, 2, { authBytes: text.encode("mallory") });
    client.send(Metadata, 1, { topics: [] });
    await settle();
    await harness.hand.advance(99);
    expect(client.peer.frames.length).toBe(1);
    expect(client.peer.closeReason).toBeNull();
    await harness.hand.advance(1);
    expect(client.peer.frames.length).toBe(2);
    const { body } = decodeResponse(SaslAuthenticate, 2, client.peer.frames[1]!);
    expect(body.errorCode).toBe(FAILED);
    expect(body.errorMessage).toBe("Authentication failed");
    expect(body.authBytes.length).toBe(0);
    expect(client.peer.closeReason).toBe("authentication_failed");
    expect(closing(harness)!["detail"]).toBe("PLAIN: nobody");
    expect(harness.scripted.calls).toEqual([]);
    expect(harness.hand.pendingTimers).toBe(1);
  });

  test("with bare tokens is closed without an answer", async () => {
    const harness = await start(DELAY);
    const client = harness.connect();
    await handshake(client, "PLAIN", 0);
    client.sendRaw(text.encode("mallory"));
    await settle();
    await harness.hand.advance(100);
    expect(client.peer.frames.length).toBe(1);
    expect(client.peer.closeReason).toBe("authentication_failed");
  });

  test("by an unknown mechanism lists those there are; BEARER is not one of Kafka's", async () => {
    for (const mechanism of ["GSSAPI", "BEARER", "plain", ""]) {
      const harness = await start();
      const client = harness.connect();
      expect(await handshake(client, mechanism)).toEqual({
        errorCode: UNSUPPORTED_MECHANISM,
        mechanisms: ["PLAIN", "TWO-STEP"],
      });
      expect(client.peer.closeReason).toBe("authentication_failed");
    }
  });

  test("by a second handshake is illegal_sasl_state; any other request just closes", async () => {
    const harness = await start();
    const client = harness.connect();
    await handshake(client);
    expect((await handshake(client)).errorCode).toBe(ILLEGAL_STATE);
    expect(client.peer.closeReason).toBe("authentication_failed");
    const other = harness.connect();
    await handshake(other);
    other.send(Metadata, 1, { topics: [] });
    await settle();
    expect(other.peer.closeReason).toBe("request_before_login");
  });

  test("because the authenticator broke lets nobody in", async () => {
    const harness = await start();
    const client = harness.connect();
    await handshake(client);
    client.send(SaslAuthenticate, 2, { authBytes: text.encode("broken") });
    await settle();
    expect(client.peer.frames.length).toBe(1);
    expect(client.peer.closeReason).toBe("request_failed");
  });

  test("does not wait for a client that has gone, and holds up no stop", async () => {
    const harness = await start({ "connection.failed.authentication.delay.ms": "60000" });
    const client = harness.connect();
    await handshake(client);
    client.send(SaslAuthenticate, 2, { authBytes: text.encode("mallory") });
    await settle();
    const stopping = harness.running.stop(1000);
    await settle();
    await stopping;
    expect(client.peer.closeReason).toBe("authentication_failed");
    expect(harness.hand.pendingTimers).toBe(0);
  });
});

describe("a login that ends", () => {
  test("tells how long it lasts: the credentials' end, or the setting, whichever is first", async () => {
    for (const [setting, token, lifetimeMs] of [
      ["0", "alice 5000", 5000],
      ["3000", "alice 5000", 3000],
      ["9000", "alice 5000", 5000],
      ["9000", "alice", 9000],
      ["0", "alice", 0],
    ] as const) {
      const harness = await start({ "connections.max.reauth.ms": setting });
      const client = harness.connect();
      await handshake(client);
      expect((await authenticate(client, token)).sessionLifetimeMs).toBe(lifetimeMs);
    }
  });

  test("closes the connection at the first request after it", async () => {
    const harness = await start();
    const client = await loggedIn(harness, "alice 5000");
    await harness.hand.advance(4999);
    await metadata(client);
    await harness.hand.advance(1);
    client.send(Metadata, 1, { topics: [] });
    await settle();
    expect(client.peer.closeReason).toBe("login_expired");
    expect(closing(harness)!["detail"]).toBe("User:alice");
    expect(harness.scripted.of("metadata").length).toBe(1);
  });

  test("is renewed by another login of the same name, before or after it ended", async () => {
    const harness = await start();
    const client = await loggedIn(harness, "alice 5000");
    await harness.hand.advance(4000);
    expect((await handshake(client)).errorCode).toBe(0);
    expect((await authenticate(client, "alice 5000")).sessionLifetimeMs).toBe(5000);
    await harness.hand.advance(4000);
    await metadata(client);
    await harness.hand.advance(4000);
    expect((await handshake(client)).errorCode).toBe(0);
    expect((await authenticate(client, "alice 5000")).errorCode).toBe(0);
    await metadata(client);
    expect(client.peer.closeReason).toBeNull();
  });

  test("cannot be renewed as another, or by another mechanism", async () => {
    const harness = await start();
    const client = await loggedIn(harness, "alice 5000");
    await handshake(client);
    expect((await authenticate(client, "bob 5000")).errorCode).toBe(FAILED);
    expect(client.peer.closeReason).toBe("authentication_failed");
    const other = await loggedIn(harness, "alice 5000");
    const answer = await handshake(other, "TWO-STEP");
    expect(answer).toEqual({ errorCode: UNSUPPORTED_MECHANISM, mechanisms: ["PLAIN"] });
    expect(other.peer.closeReason).toBe("authentication_failed");
  });

  test("in the middle of the next login nothing else is served", async () => {
    const harness = await start();
    const client = await loggedIn(harness, "alice 5000");
    await handshake(client);
    client.send(Metadata, 1, { topics: [] });
    await settle();
    expect(client.peer.closeReason).toBe("request_before_login");
    expect(harness.scripted.calls).toEqual([]);
  });

  test("is renewed at most once a second", async () => {
    const harness = await start();
    const client = await loggedIn(harness, "alice 5000");
    await handshake(client);
    await authenticate(client, "alice 5000");
    expect((await handshake(client)).errorCode).toBe(ILLEGAL_STATE);
    await harness.hand.advance(1000);
    expect((await handshake(client)).errorCode).toBe(0);
  });
});

test("noise at the login closes its own connection and never lets in", async () => {
  const harness = await start();
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed % below;
  };
  const valid = [
    join(encodeRequest(SaslHandshake, 1, 1, "c", { mechanism: "PLAIN" })),
    join(encodeRequest(SaslAuthenticate, 2, 2, "c", { authBytes: text.encode("mallory") })),
    framed(text.encode("\0alice\0alice")),
  ];
  for (let round = 0; round < 400; round++) {
    const client = harness.connect();
    const bytes = join([valid[random(3)]!, valid[random(3)]!]).slice();
    for (let i = 0; i < 1 + random(4); i++) bytes[random(bytes.length)] = random(256);
    client.peer.send(bytes.subarray(0, 1 + random(bytes.length)));
    client.peer.finish();
  }
  await harness.hand.advance(10);
  expect(harness.scripted.calls).toEqual([]);
  expect(harness.hand.lines.filter(({ level }) => level === "error")).toEqual([]);
  expect(harness.budget.heldBytes).toBe(0);
});
