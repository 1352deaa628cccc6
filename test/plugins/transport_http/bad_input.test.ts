// What strangers send: broken and nested JSON, bodies too large, too slow, without end and broken off. Each costs its
// own request; the counts and the budget are where they were, and the neighbour is served.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { parseJson } from "../../../plugins/transport-http/json.ts";
import type { Refusal } from "../../../plugins/transport-http/problem.ts";
import { fromBase64, toBase64 } from "../../../plugins/transport-http/record_shapes.ts";
import { BATCH, LiveHttp, readUntil } from "./live.ts";

const encoder = new TextEncoder();

describe("parseJson()", () => {
  const refusal = (text: string | Uint8Array): Refusal => {
    try {
      parseJson(typeof text === "string" ? encoder.encode(text) : text);
    } catch (error) {
      return error as Refusal;
    }
    throw new Error("It was taken");
  };

  test("takes what JSON.parse takes", () => {
    const texts = ['{"a":[1,-2.5e3,true,false,null,"\\u00e9\\n"]}', " [ ] ", "{}", '"x"', "0"];
    for (const text of texts) expect(parseJson(encoder.encode(text))).toEqual(JSON.parse(text));
    const deep = `${"[".repeat(64)}${"]".repeat(64)}`;
    expect(parseJson(encoder.encode(deep))).toEqual(JSON.parse(deep));
  });

  test("tells where it is broken, the same on every host", () => {
    const cases: [string, number][] = [
      ["", 0],
      ["{", 1],
      ['{"a" 1}', 5],
      ['{"a":1,}', 7],
      ["[1,]", 3],
      ["[1 2]", 3],
      ["{a:1}", 1],
      ["[01]", 2],
      ["nul", 0],
      ['"a', 2],
      ['"\\x"', 1],
      ['"a\nb"', 2],
      ["[1]]", 3],
      ['{"a":[1,{"b":}]}', 13],
      ["'a'", 0],
      ["[1}", 2],
    ];
    for (const [text, position] of cases) {
      const { status, code, members } = refusal(text);
      expect([text, status, code, members["position"]]).toEqual([
        text,
        400,
        "invalid_json",
        position,
      ]);
    }
    expect(refusal("[\n1,\n  x]").members).toMatchObject({ line: 3, column: 3, position: 7 });
  });

  test("nesting beyond the bound never reaches the parser", () => {
    const bombs = [
      "[".repeat(5_000_000),
      '{"a":'.repeat(1_000_000),
      `${"[".repeat(65)}${"]".repeat(65)}`,
    ];
    for (const bomb of bombs) expect(refusal(bomb).message).toContain("nested");
    // Brackets within strings are none.
    const text = JSON.stringify(["[".repeat(1000), '\\"[[']);
    expect(parseJson(encoder.encode(text))).toEqual(JSON.parse(text));
  });

  test("long strings without end, and what is not UTF-8", () => {
    expect(refusal(`"${"a".repeat(5_000_000)}`).members["position"]).toBe(5_000_001);
    expect(refusal(new Uint8Array([0x22, 0xff, 0x22])).message).toContain("UTF-8");
  });

  test("base64 there and back, and nothing that only looks like it", () => {
    for (const bytes of [[], [0], [255, 254], [1, 2, 3], [0, 0, 0, 0]]) {
      const text = toBase64(new Uint8Array(bytes));
      expect(fromBase64(text)).toEqual(new Uint8Array(bytes));
    }
    for (const text of ["a", "ab", "abc", "a===", "YQ==\n", "YQ=", "Y Q=", "-_8=", "=aaa"]) {
      expect(fromBase64(text)).toBeNull();
    }
  });
});

describe("bodies", () => {
  let live: LiveHttp;
  beforeAll(async () => {
    live = await LiveHttp.start({
      http: {
        bodyBytesMax: 100_000,
        arrivalBytesMax: 150_000,
        bodyStallMsMax: 200,
        requestsMax: 16,
      },
    });
    await live.topic("t");
  });
  afterEach(() => expect(live.held.sizeBytes).toBe(0));
  afterAll(() => live.stop());

  const post = "POST /v1/topics/t/records HTTP/1.1\r\nHost: localhost\r\n";
  const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
  const isAnswered = (text: string) => text.includes("\r\n\r\n{");
  const served = async () => {
    const { status } = await live.post("/v1/topics/t/records", "neighbour", "text/plain");
    expect(status).toBe(201);
  };

  test("a length over the bound is refused before the body comes", async () => {
    const socket = await live.raw(`${post}Content-Length: 100001\r\n\r\n`);
    const answer = await readUntil(socket, isAnswered);
    expect(answer).toStartWith("HTTP/1.1 413 ");
    expect(answer).toContain('"code":"body_too_large"');
    await served();
  });

  test("chunks without end are refused at the bound", async () => {
    const socket = await live.raw(`${post}Transfer-Encoding: chunked\r\n\r\n`);
    const answered = readUntil(socket, isAnswered);
    let isOver = false;
    void answered.then(() => {
      isOver = true;
    });
    for (let at = 0; at < 1000 && !isOver; at++) {
      socket.write(chunk("x".repeat(10_000)));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(await answered).toStartWith("HTTP/1.1 413 ");
    await served();
  });

  test("a body that stalls, or dribbles, is given up", async () => {
    const stalled = await live.raw(`${post}Content-Length: 1000\r\n\r\nabc`);
    expect(await readUntil(stalled, isAnswered)).toContain('"code":"body_too_slow"');
    const dribble = await live.raw(`${post}Transfer-Encoding: chunked\r\n\r\n`);
    const timer = setInterval(() => dribble.write(chunk("x")), 20);
    const answer = await readUntil(dribble, isAnswered);
    clearInterval(timer);
    expect(answer).toStartWith("HTTP/1.1 408 ");
    await served();
  });

  test("a body that breaks off appends nothing", async () => {
    const before = await end();
    const cut = await live.raw(`${post}Content-Length: 1000\r\n\r\nabc`);
    cut.destroy();
    const chunked = await live.raw(`${post}Transfer-Encoding: chunked\r\n\r\n${chunk("abc")}`);
    chunked.destroy();
    await served();
    await served();
    expect(await end()).toBe(before + 2);
  });

  test("a connection that is half open, or says nothing, costs its own", async () => {
    const quiet = await live.raw("");
    const half = await live.raw("GET /v1/topics HTTP/1.1\r\nHost: local");
    half.end();
    const garbage = await live.raw("\u0000\u0001garbage\r\n\r\n");
    expect(await readUntil(garbage, (text) => text.includes("\r\n\r\n"))).not.toContain("200 OK");
    await served();
    quiet.destroy();
  });

  test("bytes that arrive are bounded over all requests, and none of it is kept", async () => {
    const sockets = await Promise.all(
      Array.from({ length: 4 }, () =>
        live.raw(`${post}Content-Length: 90000\r\n\r\n${"x".repeat(80_000)}`),
      ),
    );
    const answers = await Promise.all(sockets.map((socket) => readUntil(socket, isAnswered)));
    expect(answers.some((text) => text.includes('"code":"too_many_bytes_arriving"'))).toBe(true);
    for (const text of answers) expect(text).toMatch(/^HTTP\/1.1 (503|408) /);
    await served();
  });

  test("requests beyond the bound are told to come again", async () => {
    const polls = Array.from({ length: 16 }, () =>
      live.ask("/v1/topics/t/partitions/0/records?offset=latest&waitMs=20000"),
    );
    for (;;) {
      const { status, json, headers } = await live.ask("/v1/topics");
      if (status !== 503) continue;
      expect(json.code).toBe("too_many_requests");
      expect(headers.get("retry-after")).toBe("1");
      break;
    }
    // Whoever appends what they wait for has to get in.
    const results = Promise.all(polls);
    const { broker } = live;
    const [ended] = await Promise.all([results, wake(broker)]);
    for (const { status } of ended) expect(status).toBe(200);
    await served();
  });

  test("a client that goes frees its long poll", async () => {
    const sockets = await Promise.all(
      Array.from({ length: 16 }, () =>
        live.raw(
          "GET /v1/topics/t/partitions/0/records?offset=latest&waitMs=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
      ),
    );
    for (;;) if ((await live.ask("/v1/topics")).status === 503) break;
    for (const socket of sockets) socket.destroy();
    for (;;) if ((await live.ask("/v1/topics")).status === 200) break;
  });

  test("random bytes as bodies of every kind are answered, never with a 500", async () => {
    let seed = 7;
    const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32;
    const seeds = [
      '{"records":[{"value":"a","headers":[{"key":"k","value":null}]}]}',
      '{"records":[]}',
    ];
    for (let round = 0; round < 300; round++) {
      const bytes = encoder.encode(seeds[round % 2]);
      for (let at = 0; at < 3; at++) bytes[Math.floor(random() * bytes.length)] = random() * 256;
      const body = bytes.slice(0, Math.ceil(random() * bytes.length));
      const { status } = await live.ask("/v1/topics/t/records", {
        method: "POST",
        body,
        headers: { "content-type": BATCH },
      });
      expect([200, 400, 404, 207]).toContain(status);
    }
  });

  async function end(): Promise<number> {
    return (await live.ask("/v1/topics/t/partitions/0/records?offset=latest")).json.nextOffset;
  }

  /** Appends past the listener, which is full. */
  async function wake(broker: LiveHttp["broker"]): Promise<void> {
    const { RecordBatchBuilder } = await import("../../../src/record/record_builder.ts");
    const builder = new RecordBatchBuilder({});
    builder.append(0, null, encoder.encode("wake"));
    const caller = {
      principal: { type: "User", name: "test" },
      peer: { host: "", listener: "", tlsPeerCertificate: null },
      clientId: "",
      listener: "",
      signal: new AbortController().signal,
    };
    await broker.log.append(caller, {
      acks: 1,
      timeoutMs: 1000,
      transactionalId: null,
      partitions: [{ topic: "t", partition: 0, batches: builder.build() }],
    });
  }
});
