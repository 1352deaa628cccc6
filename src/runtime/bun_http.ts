// HTTP over Bun.serve, loaded by the first listener that asks for it.
// Invariant: a handler's wait never counts as idleness of its own making: HTTP_IDLE_S is longer than
// any park, and server-sent events speak more often than that.

import type { FetchHandler, ListenAddress, Listener } from "../contracts/runtime.ts";
import { HTTP_IDLE_S, hostFailure } from "./http_limits.ts";
import { hostAddress, listenError, plainHost } from "./network_errors.ts";

export function serveHttp(at: ListenAddress, handle: FetchHandler): Promise<Listener> {
  let server: Bun.Server<undefined>;
  const { tls } = at;
  try {
    server = Bun.serve({
      hostname: hostAddress(at.host),
      port: at.port,
      development: false,
      // Without this line, Bun shares the port with whoever else does the same.
      reusePort: false,
      idleTimeout: HTTP_IDLE_S,
      // The handler counts what it reads, also of bodies without a length; Bun would answer 413 in its own words.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      ...(tls === undefined
        ? {}
        : {
            tls: {
              cert: tls.certificatePem,
              key: tls.privateKeyPem,
              ...(tls.clientCaPem === undefined
                ? {}
                : { ca: tls.clientCaPem, requestCert: true, rejectUnauthorized: true }),
            },
          }),
      fetch(request, self) {
        const peer = self.requestIP(request);
        return handle(request, {
          host: plainHost(peer?.address ?? ""),
          port: peer?.port ?? 0,
        });
      },
      error: hostFailure,
    });
  } catch (error) {
    return Promise.reject(listenError(at.host, at.port, error));
  }
  let closing: Promise<void> | null = null;
  return Promise.resolve({
    host: at.host,
    port: server.port ?? at.port,
    // Keep-alive connections without a request end at once, the others with their responses.
    close: () => (closing ??= server.stop(false)),
  });
}
