import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { StorageError } from "../../../src/contracts/errors.ts";
import { pluginContext } from "../../../src/testing/conformance/plugin_context.ts";
import { recordingFiles } from "../../../src/testing/power_loss/recording_files.ts";

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-lock-"));
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

describe("the lock on a broker's folder", () => {
  test("refuses a second opening, naming the folder and the process", async () => {
    const first = await storageFs({ directory }).open(pluginContext());
    const error = await refusal(directory);
    expect(error.code).toBe("locked");
    expect(error.message).toContain(`${directory}/broker-1`);
    expect(error.message).toContain(`process ${process.pid} `);
    await first.close();
    await (await storageFs({ directory }).open(pluginContext())).close();
    expect(fs.readdirSync(`${directory}/broker-1`)).toEqual(["format.json"]);
  });

  test("leaves the holder's lock alone when it refuses", async () => {
    const first = await storageFs({ directory }).open(pluginContext());
    await refusal(directory);
    expect((await refusal(directory)).code).toBe("locked");
    await first.close();
  });

  test("is one a broker", async () => {
    const one = await storageFs({ directory }).open(pluginContext(1));
    const two = await storageFs({ directory }).open(pluginContext(2));
    await one.close();
    await two.close();
    expect(fs.readdirSync(directory).sort()).toEqual(["broker-1", "broker-2"]);
  });

  test("of a live process is respected, of a killed one taken over", async () => {
    const child = start("hold");
    expect(await firstLine(child)).toBe("held");
    const error = await refusal(directory);
    expect(error.code).toBe("locked");
    expect(error.message).toContain(`process ${child.pid} `);
    child.kill("SIGKILL");
    await ended(child);
    const storage = await storageFs({ directory }).open(pluginContext());
    await storage.close();
    expect(fs.readdirSync(`${directory}/broker-1`)).toEqual(["format.json"]);
  }, 20_000);

  test("never lets two live processes in, beginning with a stale one", async () => {
    const stale = start("hold");
    await firstLine(stale);
    stale.kill("SIGKILL");
    await ended(stale);
    const racers = [start("race"), start("race"), start("race"), start("race")];
    const lines = await Promise.all(racers.map(firstLine));
    await Promise.all(racers.map(ended));
    expect(lines).not.toContain("both");
    const insideCounts = lines.map((line) => Number(line.replace("in ", "")));
    expect(insideCounts.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
    expect(fs.readdirSync(`${directory}/broker-1`)).toEqual(["format.json"]);
  }, 60_000);

  test("of two that begin at the same time, one gets in", async () => {
    for (let round = 0; round < 5; round++) {
      const recording = recordingFiles();
      const isRunning = () => true;
      const openings = ["7-1-1", "8-1-1", "9-1-1"].map((name) =>
        storageFs({
          directory: "data",
          files: { ...recording.layer, isRunning, ownProcess: () => name },
        }).open(pluginContext()),
      );
      const outcomes = await Promise.allSettled(openings);
      expect(outcomes.filter(({ status }) => status === "fulfilled").length).toBe(1);
    }
  });
});

async function refusal(folder: string): Promise<StorageError> {
  try {
    await storageFs({ directory: folder }).open(pluginContext());
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
  throw new Error("the folder opened");
}

function start(mode: "hold" | "race"): ChildProcess {
  const script = fileURLToPath(new URL("./hold_folder.ts", import.meta.url));
  const run = "Deno" in globalThis ? ["run", "-A", "--no-check", script] : [script];
  const child = spawn(process.execPath, [...run, mode, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  exits.set(child, new Promise((resolve) => child.once("exit", () => resolve())));
  return child;
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout!.setEncoding("utf8");
    child.stdout!.on("data", (part: string) => {
      text += part;
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
    child.once("exit", (code) => reject(new Error(`the process ended with ${code}: ${text}`)));
  });
}

/** Deno sets `signalCode` when the signal is sent, so only the event says that a process has ended. */
const exits = new WeakMap<ChildProcess, Promise<void>>();

function ended(child: ChildProcess): Promise<void> {
  return exits.get(child)!;
}
