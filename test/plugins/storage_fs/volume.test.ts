// What storage-fs says of the place it lies in: the log and DescribeLogDirs ask for its free space.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";
import { recordingFiles } from "../../../src/testing/power_loss/recording_files.ts";

test("its folder, with the size and the free space of the volume", async () => {
  const directory = mkdtempSync(join(tmpdir(), "millrace-volume-"));
  try {
    const storage = await storageFs({ directory }).open(pluginContext());
    const { path, volume } = storage.location!;
    expect(path).toBe(`${directory}/broker-1`);
    const { totalBytes, usableBytes } = await volume();
    expect(totalBytes).toBeGreaterThan(1024 * 1024);
    expect(usableBytes).toBeGreaterThan(0);
    expect(usableBytes).toBeLessThanOrEqual(totalBytes);
    await storage.close();
    // Gone since: nobody is to fail for that.
    rmSync(directory, { recursive: true, force: true });
    expect(await volume()).toEqual({ totalBytes: -1, usableBytes: -1 });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("nothing is known where the file layer cannot say", async () => {
  const files = recordingFiles().layer;
  const storage = await storageFs({ directory: "/data", files }).open(pluginContext());
  expect(await storage.location!.volume()).toEqual({ totalBytes: -1, usableBytes: -1 });
  await storage.close();
});
