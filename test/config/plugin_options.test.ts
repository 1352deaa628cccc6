// The config's schema knows what the transports take: every option, with the same bounds.

import { expect, test } from "bun:test";
import { metadataEtcd } from "../../plugins/metadata-etcd/mod.ts";
import { metadataKv, storageKv } from "../../plugins/storage-kv/mod.ts";
import { resolveOptions as httpOptions } from "../../plugins/transport-http/options.ts";
import { resolveOptions as kafkaOptions } from "../../plugins/transport-kafka/options.ts";
import { resolveOptions as tcpOptions } from "../../plugins/transport-tcp/options.ts";
import { configJsonSchema } from "../../src/config/config_schema.ts";
import { TRANSPORT_WORDS, type TransportWord } from "../../src/config/listeners.ts";

interface JsonNode {
  readonly const?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, JsonNode>>;
  readonly items?: JsonNode;
  readonly anyOf?: readonly JsonNode[];
}
const RESOLVE: Readonly<Record<TransportWord, (options: never) => object>> = {
  kafka: kafkaOptions,
  http: httpOptions,
  tcp: tcpOptions,
};
/** How the file says where to listen, and what is no number of the plugin. */
const LISTENING = ["listen", "advertise", "tls", "listeners", "peerTls"];

test.each(TRANSPORT_WORDS)("%s: schema and plugin agree", (word) => {
  const { properties } = configJsonSchema() as JsonNode;
  const variants = properties!["transports"]!.items!.anyOf!;
  const own = variants.find(({ properties: each }) => each?.["use"]?.const === word)!;
  const options = own.properties!["options"]!.properties!;
  const resolve = (more: object = {}) =>
    RESOLVE[word]({ listeners: [{ name: "a", host: "127.0.0.1", port: 0 }], ...more } as never);
  const known = Object.keys(resolve());
  expect(
    Object.keys(options)
      .filter((each) => !LISTENING.includes(each))
      .toSorted(),
  ).toEqual(known.filter((each) => !LISTENING.includes(each)).toSorted());
  for (const [name, { minimum, maximum }] of Object.entries(options)) {
    if (minimum === undefined || maximum === undefined) continue;
    expect(resolve({ [name]: minimum })).toMatchObject({ [name]: minimum });
    expect(resolve({ [name]: maximum })).toMatchObject({ [name]: maximum });
    expect(() => resolve({ [name]: minimum - 1 })).toThrow(name);
    expect(() => resolve({ [name]: maximum + 1 })).toThrow(name);
  }
});

test("kv: schema and plugin agree on the smallest file", () => {
  const { properties } = configJsonSchema() as JsonNode;
  for (const [slot, make] of [
    ["storage", storageKv],
    ["metadata", metadataKv],
  ] as const) {
    const own = properties![slot]!.anyOf!.find(
      ({ properties: each }) => each?.["use"]?.const === "kv",
    );
    const { minimum } = own!.properties!["options"]!.properties!["sizeBytesMax"]!;
    expect(make({ directory: "d", sizeBytesMax: minimum! }).name).toBe("kv");
    expect(() => make({ directory: "d", sizeBytesMax: minimum! - 1 })).toThrow("sizeBytesMax");
  }
});

test("etcd: schema and plugin agree on the options and their bounds", () => {
  const { properties } = configJsonSchema() as JsonNode;
  const own = properties!["metadata"]!.anyOf!.find(
    ({ properties: each }) => each?.["use"]?.const === "etcd",
  );
  const options = own!.properties!["options"]!.properties!;
  const pem = "-----BEGIN CERTIFICATE-----";
  const all = {
    endpoints: ["https://127.0.0.1:2379"],
    prefix: "p/",
    user: "root",
    password: "x",
    tls: { caPem: pem, certificatePem: pem, privateKeyPem: pem, serverName: "etcd" },
    requestTimeoutMs: 5_000,
  };
  expect(Object.keys(options)).toEqual(Object.keys(all));
  expect(metadataEtcd(all)).toMatchObject({ name: "etcd", isShared: true });
  const { minimum, maximum } = options["requestTimeoutMs"]!;
  for (const requestTimeoutMs of [minimum!, maximum!]) {
    expect(metadataEtcd({ ...all, requestTimeoutMs }).name).toBe("etcd");
  }
  for (const requestTimeoutMs of [minimum! - 1, maximum! + 1]) {
    expect(() => metadataEtcd({ ...all, requestTimeoutMs })).toThrow("requestTimeoutMs");
  }
  const wrong = { endpoints: ["http://u:p@h", "https://h"], user: "a", tls: { ca: pem }, prefx: 1 };
  expect(() => metadataEtcd(wrong as never)).toThrow(
    'prefx is no option of metadata-etcd\nendpoints must be like "http://127.0.0.1:2379"\nuser and password come together\ntls.ca is no option of metadata-etcd',
  );
});
