// What is in force, where it came from, that no secret is shown, and that the printed file gives the same plan.

import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { problemsOf } from "../../src/config/check_config.ts";
import type { MillraceConfig } from "../../src/config/define_config.ts";
import { explainPlan, planAsConfig } from "../../src/config/explain_plan.ts";
import { readEnvironment, readFlags } from "../../src/config/layers.ts";
import { planStart, type StartPlan } from "../../src/config/start_plan.ts";

const here = resolve("/srv/me");
const lookUp = (name: string) => (name === "AT" ? "127.0.0.1:77" : "hunter2");

function plan(
  config: MillraceConfig | null,
  argv: readonly string[] = [],
  environment: Record<string, string> = {},
  folder = resolve(here, "conf"),
): StartPlan {
  const file = config === null ? null : { path: "m.json", folder, config };
  return planStart(file, readEnvironment(environment), readFlags(argv), here, lookUp);
}
const row = (made: StartPlan, path: string) => explainPlan(made).find((each) => each.path === path);

const everything: MillraceConfig = {
  data: "store",
  broker: { id: 3, clusterId: "c", rack: "r" },
  storage: { use: "kv", options: { directory: "kv" } },
  metadata: "kv",
  transports: [
    { use: "kafka", options: { listen: { env: "AT" }, advertise: "me.example:9", inFlightMax: 7 } },
    "http",
    { use: "tcp", options: { listeners: [{ name: "in", listen: "127.0.0.1:5" }] } },
    { use: "./mine.ts", options: { apiKey: { env: "KEY" }, password: { file: "secret" } } },
  ],
  auth: [
    {
      use: "token",
      options: {
        tokens: [{ principal: "User:a", hash: `sha256:${"0".repeat(64)}` }],
        rules: [{ principal: "*", allow: ["read"], topics: ["a-", "b-"] }],
      },
    },
  ],
  settings: { "num.partitions": 3 },
  topics: { defaults: { "retention.ms": 1000 } },
  log: { level: "warn", format: "json" },
};

describe("explainPlan()", () => {
  test("an address by reference, moved, or told by another layer than it listens by", () => {
    const whence = (made: StartPlan, path: string) => {
      const { source, detail } = row(made, path)!;
      return `${source} ${detail}`;
    };
    const here = plan(everything, ["--tcp", "off", "--kafka", "127.0.0.1:6"]);
    expect(whence(here, "transports[0].options.listen")).toBe("flag --kafka");
    const http: MillraceConfig = {
      transports: ["kafka", { use: "http", options: { listen: { env: "AT" } } }],
    };
    const alone = plan(http, ["--kafka", "off"]);
    expect(whence(alone, "transports[0].options.listen")).toBe("file m.json, variable AT");
    const told = plan(null, ["-o", "listeners=A://127.0.0.1:1,B://127.0.0.1:2"], {
      MILLRACE_SETTING_ADVERTISED_LISTENERS: "A://x.example:9",
    });
    expect(whence(told, "transports[0].options.listeners[0].listen")).toBe("flag -o listeners");
    expect(whence(told, "transports[0].options.listeners[0].advertise")).toBe(
      "environment MILLRACE_SETTING_ADVERTISED_LISTENERS",
    );
    const off = plan(null, ["--http", "off"], { MILLRACE_KAFKA: "off" });
    expect(row(off, "transports")!.value).toEqual([]);
    expect(row(off, "transports")!.source).not.toBe("default");
  });

  test("whatever stands below a secret's key is a secret", () => {
    const options = {
      password: 12345,
      passwords: ["hunter2"],
      token: ["hunter2"],
      credentials: { name: "hunter2", list: [{ pass: "hunter2" }] },
      secret: { env: "KEY" },
    };
    for (const [key, value] of Object.entries(options)) {
      const made = plan({ storage: { use: "./mine.ts", options: { [key]: value } } });
      const text = JSON.stringify(explainPlan(made));
      expect([key, text.includes("hunter2"), text.includes("12345")]).toEqual([key, false, false]);
      if (key === "secret")
        expect(planAsConfig(made, here).storage).toMatchObject({ options: { secret: value } });
      else expect(() => planAsConfig(made, here)).toThrow("a secret in plain text");
    }
    const wrong = { transports: { use: "./mine.ts", options: { password: "hunter2" } } };
    const tokens = { principal: "User:a", hash: "hunter2" };
    const misplaced = { auth: [{ use: "token", options: { tokens } }] };
    for (const config of [wrong, misplaced]) {
      const [problem] = problemsOf(config, lookUp);
      expect(problem).toContain("must be a list");
      expect(problem).not.toContain("hunter2");
    }
  });

  test("names every value once, with its layer", () => {
    const made = plan(everything, ["--http", "127.0.0.1:8", "-o", "num.partitions=4"], {
      MILLRACE_RACK: "s",
      MILLRACE_SETTING_FETCH_MAX_BYTES: "2048",
    });
    const paths = explainPlan(made).map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
    const from = (path: string) => {
      const { value, source, detail } = row(made, path)!;
      return [value, source, detail];
    };
    expect(from("data")).toEqual(["conf/store", "file", "m.json"]);
    expect(from("broker.rack")).toEqual(["s", "environment", "MILLRACE_RACK"]);
    expect(from("storage")).toEqual(["kv", "file", "m.json"]);
    expect(from("storage.options.directory")).toEqual(["conf/kv", "file", "m.json"]);
    expect(from("transports[0].options.listen")).toEqual([
      "127.0.0.1:77",
      "file",
      "m.json, variable AT",
    ]);
    expect(from("transports[0].options.fetchBytesMax")).toEqual([
      2048,
      "environment",
      "MILLRACE_SETTING_FETCH_MAX_BYTES",
    ]);
    expect(from("transports[1].options.listen")).toEqual(["127.0.0.1:8", "flag", "--http"]);
    expect(from("transports[2].options.listeners[0].name")).toEqual(["in", "file", "m.json"]);
    expect(from("auth[0].options.rules[0].topics")).toEqual([["a-", "b-"], "file", "m.json"]);
    expect(from('settings["num.partitions"]')).toEqual(["4", "flag", "-o num.partitions"]);
    expect(from('settings["retention.ms"]')).toEqual(["1000", "file", "m.json"]);
    expect(from("log.level")).toEqual(["warn", "file", "m.json"]);
    expect(from("insecure")).toEqual([false, "default", ""]);
  });

  test("settings of Kafka's that have a place of their own are named as the source", () => {
    const made = plan(null, ["-o", "log.dirs=/d", "-o", "node.id=4", "-o", "listeners=A://:0"], {
      MILLRACE_INSECURE: "1",
    });
    expect(row(made, "data")).toMatchObject({ value: "/d", source: "flag", detail: "-o log.dirs" });
    expect(row(made, "broker.id")).toMatchObject({ value: 4, detail: "-o node.id" });
    expect(row(made, "transports[0].options.listeners[0].listen")).toMatchObject({
      value: "0.0.0.0:0",
      detail: "-o listeners",
    });
  });

  test("shows where secrets stand, and masks those in plain text", () => {
    const made = plan({
      storage: { use: "./s.ts", options: { deep: { secretKey: "x", api_key: "hunter2" } } },
      transports: everything.transports!,
      auth: everything.auth!,
      settings: { "ssl.key.password": "hunter2" },
    });
    expect(JSON.stringify(explainPlan(made))).not.toContain("hunter2");
    expect(row(made, "storage.options.deep.api_key")?.value).toBe("***");
    expect(row(made, 'settings["ssl.key.password"]')?.value).toBe("***");
    expect(row(made, "transports[3].options.apiKey")?.value).toEqual({ env: "KEY" });
    expect(row(made, "auth[0].options.tokens[0].hash")?.value).toContain("sha256:");
  });
});

describe("planAsConfig()", () => {
  /** A plan without what tells of its layers. */
  function essence({
    provenance: _provenance,
    warnings: _warnings,
    moduleFolder,
    ...rest
  }: StartPlan) {
    const module = (use: string) => (use.startsWith(".") ? resolve(moduleFolder, use) : use);
    const slot = (each: object): object => {
      const { use, options = {} } = each as { use: string; options?: Record<string, unknown> };
      const { password, directory } = options as {
        password?: { file: string };
        directory?: string;
      };
      return {
        use: module(use),
        options: {
          ...options,
          ...(password === undefined ? {} : { password: resolve(moduleFolder, password.file) }),
          ...(directory === undefined ? {} : { directory: resolve(here, directory) }),
        },
      };
    };
    return {
      ...rest,
      data: resolve(here, rest.data),
      storage: slot(rest.storage),
      metadata: slot(rest.metadata),
      transports: rest.transports.map(slot),
      auth: rest.auth.map(slot),
    };
  }
  const cases: [string, MillraceConfig | null, string[], Record<string, string>][] = [
    ["nothing at all", null, [], {}],
    ["a file with everything", everything, [], {}],
    [
      "flags and variables",
      null,
      ["--kafka", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "-o", "fetch.max.bytes=5000"],
      { MILLRACE_DATA: "/d", MILLRACE_RACK: "r", MILLRACE_LOG_LEVEL: "off" },
    ],
    [
      "Kafka's own names",
      { insecure: true },
      [
        "-o",
        "listeners=A://:1,B://:2",
        "-o",
        "advertised.listeners=B://b.example:3",
        "-o",
        "node.id=9",
        "-o",
        "log.dirs=/x",
        "-o",
        "broker.rack=q",
      ],
      {},
    ],
    ["HTTP off", everything, ["--http", "off"], {}],
  ];
  test.each(cases)(
    "%s: saved in another folder, it gives the same plan",
    (_name, config, argv, environment) => {
      const made = plan(config, argv, environment);
      const printed: MillraceConfig = JSON.parse(JSON.stringify(planAsConfig(made, here)));
      expect(
        problemsOf(printed, lookUp).filter((each) => !each.includes("does not exist")),
      ).toEqual([]);
      const again = plan(printed, [], {}, resolve("/etc"));
      expect(essence(again)).toEqual(essence(made));
      expect(again.warnings).toEqual([]);
    },
  );

  test("refuses what a file cannot hold", () => {
    const made = { kind: "storage", name: "mine", contract: 1, open: null as never } as const;
    expect(() => planAsConfig(plan({ storage: made }), here)).toThrow(
      "Cannot write storage into a file as it is a plugin made by code",
    );
    const secret = { storage: { use: "./s.ts", options: { password: "hunter2" } } };
    expect(() => planAsConfig(plan(secret), here)).toThrow(
      'Cannot write storage.options.password into a file as it is a secret in plain text: put { "env": "NAME" }',
    );
  });
});
