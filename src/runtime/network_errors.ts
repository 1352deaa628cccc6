// What hosts call a failed socket, as NetworkError codes; and addresses as people read them.
// Invariant: every error that leaves src/runtime's networks is a NetworkError that names the
// address, and one from listen names the fix.

import type { NetworkErrorCode } from "../contracts/errors.ts";
import { NetworkError } from "../contracts/errors.ts";

/** `host:port`, with brackets around an IPv6 host. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The address to bind or dial for a host as people write it. */
export function hostAddress(host: string): string {
  // "localhost" may resolve to ::1 alone; one answer on every host is worth more.
  return host === "localhost" ? "127.0.0.1" : host;
}

/** An IPv4 peer of an IPv6 socket, in its IPv4 form. */
export function plainHost(host: string): string {
  return host.startsWith("::ffff:") && host.includes(".") ? host.slice(7) : host;
}

/** The host's own code of a failure ("EADDRINUSE"), or its class name on Deno ("AddrInUse"). */
export function hostCode(error: unknown): string {
  if (typeof error !== "object" || error === null) return "";
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code === "string") return code;
  return typeof name === "string" ? name : "";
}

export function listenError(host: string, port: number, error: unknown): NetworkError {
  const at = formatAddress(host, port);
  const options = { cause: error };
  switch (hostCode(error)) {
    case "EADDRINUSE":
    case "AddrInUse":
      return new NetworkError(
        "in_use",
        `Cannot listen on ${at} as port ${port} is taken, perhaps by another broker: ` +
          `stop it, or choose another port (0 picks a free one). See who holds it: ss -ltnp "sport = :${port}"`,
        options,
      );
    case "EACCES":
    case "PermissionDenied":
      return new NetworkError(
        "denied",
        `Cannot listen on ${at} as this user may not bind port ${port}: choose a port above 1023`,
        options,
      );
    case "NotCapable":
      return new NetworkError(
        "denied",
        `Cannot listen on ${at} as Deno was not allowed to: run again with --allow-net=${at}`,
        options,
      );
    case "EADDRNOTAVAIL":
    case "AddrNotAvailable":
      return new NetworkError(
        "unreachable",
        `Cannot listen on ${at} as no interface of this machine has the address "${host}": ` +
          "use 127.0.0.1, or 0.0.0.0 for all interfaces",
        options,
      );
    default: {
      // An unknown name has a code on Node alone.
      const fix = /[a-z]/i.test(host) && !host.includes(":") ? nameFix(host) : "";
      const text = `Cannot listen on ${at}: ${textOf(error)}${fix}`;
      return new NetworkError("unreachable", text, options);
    }
  }
}

function nameFix(host: string): string {
  return `: is "${host}" a name of this machine? Use 127.0.0.1, or 0.0.0.0 for all interfaces`;
}

export function connectError(host: string, port: number, error: unknown): NetworkError {
  const [code, why] = connectFailure(host, port, error);
  return new NetworkError(code, `Cannot connect to ${formatAddress(host, port)}${why}`, {
    cause: error,
  });
}

export function connectTimeout(host: string, port: number, timeoutMs: number): NetworkError {
  const at = formatAddress(host, port);
  return new NetworkError("timeout", `Cannot connect to ${at} within ${timeoutMs} ms`);
}

/** The connection broke: reads and writes of it fail with this. */
export function resetError(host: string, port: number, error?: unknown): NetworkError {
  const why = error === undefined || error === null ? "" : `: ${textOf(error)}`;
  return new NetworkError("reset", `Connection with ${formatAddress(host, port)} broke${why}`, {
    cause: error,
  });
}

/** We closed the connection ourselves. */
export function closedError(host: string, port: number): NetworkError {
  return new NetworkError("closed", `Connection with ${formatAddress(host, port)} is closed`);
}

function connectFailure(host: string, port: number, error: unknown): [NetworkErrorCode, string] {
  const code = hostCode(error);
  switch (code) {
    case "ECONNREFUSED":
    case "ConnectionRefused":
      return ["refused", ": nobody listens there"];
    case "ETIMEDOUT":
    case "TimedOut":
      return ["timeout", ": no answer"];
    case "ECONNRESET":
    case "ConnectionReset":
      return ["reset", ": the other side reset the connection"];
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "DNSException":
      return ["unreachable", `: the name "${host}" is not known`];
    case "NotCapable": {
      const at = formatAddress(host, port);
      return ["denied", `: Deno was not allowed to; run again with --allow-net=${at}`];
    }
    default:
      if (/^(ERR_TLS|ERR_SSL|CERT_|DEPTH_|SELF_SIGNED|UNABLE_TO|InvalidData)/.test(code)) {
        return ["tls", `: TLS failed: ${textOf(error)}`];
      }
      return ["unreachable", `: ${textOf(error)}`];
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
