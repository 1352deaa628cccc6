// The options of metadata-etcd, checked: every problem is told at once, by the place it stands at.
// Invariant: what leaves here is whole; defaults are filled in, and a password without a user does not pass.

import type { TlsTrust } from "../../src/contracts/runtime.ts";

/** Where etcd is, and who we are to it. */
export interface MetadataEtcdOptions {
  /** The client URLs of members, e.g. ["http://127.0.0.1:2379"]: 1 to 16, all http or all https. */
  readonly endpoints: readonly string[];
  /** What our keys begin with; two clusters on one etcd need two. Default "millrace/". */
  readonly prefix?: string;
  /** Who logs in; with `password`. Left out: nobody does. */
  readonly user?: string;
  readonly password?: string;
  /** For https. The host's own authorities vouch for etcd where `caPem` is left out. */
  readonly tls?: EtcdTls;
  /** How long a read or a commit is tried, over all endpoints, before it fails as "unavailable". Default 10,000; 100 to 120,000. */
  readonly requestTimeoutMs?: number;
}

/** PEM texts, as in the `tls` of transports. */
export interface EtcdTls {
  readonly caPem?: string;
  /** Our own certificate chain, where etcd asks for one; with `privateKeyPem`. */
  readonly certificatePem?: string;
  readonly privateKeyPem?: string;
  /** The name in etcd's certificate, where it is not the host of the endpoint. */
  readonly serverName?: string;
}

export interface CheckedOptions {
  readonly endpoints: readonly { readonly host: string; readonly port: number }[];
  readonly prefix: string;
  readonly login: { readonly name: string; readonly password: string } | null;
  readonly tls: (Omit<TlsTrust, "serverName"> & { readonly serverName: string | null }) | null;
  readonly requestTimeoutMs: number;
}

const ENDPOINTS_MAX = 16;
const REQUEST_TIMEOUT_MS = 10_000;
const KEYS: readonly string[] = [
  "endpoints",
  "prefix",
  "user",
  "password",
  "tls",
  "requestTimeoutMs",
];
const TLS_KEYS: readonly string[] = ["caPem", "certificatePem", "privateKeyPem", "serverName"];

/** @throws {TypeError} with one line for each problem */
export function checkOptions(options: MetadataEtcdOptions): CheckedOptions {
  const problems: string[] = [];
  const { endpoints, prefix = "millrace/", user, password, tls } = options;
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  unknownKeys("", options, KEYS, problems);
  const urls = Array.isArray(endpoints) ? endpoints.map((each) => urlOf(each, problems)) : [];
  if (!Array.isArray(endpoints) || urls.length < 1 || urls.length > ENDPOINTS_MAX) {
    problems.push(`endpoints must be a list of 1 to ${ENDPOINTS_MAX} URLs`);
  }
  const schemes = new Set(urls.flatMap((url) => (url === null ? [] : [url.protocol])));
  if (schemes.size > 1) problems.push("endpoints must be all http or all https");
  const isTls = schemes.has("https:");
  if (typeof prefix !== "string" || prefix === "" || prefix.length > 255) {
    problems.push("prefix must be a text of 1 to 255 characters");
  }
  if ((user === undefined) !== (password === undefined)) {
    problems.push("user and password come together");
  }
  for (const [name, value] of Object.entries({ user, password })) {
    if (value !== undefined && (typeof value !== "string" || value === "")) {
      problems.push(`${name} must be a text`);
    }
  }
  if (!Number.isInteger(requestTimeoutMs) || requestTimeoutMs < 100 || requestTimeoutMs > 120_000) {
    problems.push("requestTimeoutMs must be a whole number from 100 to 120000");
  }
  if (tls !== undefined) {
    unknownKeys("tls.", tls, TLS_KEYS, problems);
    for (const [name, value] of Object.entries(tls)) {
      if (typeof value !== "string" || value === "") problems.push(`tls.${name} must be a text`);
    }
    if ((tls.certificatePem === undefined) !== (tls.privateKeyPem === undefined)) {
      problems.push("tls.certificatePem and tls.privateKeyPem come together");
    }
    if (schemes.size === 1 && !isTls) problems.push("tls is for endpoints of https");
  }
  if (problems.length > 0) throw new TypeError(problems.join("\n"));
  return {
    endpoints: urls.map((url) => ({
      host: url!.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url!.port === "" ? (isTls ? 443 : 80) : Number(url!.port),
    })),
    prefix,
    login: user === undefined ? null : { name: user, password: password! },
    tls: isTls ? trustOf(tls ?? {}) : null,
    requestTimeoutMs,
  };
}

function trustOf({ caPem, certificatePem, privateKeyPem, serverName }: EtcdTls) {
  return {
    serverName: serverName ?? null,
    ...(caPem === undefined ? {} : { caPem }),
    ...(certificatePem === undefined
      ? {}
      : { identity: { certificatePem, privateKeyPem: privateKeyPem! } }),
  };
}

function urlOf(given: unknown, problems: string[]): URL | null {
  const url = typeof given === "string" && URL.canParse(given) ? new URL(given) : null;
  const isPlain =
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    `${url.pathname}${url.search}${url.hash}` === "/" &&
    url.username === "" &&
    url.password === "";
  if (isPlain) return url;
  // Not shown where it may hold a password.
  const shown = typeof given === "string" && given.includes("@") ? "" : `: found ${String(given)}`;
  problems.push(`endpoints must be like "http://127.0.0.1:2379"${shown}`);
  return null;
}

function unknownKeys(at: string, given: object, known: readonly string[], problems: string[]) {
  for (const key of Object.keys(given)) {
    if (!known.includes(key)) problems.push(`${at}${key} is no option of metadata-etcd`);
  }
}
