import { describe, expect, test } from "bun:test";
import { checkImports, graphText, readTree } from "../../scripts/check_imports.ts";
import { coreStack } from "../../scripts/import_rules.ts";

/** What the rules say of these files, with empty files for every `.ts` that they name. */
function violations(files: Record<string, string>): readonly string[] {
  return checkImports(new Map(Object.entries(files))).violations;
}

/** The violations of one import, from one file to another that exists. */
function oneImport(from: string, to: string, keyword = "import"): readonly string[] {
  const up = "../".repeat(from.split("/").length - 1);
  return violations({ [from]: `${keyword} { x } from "${up || "./"}${to}";`, [to]: "" });
}

describe("checkImports() over rooms", () => {
  test.each([
    ["src/base/a.ts", "src/record/b.ts"],
    ["src/record/a.ts", "src/protocol/b.ts"],
    ["src/protocol/a.ts", "src/contracts/b.ts"],
    ["src/contracts/a.ts", "src/core/log/b.ts"],
    ["src/core/log/a.ts", "src/runtime/b.ts"],
    ["src/core/log/a.ts", "plugins/storage-fs/b.ts"],
    ["src/core/log/a.ts", "src/testing/b.ts"],
    ["src/runtime/a.ts", "src/core/log/b.ts"],
    ["src/config/a.ts", "plugins/storage-fs/mod.ts"],
    ["src/client/a.ts", "src/core/log/b.ts"],
    ["src/client/a.ts", "src/runtime/b.ts"],
    ["src/main.ts", "src/core/log/b.ts"],
    ["src/testing/a.ts", "src/core/log/b.ts"],
    ["src/testing/a.ts", "plugins/storage-fs/mod.ts"],
    ["mod.ts", "src/config/load_config.ts"],
    ["plugins/storage-fs/a.ts", "plugins/storage-memory/mod.ts"],
    ["plugins/storage-fs/a.ts", "src/core/log/b.ts"],
    ["src/metadata/a.ts", "src/record/b.ts"],
    ["src/files/a.ts", "src/base/b.ts"],
    ["src/core/log/a.ts", "src/metadata/b.ts"],
    ["src/base/a.ts", "test/support/b.ts"],
    ["src/core/log/a.ts", "scripts/b.ts"],
  ])("%s may not import %s", (from, to) => {
    const found = oneImport(from, to);
    expect(found).toHaveLength(1);
    expect(found[0]).toStartWith(`${from}:1: `);
    expect(found[0]).toContain("may");
  });

  test.each([
    ["src/record/a.ts", "src/base/b.ts"],
    ["src/core/broker/a.ts", "src/core/log/b.ts"],
    ["src/core/mod.ts", "src/core/broker/create_broker.ts"],
    ["src/testing/a.ts", "src/core/mod.ts"],
    ["src/main.ts", "src/core/mod.ts"],
    ["mod.ts", "src/contracts/mod.ts"],
    ["plugins/transport-kafka/handlers/a.ts", "plugins/transport-kafka/b.ts"],
    ["plugins/transport-kafka/a.ts", "src/protocol/b.ts"],
    ["plugins/metadata-file/a.ts", "src/metadata/b.ts"],
    ["plugins/metadata-file/a.ts", "src/files/b.ts"],
    ["test/core/log/a.test.ts", "src/core/log/b.ts"],
  ])("%s may import %s", (from, to) => {
    expect(oneImport(from, to)).toEqual([]);
  });

  test("a grant of types is not a grant of values, re-exports included", () => {
    expect(oneImport("src/protocol/a.ts", "src/record/b.ts", "import type")).toEqual([]);
    expect(oneImport("src/protocol/a.ts", "src/record/b.ts", "export type")).toEqual([]);
    for (const keyword of ["import", "export"]) {
      expect(oneImport("src/protocol/a.ts", "src/record/b.ts", keyword)[0]).toContain(
        "import type",
      );
    }
  });

  test("a type-only import is an arrow too", () => {
    expect(oneImport("src/base/a.ts", "src/record/b.ts", "import type")).toHaveLength(1);
  });

  test("a dynamic import is an arrow too", () => {
    const found = violations({
      "src/record/a.ts": 'await import("../core/log/b.ts");',
      "src/core/log/b.ts": "",
    });
    expect(found[0]).toContain("record may not import core/log");
  });

  test("config loads plugins on demand, by their faces", () => {
    const found = (code: string) =>
      violations({
        "src/config/a.ts": code,
        "plugins/storage-fs/mod.ts": "",
        "plugins/storage-fs/handles.ts": "",
      });
    expect(found('await import("../../plugins/storage-fs/mod.ts");')).toEqual([]);
    expect(found('import "../../plugins/storage-fs/mod.ts";')[0]).toContain("only by import()");
    expect(found('await import("../../plugins/storage-fs/handles.ts");')).toHaveLength(1);
  });

  test("the core's rooms look only at those before them", () => {
    for (const [index, room] of coreStack.entries()) {
      for (const above of coreStack.slice(index + 1)) {
        expect(oneImport(`src/${room}/a.ts`, `src/${above}/b.ts`)).toHaveLength(1);
      }
    }
  });

  test.each([
    ["core/cluster", "core/log"],
    ["core/coordinator/share", "core/coordinator/group"],
    ["core/coordinator/transaction", "core/coordinator/group"],
  ])("%s never imports %s, though it stands before it", (from, to) => {
    expect(oneImport(`src/${from}/a.ts`, `src/${to}/b.ts`)).toHaveLength(1);
  });

  test("a face is for the outside", () => {
    expect(oneImport("src/core/log/a.ts", "src/record/mod.ts")[0]).toContain("not the face");
    expect(oneImport("plugins/transport-kafka/a.ts", "src/contracts/mod.ts")).toHaveLength(1);
    expect(oneImport("plugins/transport-kafka/a.ts", "src/protocol/mod.ts")).toEqual([]);
  });

  test("a file outside every room is refused", () => {
    expect(violations({ "src/utils/a.ts": "" })[0]).toContain("belongs to no room");
  });
});

describe("checkImports() over paths and cycles", () => {
  test("a missing file and a missing extension are refused", () => {
    expect(violations({ "src/base/a.ts": 'import "./b.ts";' })[0]).toContain("does not exist");
    expect(violations({ "src/base/a.ts": 'import "./b";', "src/base/b.ts": "" })[0]).toContain(
      "no extension",
    );
  });

  test("a cycle is refused, also of types, and named once", () => {
    const found = violations({
      "src/base/a.ts": 'import { b } from "./b.ts";',
      "src/base/b.ts": 'export type { C } from "./c.ts";',
      "src/base/c.ts": 'import type { A } from "./a.ts";',
    });
    expect(found).toEqual([
      "src/base/a.ts:1: cycle: src/base/a.ts → src/base/b.ts → src/base/c.ts → src/base/a.ts",
    ]);
  });

  test("a file that imports itself is a cycle", () => {
    expect(violations({ "src/base/a.ts": 'import "./a.ts";' })).toHaveLength(1);
  });
});

describe("checkImports() over packages", () => {
  test.each([
    ["src/core/log/a.ts", "node:fs"],
    ["src/base/a.ts", "bun"],
    ["src/base/a.ts", "xxhash-wasm"],
    ["src/client/a.ts", "node:net"],
    ["src/config/define_config.ts", "node:fs"],
    ["plugins/storage-memory/mod.ts", "node:fs"],
    ["plugins/storage-fs/mod.ts", "node:fs"],
    ["src/files/folder_lock.ts", "node:fs"],
    ["src/metadata/a.ts", "node:fs"],
    ["src/core/log/a.ts", "millrace/contracts"],
    ["src/cli/a.ts", "kafkajs"],
    ["scripts/a.ts", "hono"],
  ])("%s may not import %s", (from, name) => {
    expect(violations({ [from]: `import "${name}";` })).toHaveLength(1);
  });

  test.each([
    ["src/base/xxhash.ts", "xxhash-wasm"],
    ["src/config/load_config.ts", "node:fs/promises"],
    ["plugins/storage-kv/mod.ts", "node:fs/promises"],
    ["src/files/node_files.ts", "node:fs"],
    ["src/runtime/logger.ts", "@logtape/logtape"],
    ["test/compat/kafkajs/a.test.ts", "kafkajs"],
  ])("%s may import %s", (from, name) => {
    expect(violations({ [from]: `import "${name}";` })).toEqual([]);
  });

  test("a package has one importer, zod and hono excepted", () => {
    const twice = (name: string, folder: string) => ({
      [`${folder}/a.ts`]: `import "${name}";`,
      [`${folder}/b.ts`]: `await import("${name}/part");`,
    });
    expect(violations(twice("@node-rs/crc32", "src/runtime"))[0]).toContain("has 2 importers");
    expect(violations(twice("zod", "src/config"))).toEqual([]);
  });

  test("cbor-x only without its native half", () => {
    const found = violations({ "src/runtime/a.ts": 'import "cbor-x";' });
    expect(found.some((each) => each.includes("index-no-eval"))).toBe(true);
  });

  test("only config loads what it is told to", () => {
    const source = "await import(name);";
    expect(violations({ "src/core/log/a.ts": source })[0]).toContain("computed import");
    expect(violations({ "src/config/resolve_plugins.ts": source })).toEqual([]);
  });
});

test("readTree() finds the real tree, and graphText() draws its arrows", () => {
  const tree = readTree(`${import.meta.dirname}/../..`);
  expect(tree.has("scripts/check_imports.ts")).toBe(true);
  expect([...tree.keys()].some((path) => path.includes("node_modules"))).toBe(false);
  expect(graphText(checkImports(tree))).toMatch(/^record +→ .*base \d+/m);
});
