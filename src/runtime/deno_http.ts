// HTTP over Deno.serve, loaded by the first listener that asks for it.
// Invariant: `request.signal` is never read here: Deno 2.9 fires it after successful responses, too, and says so
// once on standard error if somebody looked at it (denoland/deno#34397). Handlers look where they park.

import type { FetchHandler, ListenAddress, Listener } from "../contracts/runtime.ts";
import type { DenoHost, DenoHttpServer } from "./deno_host.ts";
import { hostFailure } from "./http_limits.ts";
import { hostAddress, listenError, plainHost } from "./network_errors.ts";

declare const Deno: DenoHost;

const BACKLOG = 4096;

export async function serveHttp(at: ListenAddress, handle: FetchHandler): Promise<Listener> {
  const { tls } = at;
  // Deno.serve cannot ask for client certificates.
  if (tls?.clientCaPem !== undefined) {
    return (await import("./node_http.ts")).serveHttp(at, handle);
  }
  let server: DenoHttpServer;
  try {
    server = Deno.serve(
      {
        hostname: hostAddress(at.host),
        port: at.port,
        tcpBacklog: BACKLOG,
        // Without it, Deno prints a line of its own to standard output.
        onListen: () => {},
        onError: hostFailure,
        ...(tls === undefined ? {} : { cert: tls.certificatePem, key: tls.privateKeyPem }),
      },
      (request, { remoteAddr }) =>
        handle(request, { host: plainHost(remoteAddr.hostname), port: remoteAddr.port }),
    );
  } catch (error) {
    throw listenError(at.host, at.port, error);
  }
  let closing: Promise<void> | null = null;
  return {
    host: at.host,
    port: server.addr.port,
    close: () => {
      // A peer that never reads its last answer must not keep the process alive.
      if (closing === null) server.unref();
      closing ??= server.shutdown();
      return closing;
    },
  };
}
