// A process for the tests of SQLite files. "hold DIRECTORY": opens storage-kv, prints "held", waits to be
// killed. "write DIRECTORY": appends one number to two files in one commit, again and again, and one to a
// third without a sync; prints each number once that has answered, until it is killed.

import fs from "node:fs";
import process from "node:process";
import { storageKv } from "../../../plugins/storage-kv/mod.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";

const [mode, directory] = process.argv.slice(-2) as [string, string];
const { segments } = await storageKv({ directory }).open(pluginContext());

if (mode === "hold") {
  console.log("held");
  setInterval(() => {}, 1_000);
} else {
  const open = (name: string) => segments!.open(name, { create: true });
  const [a, b, c] = await Promise.all([open("a"), open("b"), open("c")]);
  for (let n = a.sizeBytes / 4; ; n++) {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, n);
    // Large enough that the log is moved into the file now and then.
    const padding = new Uint8Array(20_000).fill(n);
    await segments!.commit([
      { file: a, chunks: [bytes] },
      { file: b, chunks: [bytes, padding] },
    ]);
    await c.append([bytes]);
    fs.writeSync(1, `${n}\n`);
    if (n % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
