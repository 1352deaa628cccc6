// HTTP over node:http and node:https, for hosts without a server that speaks the Fetch standard: Node itself, and
// Deno where client certificates are asked for.
// Invariant: bodies flow at the pace of their reader, both ways; whatever ends a response early closes its connection.

import type { IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { FetchHandler, ListenAddress, Listener, TlsIdentity } from "../contracts/runtime.ts";
import { HTTP_IDLE_S } from "./http_limits.ts";
import { hostAddress, listenError, plainHost } from "./network_errors.ts";

const BACKLOG = 4096;

export async function serveHttp(at: ListenAddress, handle: FetchHandler): Promise<Listener> {
  const scheme = at.tls === undefined ? "http" : "https";
  let closing: Promise<void> | null = null;
  const answered = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    // A connection that was busy when we closed is not kept for a next request.
    outgoing.once("close", () => {
      if (closing !== null) setImmediate(() => server.closeIdleConnections());
    });
    answer(scheme, incoming, outgoing, handle).catch(() => outgoing.destroy());
  };
  const server = await serverFor(at.tls, answered);
  server.timeout = HTTP_IDLE_S * 1000;
  // A slow upload is the handler's to judge, by its bytes; Node's own bound would cut long ones.
  server.requestTimeout = 0;
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(listenError(at.host, at.port, error)));
    server.listen({ host: hostAddress(at.host), port: at.port, backlog: BACKLOG }, () => {
      server.on("error", () => {}); // An accept that failed (no file handles): the next one may work.
      resolve({
        host: at.host,
        port: (server.address() as AddressInfo).port,
        close: () => {
          closing ??= new Promise((closed) => {
            server.close(() => closed());
            server.closeIdleConnections();
          });
          return closing;
        },
      });
    });
  });
}

async function serverFor(
  identity: TlsIdentity | undefined,
  answered: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
): Promise<Server> {
  if (identity === undefined) return (await import("node:http")).createServer(answered);
  const { createServer } = await import("node:https");
  return createServer(
    {
      cert: identity.certificatePem,
      key: identity.privateKeyPem,
      ...(identity.clientCaPem === undefined
        ? {}
        : { ca: identity.clientCaPem, requestCert: true, rejectUnauthorized: true }),
    },
    answered,
  );
}

async function answer(
  scheme: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  handle: FetchHandler,
): Promise<void> {
  const gone = new AbortController();
  outgoing.on("error", () => {}); // "close" follows, and says all that matters.
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) gone.abort();
  });
  const request = requestOf(scheme, incoming, gone.signal);
  if (request === null) {
    outgoing.writeHead(400, { connection: "close" }).end();
    return;
  }
  const { remoteAddress, remotePort } = incoming.socket;
  const response = await handle(request, {
    host: plainHost(remoteAddress ?? ""),
    port: remotePort ?? 0,
  });
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of response.headers) headers[name] = value;
  const cookies = response.headers.getSetCookie();
  if (cookies.length > 0) headers["set-cookie"] = cookies;
  // A body that the handler left alone is not worth reading to its end.
  if (!incoming.complete) headers["connection"] = "close";
  outgoing.writeHead(response.status, headers);
  if (incoming.method === "HEAD" || response.body === null) {
    await response.body?.cancel();
    outgoing.end();
    return;
  }
  await pour(response.body, outgoing);
}

/** Null where the request line and Host make no URL. */
function requestOf(scheme: string, incoming: IncomingMessage, signal: AbortSignal): Request | null {
  const { method = "GET", headers, url = "/" } = incoming;
  const host = headers.host ?? "localhost";
  const whole = url.startsWith("/") ? `${scheme}://${host}${url}` : url;
  const isWithBody = method !== "GET" && method !== "HEAD" && announcesBody(incoming);
  try {
    return new Request(whole, {
      method,
      headers: headerList(incoming),
      signal,
      ...(isWithBody ? { body: bodyOf(incoming), duplex: "half" } : {}),
    });
  } catch {
    return null; // No URL, or a method that the standard forbids (TRACE, CONNECT).
  }
}

/** By these two headers a request says that it has a body (RFC 9112, 6.3). */
function announcesBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function headerList(incoming: IncomingMessage): [string, string][] {
  const { rawHeaders } = incoming;
  const list: [string, string][] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    list.push([rawHeaders[at]!, rawHeaders[at + 1]!]);
  }
  return list;
}

function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start(controller) {
      let isOver = false;
      const over = (finish: () => void) => {
        if (isOver) return;
        isOver = true;
        finish();
      };
      incoming.on("data", (chunk: Uint8Array) => {
        if (isOver) return;
        controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
      });
      incoming.on("end", () => over(() => controller.close()));
      incoming.on("error", (error) => over(() => controller.error(error)));
      incoming.on("close", () => over(() => controller.error(new Error("Client has gone"))));
      incoming.pause();
    },
    pull() {
      incoming.resume();
    },
    cancel() {
      incoming.pause();
    },
  });
}

async function pour(body: ReadableStream<Uint8Array>, outgoing: ServerResponse): Promise<void> {
  const reader = body.getReader();
  const gone = new Promise<void>((resolve) => outgoing.once("close", resolve));
  // A stream that is parked hears of the client's going by this alone.
  void gone.then(() => reader.cancel().catch(() => {}));
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (outgoing.destroyed) return;
      if (!outgoing.write(value)) {
        await Promise.race([gone, new Promise((drained) => outgoing.once("drain", drained))]);
      }
    }
    outgoing.end();
  } catch {
    outgoing.destroy(); // The head is out: a broken connection is all that can be told.
  }
}
