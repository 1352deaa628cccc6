// Chooses the network of the host, and loads its file on first use: Bun's and Deno's own sockets,
// node:net elsewhere, node:tls for TLS everywhere.
// Invariant: all three keep the same promises (test/runtime/network.test.ts runs over each).

import type { Network } from "../contracts/runtime.ts";
import { hostName } from "./host.ts";

/** Network of this host. */
export function hostNetwork(): Network {
  return {
    listen: async (at, accept) => (await networkFor(at.tls !== undefined)).listen(at, accept),
    connect: async (to) => (await networkFor(to.tls !== undefined)).connect(to),
    // The hosts' own servers speak TLS, too.
    serveHttp: async (at, handle) => (await networkFor(false)).serveHttp!(at, handle),
  };
}

async function networkFor(isTls: boolean): Promise<Network> {
  const host = isTls ? "other" : hostName();
  if (host === "bun") return (await import("./bun_network.ts")).bunNetwork();
  if (host === "deno") return (await import("./deno_network.ts")).denoNetwork();
  return (await import("./node_network.ts")).nodeNetwork();
}
