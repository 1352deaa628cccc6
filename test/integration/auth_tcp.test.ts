// auth-token behind framed TCP: what is not allowed is refused, op by op, and leaves everything as it was. An op
// without a case fails.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { transportTcp } from "../../plugins/transport-tcp/mod.ts";
import { operations } from "../../plugins/transport-tcp/operations.ts";
import { Session } from "../../plugins/transport-tcp/session.ts";
import { type MemoryBroker, memoryBroker } from "../support/memory_broker.ts";
import { type Frame, int, TcpClient, TcpRefusal } from "../support/tcp_client.ts";
import {
  type Asked,
  everything,
  having,
  LATE,
  lacking,
  NOBODY,
  ROOT,
  refusedFor,
  refusingAuth,
  tokenOf,
} from "./refused.ts";

const FORBIDDEN = "topic_authorization_failed";
const UNKNOWN = "sasl_authentication_failed";
const VALUE = new Uint8Array([115, 101, 99]);

interface Case {
  readonly op: string;
  readonly what?: string;
  /** What is asked of the rules about the topic; null: nothing. */
  readonly needs: Asked | null;
  fields(topic: string): Record<string, unknown>;
  /** What who may is told: the code of a refusal that is about something else, or "ok". */
  readonly allowed?: string;
  /** It is about a topic that is not there. */
  readonly makes?: true;
}

const CASES: readonly Case[] = [
  { op: "ping", needs: null, fields: () => ({}) },
  { op: "list_topics", needs: null, fields: () => ({}) },
  // Of the connection itself: there is no subscription of theirs.
  { op: "credit", needs: null, fields: () => ({ subscription: 1, bytes: 10 }), allowed: "silent" },
  {
    op: "unsubscribe",
    needs: null,
    fields: () => ({ subscription: 1 }),
    allowed: "unknown_subscription_id",
  },
  { op: "produce", needs: "write", fields: (topic) => ({ topic, records: [[null, VALUE]] }) },
  {
    op: "produce",
    what: "several, to partitions, compressed",
    needs: "write",
    fields: (topic) => ({
      topic,
      compression: "gzip",
      acks: 1,
      records: [
        [VALUE, VALUE, null, null, 0],
        [VALUE, null, null, int(5), 0],
      ],
    }),
  },
  {
    op: "produce",
    what: "that waits for nothing",
    needs: "write",
    fields: (topic) => ({ topic, acks: 0, records: [[null, VALUE]] }),
    allowed: "silent",
  },
  {
    op: "produce",
    what: "at an offset",
    needs: "write",
    fields: (topic) => ({ topic, expectedOffset: 7, records: [[null, VALUE]] }),
    allowed: "invalid_record",
  },
  { op: "fetch", needs: "read", fields: (topic) => ({ topic, partitions: [[0, 0]] }) },
  {
    op: "fetch",
    what: "that waits",
    needs: "read",
    fields: (topic) => ({ topic, partitions: [[0, 0]], waitMs: 5, committed: true }),
  },
  {
    op: "fetch",
    what: "beyond the end",
    needs: "read",
    fields: (topic) => ({ topic, partitions: [[0, 900]] }),
    allowed: "offset_out_of_range",
  },
  { op: "offsets", needs: "describe", fields: (topic) => ({ topic, partitions: [[0, "latest"]] }) },
  {
    op: "offsets",
    what: "of a time",
    needs: "describe",
    fields: (topic) => ({ topic, partitions: [[0, { timestampMs: 1 }]] }),
  },
  {
    op: "create_topic",
    needs: "create",
    fields: (topic) => ({ topic, partitions: 1 }),
    makes: true,
  },
  {
    op: "create_topic",
    what: "with settings",
    needs: "create",
    fields: (topic) => ({ topic, config: { "retention.ms": "1000" } }),
    makes: true,
  },
  { op: "delete_topic", needs: "delete", fields: (topic) => ({ topic }) },
  { op: "describe_topic", needs: "describe", fields: (topic) => ({ topic }) },
  { op: "subscribe", needs: "read", fields: (topic) => ({ topic, credit: 1000 }) },
  {
    op: "subscribe",
    what: "to a partition, from its beginning",
    needs: "read",
    fields: (topic) => ({ topic, partitions: [[0, "earliest"]], credit: 1000 }),
  },
];

const nameOf = ({ op, what = "" }: Case): string => `${op} ${what}`.trim();

let rig: MemoryBroker;
let root: TcpClient;
const clients: TcpClient[] = [];

beforeAll(async () => {
  rig = await memoryBroker({
    transports: [transportTcp({ port: 0 })],
    auth: [refusingAuth()],
    // Whoever may not make topics must not make them by writing, either.
    settings: { "auto.create.topics.enable": "true" },
  });
  root = await connect(ROOT);
  await fill("there");
});
afterAll(async () => {
  for (const client of clients) client.close();
  await rig.stop();
});

async function connect(name: string): Promise<TcpClient> {
  const { network } = rig.runtime;
  const { port } = rig.broker.endpoints[0]!;
  const client = await TcpClient.connect(network, port, { token: tokenOf(name) });
  clients.push(client);
  return client;
}

/** A connection on which nothing was said. */
async function bare(): Promise<TcpClient> {
  const { port } = rig.broker.endpoints[0]!;
  const to = { host: "127.0.0.1", port, timeoutMs: 5000 };
  const client = new TcpClient(await rig.runtime.network.connect(to));
  clients.push(client);
  return client;
}

async function fill(topic: string): Promise<void> {
  await root.ask("create_topic", { topic, partitions: 1 });
  await root.ask("produce", { topic, records: [[null, VALUE]] });
}

/** What came of it: "ok", or the code of the refusal, also where it stands at the one partition or record asked for. */
async function ask(client: TcpClient, op: string, fields: object): Promise<string> {
  try {
    return codeIn(await client.ask(op, { ...fields }));
  } catch (error) {
    if (error instanceof TcpRefusal) return error.code;
    throw error;
  }
}

function codeIn(frame: Frame): string {
  // Of a topic it is the count of its partitions.
  const partitions = Array.isArray(frame.partitions) ? frame.partitions : [];
  const rows: readonly Frame[] = [...partitions, ...(frame.results ?? [])];
  const codes = rows.map((row) => row.error?.code ?? row.code ?? "ok");
  const refused = codes.filter((code) => code !== "ok");
  expect(refused.length === 0 || refused.length === rows.length).toBe(true);
  return refused[0] ?? "ok";
}

/** As `ask`, for who may: what is answered only when it is refused is "silent". */
async function askSilent(client: TcpClient, each: Case, topic: string): Promise<string> {
  const asked = ask(client, each.op, each.fields(topic));
  asked.catch(() => {}); // It ends with the connection.
  for (let turns = 0; turns < 10; turns++) await client.ask("ping");
  return await Promise.race([asked, client.ask("ping").then(() => "silent")]);
}

test("every op has a case, and every case an op", () => {
  const served = [...operations.keys(), ...Session.operations.keys()];
  const known = new Set(CASES.map(({ op }) => op));
  expect(served.filter((op) => !known.has(op))).toEqual([]);
  expect([...known].filter((op) => !served.includes(op))).toEqual([]);
  expect(served.length).toBeGreaterThan(9);
});

describe("who is not let in is served nothing", () => {
  for (const each of CASES) {
    test(nameOf(each), async () => {
      const before = await everything(rig.broker);
      const fields = each.fields(each.makes ? "new" : "there");
      // Without a hello there is nothing but its refusal.
      const silent = await bare();
      expect(await ask(silent, each.op, fields)).toBe("illegal_sasl_state");
      await silent.closed;
      for (const token of [null, "", "nonsense", `${tokenOf(ROOT)}x`, tokenOf(LATE), VALUE]) {
        const client = await bare();
        // The request comes with the hello, before that is answered.
        const hello = ask(client, "hello", { version: 1, ...(token === null ? {} : { token }) });
        const asked = client.begin(each.op, fields);
        expect(await hello).toBe(UNKNOWN);
        await client.closed;
        await expect(asked.answer).rejects.toThrow("closed");
      }
      expect(await everything(rig.broker)).toEqual(before);
    });
  }

  test("a token that is renewed by a wrong one, or by somebody else's, ends the connection", async () => {
    const before = await everything(rig.broker);
    for (const [token, code] of [
      ["nonsense", UNKNOWN],
      [tokenOf(LATE), UNKNOWN],
      [tokenOf(ROOT), "illegal_sasl_state"],
    ] as const) {
      const client = await connect(NOBODY);
      const renewed = ask(client, "auth", { token });
      const asked = client.begin("delete_topic", { topic: "there" });
      const answer = asked.answer.catch((error: Error) => error);
      expect(await renewed).toBe(code);
      await client.closed;
      // It was asked by nobody's right: refused, or not answered any more.
      expect(String(await answer)).toMatch(/topic_authorization_failed|closed/);
    }
    expect(await everything(rig.broker)).toEqual(before);
  });
});

describe("who may not is refused, and nothing has happened", () => {
  for (const each of CASES) {
    const { needs } = each;
    if (needs === null) continue;
    test(`${nameOf(each)} needs ${needs}`, async () => {
      const before = await everything(rig.broker);
      for (const user of refusedFor(needs)) {
        const client = await connect(user);
        for (const topic of each.makes ? ["new"] : ["there", "absent"]) {
          const code = await ask(client, each.op, each.fields(topic));
          // Who may describe it is told that it is not there.
          const isTold = topic === "absent" && user === lacking("read");
          if (isTold && code === "unknown_topic_or_partition") continue;
          expect([user, topic, code]).toEqual([user, topic, FORBIDDEN]);
        }
        // Refused is no reason to hang up, and no records come behind it.
        await client.ask("ping");
        client.close();
      }
      expect(await everything(rig.broker)).toEqual(before);
    });
  }

  test("writing does not make a topic for who may write and not create", async () => {
    const before = await everything(rig.broker);
    for (const user of [having("write"), lacking("create")]) {
      const client = await connect(user);
      for (const each of CASES.filter(({ needs }) => needs === "write")) {
        const code = await ask(client, each.op, each.fields("absent"));
        expect([FORBIDDEN, "unknown_topic_or_partition"]).toContain(code);
      }
    }
    expect(await everything(rig.broker)).toEqual(before);
  });

  test("subscriptions are their connection's alone", async () => {
    const mine = await connect(ROOT);
    const { id } = await mine.ask("subscribe", { topic: "there", at: "earliest" });
    const other = await connect(ROOT);
    expect(await ask(other, "unsubscribe", { subscription: id })).toBe("unknown_subscription_id");
    other.tell({ id: 1000, op: "credit", subscription: id, bytes: 1000 });
    await other.ask("ping");
    expect(mine.queued(id)).toBe(0);
    mine.tell({ id: 1000, op: "credit", subscription: id, bytes: 1000 });
    expect((await mine.event(id)).records).toHaveLength(1);
  });
});

describe("who may is served, by that right alone", () => {
  for (const [i, each] of CASES.entries()) {
    test(nameOf(each), async () => {
      const topic = `mine-${i}`;
      if (!each.makes) await fill(topic);
      const client = await connect(each.needs === null ? NOBODY : having(each.needs));
      const code =
        each.allowed === "silent"
          ? await askSilent(client, each, topic)
          : await ask(client, each.op, each.fields(topic));
      expect(code).toBe(each.allowed ?? "ok");
    });
  }

  test("a list shows what may be seen", async () => {
    const list = async (user: string) => {
      const { topics } = await (await connect(user)).ask("list_topics");
      return topics.map(({ topic }: Frame) => topic);
    };
    await fill("other-1");
    expect(await list(NOBODY)).toEqual([]);
    expect(await list("elsewhere")).toEqual(["other-1"]);
    expect(await list(lacking("describe"))).toEqual([]);
    expect(await list(ROOT)).toContain("there");
  });
});
