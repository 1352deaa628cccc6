// Bundles worker.ts as a project's own tools would, for workerd: `bun bundle.ts FOLDER`. Writes worker.js, example.js
// of examples/worker, the .wasm that they import, and drive.js, which is the driver for Node.

import { copyFileSync } from "node:fs";
import { basename, join } from "node:path";
import manifest from "../../../package.json";

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("bundle.ts FOLDER");

const root = join(import.meta.dirname, "../../..");

/** What workerd compiles is a module of its own. */
const wasmOutside: Bun.BunPlugin = {
  name: "wasm outside",
  setup(build) {
    build.onResolve({ filter: /\.wasm$/ }, ({ path, importer }) => {
      const name = basename(path);
      copyFileSync(join(importer, "..", path), join(folder, name));
      return { path: `./${name}`, external: true };
    });
  },
};

async function bundle(entry: string, options: Partial<Bun.BuildConfig>): Promise<void> {
  const built = await Bun.build({
    entrypoints: [join(import.meta.dirname, entry)],
    outdir: folder,
    format: "esm",
    ...options,
  } as Bun.BuildConfig);
  for (const log of built.logs) console.error(String(log));
  if (!built.success) process.exit(1);
}

/** The example names the package, which is this repository. */
const packageHere: Bun.BunPlugin = {
  name: "package here",
  setup(build) {
    const exported: Record<string, string> = manifest.exports;
    build.onResolve({ filter: /^millrace\// }, ({ path }) => ({
      path: join(root, exported[path.replace("millrace", ".")]!),
    }));
  },
};

for (const entry of ["worker.ts", "../../../examples/worker/src/index.ts"]) {
  await bundle(entry, {
    target: "browser",
    conditions: ["workerd"],
    external: ["cloudflare:*"],
    plugins: [wasmOutside, packageHere],
    naming: entry === "worker.ts" ? "worker.js" : "example.js",
  });
}
await bundle("drive.ts", { target: "node" });
