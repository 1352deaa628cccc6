// Event streams over real sockets: what is there, what comes, exact resumption, signs of life, slow readers within
// bounded memory, and every way a stream ends.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Authenticator } from "../../../src/contracts/auth.ts";
import { BATCH, EventReader, LiveHttp, methods } from "./live.ts";

let live: LiveHttp;
const readers: EventReader[] = [];
beforeAll(async () => {
  live = await LiveHttp.start({ http: { heartbeatMs: 50, streamsMax: 4 } });
});
afterEach(() => {
  for (const reader of readers.splice(0)) reader.close();
});
afterAll(() => live.stop());

async function open(path: string, headers: Record<string, string> = {}): Promise<EventReader> {
  const reader = await EventReader.open(live.url(path), headers);
  readers.push(reader);
  return reader.begun();
}

async function fill(topic: string, values: readonly string[], partition = 0): Promise<void> {
  const records = values.map((value) => ({ value, partition }));
  const { status } = await live.post(`/v1/topics/${topic}/records`, { records }, BATCH);
  expect(status).toBe(200);
}

function valuesOf(events: readonly { readonly data: { readonly value: string } }[]): string[] {
  return events.map(({ data }) => data.value);
}

describe("GET /v1/topics/TOPIC/records as text/event-stream", () => {
  test("what is there comes first, then what comes", async () => {
    await live.topic("tail");
    await fill("tail", ["a", "b\nwith a line"]);
    const reader = await open("/v1/topics/tail/records?from=earliest");
    expect(reader.response.headers.get("content-type")).toBe("text/event-stream");
    expect(reader.response.headers.get("cache-control")).toBe("no-store");
    const first = await reader.take(2);
    expect(first[0]).toMatchObject({
      event: "message",
      id: expect.stringMatching(/^0:1@[\w-]{22}$/),
      data: { partition: 0, offset: 0, key: null, value: "a", headers: [] },
    });
    expect(valuesOf(first)).toEqual(["a", "b\nwith a line"]);
    await fill("tail", ["c"]);
    expect(valuesOf(await reader.take(1))).toEqual(["c"]);
  });

  test("the latest is where it begins when nobody says where; an offset and a time are taken, too", async () => {
    await live.topic("from");
    await fill("from", ["0", "1", "2"]);
    const latest = await open("/v1/topics/from/records");
    expect(latest.lastId).toMatch(/^0:3@[\w-]{22}$/);
    await fill("from", ["3"]);
    expect(valuesOf(await latest.take(1))).toEqual(["3"]);
    const offset = await open("/v1/topics/from/records?partition=0&from=2");
    expect(valuesOf(await offset.take(2))).toEqual(["2", "3"]);
    const time = await open("/v1/topics/from/records?timestamp=0");
    expect(valuesOf(await time.take(1))).toEqual(["0"]);
  });

  test("Last-Event-ID resumes exactly, over several partitions, wherever the stream broke", async () => {
    await live.topic("resume", 3);
    const wanted: string[] = [];
    for (let at = 0; at < 30; at++) {
      const value = `${at}`;
      wanted.push(value);
      await fill("resume", [value], at % 3);
    }
    const seen: string[] = [];
    let lastId = "";
    for (const count of [1, 4, 7, 2, 9, 7]) {
      const reader = await open(
        "/v1/topics/resume/records?from=earliest",
        lastId === "" ? {} : { "last-event-id": lastId },
      );
      seen.push(...valuesOf(await reader.take(count)));
      ({ lastId } = reader);
      reader.close();
    }
    expect(seen.length).toBe(30);
    expect([...seen].sort()).toEqual([...wanted].sort());
    // A client that came back before its first event begins where it would have begun.
    const early = await open("/v1/topics/resume/records");
    const { lastId: beginning } = early;
    early.close();
    await fill("resume", ["in between"], 1);
    const back = await open("/v1/topics/resume/records", { "last-event-id": beginning });
    expect(valuesOf(await back.take(1))).toEqual(["in between"]);
  });

  test("a topic made anew is not followed from the old one's offsets, nor resumed there", async () => {
    await live.topic("anew");
    await fill("anew", ["a", "b"]);
    const reader = await open("/v1/topics/anew/records?from=earliest");
    expect(valuesOf(await reader.take(2))).toEqual(["a", "b"]);
    expect((await live.ask("/v1/topics/anew", { method: "DELETE" })).status).toBe(204);
    const gone = (await reader.next())!;
    expect([gone.event, gone.data.code]).toEqual(["problem", "unknown_topic_or_partition"]);
    expect(await reader.next()).toBeNull();
    await live.topic("anew");
    await fill("anew", ["c", "d", "e"]);
    const headers = { accept: "text/event-stream", "last-event-id": reader.lastId };
    const back = await live.ask("/v1/topics/anew/records", { headers });
    expect([back.status, back.json.code]).toEqual([404, "unknown_topic_id"]);
    // An id without the topic's is taken as it is.
    const [plainId] = reader.lastId.split("@");
    const plain = await open("/v1/topics/anew/records", { "last-event-id": plainId! });
    expect(valuesOf(await plain.take(1))).toEqual(["e"]);
  });

  test("one partition alone", async () => {
    await live.topic("one", 2);
    await fill("one", ["other"], 0);
    await fill("one", ["mine"], 1);
    const reader = await open("/v1/topics/one/records?partition=1&from=earliest");
    expect(valuesOf(await reader.take(1))).toEqual(["mine"]);
    expect(reader.lastId).toMatch(/^1:1@[\w-]{22}$/);
  });

  test("a quiet stream says that it lives", async () => {
    await live.topic("quiet");
    const reader = await open("/v1/topics/quiet/records");
    setTimeout(() => void fill("quiet", ["end"]), 200);
    expect(valuesOf(await reader.take(1))).toEqual(["end"]);
    expect(reader.comments).toBeGreaterThan(0);
  });

  test("what cannot be followed is refused before the stream begins", async () => {
    await live.topic("refused", 2);
    const cases: [string, Record<string, string>, number][] = [
      ["/v1/topics/nowhere/records", {}, 404],
      ["/v1/topics/refused/records?from=3", {}, 400],
      ["/v1/topics/refused/records?from=soon", {}, 400],
      ["/v1/topics/refused/records?partition=x", {}, 400],
      ["/v1/topics/refused/records?partition=7", {}, 404],
      ["/v1/topics/refused/records?offset=3", {}, 400],
      ["/v1/topics/refused/records", { "last-event-id": "nonsense" }, 400],
      ["/v1/topics/refused/records", { "last-event-id": "0:1,0:2" }, 400],
    ];
    for (const [path, headers, status] of cases) {
      const refused = await live.ask(path, {
        headers: { accept: "text/event-stream", ...headers },
      });
      expect([path, refused.status]).toEqual([path, status]);
      expect(refused.headers.get("content-type")).toBe("application/problem+json");
    }
  });

  test("an offset that is gone ends the stream with a problem", async () => {
    await live.topic("gone");
    const reader = await open("/v1/topics/gone/records", { "last-event-id": "0:99" });
    const event = await reader.next();
    expect(event).toMatchObject({
      event: "problem",
      data: { code: "offset_out_of_range", status: 416 },
    });
    expect(await reader.next()).toBeNull();
  });

  test("streams beyond the bound are refused, and those of clients that went are not counted", async () => {
    await live.topic("bound");
    for (let at = 0; at < 4; at++) await open("/v1/topics/bound/records");
    const refused = await live.ask("/v1/topics/bound/records", {
      headers: { accept: "text/event-stream" },
    });
    expect([refused.status, refused.json.code]).toEqual([503, "too_many_streams"]);
    for (const reader of readers.splice(0)) reader.close();
    for (;;) {
      const again = await EventReader.open(live.url("/v1/topics/bound/records")).catch(() => null);
      if (again === null) continue;
      readers.push(again);
      break;
    }
  });

  test("a reader that is slow is fed at its own pace, and misses nothing", async () => {
    let fetchedBytes = 0;
    const slow = await LiveHttp.start({
      patch: (broker) => ({
        log: {
          ...methods(broker.log),
          fetch: async (caller, request) => {
            const response = await broker.log.fetch(caller, request);
            for (const each of response.partitions)
              if (each.ok) fetchedBytes += each.value.sizeBytes;
            return response;
          },
        },
      }),
    });
    try {
      await slow.topic("flood");
      const value = "x".repeat(10_000);
      const records = Array.from({ length: 400 }, () => ({ value }));
      const batches = 8;
      for (let at = 0; at < batches; at++) {
        await slow.post("/v1/topics/flood/records", { records }, BATCH);
      }
      const socket = await slow.raw(
        "GET /v1/topics/flood/records?from=earliest HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
      );
      socket.pause();
      let last = -1;
      while (last !== fetchedBytes) {
        last = fetchedBytes;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      // 32 MB are there; the kernel's buffers take a few, and the rest stays in the log.
      expect(fetchedBytes).toBeGreaterThan(0);
      expect(fetchedBytes).toBeLessThan(16_000_000);
      const count = 400 * batches;
      const offsets: number[] = [];
      let rest = "";
      const whole = new Promise<void>((resolve) => {
        socket.on("data", (chunk) => {
          rest += String(chunk);
          const cut = rest.lastIndexOf("\n\n");
          if (cut < 0) return;
          for (const [, offset] of rest.slice(0, cut).matchAll(/"offset":(\d+),/g)) {
            offsets.push(Number(offset));
          }
          rest = rest.slice(cut);
          if (offsets.length >= count) resolve();
        });
      });
      socket.resume();
      await whole;
      expect(offsets).toEqual(Array.from({ length: count }, (_, at) => at));
    } finally {
      await slow.stop();
    }
  }, 30_000);
});

describe("the end of streams", () => {
  test("stop() ends streams and long polls at once, whole, and takes no more", async () => {
    const parked = Promise.withResolvers<void>();
    const short = await LiveHttp.start({
      patch: (broker) => ({
        log: {
          ...methods(broker.log),
          fetch: (caller, request) => {
            if (request.waitsOnly === true && request.waitMsMax > 50_000) parked.resolve();
            return broker.log.fetch(caller, request);
          },
        },
      }),
    });
    await short.topic("t");
    const reader = await (await EventReader.open(short.url("/v1/topics/t/records"))).begun();
    const poll = short.ask("/v1/topics/t/partitions/0/records?waitMs=54321");
    await parked.promise;
    const startMs = performance.now();
    await short.stop(20_000);
    expect(performance.now() - startMs).toBeLessThan(10_000);
    expect(await reader.next()).toBeNull();
    const polled = await poll;
    expect([polled.status, polled.json.records]).toEqual([200, []]);
    await expect(fetch(short.url("/healthz"))).rejects.toThrow();
  });

  test("stop() comes back within its grace although nobody reads", async () => {
    const short = await LiveHttp.start();
    await short.topic("t");
    const records = Array.from({ length: 10 }, () => ({ value: "x".repeat(800_000) }));
    await short.post("/v1/topics/t/records", { records }, BATCH);
    const paths = [
      "/v1/topics/t/partitions/0/records?maxBytes=8000000",
      "/v1/topics/t/records?from=0&partition=0",
    ];
    for (const path of paths) {
      const socket = await short.raw(
        `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`,
      );
      await new Promise((resolve) => socket.once("data", resolve));
      socket.pause();
    }
    const startMs = performance.now();
    await short.broker.stop(300);
    expect(performance.now() - startMs).toBeLessThan(5_000);
    await short.stop();
  });

  test("a stream ends when its token expires", async () => {
    const authenticator: Authenticator = {
      mechanisms: ["BEARER"],
      begin: () => ({
        respond: async (message) => ({
          kind: "done",
          message,
          principal: { type: "User", name: "brief" },
          expiresAtMs: Date.now() + 300,
        }),
      }),
    };
    const brief = await LiveHttp.start({
      auth: {
        kind: "auth",
        name: "brief",
        contract: 1,
        open: async () => ({ authenticator, close: async () => {} }),
      },
    });
    try {
      const headers = { authorization: "Bearer x" };
      await brief.ask("/v1/topics/t", { method: "PUT", headers });
      const reader = await EventReader.open(brief.url("/v1/topics/t/records"), headers);
      await reader.begun();
      expect(await reader.next()).toBeNull();
      const startMs = performance.now();
      const poll = await brief.ask("/v1/topics/t/partitions/0/records?waitMs=60000", { headers });
      expect([poll.status, poll.json.records]).toEqual([200, []]);
      expect(performance.now() - startMs).toBeLessThan(10_000);
    } finally {
      await brief.stop();
    }
  });
});
