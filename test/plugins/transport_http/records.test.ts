// Topics and records over real sockets: every route, what comes back byte for byte, and every refusal by its status.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Broker } from "../../../src/contracts/broker.ts";
import { errors, type KafkaErrorName, refuse } from "../../../src/protocol/errors.ts";
import { BATCH, LiveHttp, methods, readUntil } from "./live.ts";

let live: LiveHttp;
beforeAll(async () => {
  live = await LiveHttp.start();
});
afterAll(() => live.stop());

describe("/v1/topics", () => {
  test("a topic is made, listed, described and deleted", async () => {
    const made = await live.post("/v1/topics", {
      name: "made",
      partitions: 3,
      config: { "retention.ms": 1000, "cleanup.policy": "delete" },
    });
    expect(made.status).toBe(201);
    expect(made.headers.get("location")).toBe("/v1/topics/made");
    expect(made.json).toMatchObject({ name: "made", partitions: 3, internal: false });
    expect(made.json.config["retention.ms"]).toBe("1000");
    const listed = await live.ask("/v1/topics");
    expect(listed.status).toBe(200);
    expect(listed.json.topics).toContainEqual({
      name: "made",
      id: made.json.id,
      partitions: 3,
      internal: false,
    });
    const described = await live.ask("/v1/topics/made");
    expect(described.json).toEqual(made.json);
    const again = await live.post("/v1/topics", { name: "made" });
    expect(again.status).toBe(409);
    expect(again.json.code).toBe("topic_already_exists");
    const deleted = await live.ask("/v1/topics/made", { method: "DELETE" });
    expect(deleted.status).toBe(204);
    expect(deleted.text).toBe("");
    const gone = await live.ask("/v1/topics/made");
    expect(gone.status).toBe(404);
    expect(gone.json.code).toBe("unknown_topic_or_partition");
    expect((await live.ask("/v1/topics/made", { method: "DELETE" })).status).toBe(404);
  });

  test("PUT makes a topic once, and refuses one that differs", async () => {
    const put = (json: unknown) =>
      live.ask("/v1/topics/put", {
        method: "PUT",
        body: JSON.stringify(json),
        headers: { "content-type": "application/json" },
      });
    expect((await put({ partitions: 2, config: { "retention.ms": "5000" } })).status).toBe(201);
    expect((await put({ partitions: 2 })).status).toBe(200);
    expect((await live.ask("/v1/topics/put", { method: "PUT" })).status).toBe(200);
    expect((await put({ config: { "retention.ms": "5000" } })).status).toBe(200);
    const other = await put({ partitions: 4 });
    expect([other.status, other.json.code]).toEqual([409, "topic_already_exists"]);
    expect((await put({ config: { "retention.ms": "6000" } })).status).toBe(409);
    expect((await live.ask("/v1/topics/put-bare", { method: "PUT" })).status).toBe(201);
  });

  // `curl -X PUT` was refused with 415 on Deno and Node: it has no Content-Length, and they made a body of nothing.
  test("PUT without a word about a body makes a topic", async () => {
    const socket = await live.raw("PUT /v1/topics/put-curl HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const answer = await new Promise<string>((resolve) =>
      socket.once("data", (bytes) => resolve(String(bytes))),
    );
    expect(answer.slice(0, 13)).toBe("HTTP/1.1 201 ");
  });

  test("what makes no topic is told by its member", async () => {
    const cases: [unknown, number, string][] = [
      [{ name: "a", partitions: 0 }, 400, "body.partitions"],
      [{ name: "a", partitions: "3" }, 400, "body.partitions"],
      [{ name: 3 }, 400, "body.name"],
      [{ name: "a", replicas: 3 }, 400, "replicas"],
      [[], 400, "body must be an object"],
      [{ name: "a", config: { x: null } }, 400, "body.config"],
      [{ name: "a", config: [] }, 400, "body.config"],
      [{ name: "not allowed" }, 400, ""],
      [{ name: "a", config: { "retention.ms": "soon" } }, 400, "retention.ms"],
    ];
    for (const [json, status, text] of cases) {
      const refused = await live.post("/v1/topics", json);
      expect(refused.status).toBe(status);
      expect(refused.headers.get("content-type")).toBe("application/problem+json");
      expect(refused.json.detail).toContain(text);
    }
    const typed = await live.post("/v1/topics", { name: "a" }, "text/plain");
    expect(typed.status).toBe(415);
    expect((await live.ask("/v1/topics/a%2Fb")).status).toBe(400);
  });
});

describe("POST /v1/topics/TOPIC/records, one record", () => {
  beforeAll(() => live.topic("single", 4));

  test("the body is the value, whatever its type", async () => {
    const values: [string | Uint8Array<ArrayBuffer>, string][] = [
      ["hello", "text/plain"],
      ["a=b&c=d", "application/x-www-form-urlencoded"],
      ['{"records": [1]}', "application/json"],
      [new Uint8Array([0, 255, 128, 10]), "application/octet-stream"],
      ["", "text/plain"],
    ];
    for (const [body, type] of values) {
      const posted = await live.ask("/v1/topics/single/records?partition=1", {
        method: "POST",
        body,
        headers: { "content-type": type },
      });
      expect(posted.status).toBe(201);
      expect(posted.json).toMatchObject({ topic: "single", partition: 1 });
      expect(posted.json.timestamp).toBeGreaterThan(1_600_000_000_000);
      const { location } = Object.fromEntries(posted.headers) as { location: string };
      const stored = await fetch(live.url(location), {
        headers: { accept: "application/octet-stream" },
      });
      expect(stored.status).toBe(200);
      expect(stored.headers.get("content-type")).toBe("application/octet-stream");
      expect(stored.headers.get("millrace-offset")).toBe(String(posted.json.offset));
      const sent = typeof body === "string" ? new TextEncoder().encode(body) : body;
      expect(new Uint8Array(await stored.arrayBuffer())).toEqual(new Uint8Array(sent));
    }
  });

  test("key, headers, time, and partition by key", async () => {
    const post = (query: string, body: string) =>
      live.ask(`/v1/topics/single/records?${query}`, {
        method: "POST",
        body,
        headers: [
          ["millrace-header-trace", "abc"],
          ["millrace-header-empty", ""],
        ],
      });
    const first = await post("key=k%C3%A9y&timestamp=1234567890123", "one");
    const second = await post("keyBase64=a8OpeQ==", "two");
    expect(second.json.partition).toBe(first.json.partition);
    expect(first.json.timestamp).toBe(1234567890123);
    const { json } = await live.ask(first.headers.get("location")!);
    expect(json).toMatchObject({ key: "kéy", value: "one", timestamp: 1234567890123 });
    expect(json.headers).toContainEqual({ key: "trace", value: "abc" });
    expect(json.headers).toContainEqual({ key: "empty", value: "" });
    const raw = await fetch(live.url(first.headers.get("location")!), {
      headers: { accept: "application/octet-stream" },
    });
    expect(decodeURIComponent(raw.headers.get("millrace-key")!)).toBe("kéy");
    expect(await raw.text()).toBe("one");
  });

  test("headers are the bytes that were sent, and Latin-1 where they are no UTF-8", async () => {
    await live.topic("wire");
    for (const bytes of [Buffer.from("caf\u00e9"), Buffer.from("caf\u00e9", "latin1")]) {
      const head =
        "POST /v1/topics/wire/records HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n";
      const socket = await live.raw("");
      socket.write(`${head}Millrace-Header-Name: `);
      socket.write(bytes);
      socket.write("\r\n\r\n");
      expect(await readUntil(socket, (text) => text.includes("}"))).toContain(" 201 ");
    }
    const { json } = await live.ask("/v1/topics/wire/partitions/0/records");
    const headers = [{ key: "name", value: "caf\u00e9" }];
    expect(json.records.map((each: { headers: unknown }) => each.headers)).toEqual([
      headers,
      headers,
    ]);
  });

  test("a tombstone has no value, and no body", async () => {
    const path = "/v1/topics/single/records?key=k&tombstone=true";
    const posted = await live.ask(path, { method: "POST" });
    expect(posted.status).toBe(201);
    const stored = await live.ask(posted.headers.get("location")!);
    expect(stored.json.value).toBeNull();
    expect((await live.ask(path, { method: "POST", body: "x" })).status).toBe(400);
  });

  test("acks 0, 1 and all", async () => {
    for (const [acks, status] of [
      ["0", 202],
      ["1", 201],
      ["all", 201],
      ["-1", 201],
    ] as const) {
      const posted = await live.post(`/v1/topics/single/records?acks=${acks}&partition=0`, "1");
      expect(posted.status).toBe(status);
      expect(posted.json.offset === undefined).toBe(acks === "0");
    }
    expect((await live.post("/v1/topics/single/records?acks=2", "1")).status).toBe(400);
  });

  test("an expected offset is the next one, or nothing is appended", async () => {
    await live.topic("expected");
    const post = (offset: number) =>
      live.post(`/v1/topics/expected/records?expectedOffset=${offset}`, "1");
    expect((await post(0)).json.offset).toBe(0);
    const late = await post(0);
    expect(late.status).toBe(412);
    expect(late.json).toMatchObject({ code: "invalid_record", expectedOffset: 0, nextOffset: 1 });
    expect((await post(1)).json.offset).toBe(1);
    // Of a key's partition, too, whichever that is; and of a batch, which is of one partition.
    await live.topic("expected-keys", 5);
    const path = "/v1/topics/expected-keys/records?expectedOffset=0";
    expect((await live.post(`${path}&key=a`, "1")).status).toBe(201);
    const second = await live.post(`${path}&key=a`, "1");
    expect([second.status, second.json.nextOffset]).toEqual([412, 1]);
    const batch = await live.post(path, { records: [{ key: "a", value: "2" }] }, BATCH);
    expect([batch.status, batch.json.results[0].error.status]).toEqual([207, 412]);
    const two = [0, 1].map((partition) => ({ value: "x", partition }));
    expect((await live.post(path, { records: two }, BATCH)).status).toBe(400);
  });

  test("what cannot be a record is refused", async () => {
    const cases: [string, RequestInit, number, string][] = [
      ["?partition=9", { body: "x" }, 404, "unknown_topic_or_partition"],
      ["?partition=-1", { body: "x" }, 400, "invalid_request"],
      ["?partition=1.5", { body: "x" }, 400, "invalid_request"],
      ["?key=a&keyBase64=YQ==", { body: "x" }, 400, "invalid_request"],
      ["?keyBase64=%25", { body: "x" }, 400, "invalid_request"],
      ["?ofset=3", { body: "x" }, 400, "invalid_request"],
      ["?key=a&key=b", { body: "x" }, 400, "invalid_request"],
      ["?access_token=secret", { body: "x" }, 400, "invalid_request"],
      ["", { body: new FormData() }, 415, "unsupported_media_type"],
      [
        "",
        { body: "x", headers: { "content-encoding": "gzip" } },
        415,
        "unsupported_content_encoding",
      ],
      ["", { body: "{", headers: { "content-type": "application/json" } }, 400, "invalid_json"],
    ];
    for (const [query, init, status, code] of cases) {
      const refused = await live.ask(`/v1/topics/single/records${query}`, {
        method: "POST",
        ...init,
      });
      expect([query, refused.status, refused.json.code]).toEqual([query, status, code]);
    }
    const large = await live.post("/v1/topics/single/records", "x".repeat(1_100_000), "text/plain");
    expect([large.status, large.json.code]).toEqual([413, "message_too_large"]);
    const nowhere = await live.post("/v1/topics/nowhere/records", "x", "text/plain");
    expect([nowhere.status, nowhere.json.code]).toEqual([404, "unknown_topic_or_partition"]);
  });
});

describe("POST /v1/topics/TOPIC/records, a batch", () => {
  beforeAll(() => live.topic("batch", 2));

  test("what a fetch shows can be posted again, byte for byte", async () => {
    const records = [
      { key: "k", value: "text \u{1f600}\u0000\n", partition: 0, timestamp: 5, headers: [] },
      { key: null, value: null, partition: 0, timestamp: 6, headers: [{ key: "h", value: null }] },
      {
        key: { base64: "//79" },
        value: { base64: "gIGC" },
        partition: 0,
        timestamp: 7,
        headers: [
          { key: "h", value: "1" },
          { key: "h", value: { base64: "/w==" } },
        ],
      },
      { key: "", value: "", partition: 0, timestamp: 8, headers: [] },
      { key: null, value: "\ufeffwith a mark", partition: 0, timestamp: 9, headers: [] },
    ];
    const posted = await live.post("/v1/topics/batch/records", { records }, BATCH);
    expect(posted.status).toBe(200);
    expect(posted.json.results.map((each: { offset: number }) => each.offset)).toEqual([
      0, 1, 2, 3, 4,
    ]);
    const path = "/v1/topics/batch/partitions/0/records";
    const first = await live.ask(`${path}?offset=0&max=5`);
    expect(first.json).toMatchObject({ nextOffset: 5, highWatermark: 5, logStartOffset: 0 });
    expect(first.json.records).toEqual(records.map((each, offset) => ({ ...each, offset })));
    const again = await live.post(
      "/v1/topics/batch/records",
      { records: first.json.records },
      BATCH,
    );
    expect(again.status).toBe(200);
    const second = await live.ask(`${path}?offset=5&max=5`);
    expect(second.json.records).toEqual(records.map((each, at) => ({ ...each, offset: at + 5 })));
  });

  test("json members become compact JSON", async () => {
    const records = [{ value: { json: { a: [1, null] } }, partition: 1 }];
    const posted = await live.post("/v1/topics/batch/records?acks=1", { records }, BATCH);
    const { offset } = posted.json.results[0];
    const stored = await live.ask(`/v1/topics/batch/partitions/1/records/${offset}`);
    expect(stored.json.value).toBe('{"a":[1,null]}');
  });

  test("each record that is refused has its own problem beside those that are in", async () => {
    const records = [
      { value: "good", partition: 0 },
      { value: "bad", partition: 1 },
    ];
    const patched = await LiveHttp.start({
      patch: (broker: Broker) => ({
        log: {
          ...methods(broker.log),
          append: async (caller, request) => {
            const outcomes = await broker.log.append(caller, {
              ...request,
              partitions: request.partitions.filter(({ partition }) => partition === 0),
            });
            return [...outcomes, refuse("not_enough_replicas")];
          },
        },
      }),
    });
    try {
      await patched.topic("mixed", 2);
      const posted = await patched.post("/v1/topics/mixed/records", { records }, BATCH);
      expect(posted.status).toBe(207);
      expect(posted.json.results[0]).toMatchObject({ partition: 0, offset: 0 });
      expect(posted.json.results[1].error).toMatchObject({
        code: "not_enough_replicas",
        status: 503,
        retriable: true,
      });
    } finally {
      await patched.stop();
    }
  });

  test("wrong members are named by their path", async () => {
    const cases: [unknown, string][] = [
      [{ records: {} }, "body.records must be"],
      [[], "body must be an object"],
      [{ records: [], more: 1 }, '"more"'],
      [{ records: [{}] }, "body.records[0].value is missing"],
      [{ records: [{ value: "a" }, { value: 3 }] }, "body.records[1].value must be"],
      [{ records: [{ value: ["a"] }] }, "body.records[0].value must be"],
      [{ records: [{ value: { base64: "a" } }] }, "body.records[0].value.base64"],
      [{ records: [{ value: { base64: "YQ==", json: 1 } }] }, "body.records[0].value must be"],
      [{ records: [{ value: "a", key: 1 }] }, "body.records[0].key"],
      [{ records: [{ value: "a", partition: -1 }] }, "body.records[0].partition"],
      [{ records: [{ value: "a", timestamp: 1.5 }] }, "body.records[0].timestamp"],
      [{ records: [{ value: "a", headers: {} }] }, "body.records[0].headers"],
      [{ records: [{ value: "a", headers: [{ key: "a" }] }] }, "body.records[0].headers[0].value"],
      [{ records: [{ value: "a", ofset: 1 }] }, '"ofset"'],
    ];
    for (const [json, text] of cases) {
      const refused = await live.post("/v1/topics/batch/records", json, BATCH);
      expect([refused.status, refused.json.code]).toEqual([400, "invalid_request"]);
      expect(refused.json.detail).toContain(text);
    }
    const surrogate = await live.post(
      "/v1/topics/batch/records",
      '{"records":[{"value":"\\ud800"}]}',
      BATCH,
    );
    expect(surrogate.json.detail).toContain("lone surrogates");
    const many = { records: Array.from({ length: 10_001 }, () => ({ value: null })) };
    const refused = await live.post("/v1/topics/batch/records", many, BATCH);
    expect([refused.status, refused.json.code]).toEqual([413, "too_many_records"]);
    const empty = await live.post("/v1/topics/batch/records", { records: [] }, BATCH);
    expect([empty.status, empty.json.results]).toEqual([200, []]);
  });
});

describe("GET /v1/topics/TOPIC/partitions/P/records", () => {
  beforeAll(async () => {
    await live.topic("fetch");
    for (let at = 0; at < 10; at++) {
      await live.post(`/v1/topics/fetch/records?timestamp=${1000 + at}`, `${at}`, "text/plain");
    }
  });
  const path = "/v1/topics/fetch/partitions/0/records";

  test("by offset, word and time, as many as asked for", async () => {
    const offsets = async (query: string) => {
      const { status, json } = await live.ask(`${path}?${query}`);
      expect(status).toBe(200);
      return [json.records.map((each: { offset: number }) => each.offset), json.nextOffset];
    };
    expect(await offsets("offset=3&max=2")).toEqual([[3, 4], 5]);
    expect(await offsets("max=1")).toEqual([[0], 1]);
    expect(await offsets("offset=earliest&max=1")).toEqual([[0], 1]);
    expect(await offsets("offset=latest")).toEqual([[], 10]);
    expect(await offsets("timestamp=1007")).toEqual([[7, 8, 9], 10]);
    expect(await offsets("timestamp=9999")).toEqual([[], 10]);
    expect(await offsets("offset=0&maxBytes=1")).toEqual([[0], 1]);
  });

  test("a long poll is answered by the record that comes", async () => {
    await live.topic("poll");
    const waiting = live.ask("/v1/topics/poll/partitions/0/records?offset=0&waitMs=30000");
    // The poll may come first or second: it is answered by the record either way.
    await live.post("/v1/topics/poll/records", "late", "text/plain");
    const answered = await waiting;
    expect(answered.json.records.map((each: { value: string }) => each.value)).toEqual(["late"]);
    const empty = await live.ask("/v1/topics/poll/partitions/0/records?offset=1&waitMs=30");
    expect(empty.json.records).toEqual([]);
  });

  test("offsets that are not there say which are", async () => {
    const beyond = await live.ask(`${path}?offset=11`);
    expect(beyond.status).toBe(416);
    expect(beyond.json).toMatchObject({
      code: "offset_out_of_range",
      logStartOffset: 0,
      highWatermark: 10,
    });
    for (const query of [
      "offset=-1",
      "offset=x",
      "offset=1&timestamp=2",
      "max=0",
      "waitMs=999999",
    ]) {
      expect((await live.ask(`${path}?${query}`)).status).toBe(400);
    }
    expect((await live.ask("/v1/topics/fetch/partitions/1/records")).status).toBe(404);
    expect((await live.ask("/v1/topics/fetch/partitions/x/records")).status).toBe(400);
    expect((await live.ask("/v1/topics/none/partitions/0/records")).status).toBe(404);
    expect((await live.ask(`${path}/10`)).json.code).toBe("record_not_found");
    expect((await live.ask(`${path}/99`)).status).toBe(404);
    expect((await live.ask(`${path}/x`)).status).toBe(400);
  });

  test("large answers come whole, and give their memory back", async () => {
    await live.topic("large");
    const value = "x".repeat(900_000);
    for (let at = 0; at < 3; at++) await live.post("/v1/topics/large/records", value, "text/plain");
    const all = await live.ask("/v1/topics/large/partitions/0/records?maxBytes=8000000");
    expect(all.json.records.length).toBe(3);
    expect(all.json.records[2].value).toBe(value);
    const raw = await fetch(live.url("/v1/topics/large/partitions/0/records/1"), {
      headers: { accept: "application/octet-stream" },
    });
    expect((await raw.arrayBuffer()).byteLength).toBe(900_000);
  });
});

describe("other routes", () => {
  test("/v1/cluster, HEAD, OPTIONS, 404 and 405", async () => {
    const { brokerId, clusterId } = live.broker;
    expect((await live.ask("/v1/cluster")).json).toMatchObject({ brokerId, clusterId });
    const head = await live.ask("/v1/topics", { method: "HEAD" });
    expect([head.status, head.text]).toEqual([200, ""]);
    const stream = await live.ask("/v1/topics/single/records", {
      method: "HEAD",
      headers: { accept: "text/event-stream" },
    });
    expect([stream.status, stream.text]).toEqual([200, ""]);
    expect(stream.headers.get("content-type")).toBe("text/event-stream");
    const options = await live.ask("/v1/topics/x", { method: "OPTIONS" });
    expect(options.status).toBe(204);
    expect(options.headers.get("allow")).toBe("DELETE, GET, HEAD, OPTIONS, PUT");
    const wrong = await live.ask("/v1/topics", { method: "DELETE" });
    expect(wrong.status).toBe(405);
    expect(wrong.headers.get("allow")).toBe("GET, HEAD, OPTIONS, POST");
    expect(wrong.json.code).toBe("method_not_allowed");
    const nothing = await live.ask("/v2");
    expect([nothing.status, nothing.json.type]).toEqual([404, "urn:millrace:not_found"]);
    expect(nothing.headers.get("x-content-type-options")).toBe("nosniff");
    expect(nothing.headers.get("cache-control")).toBe("no-store");
    const acceptless = await live.ask("/v1/topics/single/records");
    expect([acceptless.status, acceptless.json.code]).toEqual([406, "not_acceptable"]);
  });

  test("/healthz is 200, and 503 when the log is offline", async () => {
    expect((await live.ask("/healthz")).json).toEqual({ status: "ok" });
    const offline = await LiveHttp.start({
      auth: {
        kind: "auth",
        name: "closed",
        contract: 1,
        // Nobody may do anything, and everybody may ask how the broker is.
        open: async () => ({
          authorizer: { authorize: (_who, _peer, questions) => questions.map(() => false) },
          close: async () => {},
        }),
      },
      patch: () => ({ isOnline: () => false }),
    });
    try {
      const sick = await offline.ask("/healthz");
      expect([sick.status, sick.json.code]).toEqual([503, "kafka_storage_error"]);
      expect(sick.headers.get("retry-after")).toBe("1");
    } finally {
      await offline.stop();
    }
  });

  test("every error of Kafka's has a status that says whose fault it is, and whether to come again", async () => {
    let code: KafkaErrorName = "unknown_server_error";
    const failing = await LiveHttp.start({
      patch: (broker) => ({
        log: {
          ...methods(broker.log),
          append: async () => [refuse(code)],
        },
      }),
    });
    const statuses: Record<string, number> = {
      unknown_server_error: 500,
      corrupt_message: 500,
      topic_authorization_failed: 403,
      unknown_topic_or_partition: 404,
      message_too_large: 413,
      offset_out_of_range: 416,
      throttling_quota_exceeded: 429,
      not_leader_or_follower: 503,
      kafka_storage_error: 503,
      request_timed_out: 503,
      invalid_record: 400,
      policy_violation: 403,
    };
    try {
      await failing.topic("t");
      for (const name of Object.keys(errors) as KafkaErrorName[]) {
        code = name;
        const { status, json, headers } = await failing.post("/v1/topics/t/records", "1");
        expect(json).toMatchObject({ code: name, status, detail: errors[name].message });
        expect(json.type).toBe(`urn:millrace:${name}`);
        if (statuses[name] !== undefined) expect([name, status]).toEqual([name, statuses[name]]);
        if (json.retriable) expect(errors[name].retriable).toBe(true);
        expect(headers.get("retry-after")).toBe(status === 503 || status === 429 ? "1" : null);
      }
    } finally {
      await failing.stop();
    }
  });

  test("a broker that throws is a 500 that says nothing of why", async () => {
    const broken = await LiveHttp.start({
      patch: (broker) => ({
        topics: {
          ...methods(broker.topics),
          metadata: () => Promise.reject(new Error("secret path /etc")),
        },
      }),
    });
    try {
      const { status, json, text } = await broken.ask("/v1/topics");
      expect([status, json.code]).toEqual([500, "unknown_server_error"]);
      expect(text).not.toContain("secret");
    } finally {
      await broken.stop();
    }
    expect(broken.logLines.join("")).toContain("secret path");
  });
});
