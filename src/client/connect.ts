// A cluster by its address as text: "kafka://host:9092,other:9092?clientId=billing".
// Invariant: what an address cannot say, or says twice, is refused by name before anything is sent.
// Kafka: bootstrap.servers; there is no such address there.

import { bootstrapAddresses, type Client, type ClientOptions, createClient } from "./client.ts";
import type { SaslOptions } from "./login.ts";
import type { ClientRuntime } from "./waiting.ts";

const SCHEMES = ["kafka", "kafkas"];
/** Options that an address may carry, each with its lowest value; text where there is none. */
const QUERY_OPTIONS = {
  clientId: null,
  connectTimeoutMs: 1,
  requestTimeoutMs: 1,
  timeoutMs: 1,
  backoffMs: 0,
  backoffMsMax: 0,
  metadataMaxAgeMs: 0,
  inFlightMax: 1,
  responseBytesMax: 1,
} as const satisfies { readonly [name in keyof ClientOptions]?: number | null };

const FORM = /^([a-z][a-z0-9+.-]*):\/\/(?:([^@/?#]*)@)?([^@/?#]*)\/?(?:\?([^#]*))?$/i;

/**
 * What an address says, as options of `createClient`.
 *
 * @param url kafka://NAME:PASSWORD@HOST:PORT,… or kafkas://… for TLS; no name: nobody logs in; no port: 9092.
 *   What would end a name or password early is escaped as in every URL (%40 for @).
 * @throws {TypeError} for another scheme, an address that is none, and options that nobody knows
 */
export function clientOptionsOf(url: string): ClientOptions {
  const match = FORM.exec(url.trim());
  const scheme = match?.[1]?.toLowerCase();
  if (scheme !== undefined && !SCHEMES.includes(scheme)) {
    throw new TypeError(
      `Cannot connect to "${scheme}://": the schemes are kafka:// and kafkas:// (TLS)`,
    );
  }
  if (match === null || match[3] === "") {
    // An address may hold a password: it is not repeated.
    throw new TypeError("Cannot connect: an address is kafka://HOST:PORT,HOST:PORT?option=value");
  }
  if (match[2] === undefined && match[4]?.includes("@") === true) {
    // "alice:se?cret@host": what looks like options is the end of a password, and is not repeated.
    throw new TypeError(
      "Cannot connect: in a name or password ? is written %3F, in an option @ is %40",
    );
  }
  return {
    ...queryOptions(match[4] ?? ""),
    ...(match[2] === undefined ? {} : { sasl: saslOf(match[2]) }),
    bootstrap: bootstrapAddresses(match[3]!),
    ...(scheme === "kafkas" ? { tls: {} } : {}),
  };
}

/**
 * A client that has reached its cluster.
 *
 * @param runtime the host's clock, scheduler, randomness, network and codecs
 * @param target an address, or options
 * @param options stand above what the address says
 * @throws {ClientError} at once when no address answers @throws {TypeError} for an address that is none
 */
export async function connectWith(
  runtime: ClientRuntime,
  target: string | ClientOptions,
  options: ClientOptions = {},
): Promise<Client> {
  const said = typeof target === "string" ? clientOptionsOf(target) : target;
  const client = createClient(runtime, { ...said, ...options });
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

function saslOf(user: string): SaslOptions {
  const at = user.indexOf(":");
  if (at <= 0 || at === user.length - 1) {
    throw new TypeError("Cannot log in: an address has a name and a password, NAME:PASSWORD@HOST");
  }
  try {
    const [username, password] = [user.slice(0, at), user.slice(at + 1)].map(decodeURIComponent);
    return { mechanism: "PLAIN", username: username!, password: password! };
  } catch {
    throw new TypeError("Cannot log in: a % in a name or password is written %25");
  }
}

function queryOptions(query: string): ClientOptions {
  const options: Record<string, string | number> = {};
  for (const [name, text] of new URLSearchParams(query)) {
    if (!Object.hasOwn(QUERY_OPTIONS, name)) {
      const known = Object.keys(QUERY_OPTIONS).join(", ");
      throw new TypeError(`An address has no option "${name}": there are ${known}`);
    }
    if (name in options) throw new TypeError(`The address says ${name} twice`);
    const lowest = QUERY_OPTIONS[name as keyof typeof QUERY_OPTIONS];
    if (lowest === null) {
      options[name] = text;
      continue;
    }
    const value = Number(text);
    if (!/^\d{1,15}$/.test(text) || value < lowest) {
      throw new TypeError(`${name} must be a whole number from ${lowest} on: found "${text}"`);
    }
    options[name] = value;
  }
  return options;
}
