// Bundles worker.ts as a project's own tools would, for workerd: `bun bundle.ts FOLDER`. Writes worker.js, the .wasm
// that it imports, and drive.js, which is the driver for Node.

import { copyFileSync } from "node:fs";
import { basename, join } from "node:path";

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("bundle.ts FOLDER");

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

await bundle("worker.ts", {
  target: "browser",
  conditions: ["workerd"],
  external: ["cloudflare:*"],
  plugins: [wasmOutside],
});
await bundle("drive.ts", { target: "node" });
