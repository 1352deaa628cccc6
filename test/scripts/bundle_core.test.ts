import { describe, expect, test } from "bun:test";
import { faultsOf } from "../../scripts/bundle_core.ts";

describe("faultsOf() a bundle for the edge", () => {
  test.each([
    ['eval("1")', "eval"],
    ['new Function("return 1")()', "new Function"],
    ['var a=require("fs")', "require"],
    ['__require("fs")', "require"],
    ["process.exit(1)", "process"],
    ['process["env"]', "process"],
    ["Deno.cwd()", "Deno"],
    ["Bun.gc()", "Bun"],
    ["Buffer.from([])", "Buffer"],
    ["setImmediate(run)", "setImmediate"],
    ["await WebAssembly.compile(bytes)", "runtime compilation of WebAssembly"],
    ['import fs from"node:fs"', "import of node:fs"],
    ['import"bun:sqlite"', "import of bun:sqlite"],
    ['await import("node:zlib")', "import of node:zlib"],
  ])("%s is one", (source, fault) => {
    expect(faultsOf(source)).toEqual([fault]);
  });

  test.each([
    '"process.roles list"',
    "`Bun.gc() is for ${a} alone`",
    "a.process.exit()",
    "a.eval(1)",
    'import a from"./xxhash.wasm"',
    "WebAssembly.instantiate(module)",
  ])("%s is none", (source) => {
    expect(faultsOf(source)).toEqual([]);
  });
});
