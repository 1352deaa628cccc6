import { expect, test } from "bun:test";
import { packageOf, publishedManifest, undeclared } from "../../scripts/pack_manifest.ts";

const source = {
  name: "millrace",
  version: "1.2.3",
  description: "a log",
  license: "Apache-2.0",
  private: true,
  scripts: { start: "no" },
  exports: { ".": "./mod.ts", "./plugins/x": "./plugins/x/mod.ts" },
  dependencies: { zod: "4.0.0", hono: "4.0.0" },
  optionalDependencies: { "@a/b": "1.0.0" },
  devDependencies: { bun: "1.0.0" },
};

test("what is published has compiled targets with their types, and nothing of the workshop", () => {
  const made = publishedManifest(source, new Set(["zod", "@a/b/part", "node:fs", "./x.js"]));
  expect(made.exports).toEqual({
    ".": { types: "./mod.d.ts", default: "./mod.js" },
    "./plugins/x": { types: "./plugins/x/mod.d.ts", default: "./plugins/x/mod.js" },
  });
  // The first condition that fits is taken, so types must stand before default.
  expect(Object.keys(made.exports["."]!)).toEqual(["types", "default"]);
  expect(made.dependencies).toEqual({ zod: "4.0.0" });
  expect(made.optionalDependencies).toEqual({ "@a/b": "1.0.0" });
  // wrangler could not bundle `millrace` as it followed the native package to a file that is not installed.
  expect(made.browser).toEqual({ "@a/b": false });
  expect([made.name, made.version, made.license]).toEqual(["millrace", "1.2.3", "Apache-2.0"]);
  for (const key of ["private", "scripts", "devDependencies", "overrides", "allowScripts"]) {
    expect(key in made).toBe(false);
  }
});

test("a package is named by its import", () => {
  expect(packageOf("hono/streaming")).toBe("hono");
  expect(packageOf("@a/b/part")).toBe("@a/b");
  for (const own of ["./x.ts", "../y.ts", "node:fs", "bun:test", "cloudflare:workers"]) {
    expect(packageOf(own)).toBe(null);
  }
});

test("what nothing would install is found", () => {
  expect(undeclared(source, new Set(["zod", "hono/tiny", "@c/d", "node:fs"]))).toEqual(["@c/d"]);
});
