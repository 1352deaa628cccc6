// One test, written once: over every storage, what is produced by one face is fetched by another, byte for byte; and a
// token that is right, wrong, missing or not allowed means the same on all of them. The faces are Kafka's wire, HTTP,
// framed CBOR over TCP, and a client in the broker's own process; the broker is the one of a single config object.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, Millrace, type MillraceConfig } from "../../mod.ts";
import { clientFace, type Face, httpFace, type Row, readable, tcpFace } from "./face_clients.ts";

/** A user as a face shows them: with SASL/PLAIN by name and token, as a bearer by token, in process by name. */
interface User {
  readonly name: string;
  readonly token: string | null;
}
const utf8 = new TextEncoder();
const bytes = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 167 + seed * 31 + (i >> 8)) & 0xff);
const ROWS: readonly Row[] = [
  {
    key: utf8.encode("k"),
    value: utf8.encode("text: ä € 𝄞"),
    headers: [],
    timestampMs: 1_700_000_000_000,
  },
  {
    key: null,
    value: bytes(256, 0),
    headers: [{ key: "h", value: utf8.encode("v") }],
    timestampMs: 1,
  },
  {
    key: Uint8Array.of(0xff, 0xfe, 0x00),
    value: null,
    headers: [
      { key: "twice", value: bytes(9, 3) },
      { key: "twice", value: null },
      { key: "ünï", value: new Uint8Array(0) },
    ],
    timestampMs: 1_700_000_000_005,
  },
  { key: new Uint8Array(0), value: new Uint8Array(0), headers: [], timestampMs: 1_700_000_000_004 },
  {
    key: null,
    value: utf8.encode('\ufeff{"json": 1}\r\n\0'),
    headers: [],
    timestampMs: 1_600_000_000_000,
  },
  { key: bytes(1000, 1), value: bytes(150_000, 2), headers: [], timestampMs: 1_700_000_000_006 },
];

const FACES = ["kafka", "http", "tcp", "in process"] as const;
type FaceName = (typeof FACES)[number];
const STORES = { fs: "file", memory: "memory", kv: "kv" } as const;
const user = (name: string): User => ({ name, token: `token-of-${name}` });
const hashOf = (token: string) => `sha256:${createHash("sha256").update(token).digest("hex")}`;

describe.each(Object.keys(STORES) as (keyof typeof STORES)[])("storage %s", (storage) => {
  let folder = "";
  let millrace: Millrace;
  let start: () => Promise<Millrace>;
  const topics = FACES.flatMap((from) =>
    FACES.map((to) => `faces-${from}-to-${to}`.replaceAll(" ", "-")),
  );

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "millrace-faces-"));
    const config: MillraceConfig = {
      data: folder,
      storage,
      metadata: STORES[storage],
      transports: ["kafka", "http", "tcp"].map((use) => ({
        use,
        options: { listen: "127.0.0.1:0" },
      })),
      auth: [
        {
          use: "token",
          options: {
            tokens: ["alice", "reader", "writer", "mallory"].map((name) => ({
              principal: `User:${name}`,
              hash: hashOf(user(name).token!),
            })),
            rules: [
              {
                principal: "User:alice",
                allow: ["all"],
                topics: ["faces-", "=doors"],
                cluster: true,
              },
              { principal: "User:reader", allow: ["read"], topics: ["=doors"] },
              { principal: "User:writer", allow: ["write"], topics: ["=doors"] },
            ],
          },
        },
      ],
      settings: { "auto.create.topics.enable": false },
      log: { level: "off" },
    };
    start = () => Millrace.start(config);
    millrace = await start();
    const { admin } = millrace.client({ principal: { type: "User", name: "alice" } });
    await admin.createTopics([...topics, "doors"].map((name) => ({ name, partitions: 1 })));
    await produce(await open("in process", user("alice")));
  });
  afterAll(async () => {
    await millrace.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const portOf = (protocol: string) =>
    millrace.endpoints.find((endpoint) => endpoint.protocol === protocol)!.port;

  async function open(name: FaceName, who: User): Promise<Face> {
    switch (name) {
      case "kafka": {
        const { name: username, token } = who;
        const client = await connect({
          bootstrap: `127.0.0.1:${portOf("kafka")}`,
          timeoutMs: 5_000,
          ...(token === null ? {} : { sasl: { mechanism: "PLAIN", username, password: token } }),
        });
        return clientFace(client, () => client.close(0));
      }
      case "in process": {
        // There is no token to show: a program says who it is, and the authorizer is asked all the same.
        const as =
          who.token === null
            ? "ANONYMOUS"
            : who.token === user(who.name).token
              ? who.name
              : "nobody";
        const client = millrace.client({ principal: { type: "User", name: as }, timeoutMs: 5_000 });
        return clientFace(client, () => client.close(0));
      }
      case "http":
        return httpFace(`http://127.0.0.1:${portOf("http")}`, who.token);
      case "tcp":
        return tcpFace(portOf("tcp"), who.token);
    }
  }

  for (const from of FACES) {
    test(`produced by ${from}, every face fetches the same bytes`, async () => {
      const writer = await open(from, user("alice"));
      for (const to of FACES) {
        const topic = `faces-${from}-to-${to}`.replaceAll(" ", "-");
        await writer.produce(topic, ROWS);
        const reader = await open(to, user("alice"));
        const found = await reader.fetch(topic);
        await reader.close();
        expect(found.map(readable)).toEqual(ROWS.map(readable));
      }
      await writer.close();
    });
  }

  test.each([...FACES])("%s: a token that is wrong or missing opens nothing", async (name) => {
    const codes = {
      kafka: ["sasl_authentication_failed", "network_exception"],
      http: ["sasl_authentication_failed", "sasl_authentication_failed"],
      tcp: ["sasl_authentication_failed", "sasl_authentication_failed"],
      "in process": ["topic_authorization_failed", "topic_authorization_failed"],
    } as const;
    const wrong: User = { name: "alice", token: "token-of-somebody-else" };
    const missing: User = { name: "alice", token: null };
    const endBefore = await endOf("doors");
    for (const act of [produce, fetchAll]) {
      expect(await refusal(name, wrong, act)).toBe(codes[name][0]);
      expect(await refusal(name, missing, act)).toBe(codes[name][1]);
    }
    expect(await endOf("doors")).toBe(endBefore);
  });

  test.each([...FACES])(
    "%s: who is known may do what the rules say, and nothing else",
    async (name) => {
      const endBefore = await endOf("doors");
      const refused = "topic_authorization_failed";
      expect(await refusal(name, user("reader"), produce)).toBe(refused);
      expect(await refusal(name, user("mallory"), produce)).toBe(refused);
      expect(await refusal(name, user("mallory"), fetchAll)).toBe(refused);
      expect(await refusal(name, user("writer"), fetchAll)).toBe(refused);
      expect(await endOf("doors")).toBe(endBefore);
      expect(await refusal(name, user("writer"), produce)).toBe("served");
      expect(await endOf("doors")).toBe(endBefore + 1);
      expect(await refusal(name, user("reader"), fetchAll)).toBe("served");
    },
  );

  test.if(storage !== "memory")("after a restart every face finds everything", async () => {
    await millrace.stop();
    millrace = await start();
    for (const [at, name] of FACES.entries()) {
      const face = await open(name, user("alice"));
      const found = await face.fetch(topics[at * FACES.length]!);
      expect(found.map(readable)).toEqual(ROWS.map(readable));
      await face.close();
    }
  });

  const produce = (face: Face) => face.produce("doors", ROWS.slice(0, 1));
  const fetchAll = (face: Face) => face.fetch("doors");

  /** The code of what is refused, at the door or behind it; "served" when it is not. */
  async function refusal(
    name: FaceName,
    who: User,
    act: (face: Face) => Promise<unknown>,
  ): Promise<string> {
    let face: Face | null = null;
    try {
      face = await open(name, who);
      await act(face);
      return "served";
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === undefined) throw error;
      return code;
    } finally {
      await face?.close();
    }
  }

  async function endOf(topic: string): Promise<number> {
    const face = await open("in process", user("alice"));
    const count = (await face.fetch(topic)).length;
    await face.close();
    return count;
  }
});
