// MillraceObject on a stand-in of the host's storage: stopping when idle and opening again without losing anything or
// failing anybody, racing openings, a storage that is full. Timers that are set are counted: one that is left would
// keep the object in memory. The real host is tried by test/hosts/workerd.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { AuthPlugin } from "../../src/contracts/auth.ts";
import { MillraceObject, type MillraceObjectOptions } from "../../src/edge/mod.ts";
import {
  durableObjectStorage,
  type FakeDurableObjectStorage,
} from "../support/durable_object_storage.ts";

const host = { set: globalThis.setTimeout, clear: globalThis.clearTimeout, log: console.error };
const timers = new Set<unknown>();
const logged: string[] = [];
const storages: FakeDurableObjectStorage[] = [];

beforeEach(() => {
  globalThis.setTimeout = ((task: () => void, delayMs: number) => {
    const timer = host.set(() => {
      timers.delete(timer);
      task();
    }, delayMs);
    timers.add(timer);
    return timer;
  }) as unknown as typeof setTimeout;
  globalThis.clearTimeout = ((timer: ReturnType<typeof setTimeout> | undefined) => {
    timers.delete(timer);
    host.clear(timer);
  }) as typeof clearTimeout;
  console.error = (line: string) => logged.push(line);
});

afterEach(() => {
  for (const timer of timers) host.clear(timer as ReturnType<typeof setTimeout>);
  logged.length = 0;
  globalThis.setTimeout = host.set;
  globalThis.clearTimeout = host.clear;
  console.error = host.log;
  for (const storage of storages.splice(0)) storage.dispose();
});

/** A test begins with it: timers that are there already are the test runner's. */
function newStorage(): FakeDurableObjectStorage {
  timers.clear();
  const storage = durableObjectStorage();
  storages.push(storage);
  return storage;
}

interface Instance {
  readonly object: MillraceObject;
  readonly aborted: string[];
  send(path: string, init?: RequestInit): Promise<Response>;
}

function instance(
  storage: FakeDurableObjectStorage,
  options: MillraceObjectOptions = {},
): Instance {
  const aborted: string[] = [];
  const context = {
    id: { toString: () => "id", name: "test" },
    storage,
    waitUntil: () => {},
    abort: (reason?: string) => aborted.push(reason ?? ""),
  };
  const object = new MillraceObject(context as never, {}, options);
  const send = (path: string, init: RequestInit = {}) =>
    object.fetch(new Request(`http://edge.test${path}`, init));
  return { object, aborted, send };
}

const turn = (): Promise<void> => new Promise((resolve) => host.set(resolve, 1));

async function until(holds: () => boolean): Promise<void> {
  for (let turns = 0; !holds(); turns++) {
    if (turns > 5000) throw new Error("it did not come to pass");
    await turn();
  }
}

const topic = (at: Instance, name: string) => at.send(`/v1/topics/${name}`, { method: "PUT" });

async function append(at: Instance, name: string, body: string): Promise<number> {
  const headers = { "content-type": "text/plain" };
  const response = await at.send(`/v1/topics/${name}/records`, { method: "POST", headers, body });
  const answer = (await response.json()) as { offset: number };
  expect([response.status, answer]).toEqual([201, expect.anything()]);
  return answer.offset;
}

async function valuesOf(at: Instance, name: string): Promise<string[]> {
  const response = await at.send(`/v1/topics/${name}/partitions/0/records?offset=0&max=1000`);
  expect(response.status).toBe(200);
  const { records } = (await response.json()) as { records: { value: string }[] };
  return records.map(({ value }) => value);
}

/** How often a broker was opened on the storage: the turn in its owner key. */
function openings(storage: FakeDurableObjectStorage): number {
  const sql = "SELECT value FROM millrace_kv WHERE key = ?";
  const rows = storage.sql.exec(sql, "log/owner").raw().toArray();
  return Number.parseInt(new TextDecoder().decode(rows[0]![0] as ArrayBuffer), 10);
}

function storedBytes(storage: FakeDurableObjectStorage): number {
  const sql = "SELECT sum(length(key) + length(value)) FROM millrace_kv";
  return Number(storage.sql.exec(sql).raw().toArray()[0]![0]);
}

describe("an idle object", () => {
  test("stops its broker and leaves no timer; the next request finds everything, again and again", async () => {
    const storage = newStorage();
    const at = instance(storage, { idleMs: 1 });
    expect((await topic(at, "t")).status).toBe(201);
    const values: string[] = [];
    let early = 0;
    for (let life = 1; life <= 30; life++) {
      expect(await append(at, "t", `life ${life}`)).toBe(values.length);
      values.push(`life ${life}`);
      await until(() => timers.size === 0);
      if (life === 10) early = storedBytes(storage);
    }
    expect(openings(storage)).toBeGreaterThanOrEqual(30);
    expect(await valuesOf(at, "t")).toEqual(values);
    // Opening and stopping may not grow what is stored: twenty records do, by less than this.
    expect(storedBytes(storage) - early).toBeLessThan(20 * 1024);
    expect([at.aborted, logged]).toEqual([[], []]);
  });

  test("does not stop before its time, and never where it is told so", async () => {
    const storage = newStorage();
    const at = instance(storage, { idleMs: null });
    await topic(at, "t");
    await append(at, "t", "one");
    for (let turns = 0; turns < 20; turns++) await turn();
    expect(timers.size).toBeGreaterThan(0);
    await append(at, "t", "two");
    expect(openings(storage)).toBe(1);
    for (const idleMs of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
      expect(() => instance(storage, { idleMs })).toThrow("idleMs must be");
    }
  });

  test("takes requests that come while it stops, and fails none", async () => {
    const storage = newStorage();
    const at = instance(storage, { idleMs: 0 });
    await topic(at, "t");
    // Syncs that take a while: the stop has several waits, and requests come in each of them.
    storage.sync = async () => {
      for (let turns = 0; turns < 3; turns++) await turn();
    };
    const values = new Set<string>();
    const running: Promise<unknown>[] = [];
    for (let round = 0; round < 60; round++) {
      for (let lane = 0; lane < 1 + (round % 3); lane++) {
        const value = `${round}/${lane}`;
        running.push(append(at, "t", value).then(() => values.add(value)));
      }
      for (let turns = 0; turns < round % 12; turns++) await turn();
      if (round % 5 === 0) await Promise.all(running.splice(0));
    }
    await Promise.all(running);
    await until(() => timers.size === 0);
    expect(openings(storage)).toBeGreaterThan(5);
    const found = await valuesOf(at, "t");
    expect(found.length).toBe(120);
    expect(new Set(found)).toEqual(values);
    expect([at.aborted, logged]).toEqual([[], []]);
  });

  test("is not idle while somebody follows a topic, or reads a large answer slowly", async () => {
    const storage = newStorage();
    const at = instance(storage, { idleMs: 1 });
    await topic(at, "t");
    const large = "x".repeat(300_000);
    await append(at, "t", large);
    const headers = { accept: "text/event-stream" };
    const events = (await at.send("/v1/topics/t/records?from=latest", { headers })).body!;
    const following = events.getReader();
    const asBytes = { accept: "application/octet-stream" };
    const slow = await at.send("/v1/topics/t/partitions/0/records/0", { headers: asBytes });
    const reader = slow.body!.getReader();
    let sizeBytes = (await reader.read()).value!.byteLength;
    const opened = openings(storage);
    for (let turns = 0; turns < 30; turns++) await turn();
    await append(at, "t", "followed");
    let text = "";
    while (!text.includes("followed")) {
      text += new TextDecoder().decode((await following.read()).value);
    }
    await following.cancel();
    for (let turns = 0; turns < 30; turns++) await turn();
    expect(timers.size).toBeGreaterThan(0);
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      sizeBytes += read.value.byteLength;
    }
    expect(sizeBytes).toBe(large.length);
    expect(openings(storage)).toBe(opened);
    await until(() => timers.size === 0);
  });

  test("is not idle while code uses its broker, nor once it has asked for it", async () => {
    const storage = newStorage();
    const at = instance(storage, { idleMs: 0 });
    await topic(at, "t");
    await until(() => timers.size === 0);
    const clusterId = await at.object.use(async (broker) => {
      for (let turns = 0; turns < 20; turns++) await turn();
      expect(timers.size).toBeGreaterThan(0);
      return broker.clusterId;
    });
    await until(() => timers.size === 0);
    await expect(at.object.use(() => Promise.reject(new Error("of the user")))).rejects.toThrow(
      "of the user",
    );
    await until(() => timers.size === 0);
    expect((await at.object.broker()).clusterId).toBe(clusterId);
    for (let turns = 0; turns < 20; turns++) await turn();
    expect(timers.size).toBeGreaterThan(0);
  });
});

describe("opening", () => {
  test("is done once for requests that come at the same time", async () => {
    const storage = newStorage();
    const at = instance(storage, { logLevel: "off" });
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => topic(at, i < 4 ? "t" : `t${i}`)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([
      200, 200, 200, 201, 201, 201, 201, 201,
    ]);
    expect(openings(storage)).toBe(1);
  });

  test("that fails behind the recovery leaves no broker behind", async () => {
    const storage = newStorage();
    const auth: AuthPlugin = {
      kind: "auth",
      name: "scram_alone",
      contract: 1,
      open: async () => ({
        authenticator: { mechanisms: ["SCRAM-SHA-256"] } as never,
        async close() {},
      }),
    };
    const at = instance(storage, { auth: [auth] });
    for (let attempt = 0; attempt < 3; attempt++) {
      expect((await at.send("/healthz")).status).toBe(503);
    }
    expect(logged.length).toBe(3);
    // The idle timer alone.
    expect(timers.size).toBe(1);
  });
});

describe("a storage that is full", () => {
  test("in the middle of appends loses nothing that was acknowledged, and serves again with more room", async () => {
    for (const failing of ["INSERT", "sync"]) {
      const storage = newStorage();
      const full = instance(storage, { logLevel: "off" });
      await topic(full, "t");
      const acked: string[] = [];
      let room = 25;
      const spend = () => {
        if (room-- <= 0) throw new Error("database or disk is full: SQLITE_FULL");
      };
      if (failing === "sync") storage.onSync = spend;
      else storage.onStatement = (kind) => kind === "INSERT" && spend();
      for (let i = 0; i < 40; i++) {
        const headers = { "content-type": "text/plain" };
        const init = { method: "POST", headers, body: `${failing} ${i}` };
        const response = await full.send("/v1/topics/t/records", init);
        if (response.status === 201) acked.push(`${failing} ${i}`);
        else expect(response.status).toBeGreaterThanOrEqual(500);
        await response.arrayBuffer();
      }
      expect(acked.length).toBeGreaterThan(0);
      expect(acked.length).toBeLessThan(40);
      expect(full.aborted.length).toBeGreaterThan(0);
      // The host makes another instance. While there is no room it says so; then it has everything.
      const starved = instance(storage, { logLevel: "off" });
      expect((await starved.send("/healthz")).status).toBe(503);
      room = Number.POSITIVE_INFINITY;
      const found = await valuesOf(starved, "t");
      expect(found.slice(0, acked.length)).toEqual(acked);
      expect(await append(starved, "t", "room")).toBe(found.length);
    }
  });
});
