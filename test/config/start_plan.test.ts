// The plan of a start: which layer wins, where each value came from, listeners, and doors left open.

import { describe, expect, test } from "bun:test";
import type { MillraceConfig } from "../../src/config/define_config.ts";

import { readEnvironment, readFlags } from "../../src/config/layers.ts";
import { listenersOf } from "../../src/config/listeners.ts";
import { planStart } from "../../src/config/start_plan.ts";

function plan(
  config: MillraceConfig | null,
  argv: readonly string[] = [],
  environment: Record<string, string> = {},
) {
  const file = config === null ? null : { path: "m.json", folder: "/srv/me/conf", config };
  return planStart(file, readEnvironment(environment), readFlags(argv), "/srv/me");
}
const isKafka = (transport: object) => (transport as { use: string }).use === "kafka";
const listeners = (...given: Parameters<typeof plan>) =>
  plan(...given)
    .transports.filter(isKafka)
    .flatMap(listenersOf);

describe("planStart()", () => {
  test("one address for two listeners is refused by name", () => {
    const both = "127.0.0.1:7000";
    const file = (first: object, second: object) =>
      ({ transports: [first, second] }) as unknown as MillraceConfig;
    const kafka = { use: "kafka", options: { listen: both } };
    const http = { use: "http", options: { listen: both } };
    expect(() => plan(file(kafka, http))).toThrow(
      "One address for two listeners: 127.0.0.1:7000 (transports[0] and [1]): give each a port of its own",
    );
    expect(() => plan(null, ["--http", "127.0.0.1:9092"])).toThrow("127.0.0.1:9092");
    const listeners = ["A", "B"].map((name) => ({ name, listen: both }));
    expect(() => plan(file({ use: "tcp", options: { listeners } }, kafka))).toThrow(
      "transports[0] twice",
    );
    // Nobody asked for 8080, so HTTP gives way; and 0 is a free one, each time.
    plan(null, ["--kafka", "127.0.0.1:8080"]);
    plan(null, ["--kafka", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]);
  });

  test("one SQLite file for storage and metadata is refused before anything opens", () => {
    const kv = (path?: string) => ({ use: "kv", options: path === undefined ? {} : { path } });
    const both = (one?: string, other?: string) =>
      ({ storage: kv(one), metadata: kv(other) }) as MillraceConfig;
    expect(() => plan(both("a.sqlite", "./a.sqlite"))).toThrow(
      'storage and metadata name one SQLite file, which holds one of them: "conf/a.sqlite": give each a path of its own, or leave path out of both',
    );
    plan(both("a.sqlite", "b.sqlite"));
    plan(both("a.sqlite"));
    plan(both());
  });

  test("the metadata by a flag or a variable: words, and etcd with its endpoints", () => {
    const one = "http://127.0.0.1:2379";
    const two = "https://etcd-2:2379";
    expect(plan(null).metadata).toEqual({ use: "file" });
    expect(plan(null, ["--metadata", "memory"]).metadata).toEqual({ use: "memory" });
    const etcd = plan(null, ["--metadata", `etcd=${one},${two}`, "-o", "node.id=7"]);
    expect(etcd.metadata).toEqual({ use: "etcd", options: { endpoints: [one, two] } });
    expect(etcd.broker.id).toBe(7);
    expect(etcd.provenance.get("metadata")).toEqual({ source: "flag", detail: "--metadata" });
    expect(plan(null, [], { MILLRACE_METADATA: `etcd=${two}` }).metadata).toEqual({
      use: "etcd",
      options: { endpoints: [two] },
    });
    // The rest of what the file says of etcd stays; of another store nothing does.
    const user = { user: "root", password: { env: "ETCD_PASSWORD" } };
    const file = { metadata: { use: "etcd", options: { endpoints: [two], ...user } } };
    expect(plan(file as MillraceConfig, ["--metadata", `etcd=${one}`]).metadata).toEqual({
      use: "etcd",
      options: { endpoints: [one], ...user },
    });
    const kv: MillraceConfig = { metadata: { use: "kv", options: { historyRevisionsMax: 5 } } };
    expect(plan(kv, ["--metadata", "file"]).metadata).toEqual({ use: "file" });
    expect(plan(kv, ["--metadata", "kv"]).metadata).toEqual(plan(kv).metadata);

    const refused = (text: string) => () => plan(null, ["--metadata", text]);
    expect(refused("etcd")).toThrow("--metadata takes file, memory, kv or etcd=http://HOST:PORT");
    expect(refused("fil")).toThrow('did you mean "file"');
    expect(refused("etcd=127.0.0.1:2379")).toThrow('found "127.0.0.1:2379"');
    expect(refused("etcd=http://root:secret@h:1")).toThrow(/like http:\/\/127\.0\.0\.1:2379$/);
  });

  test("topics that outlast their records are worth a warning", () => {
    const warnings = (config: MillraceConfig) => plan(config).warnings.join();
    for (const metadata of ["file", "kv"] as const) {
      expect(warnings({ storage: "memory", metadata })).toContain("their records do not");
      expect(warnings({ storage: "kv", metadata })).toBe("");
    }
    expect(warnings({ storage: "memory" })).toContain("the metadata file");
    expect(warnings({ storage: "memory", metadata: "memory" })).toBe("");
  });

  test("needs nothing: files in ./data, Kafka and HTTP on loopback", () => {
    const made = plan(null);
    expect(made).toMatchObject({
      broker: { id: 1 },
      data: "./data",
      storage: { use: "fs" },
      metadata: { use: "file" },
      auth: [],
      settings: {},
      log: { level: "info", format: "auto" },
      insecure: false,
    });
    expect(made.transports.flatMap(listenersOf)).toEqual([
      { name: "kafka", host: "127.0.0.1", port: 9092 },
      { name: "http", host: "127.0.0.1", port: 8080 },
    ]);
    expect(made.provenance.get("data")).toEqual({ source: "default", detail: "" });
  });

  test("flags win over variables, these over the file, and it over defaults; each is remembered", () => {
    const file: MillraceConfig = {
      data: "store",
      broker: { id: 7, rack: "a" },
      log: { level: "warn" },
      topics: { defaults: { "retention.ms": 1000, "replication.factor": 1 } },
      settings: { "num.partitions": 2, "log.segment.bytes": 1048576 },
    };
    const made = plan(file, ["--broker-id", "9", "-o", "num.partitions=4"], {
      MILLRACE_BROKER_ID: "8",
      MILLRACE_RACK: "b",
      MILLRACE_SETTING_NUM_PARTITIONS: "3",
    });
    expect(made).toMatchObject({ broker: { id: 9, rack: "b" }, data: "conf/store" });
    expect(made.log.level).toBe("warn");
    expect(made.settings).toEqual({
      "retention.ms": "1000",
      "default.replication.factor": "1",
      "num.partitions": "4",
      "log.segment.bytes": "1048576",
    });
    const from = (path: string) => made.provenance.get(path);
    expect(from("broker.id")).toEqual({ source: "flag", detail: "--broker-id" });
    expect(from("broker.rack")).toEqual({ source: "environment", detail: "MILLRACE_RACK" });
    expect(from("data")).toEqual({ source: "file", detail: "m.json" });
    expect(from('settings["num.partitions"]')).toEqual({
      source: "flag",
      detail: "-o num.partitions",
    });
    expect(from('settings["log.segment.bytes"]')).toEqual({ source: "file", detail: "m.json" });
    expect(from("log.format")).toEqual({ source: "default", detail: "" });
  });

  test("takes Kafka's names for what has a place of its own", () => {
    const made = plan(null, ["-o", "node.id=5", "-o", "log.dirs=/var/log", "-o", "broker.rack=r"]);
    expect(made).toMatchObject({ broker: { id: 5, rack: "r" }, data: "/var/log" });
    expect(made.settings).toEqual({ "broker.rack": "r" });
    expect(() => plan(null, ["-o", "log.dirs=/a,/b"])).toThrow("takes one folder");
    expect(plan(null, ["-o", "broker.id=-1"]).broker.id).toBe(1);
    expect(plan(null, ["-o", "log.dirs=/a", "--data", "/b"]).warnings).toEqual([
      "The setting log.dirs has no effect as --data says /b",
    ]);
    expect(made.warnings).toEqual([]);
  });

  test("refuses values that mean nothing, naming how they were given", () => {
    expect(() => plan(null, ["--kafka", "9092"])).toThrow(
      '--kafka must be HOST:PORT, e.g. 127.0.0.1:9092, or off: found "9092"',
    );
    expect(() => plan(null, ["--broker-id", "-1"])).toThrow("--broker-id must be a whole number");
    expect(() => plan(null, [], { MILLRACE_LOG_LEVEL: "loud" })).toThrow(
      'MILLRACE_LOG_LEVEL must be debug, info, warn, error, off: found "loud"',
    );
  });
});

describe("Kafka listeners", () => {
  test("--kafka moves the first listener and leaves the rest of the transport", () => {
    const config: MillraceConfig = {
      transports: [
        {
          use: "kafka",
          options: { listen: "127.0.0.1:1", advertise: "b.example:2", inFlightMax: 5 },
        },
      ],
    };
    const made = plan(config, ["--kafka", "127.0.0.1:0"]);
    expect(made.transports).toEqual([
      {
        use: "kafka",
        options: {
          inFlightMax: 5,
          listeners: [
            {
              name: "kafka",
              host: "127.0.0.1",
              port: 0,
              advertisedHost: "b.example",
              advertisedPort: 2,
            },
          ],
        },
      },
    ]);
    expect(listeners({ transports: [] }, ["--kafka", "127.0.0.1:7"])).toHaveLength(1);
  });

  test("listeners and advertised.listeners are Kafka's lists, matched by name", () => {
    const given = [
      "--insecure",
      "-o",
      "listeners=IN://127.0.0.1:1,OUT://0.0.0.0:2",
      "-o",
      "advertised.listeners=OUT://me.example:443",
    ];
    expect(listeners(null, given)).toEqual([
      { name: "IN", host: "127.0.0.1", port: 1 },
      {
        name: "OUT",
        host: "0.0.0.0",
        port: 2,
        advertisedHost: "me.example",
        advertisedPort: 443,
      },
    ]);
    expect(plan(null, given).settings).toEqual({
      "advertised.listeners": "OUT://me.example:443",
    });
  });

  test("one advertised listener fits one listener, whatever its name", () => {
    const given = ["-o", "advertised.listeners=PLAINTEXT://me.example:19092"];
    expect(listeners(null, given)).toMatchObject([
      { name: "kafka", advertisedHost: "me.example", advertisedPort: 19_092 },
    ]);
  });

  test("what cannot be told to clients is refused", () => {
    const refused = (text: string, why: string) =>
      expect(() => plan(null, ["-o", text])).toThrow(why);
    refused("advertised.listeners=me:1", "must be NAME://HOST:PORT");
    refused("advertised.listeners=A://0.0.0.0:1", "a host that clients can reach");
    refused("advertised.listeners=A://a:1,B://b:2", 'names "A", which is no listener here: kafka');
    refused("listeners=:9092", "must be NAME://HOST:PORT");
  });

  test("Kafka's settings bound the transport where its options do not", () => {
    const made = plan({ transports: [{ use: "kafka", options: { frameBytesMax: 5000 } }] }, [
      "-o",
      "socket.request.max.bytes=7000",
      "-o",
      "connections.max.idle.ms=-1",
    ]);
    expect(made.transports[0]).toMatchObject({
      options: { frameBytesMax: 5000, connectionIdleMsMax: Number.MAX_SAFE_INTEGER },
    });
  });

  test("values that Kafka takes are taken, held to what the transport can", () => {
    const options = (...pairs: string[]) =>
      plan(
        null,
        pairs.flatMap((pair) => ["-o", pair]),
      ).transports[0]!;
    expect(options("connections.max.idle.ms=0", "max.connections=0")).toMatchObject({
      options: { connectionIdleMsMax: 1, connectionsMax: 20_000 },
    });
    expect(options("socket.request.max.bytes=1", "max.connections=50000")).toMatchObject({
      options: { frameBytesMax: 1024, connectionsMax: 50_000 },
    });
    expect(options("max.incremental.fetch.session.cache.slots=2000000")).toMatchObject({
      options: { sessionCacheSlots: 1_000_000 },
    });
  });

  test("listening off loopback without authentication is refused unless --insecure", () => {
    expect(() => plan(null, ["--kafka", "0.0.0.0:9092"])).toThrow(
      "Refusing to listen on 0.0.0.0:9092",
    );
    expect(() =>
      plan({ transports: [{ use: "kafka", options: { listen: "10.0.0.1:9" } }] }),
    ).toThrow("--insecure");
    expect(listeners(null, ["--kafka", ":9092", "--insecure"])[0]!.host).toBe("0.0.0.0");
    expect(listeners({ insecure: true }, ["--kafka", ":9092"])[0]!.host).toBe("0.0.0.0");
    const auth = { kind: "auth" as const, name: "x", contract: 1 as const, open: null as never };
    expect(listeners({ auth: [auth] }, ["--kafka", ":9092"])[0]!.host).toBe("0.0.0.0");
  });
});
