import { expect, test } from "bun:test";
import { checkExports, type Manifests } from "../../scripts/check_exports.ts";

const good: Manifests = {
  packageJson: {
    version: "1.0.0",
    exports: {
      ".": "./mod.ts",
      "./core": "./src/core/mod.ts",
      "./plugins/x": "./plugins/x/mod.ts",
    },
    dependencies: { zod: "4.0.0" },
    optionalDependencies: { "@a/b": "1.2.3" },
    devDependencies: { chai: "6.0.0" },
    overrides: { "cbor-extract": "2.2.2" },
  },
  denoJson: {
    version: "1.0.0",
    exports: {
      ".": "./mod.ts",
      "./core": "./src/core/mod.ts",
      "./plugins/x": "./plugins/x/mod.ts",
    },
    imports: {
      millrace: "./mod.ts",
      "millrace/core": "./src/core/mod.ts",
      "@a/b": "npm:@a/b@1.2.3",
    },
  },
  denoLock: {
    specifiers: { "npm:zod@4.0.0": "4.0.0", "npm:@a/b@1.2.3": "1.2.3", "npm:chai@6.0.0": "6.0.0" },
  },
  packageLock: {
    packages: {
      "node_modules/zod": { version: "4.0.0" },
      "node_modules/@a/b": { version: "1.2.3" },
      "node_modules/chai": { version: "6.0.0" },
    },
  },
  faces: ["./src/core/mod.ts", "./plugins/x/mod.ts"],
  imported: new Set(["zod", "@a/b/part"]),
  exists: () => true,
};

test("manifests that agree pass", () => {
  expect(checkExports(good)).toEqual([]);
});

const { packageJson, denoJson } = good;
test.each<[string, Partial<Manifests>, string]>([
  [
    "an export that only one has",
    { packageJson: { ...packageJson, exports: { ...packageJson.exports, "./y": "./y.ts" } } },
    '"./y"',
  ],
  [
    "an export that leads elsewhere",
    { denoJson: { ...denoJson, exports: { ...denoJson.exports, "./plugins/x": "./x.ts" } } },
    "./x.ts",
  ],
  ["a missing target", { exists: (path) => path !== "./mod.ts" }, "does not exist"],
  ["a face that is not exported", { faces: [...good.faces, "./src/new/mod.ts"] }, "not exported"],
  [
    "an import map that lacks our own name",
    { denoJson: { ...denoJson, imports: { millrace: "./mod.ts", "@a/b": "npm:@a/b@1.2.3" } } },
    "millrace/core",
  ],
  [
    "an import map with another version",
    { denoJson: { ...denoJson, imports: { ...denoJson.imports, "@a/b": "npm:@a/b@1.0.0" } } },
    "wanted npm:@a/b@1.2.3",
  ],
  ["two versions", { denoJson: { ...denoJson, version: "1.0.1" } }, "version"],
  [
    "a range",
    { packageJson: { ...packageJson, dependencies: { zod: "^4.0.0" } } },
    "must be pinned",
  ],
  ["a stale package-lock.json", { packageLock: { packages: {} } }, "package-lock.json"],
  ["a stale deno.lock", { denoLock: { specifiers: {} } }, "deno.lock"],
  [
    "a dependency that nothing imports",
    { imported: new Set(["zod"]) },
    "@a/b is imported by nothing",
  ],
  [
    "an import of what nothing installs",
    { imported: new Set([...good.imported, "left-pad/sub"]) },
    "left-pad is imported by shipped code",
  ],
  [
    "an export that cannot be compiled",
    {
      packageJson: { ...packageJson, exports: { ...packageJson.exports, "./plugins/x": "./x.js" } },
      denoJson: { ...denoJson, exports: { ...denoJson.exports, "./plugins/x": "./x.js" } },
    },
    "cannot be published",
  ],
  ["a lost override", { packageJson: { ...packageJson, overrides: {} } }, "cbor-extract"],
])("%s is refused", (_name, change, wanted) => {
  expect(checkExports({ ...good, ...change }).join("\n")).toContain(wanted);
});
