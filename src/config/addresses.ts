// Addresses as people write them: HOST:PORT, and Kafka's NAME://HOST:PORT lists.
// Kafka: kafka.utils.CoreUtils.listenerListToEndPoints.

export { isLoopback } from "../base/loopback.ts";

/** An address to listen on or to advertise. */
export interface Address {
  readonly host: string;
  readonly port: number;
}
export interface NamedAddress extends Address {
  readonly name: string;
}

/** Reads `HOST:PORT`, `[V6]:PORT` or `:PORT` (all interfaces); null when it is none of them. */
export function parseAddress(text: string): Address | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/,]*)):(\d{1,5})$/.exec(text.trim());
  if (match === null) return null;
  const port = Number(match[3]);
  if (port > 65_535) return null;
  const host = match[1] ?? match[2]!;
  return { host: host === "" || host === "*" ? "0.0.0.0" : host, port };
}

/** Reads `NAME://HOST:PORT,…`; null when any part is something else, or a name comes twice. */
export function parseListeners(text: string): NamedAddress[] | null {
  const found: NamedAddress[] = [];
  for (const part of text.split(",")) {
    const match = /^([A-Za-z0-9_-]+):\/\/(.*)$/.exec(part.trim());
    const address = match === null ? null : parseAddress(match[2]!);
    if (match === null || address === null) return null;
    if (found.some((other) => other.name.toUpperCase() === match[1]!.toUpperCase())) return null;
    found.push({ name: match[1]!, ...address });
  }
  return found;
}

/**
 * PROTOCOL=HOST:PORT for each, Kafka's first, as scripts look for it there. A second one of a protocol is
 * PROTOCOL.NAME by its listener's name; where that says nothing new, PROTOCOL.2 and so on.
 */
export function endpointWords(
  endpoints: readonly (Address & { readonly protocol: string; readonly listener: string })[],
): string[] {
  const rank = ({ protocol }: { protocol: string }) => (protocol === "kafka" ? 0 : 1);
  const counts = new Map<string, number>();
  const taken = new Set<string>();
  return endpoints
    .toSorted((a, b) => rank(a) - rank(b))
    .map((endpoint) => {
      const { protocol, listener } = endpoint;
      const count = (counts.get(protocol) ?? 0) + 1;
      counts.set(protocol, count);
      const isTold = count > 1 && listener === protocol;
      let key = count === 1 ? protocol : `${protocol}.${isTold ? count : listener}`;
      for (let at = count; taken.has(key); at++) key = `${protocol}.${at}`;
      taken.add(key);
      return `${key}=${addressText(endpoint)}`;
    });
}

/** `HOST:PORT`, with brackets around an IPv6 host. */
export function addressText(address: Address): string {
  return address.host.includes(":")
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`;
}
