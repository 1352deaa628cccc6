// A shim that swallowed failures would make every Deno run green: this hands `deno test` a file with known failures
// and wants each of them reported.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

const root = join(import.meta.dirname!, "../..");

const failures = `
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
test("passes", () => expect(1).toBe(1));
test("wrong value", () => expect({ a: 1, b: [2] }).toEqual({ a: 1, b: [3] }));
test("rejects", async () => { await expect(Promise.resolve(1)).rejects.toThrow(); });
test("hangs", () => new Promise(() => {}), 10);
test("done with an error", (done) => done(new Error("no")));
test.failing("passes but is marked failing", () => {});
describe("broken beforeAll", () => {
  beforeAll(() => { throw new Error("cannot open"); });
  test("first", () => {});
  test("second", () => {});
});
describe("broken beforeEach", () => {
  beforeEach(() => { throw new Error("cannot prepare"); });
  test("only", () => {});
});
describe("broken afterAll", () => {
  afterAll(() => { throw new Error("cannot close"); });
  test("fine itself", () => {});
});
test("also passes", () => {});
`;

describe("the shim under deno test", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(root, "test/support/.failures-"));
    await writeFile(join(folder, "failures.test.ts"), failures);
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  test("reports every failure and passes the rest", async () => {
    const { FORCE_COLOR: _, ...inherited } = process.env;
    const env = { ...inherited, NO_COLOR: "1" };
    const { code, output } = await new Promise<{ code: number; output: string }>((resolve) => {
      const child = execFile(
        join(root, "node_modules/.bin/deno"),
        ["test", "-A", "--no-check", "--config", join(root, "deno.json"), folder],
        { env },
        (_error, stdout, stderr) =>
          resolve({ code: child.exitCode ?? -1, output: stdout + stderr }),
      );
    });
    expect(output).toMatch(/FAILED \| 2 passed \| 9 failed/);
    for (const reason of [
      "cannot open",
      "cannot prepare",
      "cannot close",
      "passed its 40 ms",
      "-     3\n+     2\n",
    ]) {
      expect(output).toContain(reason);
    }
    expect(code).toBe(1);
  }, 30_000);
});
