// metadata-etcd where etcd or the network does wrong, on a clock that the test turns: lost answers, sessions that
// cannot be renewed, watches that break, logins that expire, answers that are none.

import { describe, expect, test } from "bun:test";
import { PORTS, putting, Rig, told } from "./rig.ts";

const rig = (): Promise<Rig> => new Rig().listen(...PORTS);
const isCommit = (path: string, request: Record<string, unknown>): boolean =>
  path === "/v3/kv/txn" && JSON.stringify(request).includes(btoa("millrace/keys/a"));

describe("a commit whose answer is lost", () => {
  test("was made: its revision is found out, and it is not made again", async () => {
    const under = await rig();
    const { etcd } = under;
    const store = await under.open();
    let isLost = false;
    etcd.fault = (path, request) => {
      if (isLost || !isCommit(path, request)) return null;
      isLost = true;
      return "deaf";
    };
    const revision = await under.put(store, "a", "1");
    expect(revision).toBe(etcd.revision);
    expect(etcd.calls.filter(({ path, request }) => isCommit(path, request)).length).toBe(1);
    expect((await store.read("a")).entries[0]!.revision).toBe(revision);
    await under.close(store);
  });

  test("was not made: it is made then, and the first one can come as late as it likes", async () => {
    for (const fault of [
      "lost",
      "silent",
      { status: 503, text: '{"code":14,"message":"timed out"}' },
    ] as const) {
      const under = await rig();
      const { etcd } = under;
      const store = await under.open();
      await under.put(store, "b", "0");
      let late: Record<string, unknown> | null = null;
      etcd.fault = (path, request) => {
        if (late !== null || !isCommit(path, request)) return null;
        late = request;
        return fault;
      };
      await under.put(store, "a", "1");
      await under.put(store, "a", "2");
      const { revision } = etcd;
      expect(etcd.comeLate(late!)).toBe(false);
      expect(etcd.revision).toBe(revision);
      await under.close(store);
    }
  });

  test("and the answer of its settling is lost too: it is settled all the same", async () => {
    const under = await rig();
    const { etcd } = under;
    const store = await under.open();
    let commits = 0;
    let settlings = 0;
    etcd.fault = (path, request) => {
      if (isCommit(path, request)) return commits++ === 0 ? "lost" : null;
      return path === "/v3/kv/txn" && settlings++ === 0 ? "deaf" : null;
    };
    await under.put(store, "a", "1");
    expect([commits, settlings]).toEqual([2, 2]);
    await under.close(store);
  });

  test("and etcd stays away: unavailable, which says that it may have been made", async () => {
    const under = await rig();
    const { etcd } = under;
    const store = await under.open();
    await under.put(store, "b", "0");
    etcd.fault = (path) => (path === "/v3/kv/txn" ? "silent" : null);
    expect(await under.codeOf(putting(store, "a", "1"))).toContain(
      "unavailable: Cannot say whether a commit was made",
    );
    for (const port of PORTS) under.silent.add(port);
    expect(await under.codeOf(store.read(""))).toContain("unavailable: Cannot read");
    under.silent.clear();
    etcd.fault = () => null;
    await under.put(store, "a", "2");
    await under.close(store);
  });
});

describe("a session", () => {
  test("is renewed while etcd answers, and lost in time when it does not", async () => {
    const under = await rig();
    const { time, etcd } = under;
    const store = await under.open();
    const session = await under.during(store.session(2_000));
    await under.put(store, "a", "1", session);
    await time.advance(20_000);
    expect(session.lost.aborted).toBe(false);
    expect(session.heldUntilMs).toBeGreaterThan(time.monotonicMs);
    for (const port of PORTS) under.silent.add(port);
    const { heldUntilMs } = session;
    const endsMs = [...etcd.leases.values()].find(({ ttlMs }) => ttlMs === 2_000)!.endsMs;
    expect(heldUntilMs).toBeLessThanOrEqual(endsMs - 100);
    await time.advance(heldUntilMs - time.monotonicMs - 1);
    expect(session.lost.aborted).toBe(false);
    await time.advance(1);
    expect(session.lost.aborted).toBe(true);
    expect(await under.codeOf(putting(store, "b", "2", session))).toContain("closed");
    // As soon as etcd is there, what is left of it goes: nobody waits for the lease.
    under.silent.clear();
    await time.advance(1_000);
    expect((await under.during(store.read(""))).entries).toEqual([]);
    await under.close(store);
  });

  test("counts from before it was asked for, however long the answer took, also when it is never renewed", async () => {
    const under = await rig();
    const { etcd, time } = under;
    const store = await under.open();
    const sentMs: number[] = [];
    etcd.fault = (path) => {
      if (/grant|keepalive/.test(path)) {
        sentMs.push(time.monotonicMs);
        time.monotonicMs += 300;
      }
      return null;
    };
    const session = await store.session(2_000);
    expect(session.heldUntilMs).toBe(sentMs[0]! + 1_900);
    await time.advance(700);
    expect(sentMs.length).toBe(2);
    expect(session.heldUntilMs).toBe(sentMs[1]! + 1_900);
    etcd.fault = () => null;
    const other = await store.session(2_000);
    for (const port of PORTS) under.silent.add(port);
    await time.advance(1_899);
    expect(other.lost.aborted).toBe(false);
    await time.advance(1);
    expect(other.lost.aborted).toBe(true);
    under.silent.clear();
    await under.close(store);
  });

  test("is lost at a look when the process was stopped, before any timer runs", async () => {
    const under = await rig();
    const store = await under.open();
    const session = await under.during(store.session(2_000));
    under.time.monotonicMs += 5_000;
    expect(session.heldUntilMs).toBeLessThan(under.time.monotonicMs);
    expect(session.lost.aborted).toBe(true);
    expect(session.heldUntilMs).toBe(Number.NEGATIVE_INFINITY);
    await under.close(store);
  });

  test("goes on over another endpoint when the one that was asked is silent", async () => {
    const under = await rig();
    const store = await under.open();
    const session = await under.during(store.session(2_000));
    under.silent.add(PORTS[0]);
    await under.time.advance(10_000);
    expect(session.lost.aborted).toBe(false);
    await under.close(store);
  });

  test("that etcd dropped is lost: at a renewal, and at a commit with it", async () => {
    const under = await rig();
    const { etcd, time } = under;
    const store = await under.open();
    const first = await under.during(store.session(2_000));
    etcd.leases.delete(first.id);
    await time.advance(1_000);
    expect(first.lost.aborted).toBe(true);
    const second = await under.during(store.session(60_000));
    etcd.leases.delete(second.id);
    expect(await under.codeOf(putting(store, "a", "1", second))).toContain("closed");
    expect(second.lost.aborted).toBe(true);
    await under.put(store, "a", "1");
    await under.close(store);
  });
});

describe("a watch", () => {
  test("goes on after broken connections without a gap, and is reset where etcd has forgotten", async () => {
    const under = await rig();
    const { etcd, network } = under;
    const store = await under.open();
    const stop = new AbortController();
    const steps = told(store, etcd.revision, stop.signal);
    for (const value of ["1", "2", "3"]) {
      const next = steps.next();
      const revision = await under.put(store, "a", value);
      expect((await under.during(next)).value).toBe(`${revision} a=${value}`);
      for (const port of PORTS) network.reset(port);
      // Made while nobody watches.
      const missed = await under.put(store, "b", value);
      expect((await under.during(steps.next())).value).toBe(`${missed} b=${value}`);
    }
    for (const port of PORTS) network.reset(port);
    await under.put(store, "a", "4");
    etcd.compact(etcd.revision + 1);
    expect((await under.during(steps.next())).value).toBe("reset");
    expect((await under.during(steps.next())).done).toBe(true);
    await under.close(store);
  });

  test("asks from the revision it has seen: a deletion at the compaction's own revision is not missed", async () => {
    const under = await rig();
    const { etcd } = under;
    const store = await under.open();
    const seen = await under.put(store, "a", "1");
    await under.during(store.commit({ conditions: [], writes: [{ key: "a", value: null }] }));
    // Etcd keeps nothing of what is deleted at the compacted revision, and would begin there without a word.
    etcd.compact(etcd.revision);
    const steps = told(store, seen, new AbortController().signal);
    expect((await under.during(steps.next())).value).toBe("reset");
    await under.close(store);
  });

  test("moves when its member falls silent without a word", async () => {
    const under = await rig();
    const store = await under.open();
    const steps = told(store, under.etcd.revision, new AbortController().signal);
    const first = steps.next();
    await under.put(store, "a", "1");
    await under.during(first);
    // The stream stays open, and nothing comes through it any more.
    under.etcd.watchers.clear();
    under.silent.add(PORTS[0]);
    const next = steps.next();
    await under.time.advance(10_000);
    const revision = await under.put(store, "a", "2");
    expect((await under.during(next)).value).toBe(`${revision} a=2`);
    await under.close(store);
  });
});

describe("etcd that is not as it should be", () => {
  test("logins: renewed when the token has expired, refused with a wrong password", async () => {
    const under = await rig();
    const { etcd } = under;
    etcd.token = "first";
    const store = await under.open({ user: "u", password: "right" });
    await under.put(store, "a", "1");
    expect(etcd.logins).toBe(1);
    etcd.token = "second";
    await under.put(store, "a", "2");
    expect(etcd.logins).toBe(2);
    expect(await under.codeOf(under.open({ user: "u", password: "wrong" }))).toContain(
      'unavailable: Cannot open the metadata: the login as "u" is refused',
    );
    expect(await under.codeOf(under.open())).toContain("invalid auth token");
    await under.close(store);
  });

  test("answers that are no JSON, no etcd's, or another cluster's count as none", async () => {
    const under = await rig();
    const { etcd } = under;
    const store = await under.open();
    const garbage = [
      { status: 200, text: "<html>" },
      { status: 200, text: "[]" },
      { status: 200, text: '{"header":{"cluster_id":"1","revision":"x"},"kvs":[]}' },
      { status: 200, text: '{"header":{"cluster_id":"1","revision":"5"},"kvs":[{"key":"?"}]}' },
      { status: 502, text: "bad gateway" },
    ];
    for (const answer of garbage) {
      etcd.fault = (path) => (path === "/v3/kv/range" ? answer : null);
      expect(await under.codeOf(store.read(""))).toContain("unavailable: Cannot read");
    }
    etcd.fault = () => null;
    etcd.clusterId = "2";
    expect(await under.codeOf(store.read(""))).toContain("another etcd cluster than before");
    etcd.clusterId = "1";
    await under.put(store, "a", "1");
    await under.close(store);
  });

  test("an older etcd, another layout, and an etcd that went back are refused", async () => {
    const under = await rig();
    const { etcd } = under;
    etcd.fault = () => ({ status: 404, text: "404 page not found\n" });
    expect(await under.codeOf(under.open())).toContain("version: Cannot open the metadata");
    etcd.fault = () => null;
    const store = await under.open();
    await under.put(store, "a", "1");
    await under.during(store.read(""));
    etcd.revision -= 1;
    expect(await under.codeOf(store.read(""))).toContain("corrupt: Cannot go on as etcd is at");
    etcd.revision += 1;
    await under.close(store);
    const format = { key: "millrace/format", value: btoa("2"), modRevision: 2, lease: null };
    etcd.rows.set(format.key, format);
    expect(await under.codeOf(under.open())).toContain(
      'version: Cannot open the metadata under "millrace/"',
    );
  });

  test("nobody there: unavailable; one of two there: it is found", async () => {
    const nobody = new Rig();
    expect(await nobody.codeOf(nobody.open())).toContain("unavailable: Cannot open the metadata");
    const under = await new Rig().listen(PORTS[1]);
    const store = await under.open();
    await under.put(store, "a", "1");
    await under.close(store);
  });
});
