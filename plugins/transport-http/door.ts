// Which way a request came in, and whether a browser's page may come in by it: names that lead here by a page's own
// doing (DNS rebinding), pages of other origins, and their simple POSTs, which need nobody's leave.
// Invariant: a page gets in only from an origin in `cors`, or from this broker's own.
// Standard: Fetch (CORS protocol, Sec-Fetch-Site), RFC 9110 section 7.4 (misdirected requests).

import { Refusal } from "./problem.ts";

/** A way in: one listener, or the host that mounts us. */
export interface Door {
  readonly listener: string;
  readonly isLoopback: boolean;
  /** Null where the host owns the sockets: it has judged the name already. */
  readonly advertisedHost: string | null;
}

export interface DoorRules {
  readonly cors: readonly string[];
  readonly hosts: readonly string[] | null;
}

/** How long a browser may remember what it was allowed. */
const PREFLIGHT_S = 600;
const EXPOSED = "Location, Retry-After, Millrace-Offset, Millrace-Timestamp, Millrace-Key";

/** @throws {Refusal} 421 for a name that is not ours, 403 for a page that may not call */
export function checkDoor(request: Request, door: Door, rules: DoorRules): void {
  const { headers, method } = request;
  // HTTP/2 has no Host, but what the URL was made of.
  const host = headers.get("host") ?? new URL(request.url).host;
  if (!isNameAllowed(nameOf(host), door, rules.hosts)) {
    throw new Refusal(421, "host_not_allowed", `This listener does not answer as "${host}"`);
  }
  const origin = headers.get("origin");
  if (origin !== null) {
    if (isOriginAllowed(origin, rules.cors) || isOwn(origin, host)) return;
    throw new Refusal(403, "origin_not_allowed", `Pages of ${origin} may not call this listener`);
  }
  // Browsers that send no Origin with a form's POST send this.
  const site = headers.get("sec-fetch-site");
  const isFromPage = site === "cross-site" || site === "same-site";
  if (isFromPage && method !== "GET" && method !== "HEAD") {
    throw new Refusal(403, "origin_not_allowed", "Pages of other sites may not call this listener");
  }
}

/** Adds what lets an allowed page read the answer. */
export function allowOrigin(request: Request, headers: Headers, rules: DoorRules): void {
  if (rules.cors.length === 0) return;
  headers.append("vary", "Origin");
  const origin = request.headers.get("origin");
  if (origin === null || !isOriginAllowed(origin, rules.cors)) return;
  headers.set("access-control-allow-origin", origin);
  headers.set("access-control-expose-headers", EXPOSED);
}

/** The answer to a page that asks before it calls, or null when that is not what is asked. */
export function preflight(request: Request, rules: DoorRules): Response | null {
  const asked = request.headers.get("access-control-request-method");
  if (request.method !== "OPTIONS" || asked === null) return null;
  const origin = request.headers.get("origin");
  if (origin === null || !isOriginAllowed(origin, rules.cors)) return null;
  const headers = new Headers({
    "access-control-allow-methods": "GET, HEAD, POST, PUT, DELETE",
    "access-control-max-age": String(PREFLIGHT_S),
  });
  const names = request.headers.get("access-control-request-headers");
  if (names !== null && /^[\w\-, ]{1,4096}$/.test(names)) {
    headers.set("access-control-allow-headers", names);
  }
  if (request.headers.get("access-control-request-private-network") === "true") {
    headers.set("access-control-allow-private-network", "true");
  }
  allowOrigin(request, headers, rules);
  return new Response(null, { status: 204, headers });
}

function isOriginAllowed(origin: string, cors: readonly string[]): boolean {
  return cors.includes("*") || cors.includes(origin);
}

/** A page that came from here: scheme aside, as a proxy may have taken TLS off. */
function isOwn(origin: string, host: string): boolean {
  return URL.canParse(origin) && host !== "" && new URL(origin).host === host.toLowerCase();
}

function isNameAllowed(name: string, door: Door, hosts: readonly string[] | null): boolean {
  if (hosts === null) {
    if (!door.isLoopback) return true;
  } else if (hosts.includes("*") || hosts.includes(name)) return true;
  if (name === "localhost" || name.endsWith(".localhost") || name === "[::1]") return true;
  return /^127(\.\d{1,3}){3}$/.test(name) || name === door.advertisedHost?.toLowerCase();
}

/** `Host` without its port, in lower case; "" when it is none. */
function nameOf(host: string): string {
  return /^(\[[\da-f:.]+\]|[^:/@[\]\s]+)(:\d*)?$/i.exec(host)?.[1]?.toLowerCase() ?? "";
}
