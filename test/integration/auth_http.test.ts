// auth-token behind HTTP: what is not allowed is refused on every route that the app has, by 401 or 403, and leaves
// everything as it was. A route without a case fails.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { routesOf } from "../../plugins/transport-http/app.ts";
import { type Answer, BATCH, LiveHttp } from "../plugins/transport_http/live.ts";
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

const JSON_TYPE = "application/json";
const EVENTS = "text/event-stream";

interface Case {
  /** As the app has it. */
  readonly route: string;
  readonly what?: string;
  /** What is asked of the rules about the topic; null: nothing. */
  readonly needs: Asked | null;
  path(topic: string): string;
  readonly body?: string | ((topic: string) => string);
  readonly headers?: Readonly<Record<string, string>>;
  /** The answer to who may. */
  readonly allowed: number;
  /** It is about a topic that is not there. */
  readonly makes?: true;
}

const records = (query = "") => ({
  path: (topic: string) => `/v1/topics/${topic}/records${query}`,
});
const partition = (rest: string) => ({
  path: (topic: string) => `/v1/topics/${topic}/partitions/0/records${rest}`,
});
const one = { path: (topic: string) => `/v1/topics/${topic}` };

const CASES: readonly Case[] = [
  { route: "GET /healthz", needs: null, path: () => "/healthz", allowed: 200 },
  { route: "GET /v1/cluster", needs: null, path: () => "/v1/cluster", allowed: 200 },
  { route: "GET /v1/topics", needs: null, path: () => "/v1/topics", allowed: 200 },
  {
    route: "POST /v1/topics",
    needs: "create",
    path: () => "/v1/topics",
    body: (name) => JSON.stringify({ name, partitions: 1 }),
    headers: { "content-type": JSON_TYPE },
    allowed: 201,
    makes: true,
  },
  { route: "GET /v1/topics/:topic", needs: "describe", ...one, allowed: 200 },
  { route: "PUT /v1/topics/:topic", needs: "create", ...one, allowed: 201, makes: true },
  {
    route: "PUT /v1/topics/:topic",
    what: "with settings",
    needs: "create",
    ...one,
    body: '{"partitions":2,"config":{"retention.ms":1000}}',
    headers: { "content-type": JSON_TYPE },
    allowed: 201,
    makes: true,
  },
  { route: "DELETE /v1/topics/:topic", needs: "delete", ...one, allowed: 204 },
  {
    route: "POST /v1/topics/:topic/records",
    needs: "write",
    ...records(),
    body: "x",
    allowed: 201,
  },
  {
    route: "POST /v1/topics/:topic/records",
    what: "a tombstone, to a partition",
    needs: "write",
    ...records("?key=k&tombstone=true&partition=0&acks=1"),
    allowed: 201,
  },
  {
    route: "POST /v1/topics/:topic/records",
    what: "that waits for nothing",
    needs: "write",
    ...records("?acks=0"),
    body: "x",
    allowed: 202,
  },
  {
    route: "POST /v1/topics/:topic/records",
    what: "at an offset",
    needs: "write",
    ...records("?expectedOffset=7"),
    body: "x",
    allowed: 412,
  },
  {
    route: "POST /v1/topics/:topic/records",
    what: "a batch",
    needs: "write",
    ...records(),
    body: '{"records":[{"value":"a"},{"value":"b","key":"k"}]}',
    headers: { "content-type": BATCH },
    allowed: 200,
  },
  {
    route: "POST /v1/topics/:topic/records",
    what: "a batch that waits for nothing",
    needs: "write",
    ...records("?acks=0"),
    body: '{"records":[{"value":"a"}]}',
    headers: { "content-type": BATCH },
    allowed: 202,
  },
  {
    route: "GET /v1/topics/:topic/records",
    needs: "read",
    ...records(),
    headers: { accept: EVENTS },
    allowed: 200,
  },
  {
    route: "GET /v1/topics/:topic/records",
    what: "of a partition from its beginning",
    needs: "read",
    ...records("?partition=0&from=earliest"),
    headers: { accept: EVENTS },
    allowed: 200,
  },
  {
    route: "GET /v1/topics/:topic/records",
    what: "from where it was left",
    needs: "read",
    ...records("?partition=0"),
    headers: { accept: EVENTS, "last-event-id": "0:0" },
    allowed: 200,
  },
  {
    route: "GET /v1/topics/:topic/partitions/:partition/records",
    needs: "read",
    ...partition(""),
    allowed: 200,
  },
  {
    route: "GET /v1/topics/:topic/partitions/:partition/records",
    what: "that waits for more",
    needs: "read",
    ...partition("?offset=latest&waitMs=1"),
    allowed: 200,
  },
  {
    route: "GET /v1/topics/:topic/partitions/:partition/records",
    what: "of a time",
    needs: "read",
    ...partition("?timestamp=1"),
    allowed: 200,
  },
  {
    route: "GET /v1/topics/:topic/partitions/:partition/records",
    what: "beyond the end",
    needs: "read",
    ...partition("?offset=900"),
    allowed: 416,
  },
  {
    route: "GET /v1/topics/:topic/partitions/:partition/records/:offset",
    needs: "read",
    ...partition("/0"),
    allowed: 200,
  },
  {
    route: "GET /v1/topics/:topic/partitions/:partition/records/:offset",
    what: "its bytes",
    needs: "read",
    ...partition("/0"),
    headers: { accept: "application/octet-stream" },
    allowed: 200,
  },
];

/** "METHOD PATH" of every route but those that answer 405. */
function routes(): readonly string[] {
  const all = routesOf().routes.filter(({ method }) => method !== "ALL");
  return [...new Set(all.map(({ method, path }) => `${method} ${path}`))];
}

const methodOf = ({ route }: Case): string => route.slice(0, route.indexOf(" "));
const nameOf = ({ route, what = "" }: Case): string => `${route} ${what}`.trim();
/** With the methods that each is served by: HEAD comes with GET. */
const REQUESTS = CASES.flatMap((each) =>
  (methodOf(each) === "GET" ? ["GET", "HEAD"] : [methodOf(each)]).map((method) => ({
    name: method === "HEAD" ? `HEAD for ${nameOf(each)}` : nameOf(each),
    method,
    each,
  })),
);

let live: LiveHttp;
beforeAll(async () => {
  live = await LiveHttp.start({
    auth: refusingAuth(),
    // Whoever may not make topics must not make them by writing, either.
    settings: { "auto.create.topics.enable": "true" },
  });
  await fill("there");
});
afterAll(() => live.stop());

async function fill(topic: string): Promise<void> {
  const headers = { authorization: `Bearer ${tokenOf(ROOT)}` };
  await live.ask(`/v1/topics/${topic}`, { method: "PUT", headers });
  const posted = await live.ask(`/v1/topics/${topic}/records`, {
    method: "POST",
    headers,
    body: "secret",
  });
  expect(posted.status).toBe(201);
}

async function ask(
  { path, body, headers }: Case,
  method: string,
  topic: string,
  authorization: string | null,
): Promise<Pick<Answer, "status" | "headers" | "text" | "json">> {
  const abort = new AbortController();
  const response = await fetch(live.url(path(topic)), {
    method,
    headers: { ...headers, ...(authorization === null ? {} : { authorization }) },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : body(topic) }),
    signal: abort.signal,
  });
  const isStream = response.headers.get("content-type") === EVENTS;
  // A stream does not end by itself.
  const text = isStream ? "" : await response.text();
  abort.abort();
  const isProblem = (response.headers.get("content-type") ?? "").includes("problem+json");
  const json = isProblem && text !== "" ? JSON.parse(text) : null;
  return { status: response.status, headers: response.headers, text, json };
}

const bearer = (name: string): string => `Bearer ${tokenOf(name)}`;

test("every route has a case, and every case a route", () => {
  const known = new Set(CASES.map(({ route }) => route));
  expect(routes().filter((route) => !known.has(route))).toEqual([]);
  expect([...known].filter((route) => !routes().includes(route))).toEqual([]);
  expect(routes().length).toBeGreaterThan(8);
});

describe("who shows no token that is taken is answered 401, whatever is asked", () => {
  for (const { name, method, each } of REQUESTS) {
    test(name, async () => {
      const before = await everything(live.broker);
      for (const authorization of [
        null,
        "Bearer",
        "Bearer nonsense",
        `Bearer ${tokenOf(ROOT)}x`,
        `Basic ${tokenOf(ROOT)}`,
        bearer(LATE),
      ]) {
        const topic = each.makes ? "new" : "there";
        const { status, headers, text } = await ask(each, method, topic, authorization);
        if (authorization === null && each.route === "GET /healthz") {
          expect(status).toBe(200);
          continue;
        }
        expect([authorization, status]).toEqual([authorization, 401]);
        expect(headers.get("www-authenticate")).toStartWith('Bearer realm="millrace"');
        expect(text).not.toContain("secret");
      }
      expect(await everything(live.broker)).toEqual(before);
    });
  }

  test("other methods and paths, too", async () => {
    for (const route of [...routes(), "GET /nothing", "GET /v1/topics/there/nothing"]) {
      const path = route.slice(route.indexOf(" ") + 1).replaceAll(/:(topic|\w+)/g, "0");
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        // Open to everybody; what it does not take is 405.
        if (path === "/healthz") continue;
        const { status } = await live.ask(path, { method });
        expect([method, path, status]).toEqual([method, path, 401]);
      }
    }
  });
});

describe("who may not is answered 403, and nothing has happened", () => {
  for (const { name, method, each } of REQUESTS) {
    const { needs } = each;
    if (needs === null) continue;
    test(`${name} needs ${needs}`, async () => {
      const before = await everything(live.broker);
      const answers = new Set<string>();
      for (const user of refusedFor(needs)) {
        for (const topic of each.makes ? ["new"] : ["there", "absent"]) {
          const answer = await ask(each, method, topic, bearer(user));
          expect(answer.text).not.toContain("secret");
          // Who may describe it is told that it is not there.
          if (topic === "absent" && user === lacking("read") && answer.status === 404) continue;
          expect([user, topic, answer.status]).toEqual([user, topic, 403]);
          if (method === "HEAD") continue;
          expect(answer.json.code).toBe("topic_authorization_failed");
          // Whether it is there is told to nobody who may not see it.
          if (user !== lacking(needs)) answers.add(answer.text);
        }
      }
      expect(answers.size).toBe(method === "HEAD" ? 0 : 1);
      expect(await everything(live.broker)).toEqual(before);
    });
  }

  test("writing does not make a topic for who may write and not create", async () => {
    const before = await everything(live.broker);
    for (const each of CASES.filter(({ needs }) => needs === "write")) {
      for (const user of [having("write"), lacking("create")]) {
        const { status } = await ask(each, methodOf(each), "absent", bearer(user));
        expect([nameOf(each), user, [403, 404].includes(status)]).toEqual([
          nameOf(each),
          user,
          true,
        ]);
      }
    }
    expect(await everything(live.broker)).toEqual(before);
  });
});

describe("who may is served, by that right alone", () => {
  for (const [i, { name, method, each }] of REQUESTS.entries()) {
    test(name, async () => {
      const topic = `mine-${i}`;
      if (!each.makes) await fill(topic);
      const user = each.needs === null ? NOBODY : having(each.needs);
      const { status } = await ask(each, method, topic, bearer(user));
      expect(status).toBe(each.allowed);
    });
  }

  test("a list shows what may be seen", async () => {
    const list = async (user: string) => {
      const { json } = await live.ask("/v1/topics", { headers: { authorization: bearer(user) } });
      return json.topics.map((topic: { name: string }) => topic.name);
    };
    await fill("other-1");
    expect(await list(NOBODY)).toEqual([]);
    expect(await list("elsewhere")).toEqual(["other-1"]);
    expect(await list(lacking("describe"))).toEqual([]);
    expect(await list(ROOT)).toContain("there");
  });
});
