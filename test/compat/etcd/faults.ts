// What a store over a real etcd does when etcd dies, stops, loses its leader, or the network lies.

import { describe, expect, test } from "bun:test";
import type { MetadataStore } from "../../../src/contracts/metadata_store.ts";
import { EtcdCluster } from "../../support/etcd.ts";
import { TcpProxy } from "../../support/tcp_proxy.ts";
import { until } from "../../support/waiting.ts";
import { follow, opened, put, valuesOf } from "./opened.ts";

/** Runs with a cluster that is stopped at the end. */
async function withEtcd(
  options: Parameters<typeof EtcdCluster.start>[0],
  run: (etcd: EtcdCluster) => Promise<void>,
): Promise<void> {
  const etcd = await EtcdCluster.start(options);
  try {
    await run(etcd);
  } finally {
    await etcd.stop();
  }
}

interface Written {
  readonly acknowledged: string[];
  readonly refused: string[];
}

/** Writes numbered keys, each on condition that it is absent, until told to stop: a second making would be a conflict. */
async function write(store: MetadataStore, signal: AbortSignal): Promise<Written> {
  const written: Written = { acknowledged: [], refused: [] };
  for (let i = 0; !signal.aborted; i++) {
    const key = `n${i}`;
    const value = new TextEncoder().encode("v");
    try {
      const result = await store.commit({
        conditions: [{ key, revision: 0 }],
        writes: [{ key, value }],
      });
      if (!result.ok) throw new Error(`${key} was made twice`);
      written.acknowledged.push(`${result.revision} ${key}=v`);
    } catch (error) {
      if ((error as { code?: string }).code !== "unavailable") throw error;
      written.refused.push(key);
    }
  }
  return written;
}

/** Every acknowledged commit was told once, in order; what was refused may have been made all the same. */
function expectTold({ acknowledged, refused }: Written, seen: readonly string[]): void {
  const isRefused = (line: string) => refused.some((key) => line.endsWith(` ${key}=v`));
  expect(seen.filter((line) => !isRefused(line))).toEqual(acknowledged);
}

describe("one etcd", () => {
  test("is killed under commits and a watch, and comes back: nothing is lost, nothing is made twice", async () => {
    await withEtcd({}, async (etcd) => {
      const store = await opened({ endpoints: etcd.urls });
      const { revision } = await store.read("");
      const stop = new AbortController();
      const seen: string[] = [];
      const following = follow(store, revision, stop.signal, seen);
      const writing = new AbortController();
      const done = write(store, writing.signal);
      for (let round = 0; round < 3; round++) {
        const before = seen.length;
        await until(() => seen.length > before + 50, "commits told", 20_000);
        await etcd.signal(0);
        await etcd.restart(0);
      }
      const before = seen.length;
      await until(() => seen.length > before + 50, "commits told after the last start", 20_000);
      writing.abort();
      const written = await done;
      const last = written.acknowledged.at(-1)!;
      await until(() => seen.includes(last), "the last commit told");
      stop.abort();
      await following;
      expect(written.refused).toEqual([]);
      expectTold(written, seen);
      const values = await valuesOf(store);
      expect(Object.keys(values).length).toBe(written.acknowledged.length);
      await store.close();
    });
  }, 120_000);

  test("behind a network that loses answers: commits are made once, and told with their revision", async () => {
    await withEtcd({}, async (etcd) => {
      const proxy = await TcpProxy.before(etcd.urls[0]!);
      const store = await opened({ endpoints: [proxy.url] });
      const { revision } = await store.read("");
      const direct = await opened({ endpoints: etcd.urls });
      const stop = new AbortController();
      const seen: string[] = [];
      const following = follow(direct, revision, stop.signal, seen);
      const writing = new AbortController();
      const done = write(store, writing.signal);
      for (let round = 0; round < 10; round++) {
        const before = seen.length;
        await until(() => seen.length > before + 5, "commits told");
        const dropped = proxy.droppedCount;
        proxy.mode = "deaf";
        await until(() => proxy.droppedCount > dropped, "an answer lost");
        proxy.mode = "pass";
      }
      writing.abort();
      const written = await done;
      await until(() => seen.includes(written.acknowledged.at(-1)!), "the last commit told");
      stop.abort();
      await following;
      expect(written.refused).toEqual([]);
      expectTold(written, seen);
      await Promise.all([store.close(), direct.close()]);
      await proxy.close();
    });
  }, 120_000);

  test("behind a black hole: the session is lost before etcd drops its entries, which another store sees", async () => {
    await withEtcd({}, async (etcd) => {
      const proxy = await TcpProxy.before(etcd.urls[0]!);
      const store = await opened({ endpoints: [proxy.url], requestTimeoutMs: 2_000 });
      const direct = await opened({ endpoints: etcd.urls });
      const session = await store.session(2_000);
      await put(store, "alive", "1", session);
      // Renewed beyond its first time to live.
      const firstMs = session.heldUntilMs;
      await until(() => session.heldUntilMs > firstMs + 2_000, "renewals");
      expect(await valuesOf(direct)).toEqual({ alive: "1" });
      const { revision } = await direct.read("");
      const stop = new AbortController();
      const seen: string[] = [];
      const following = follow(direct, revision, stop.signal, seen);
      const toldBeforeLoss: number[] = [];
      session.lost.addEventListener("abort", () => toldBeforeLoss.push(seen.length));
      proxy.mode = "hole";
      await until(() => seen.length > 0, "the entry dropped");
      expect(toldBeforeLoss).toEqual([0]);
      expect(session.heldUntilMs).toBe(Number.NEGATIVE_INFINITY);
      const late = put(store, "late", "1", session).then(
        () => "made",
        (error) => error.code,
      );
      expect(await late).toBe("closed");
      stop.abort();
      await following;
      await Promise.all([store.close(), direct.close()]);
      await proxy.close();
    });
  }, 60_000);
});

describe("three members of etcd", () => {
  test("the leader is killed again and again: commits, a watch and a session go on", async () => {
    const flags = ["--heartbeat-interval=50", "--election-timeout=500"];
    await withEtcd({ members: 3, flags }, async (etcd) => {
      const store = await opened({ endpoints: etcd.urls });
      const session = await store.session(10_000);
      await put(store, "session", "1", session);
      const { revision } = await store.read("");
      const stop = new AbortController();
      const seen: string[] = [];
      const following = follow(store, revision, stop.signal, seen);
      const writing = new AbortController();
      const done = write(store, writing.signal);
      for (let round = 0; round < 3; round++) {
        const before = seen.length;
        await until(() => seen.length > before + 20, "commits told", 20_000);
        await until(async () => (await etcd.leader()) !== -1, "a leader", 20_000);
        const leader = await etcd.leader();
        await etcd.signal(leader);
        const after = seen.length;
        await until(() => seen.length > after + 20, "commits told without it", 20_000);
        await etcd.restart(leader);
      }
      writing.abort();
      const written = await done;
      await until(() => seen.includes(written.acknowledged.at(-1)!), "the last commit told");
      stop.abort();
      await following;
      expect(written.refused).toEqual([]);
      expectTold(written, seen);
      expect(session.lost.aborted).toBe(false);
      expect((await valuesOf(store))["session"]).toBe("1");
      await store.close();
    });
  }, 120_000);

  test("the member that is asked stops (SIGSTOP): another one is, within the session's time to live", async () => {
    await withEtcd({ members: 3 }, async (etcd) => {
      await until(async () => (await etcd.leader()) !== -1, "a leader", 20_000);
      const leader = await etcd.leader();
      const asked = (leader + 1) % 3;
      const endpoints = [asked, leader, (leader + 2) % 3].map((at) => etcd.urls[at]!);
      const store = await opened({ endpoints });
      const session = await store.session(2_000);
      await put(store, "session", "1", session);
      const { revision } = await store.read("");
      const stop = new AbortController();
      const seen: string[] = [];
      const following = follow(store, revision, stop.signal, seen);
      await put(store, "a", "1");
      await until(() => seen.length === 1, "the first commit told");
      await etcd.signal(asked, "SIGSTOP");
      await put(store, "b", "2");
      await until(() => seen.length === 2, "the second commit told", 20_000);
      const heldMs = session.heldUntilMs;
      await until(() => session.heldUntilMs > heldMs + 3_000, "renewals elsewhere");
      expect(session.lost.aborted).toBe(false);
      await etcd.signal(asked, "SIGCONT");
      stop.abort();
      await following;
      await store.close();
    });
  }, 60_000);

  test("the member that runs a watch is left without a majority: the watch fails over as soon as one answers", async () => {
    await withEtcd({ members: 3 }, async (etcd) => {
      const store = await opened({ endpoints: etcd.urls });
      const { revision } = await store.read("");
      const stop = new AbortController();
      const seen: string[] = [];
      const following = follow(store, revision, stop.signal, seen);
      await put(store, "a", "1");
      await until(() => seen.length === 1, "the first commit told");
      await etcd.signal(1);
      await etcd.signal(2);
      const lost = put(store, "b", "2").catch((error) => error.code);
      expect(await lost).toBe("unavailable");
      etcd.startMember(1);
      await until(async () => (await etcd.leader()) !== -1, "a leader", 20_000);
      await put(store, "c", "3");
      await until(() => seen.some((line) => line.endsWith("c=3")), "told after all", 20_000);
      expect(seen.filter((line) => line.endsWith("b=2")).length).toBe(
        "b" in (await valuesOf(store)) ? 1 : 0,
      );
      stop.abort();
      await following;
      await store.close();
    });
  }, 120_000);
});
