// Who gets in: names, pages of browsers, tokens; and the ways a listener opens, fails and is done without.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { authToken } from "../../../plugins/auth-token/mod.ts";
import { transportHttp } from "../../../plugins/transport-http/mod.ts";
import type { Authenticator } from "../../../src/contracts/auth.ts";
import { EventReader, LiveHttp, readUntil } from "./live.ts";

/** Sends a request with any headers: fetch would not. */
async function rawStatus(
  live: LiveHttp,
  method: string,
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number; text: string }> {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const socket = await live.raw(
    `${method} ${path} HTTP/1.1\r\n${lines.join("")}Connection: close\r\n\r\n`,
  );
  const text = await readUntil(socket, () => false);
  return { status: Number(text.split(" ")[1]), text };
}

describe("names and pages, on loopback", () => {
  let live: LiveHttp;
  beforeAll(async () => {
    live = await LiveHttp.start({
      http: {
        listeners: [{ name: "http", host: "127.0.0.1", port: 0, advertisedHost: "mill.test" }],
        cors: ["https://app.test"],
      },
    });
  });
  afterAll(() => live.stop());

  test("a name that is not ours is misdirected: a page may have made it lead here", async () => {
    for (const [host, status] of [
      ["localhost", 200],
      [`LOCALHOST:${live.port}`, 200],
      ["app.localhost:1", 200],
      ["127.0.0.1:9", 200],
      ["127.3.2.1", 200],
      ["[::1]:80", 200],
      ["mill.test", 200],
      ["evil.test", 421],
      ["localhost.evil.test", 421],
      ["127.0.0.1.evil.test", 421],
      ["10.0.0.1", 421],
    ] as const) {
      expect([host, (await rawStatus(live, "GET", "/v1/topics", { Host: host })).status]).toEqual([
        host,
        status,
      ]);
    }
    // One that makes no URL: refused by us or by the host's own server.
    for (const headers of [{ Host: "a b<>" }, { Host: "evil.test@localhost" }]) {
      const { status } = await rawStatus(live, "GET", "/v1/topics", headers);
      expect(status).toBeGreaterThanOrEqual(400);
    }
  });

  test("pages of other origins are refused, simple POSTs included", async () => {
    const body = { method: "POST", body: "x" };
    const cases: [Record<string, string>, RequestInit, number][] = [
      [{ origin: "https://evil.test" }, body, 403],
      [{ origin: "https://evil.test" }, {}, 403],
      [{ origin: "null" }, body, 403],
      [{ origin: "http://app.test" }, body, 403],
      [{ origin: "https://app.test" }, body, 404],
      [{ origin: live.url("").toLowerCase() }, body, 404],
      [{}, body, 404],
    ];
    for (const [headers, init, status] of cases) {
      const path = init === body ? "/v1/topics/t/records" : "/v1/topics";
      const answer = await live.ask(path, { ...init, headers });
      expect([headers, answer.status]).toEqual([headers, status]);
      const allowed = answer.headers.get("access-control-allow-origin");
      expect(allowed).toBe(headers["origin"] === "https://app.test" ? "https://app.test" : null);
    }
    const form = await rawStatus(live, "POST", "/v1/topics/t/records", {
      Host: "localhost",
      "Sec-Fetch-Site": "cross-site",
      "Content-Length": "0",
    });
    expect(form.status).toBe(403);
  });

  test("preflights are answered for allowed origins alone", async () => {
    const ask = (origin: string) =>
      live.ask("/v1/topics/t/records", {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization, millrace-header-a",
        },
      });
    const allowed = await ask("https://app.test");
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe("https://app.test");
    expect(allowed.headers.get("access-control-allow-methods")).toContain("POST");
    expect(allowed.headers.get("access-control-allow-headers")).toContain("authorization");
    expect(allowed.headers.get("vary")).toContain("Origin");
    const refused = await ask("https://evil.test");
    expect(refused.status).toBe(403);
    expect(refused.headers.get("access-control-allow-origin")).toBeNull();
  });
});

describe("tokens", () => {
  const sha256 = async (token: string) => {
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
    const hex = [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0"));
    return `sha256:${hex.join("")}`;
  };
  let live: LiveHttp;
  beforeAll(async () => {
    live = await LiveHttp.start({ auth: await tokens() });
    const headers = { authorization: "Bearer root-token-0123456789" };
    await live.ask("/v1/topics/orders", { method: "PUT", headers });
    await live.ask("/v1/topics/secrets", { method: "PUT", headers });
  });
  afterAll(() => live.stop());

  async function tokens() {
    return authToken({
      tokens: [
        { principal: "User:root", hash: await sha256("root-token-0123456789") },
        { principal: "User:alice", hash: await sha256("alice-token-0123456789") },
      ],
      rules: [{ principal: "User:alice", topics: ["ord"], allow: ["read", "describe"] }],
      superUsers: ["User:root"],
    });
  }

  test("without a token, with a wrong one, and with one in the URL nobody is let in", async () => {
    for (const authorization of ["", "Bearer", "Bearer nonsense", "Basic YTpi", "Bearer a b"]) {
      const { status, headers, json } = await live.ask("/v1/topics", {
        headers: authorization === "" ? {} : { authorization },
      });
      expect([authorization, status]).toEqual([authorization, 401]);
      expect(headers.get("www-authenticate")).toStartWith('Bearer realm="millrace"');
      expect(json.code).toBe("sasl_authentication_failed");
    }
    expect((await live.ask("/v1/topics?access_token=root-token-0123456789")).status).toBe(401);
    expect((await live.ask("/nothing")).status).toBe(401);
    expect((await live.ask("/healthz")).status).toBe(200);
    expect((await live.ask("/healthz", { headers: { authorization: "Bearer x" } })).status).toBe(
      401,
    );
    await expect(EventReader.open(live.url("/v1/topics/orders/records"))).rejects.toThrow("401");
  });

  test("no path that only comes to /healthz passes for it", async () => {
    const paths = [
      "/v1/topics/../../healthz",
      "/v1/topics/..\\..\\healthz",
      "/v1/%2e%2e/healthz",
      "/healthz/../v1/topics",
      "/healthz/",
      "//healthz",
    ];
    for (const path of paths) {
      const socket = await live.raw(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      const text = await readUntil(socket, (so) => so.includes("}"));
      // A host may resolve the dots itself: then it is /healthz, and nothing else is reached.
      expect([path, /^HTTP\/1.1 (401|200)/.test(text)]).toEqual([path, true]);
      if (text.startsWith("HTTP/1.1 200")) expect(text).toContain('{"status":"ok"}');
    }
  });

  test("refused tokens are told of once a second, whoever tries how often", async () => {
    for (let i = 0; i < 50; i++) await live.ask("/v1/topics");
    const lines = live.logLines.filter((line) => line.includes("http_unauthenticated"));
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(20);
  });

  test("what a principal may not do is 403, or not there, on every route", async () => {
    const headers = { authorization: "Bearer alice-token-0123456789" };
    const as = async (method: string, path: string, body?: string, more = {}) => {
      const init = {
        method,
        headers: { ...headers, ...more },
        ...(body === undefined ? {} : { body }),
      };
      return (await live.ask(path, init)).status;
    };
    const json = { "content-type": "application/json" };
    expect(await as("GET", "/v1/topics/orders")).toBe(200);
    expect(await as("GET", "/v1/topics/orders/partitions/0/records")).toBe(200);
    expect(await as("POST", "/v1/topics/orders/records", "x")).toBe(403);
    expect(await as("POST", "/v1/topics", '{"name":"other"}', json)).toBe(403);
    expect(await as("PUT", "/v1/topics/other")).toBe(403);
    expect(await as("DELETE", "/v1/topics/orders")).toBe(403);
    const events = { accept: "text/event-stream" };
    for (const status of [
      await as("GET", "/v1/topics/secrets"),
      await as("GET", "/v1/topics/secrets/partitions/0/records"),
      await as("GET", "/v1/topics/secrets/partitions/0/records/0"),
      await as("GET", "/v1/topics/secrets/records", undefined, events),
      await as("GET", "/v1/topics/secrets/records?partition=0", undefined, events),
    ]) {
      expect([403, 404]).toContain(status);
    }
    const listed = await live.ask("/v1/topics", { headers });
    expect(listed.json.topics.map((each: { name: string }) => each.name)).toEqual(["orders"]);
  });

  test("an authenticator that takes no bearer tokens keeps the transport from starting", async () => {
    const authenticator: Authenticator = {
      mechanisms: ["PLAIN"],
      begin: () => ({ respond: async () => ({ kind: "denied", reason: "never" }) }),
    };
    const open = async () => ({ authenticator, close: async () => {} });
    const started = LiveHttp.start({ auth: { kind: "auth", name: "plain", contract: 1, open } });
    await expect(started).rejects.toThrow("bearer");
  });
});

describe("listeners", () => {
  test("a port that is taken is told, and nothing stays open", async () => {
    const first = await LiveHttp.start();
    try {
      const { port } = first;
      const listeners = [
        { name: "a", host: "127.0.0.1", port: 0 },
        { name: "b", host: "127.0.0.1", port },
      ];
      await expect(LiveHttp.start({ http: { listeners } })).rejects.toMatchObject({
        name: "NetworkError",
        code: "in_use",
      });
    } finally {
      await first.stop();
    }
  });

  test("without listeners, handle() answers whoever owns the sockets", async () => {
    const live = await LiveHttp.start({ http: { listeners: null } });
    try {
      expect(live.broker.endpoints).toEqual([]);
      const { handle } = live.transport;
      const ask = (path: string, init: RequestInit = {}) =>
        handle!(new Request(`https://edge.test${path}`, init), { host: "198.51.100.7", port: 1 });
      expect((await ask("/v1/topics/t", { method: "PUT" })).status).toBe(201);
      const posted = await ask("/v1/topics/t/records", { method: "POST", body: "hello" });
      expect(posted.status).toBe(201);
      const fetched = await ask("/v1/topics/t/partitions/0/records");
      expect(await fetched.json()).toMatchObject({ records: [{ value: "hello" }], nextOffset: 1 });
      const events = await ask("/v1/topics/t/records?from=earliest", {
        headers: { accept: "text/event-stream" },
      });
      const reader = events.body!.getReader();
      await reader.read();
      const { value } = await reader.read();
      expect(new TextDecoder().decode(value)).toContain('"value":"hello"');
      await reader.cancel();
    } finally {
      await live.stop();
    }
  });

  test("endpoints tell the bound port and what is advertised", async () => {
    const live = await LiveHttp.start({
      http: {
        listeners: [
          { name: "one", host: "127.0.0.1", port: 0 },
          {
            name: "two",
            host: "127.0.0.1",
            port: 0,
            advertisedHost: "mill.test",
            advertisedPort: 443,
          },
        ],
      },
    });
    try {
      const [one, two] = live.broker.endpoints;
      expect(one).toMatchObject({ protocol: "http", listener: "one", advertisedHost: "127.0.0.1" });
      expect(one!.port).toBeGreaterThan(0);
      expect(one!.advertisedPort).toBe(one!.port);
      expect(two).toMatchObject({
        listener: "two",
        advertisedHost: "mill.test",
        advertisedPort: 443,
      });
    } finally {
      await live.stop();
    }
  });

  test("options out of range are named", () => {
    const listeners = [{ name: "http", host: "127.0.0.1", port: 0 }];
    const cases: [Parameters<typeof transportHttp>[0], string][] = [
      [{ listeners: [] }, "listeners"],
      [{ listeners: [...listeners, ...listeners] }, "two listeners"],
      [{ listeners: [{ name: "x", host: "a", port: 70_000 }] }, "port"],
      [{ listeners, cors: ["app.test"] }, "cors"],
      [{ listeners, cors: ["https://app.test/"] }, "cors"],
      [{ listeners, waitMsMax: 200_000 }, "waitMsMax"],
      [{ listeners, bodyBytesMax: 0 }, "bodyBytesMax"],
    ];
    for (const [options, text] of cases) expect(() => transportHttp(options)).toThrow(text);
  });
});
