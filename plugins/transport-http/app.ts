// Every request's way: the name it came for, the page it came from, who asks, the route, and the answer's headers.
// Invariant: whatever happens becomes a response; an InvariantError also goes to the scheduler, which stops the broker.
// Loaded with the first request, hono with it.

import { Hono } from "hono";
import { InvariantError } from "../../src/base/assert.ts";
import type { Caller } from "../../src/contracts/broker.ts";
import type { HttpPeer } from "../../src/contracts/runtime.ts";
import type { TransportContext } from "../../src/contracts/transport.ts";
import { authenticateBearer } from "../../src/gateway/bearer.ts";
import { allowOrigin, checkDoor, type Door, preflight } from "./door.ts";
import type { Env, Exchange } from "./exchange.ts";
import type { ResolvedOptions } from "./options.ts";
import { problemResponse, Refusal } from "./problem.ts";
import { appendRoutes } from "./routes/append.ts";
import { clusterRoutes } from "./routes/cluster.ts";
import { eventRoutes } from "./routes/events.ts";
import { fetchRoutes } from "./routes/fetch.ts";
import { topicRoutes } from "./routes/topics.ts";
import type { Traffic } from "./traffic.ts";

/** The path as the router reads it: a host may leave "/v1/../healthz" as it came, which a URL would not. */
const HEALTH_URL = /^https?:\/\/[^/?#\\]*\/healthz(?:\?|$)/i;
/** Log lines about refused tokens: one in this time, with a count of those in between. */
const UNAUTHENTICATED_LINE_MS = 1000;
const CLIENT_ID_DEFAULT = "http";
const encoder = new TextEncoder();

/** Answers one request; never rejects. */
export type App = (request: Request, peer: HttpPeer, door: Door) => Promise<Response>;

export function createApp(
  options: ResolvedOptions,
  context: TransportContext,
  traffic: Traffic,
): App {
  const { log, scheduler } = context.runtime;
  const routes = routesOf();

  const failed = (error: unknown): Response => {
    if (error instanceof Refusal) return problemResponse(error);
    if (error instanceof InvariantError) {
      scheduler.spawn("http_request", () => Promise.reject(error));
    }
    const { message, stack } =
      error instanceof Error ? error : { message: String(error), stack: "" };
    log.error("http_request_failed", { error: message, stack });
    return problemResponse(new Refusal(500, "unknown_server_error", "The broker failed"));
  };
  routes.onError(failed);

  const answer = async (request: Request, peer: HttpPeer, door: Door): Promise<Response> => {
    if (!URL.canParse(request.url)) {
      throw new Refusal(400, "invalid_request", "The request line and Host make no URL");
    }
    checkDoor(request, door, options);
    const allowed = preflight(request, options);
    if (allowed !== null) return allowed;
    if (traffic.isStopping) throw new Refusal(503, "stopping", "The broker stops");
    if (!traffic.tryBegin()) {
      throw new Refusal(503, "too_many_requests", "Too many requests are in progress");
    }
    try {
      const exchange = await authenticated(request, peer, door, context, options, traffic);
      return await routes.fetch(request, exchange);
    } finally {
      traffic.end();
    }
  };

  return async (request, peer, door) => {
    let response: Response;
    try {
      response = await answer(request, peer, door);
    } catch (error) {
      response = failed(error);
    }
    const { headers } = response;
    headers.set("x-content-type-options", "nosniff");
    headers.set("cache-control", "no-store");
    allowOrigin(request, headers, options);
    return response;
  };
}

/** Every route there is, each behind `createApp`'s door alone; other methods of their paths are answered 405. */
export function routesOf(): Hono<Env> {
  const app = new Hono<Env>();
  const parts = [clusterRoutes(), topicRoutes(), appendRoutes(), fetchRoutes(), eventRoutes()];
  for (const part of parts) app.route("/", part);
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    const known = methods.get(path) ?? new Set(["OPTIONS"]);
    known.add(method);
    if (method === "GET") known.add("HEAD");
    methods.set(path, known);
  }
  for (const [path, known] of methods) {
    const allow = [...known].sort().join(", ");
    app.all(path, (c) => {
      if (c.req.method === "OPTIONS") return c.body(null, 204, { allow });
      throw new Refusal(405, "method_not_allowed", `${path} takes ${allow}`, {
        headers: { allow },
      });
    });
  }
  app.notFound(() =>
    problemResponse(new Refusal(404, "not_found", "There is nothing here: see docs/PROTOCOL.md")),
  );
  return app;
}

/** @throws {Refusal} 401 */
async function authenticated(
  request: Request,
  peer: HttpPeer,
  door: Door,
  context: TransportContext,
  options: ResolvedOptions,
  traffic: Traffic,
): Promise<Exchange> {
  const { headers } = request;
  const shown = headers.get("authorization");
  const token = shown === null ? null : (/^Bearer +([\w\-.~+/]+=*) *$/i.exec(shown)?.[1] ?? "");
  const { listener } = door;
  const at = { host: peer.host, listener, tlsPeerCertificate: null };
  const isHealth = shown === null && HEALTH_URL.test(request.url);
  const outcome = await authenticateBearer(
    // Whether the broker is well is told to everybody.
    isHealth ? null : context.authenticator,
    token === null ? null : encoder.encode(token),
    at,
  );
  if (!outcome.ok) {
    const { clock, log } = context.runtime;
    const unsaidCount = traffic.refusedLogin(clock.monotonicMs(), UNAUTHENTICATED_LINE_MS);
    if (unsaidCount !== null) {
      log.warn("http_unauthenticated", { peer: peer.host, reason: outcome.reason, unsaidCount });
    }
    const error = token === null ? "" : ', error="invalid_token"';
    throw new Refusal(
      401,
      "sasl_authentication_failed",
      token === null ? "Show a token: Authorization: Bearer TOKEN" : "The token is not accepted",
      { headers: { "www-authenticate": `Bearer realm="millrace"${error}` } },
    );
  }
  const caller: Caller = {
    principal: outcome.principal,
    peer: at,
    clientId: headers.get("millrace-client-id")?.slice(0, 255) ?? CLIENT_ID_DEFAULT,
    listener,
    signal: traffic.stopSignal,
  };
  return { options, context, traffic, caller, expiresAtMs: outcome.expiresAtMs };
}
