// The config file: found, read, checked with one sentence a problem, and its plugins resolved.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { problemsOf } from "../../src/config/check_config.ts";
import { ConfigError } from "../../src/config/config_error.ts";
import { configJsonSchema } from "../../src/config/config_schema.ts";
import { readEnvironment, readFlags } from "../../src/config/layers.ts";
import { loadConfig, wayOut } from "../../src/config/load_config.ts";
import { resolvePlugins } from "../../src/config/resolve_plugins.ts";
import { planStart } from "../../src/config/start_plan.ts";

const nothing = () => undefined;
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-config-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

async function refusal(named: string): Promise<ConfigError> {
  const error = await loadConfig(named, folder, nothing).then(
    () => null,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return error as ConfigError;
}

describe("loadConfig()", () => {
  test("no file is fine unless one was named", async () => {
    expect(await loadConfig(null, folder, nothing)).toBeNull();
    expect((await refusal("none.json")).message).toBe(
      'Cannot read config file "none.json": there is no such file',
    );
  });

  test("a mark in front of JSON is nothing; a folder in the place of the file is named", async () => {
    write("marked.json", '\uFEFF{ "data": "./d" }');
    expect((await loadConfig("marked.json", folder, nothing))?.config).toEqual({ data: "./d" });
    mkdirSync(join(folder, "folder.json"));
    expect((await refusal("folder.json")).message).toContain(
      'Cannot read config file "folder.json": EISDIR',
    );
  });

  // Deno's tests know the name "millrace" by deno.json, wherever the file lies.
  test.skipIf("Deno" in globalThis)("a file that imports a stranger says what helps", async () => {
    const text = 'import { defineConfig } from "millrace"; export default defineConfig({});';
    write("stranger.ts", text);
    const { message } = await refusal("stranger.ts");
    expect(message).toStartWith('Cannot load config file "stranger.ts": ');
    expect(message).toEndWith("export default { … } does as well");
  });

  test("each host's words for a file that cannot be loaded have their way out", () => {
    expect(wayOut('Import "millrace" not a dependency')).toContain("npm install millrace");
    expect(wayOut("Cannot find package 'millrace' imported from /srv/a.mjs")).toContain("npm i");
    expect(wayOut('Unknown file extension ".ts" for /srv/millrace.config.ts')).toContain(
      "millrace.config.json, or run Node 22.18",
    );
    expect(wayOut("Cannot find package 'hono' imported from /srv/a.ts")).toBe("");
  });

  test("reads TypeScript and JSON", async () => {
    write("a.ts", 'export default { data: "d" as string, broker: { id: 3 } };');
    write("a.json", '{ "$schema": "x", "data": "d", "broker": { "id": 3 } }');
    for (const name of ["a.ts", "a.json"]) {
      const loaded = await loadConfig(name, folder, nothing);
      expect(loaded).toMatchObject({
        path: name,
        folder,
        config: { data: "d", broker: { id: 3 } },
      });
    }
  });

  test("finds the file of the folder", async () => {
    write("millrace.config.json", '{ "broker": { "rack": "r" } }');
    expect(await loadConfig(null, folder, nothing)).toMatchObject({
      path: "millrace.config.json",
      config: { broker: { rack: "r" } },
    });
    rmSync(join(folder, "millrace.config.json"));
  });

  test("says what is wrong with a file that cannot be read", async () => {
    write("broken.json", '{ "data": ');
    expect((await refusal("broken.json")).message).toContain(
      'Cannot read config file "broken.json"',
    );
    write("broken.ts", "export const data = 1;");
    expect((await refusal("broken.ts")).message).toContain("default export");
    write("x.yaml", "data: 1");
    expect((await refusal("x.yaml")).message).toContain(".ts, .js, .mjs or .json");
  });

  test("names the file and counts further problems", async () => {
    write("two.json", '{ "dat": "x", "insecure": 1 }');
    const error = await refusal("two.json");
    expect(error.problems).toHaveLength(2);
    expect(error.message).toEndWith("(and 1 more: millrace config check)");
    expect(error.problems).toContain(
      'In config file "two.json": Unknown key "dat": did you mean "data"',
    );
  });
});

const TOKEN = { principal: "User:a", hash: `sha256:${"0".repeat(64)}` };

describe("problemsOf()", () => {
  const cases: [string, unknown, string][] = [
    ["a misspelt key", { tranports: [] }, 'Unknown key "tranports": did you mean "transports"'],
    [
      "a stranger among keys",
      { broker: { zzz: 1 } },
      'Unknown key "broker.zzz" (known: id, clusterId, rack)',
    ],
    ["a wrong type", { broker: { id: "one" } }, 'broker.id must be a number: found "one"'],
    ["a fraction", { broker: { id: 1.5 } }, "broker.id must be a whole number: found 1.5"],
    ["a number too small", { broker: { id: -1 } }, "broker.id must be at least 0: found -1"],
    [
      "a word that is none of those known",
      { log: { level: "loud" } },
      'log.level must be "debug" or "info" or "warn" or "error" or "off": found "loud"',
    ],
    ["empty text", { data: "" }, 'data must not be empty: found ""'],
    [
      "a setting of no plain value",
      { settings: { "num.partitions": [3] } },
      'settings["num.partitions"] must be text, a number, true or false: found [3]',
    ],
    [
      "an unknown plugin",
      { storage: "fss" },
      'storage must be a built-in storage (fs, memory, kv) or a module with a /, . or :, found "fss": did you mean "fs"',
    ],
    [
      "an unknown option",
      { transports: [{ use: "kafka", options: { lsiten: "a:1" } }] },
      'Unknown key "transports[0].options.lsiten": did you mean "listen"',
    ],
    [
      "an option of the wrong form",
      { transports: [{ use: "kafka", options: { listen: "abc" } }] },
      'transports[0].options.listen must be HOST:PORT: found "abc"',
    ],
    [
      "a key beside use and options",
      { storage: { use: "fs", option: {} } },
      'Unknown key "storage.option": did you mean "options"',
    ],
    [
      "no slot at all",
      { storage: 5 },
      "storage must be a name, { use, options } or a plugin: found 5",
    ],
    ["a list that is none", { transports: "kafka" }, 'transports must be a list: found "kafka"'],
    ["no object", [1], "the file must hold an object: found [1]"],
    [
      "a misspelt option of each new face",
      {
        transports: [
          { use: "http", options: { cor: [] } },
          { use: "tcp", options: { lisen: 1 } },
        ],
      },
      'Unknown key "transports[0].options.cor": did you mean "cors"',
    ],
    [
      "an origin with a path",
      { transports: [{ use: "http", options: { cors: ["https://a.example/x"] } }] },
      'transports[0].options.cors[0] must be an origin such as "https://app.example.com", or "*": found "https://a.example/x"',
    ],
    [
      "a bound beyond what a frame can have",
      { transports: [{ use: "tcp", options: { frameBytesMax: 1 } }] },
      "transports[0].options.frameBytesMax must be at least 1024: found 1",
    ],
    [
      "a key-value store without a path",
      { storage: { use: "kv", options: { path: "" } } },
      'storage.options.path must not be empty: found ""',
    ],
    [
      "tokens that are not there",
      { auth: ["token"] },
      "auth[0].options.tokens must be a list: found nothing",
    ],
    [
      "an operation misspelt",
      {
        auth: [
          {
            use: "token",
            options: { tokens: [TOKEN], rules: [{ principal: "*", allow: ["reads"] }] },
          },
        ],
      },
      'found "reads": did you mean "read"',
    ],
    [
      "a key misspelt in a rule",
      {
        auth: [
          {
            use: "token",
            options: {
              tokens: [TOKEN],
              rules: [{ principal: "User:a", allow: ["read"], topic: ["a"] }],
            },
          },
        ],
      },
      'Unknown key "auth[0].options.rules[0].topic": did you mean "topics"',
    ],
    [
      "a principal that is none",
      { auth: [{ use: "token", options: { tokens: [{ ...TOKEN, principal: "alice" }] } }] },
      'auth[0].options.tokens[0].principal must be "User:NAME": found "alice"',
    ],
    [
      "a token in the place of its hash, which is not printed",
      { auth: [{ use: "token", options: { tokens: [{ ...TOKEN, hash: "hunter2" }] } }] },
      'auth[0].options.tokens[0].hash must be "sha256:" and 64 hex digits, or 43 of base64url: found something that is not shown',
    ],
    [
      "a secret in a file that is not there",
      { storage: { use: "./s3.ts", options: { key: { file: "nowhere" } } } },
      'storage refers to the file "nowhere", which does not exist',
    ],
    [
      "a reference to nothing",
      { storage: { use: "./s3.ts", options: { key: { env: "S3_KEY" } } } },
      "storage refers to the variable S3_KEY, which is not set",
    ],
  ];
  test.each(cases)("%s", (_name, config, problem) => {
    const [first, ...more] = problemsOf(config, nothing);
    expect(first).toEndWith(problem);
    expect(more.every((each) => each.includes("lisen"))).toBe(true);
  });

  test("what is right has none: plugins made in the file, modules, references, every slot", () => {
    const plugin = { kind: "storage", name: "mine", contract: 1, open: () => {} };
    expect(
      problemsOf(
        {
          $schema: "./schema.json",
          data: "./d",
          broker: { id: 0, clusterId: "c", rack: "r" },
          storage: plugin,
          metadata: "memory",
          transports: [
            "kafka",
            {
              use: "kafka",
              options: { listeners: [{ name: "A", listen: ":0", advertise: "a:1" }] },
            },
            { use: "http", options: { cors: ["*"], hosts: ["broker.example"] } },
            {
              use: "tcp",
              options: { tls: { certificatePem: { env: "PEM" }, privateKeyPem: { env: "PEM" } } },
            },
            { use: "npm:other", options: { anything: [{ env: "SECRET" }] } },
          ],
          auth: [
            { use: "./auth.ts" },
            {
              use: "token",
              options: {
                tokens: [{ ...TOKEN, expiresAt: "2027-01-31T00:00:00Z" }],
                rules: [{ principal: "*", allow: ["all"], topics: ["=a"], cluster: true }],
                superUsers: ["User:root"],
              },
            },
          ],
          settings: { "num.partitions": 3, "auto.create.topics.enable": false, x: "y" },
          topics: { defaults: { "retention.ms": -1 } },
          log: { level: "off", format: "json" },
          insecure: true,
        },
        (name) => ({ SECRET: "s", PEM: "-----BEGIN CERTIFICATE-----" })[name],
      ),
    ).toEqual([]);
  });

  test("a secret behind a reference is never printed", () => {
    const config = { transports: [{ use: "kafka", options: { listen: { env: "LISTEN" } } }] };
    expect(problemsOf(config, () => "hunter2")).toEqual([
      'transports[0].options.listen must be HOST:PORT: found {"env":"LISTEN"}',
    ]);
    expect(problemsOf(config, () => "127.0.0.1:1")).toEqual([]);
    const plain = {
      transports: [{ use: "kafka", options: { tls: { privateKeyPem: "hunter2" } } }],
    };
    expect(problemsOf(plain, nothing).join()).not.toContain("hunter2");
    write("key.pem", "-----BEGIN PRIVATE KEY-----\n");
    const tls = { certificatePem: { file: "key.pem" }, privateKeyPem: { file: "key.pem" } };
    const http = { transports: [{ use: "http", options: { tls } }] };
    expect(problemsOf(http, nothing, folder)).toEqual([]);
  });
});

test("docs/config.schema.json is current", () => {
  const path = join(import.meta.dirname!, "../../docs/config.schema.json");
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(
    JSON.parse(JSON.stringify(configJsonSchema())),
  );
});

describe("resolvePlugins()", () => {
  const resolve = (config: object, lookUp: (name: string) => string | undefined = nothing) =>
    resolvePlugins(
      planStart({ path: "c", folder, config }, readEnvironment({}), readFlags([]), folder),
      lookUp,
    );

  test("finds the built-in ones by their bare words", async () => {
    expect(await resolve({})).toMatchObject({
      storage: { kind: "storage", contract: 1 },
      metadata: { kind: "metadata_store", contract: 1 },
      transports: [{ name: "transport-kafka" }, { kind: "transport", contract: 1 }],
      auth: [],
    });
    const kv = await resolve({
      storage: "kv",
      metadata: { use: "kv", options: { path: "m.sqlite" } },
      auth: [{ use: "token", options: { tokens: [TOKEN] } }],
    });
    expect(kv).toMatchObject({
      storage: { kind: "storage", contract: 1 },
      metadata: { kind: "metadata_store", contract: 1 },
      auth: [{ kind: "auth", name: "token" }],
    });
    const memory = await resolve({ storage: "memory", metadata: "memory" });
    expect(memory).toMatchObject({ storage: { kind: "storage" }, metadata: { name: "memory" } });
  });

  test("imports a module beside the config file, with its options and secrets", async () => {
    write(
      "plugin.ts",
      `export default (options: { key: string }) =>
         ({ kind: "storage", name: options.key, contract: 1, open: () => {} });`,
    );
    const options = { key: { env: "KEY" } };
    const config = { storage: { use: "./plugin.ts", options } };
    expect((await resolve(config, () => "secret")).storage.name).toBe("secret");
    await expect(resolve(config)).rejects.toThrow("refers to the variable KEY");
  });

  test("refuses a plugin of another kind, another contract, or none", async () => {
    const made = { name: "x", open: () => {} };
    const wrong = (storage: object | string) => expect(resolve({ storage })).rejects;
    await wrong({ ...made, kind: "transport", contract: 1 }).toThrow(
      'storage must be a storage plugin: found one of kind "transport"',
    );
    await wrong({ ...made, kind: "storage", contract: 2 }).toThrow(
      "must speak contract 1: found 2",
    );
    await wrong("./missing.ts").toThrow('Cannot load storage "./missing.ts"');
    write("empty.ts", "export const nothing = 1;");
    await wrong("./empty.ts").toThrow("must be a plugin, or a function");
  });
});
