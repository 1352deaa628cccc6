// TLS with certificates on both sides, and users with passwords, against a real etcd.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { EtcdTls } from "../../../plugins/metadata-etcd/options.ts";
import type { MetadataStoreError } from "../../../src/contracts/errors.ts";
import type { MetadataStore } from "../../../src/contracts/metadata_store.ts";
import { EtcdCluster } from "../../support/etcd.ts";
import { opened, put, valuesOf } from "./opened.ts";

let folder: string;
const file = (name: string): string => path.join(folder, name);
const read = (name: string): string => fs.readFileSync(file(name), "utf8");

const NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

function openssl(words: string): void {
  execFileSync("openssl", words.split(" "), { stdio: "pipe", cwd: folder });
}

function makeAuthority(name: string): void {
  openssl(`req -x509 ${NEW_KEY} -days 2 -subj /CN=${name} -out ${name}.crt -keyout ${name}.key`);
}

/** For 127.0.0.1, and for a server and a client. */
function makeCertificate(authority: string, name: string, subject: string): void {
  const uses =
    "extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=IP:127.0.0.1,DNS:etcd.test\n";
  fs.writeFileSync(file("uses"), uses);
  openssl(`req ${NEW_KEY} -subj ${subject} -out request -keyout ${name}.key`);
  const signed = `-CA ${authority}.crt -CAkey ${authority}.key -CAcreateserial -days 2`;
  openssl(`x509 -req -in request ${signed} -extfile uses -out ${name}.crt`);
}

/** Makes users root and writer, who may write under "ours/", and demands logins. */
async function enableLogins(etcd: EtcdCluster): Promise<void> {
  const base64 = (text: string) => btoa(text);
  await etcd.call(0, "auth/role/add", { name: "root" });
  await etcd.call(0, "auth/role/add", { name: "writers" });
  const perm = { permType: "READWRITE", key: base64("ours/"), range_end: base64("ours0") };
  await etcd.call(0, "auth/role/grant", { name: "writers", perm });
  for (const [name, role] of [
    ["root", "root"],
    ["writer", "writers"],
  ] as const) {
    await etcd.call(0, "auth/user/add", { name, password: `${name} secret` });
    await etcd.call(0, "auth/user/grant", { user: name, role });
  }
  await etcd.call(0, "auth/enable");
}

async function refusal(opening: Promise<MetadataStore>): Promise<string> {
  try {
    await (await opening).close();
  } catch (error) {
    return `${(error as MetadataStoreError).code}: ${(error as Error).message}`;
  }
  return "opened";
}

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-etcd-tls-"));
  makeAuthority("ca");
  makeCertificate("ca", "etcd", "/CN=etcd");
  // Etcd's gateway refuses requests under a certificate with a common name once users log in.
  makeCertificate("ca", "broker", "/O=millrace");
  makeAuthority("strangers");
  makeCertificate("strangers", "stranger", "/O=millrace");
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

describe("TLS", () => {
  test("both sides show certificates, and a user logs in besides", async () => {
    const tls = { ca: file("ca.crt"), certificate: file("etcd.crt"), key: file("etcd.key") };
    const etcd = await EtcdCluster.start({ tls });
    try {
      const caPem = read("ca.crt");
      const own = { certificatePem: read("broker.crt"), privateKeyPem: read("broker.key") };
      const strange = { certificatePem: read("stranger.crt"), privateKeyPem: read("stranger.key") };
      const endpoints = etcd.urls;
      const requestTimeoutMs = 1_000;
      const trying = (tlsOptions: EtcdTls) =>
        refusal(opened({ endpoints, requestTimeoutMs, tls: tlsOptions }));
      expect(await trying({ caPem, ...own })).toBe("opened");
      expect(await trying({ ...own })).toContain("unavailable: Cannot open the metadata");
      expect(await trying({ caPem })).toContain("unavailable: Cannot open the metadata");
      expect(await trying({ caPem, ...strange })).toContain("unavailable");
      expect(await trying({ caPem: read("strangers.crt"), ...own })).toContain("unavailable");
      expect(await trying({ caPem, ...own, serverName: "other.test" })).toContain("unavailable");
      const named = await opened({ endpoints, tls: { caPem, ...own, serverName: "etcd.test" } });
      await put(named, "a", "1");
      await named.close();

      await enableLogins(etcd);
      const login = { user: "writer", password: "writer secret" };
      const store = await opened({ endpoints, tls: { caPem, ...own }, prefix: "ours/", ...login });
      await put(store, "b", "2");
      expect(await valuesOf(store)).toEqual({ b: "2" });
      await store.close();
    } finally {
      await etcd.stop();
    }
  }, 60_000);
});

describe("users", () => {
  test("a login is renewed when etcd has forgotten it, for commits, sessions and watches", async () => {
    const etcd = await EtcdCluster.start();
    try {
      await enableLogins(etcd);
      const endpoints = etcd.urls;
      const prefix = "ours/";
      const user = "writer";
      const password = "writer secret";
      expect(await refusal(opened({ endpoints, prefix }))).toContain("unavailable");
      expect(await refusal(opened({ endpoints, prefix, user, password: "wrong" }))).toContain(
        'unavailable: Cannot open the metadata: the login as "writer" is refused',
      );
      expect(await refusal(opened({ endpoints, prefix: "theirs/", user, password }))).toContain(
        "permission denied",
      );
      const store = await opened({ endpoints, prefix, user, password });
      const session = await store.session(30_000);
      const { revision } = await store.read("");
      const watch = store.watch("", revision, new AbortController().signal);
      const steps = watch[Symbol.asyncIterator]();
      await put(store, "a", "1", session);
      expect((await steps.next()).value).toMatchObject({ puts: [{ key: "a" }] });
      // Its tokens are in memory alone.
      for (const key of ["b", "c"]) {
        await etcd.signal(0);
        await etcd.restart(0);
        const next = steps.next();
        await put(store, key, "1");
        expect((await next).value).toMatchObject({ puts: [{ key }] });
      }
      expect(session.lost.aborted).toBe(false);
      await session.end();
      expect(await valuesOf(store)).toEqual({ b: "1", c: "1" });
      await store.close();
    } finally {
      await etcd.stop();
    }
  }, 60_000);
});
