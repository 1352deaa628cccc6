// A process for the tests of the folder lock. "hold FOLDER": takes the lock, prints "held", waits to be
// killed. "race FOLDER": takes and releases it over and over beside others; prints "both" if ever another
// process was inside at the same time, else how often it was in.

import fs from "node:fs";
import process from "node:process";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";

const TRIES = 150;
const [mode, directory] = process.argv.slice(-2) as [string, string];

if (mode === "hold") {
  await storageFs({ directory }).open(pluginContext());
  console.log("held");
  setInterval(() => {}, 1_000);
} else {
  let insideCount = 0;
  let isAlone = true;
  for (let i = 0; i < TRIES; i++) {
    try {
      const storage = await storageFs({ directory }).open(pluginContext());
      insideCount++;
      isAlone &&= enter();
      await storage.close();
    } catch (error) {
      if (!(error instanceof StorageError && error.code === "locked")) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  console.log(isAlone ? `in ${insideCount}` : "both");
}

/** Whether nobody else is between these two calls. */
function enter(): boolean {
  const mark = `${directory}/inside`;
  try {
    fs.writeFileSync(mark, "", { flag: "wx" });
  } catch {
    // It is there: another process is inside.
    return false;
  }
  fs.unlinkSync(mark);
  return true;
}
