// What a start loads, counted in the running program: its bars (start, idle memory) hold because everything else
// waits for its first use. Bun lists what is loaded; Deno runs the same files, and lists nothing.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const root = join(import.meta.dirname!, "..");
const isDeno = "Deno" in globalThis;

/**
 * About 287 today, 54 of them the handlers and schemas of the APIs of groups, of transactions, and of the operations of a cluster, which
 * one broker answers too. Whoever passes it says here what for.
 */
const START_MODULES_MAX = 290;
/** Parts of paths, each with what it is loaded for. */
const ON_FIRST_USE = {
  "node_modules/zod/": "a config file",
  "src/config/config_schema.ts": "a config file",
  "node_modules/hono/": "an HTTP request",
  "plugins/transport-http/app.ts": "an HTTP request",
  "node_modules/cbor-x/": "TCP",
  "plugins/transport-tcp/": "TCP",
  "node_modules/citty/": "a command",
  "src/cli/": "a command",
  "src/client/": "a command",
  "node_modules/@logtape/": "a program that embeds",
  "node_modules/xxhash-wasm/": "lz4",
  "node_modules/@noble/": "the edge",
  "plugins/auth-token/": "auth",
  "plugins/storage-kv/": "storage kv",
  "plugins/storage-memory/": "storage memory",
  "plugins/metadata-memory/": "metadata memory",
  "src/core/coordinator/": "groups",
  "src/core/broker/open_groups.ts": "groups",
  "src/core/broker/open_transactions.ts": "transactional ids",
  "src/core/log/cleaner.ts": "compacted topics",
  "plugins/metadata-etcd/": "a cluster",
  "plugins/metadata-parent/": "a cluster",
  "src/core/cluster/membership.ts": "a cluster",
  "src/core/cluster/shared_cluster.ts": "a cluster",
  "src/core/cluster/controller_duties.ts": "a cluster",
  "src/core/log/replica_logs.ts": "a cluster",
  "src/core/replication/": "a cluster",
  "src/core/partition/partition_leader.ts": "a cluster",
  "src/core/broker/open_replication.ts": "a cluster",
  "src/core/broker/replicated_append.ts": "a cluster",
  "src/core/broker/peer_authenticator.ts": "a cluster",
} as const;

let folder = "";
const running = new Set<ChildProcess>();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-loads-"));
  // Answers a line on standard input with what is loaded by then.
  writeFileSync(
    join(folder, "list.cjs"),
    `process.stdin.on("data", () => console.log(JSON.stringify(Object.keys(require.cache))));`,
  );
});
afterAll(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

interface Started {
  readonly ready: string;
  /** What is loaded now: paths below the checkout, with forward slashes. */
  loaded(): Promise<string[]>;
  end(): Promise<void>;
}

async function start(name: string, ...flags: string[]): Promise<Started> {
  const free = ["--kafka", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-level", "warn"];
  const words = ["--preload", join(folder, "list.cjs"), join(root, "src/main.ts")];
  const child = spawn(
    process.execPath,
    [...words, "--data", join(folder, name), ...free, ...flags],
    { cwd: folder, stdio: ["pipe", "pipe", "inherit"] },
  );
  running.add(child);
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let text = "";
  let wake = () => {};
  let isGone = false;
  child.stdout.on("data", (chunk) => {
    text += chunk;
    wake();
  });
  void gone.then(() => {
    isGone = true;
    wake();
  });
  const line = async (): Promise<string> => {
    while (!text.includes("\n")) {
      if (isGone) throw new Error("the program ended");
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const at = text.indexOf("\n");
    const first = text.slice(0, at);
    text = text.slice(at + 1);
    return first;
  };
  return {
    ready: await line(),
    loaded: async () => {
      child.stdin.write("\n");
      const paths = JSON.parse(await line()) as string[];
      return paths
        .filter((path) => path.startsWith(root))
        .map((path) => path.slice(root.length + 1).replaceAll("\\", "/"));
    },
    end: async () => {
      child.kill("SIGTERM");
      await gone;
      running.delete(child);
    },
  };
}

/** What of ON_FIRST_USE is loaded. */
const early = (paths: readonly string[]) =>
  Object.keys(ON_FIRST_USE).filter((part) => paths.some((path) => path.includes(part)));

describe.skipIf(isDeno)("what a start loads", () => {
  test("a start without a word loads nothing that waits for its first use", async () => {
    const program = await start("plain");
    const paths = await program.loaded();
    await program.end();
    expect(paths).toContain("src/main.ts");
    expect(paths).toContain("src/core/log/journal.ts");
    expect(paths).toContain("plugins/transport-kafka/mod.ts");
    expect(paths).toContain("plugins/transport-http/mod.ts");
    expect(early(paths)).toEqual([]);
    expect(paths.length).toBeLessThan(START_MODULES_MAX);
  });

  test("the first HTTP request loads the application, and nothing else does", async () => {
    const program = await start("http");
    expect(early(await program.loaded())).toEqual([]);
    const port = /http=127\.0\.0\.1:(\d+) /.exec(program.ready)?.[1];
    const answer = await fetch(`http://127.0.0.1:${port}/v1/topics`);
    await answer.arrayBuffer();
    expect(answer.status).toBe(200);
    const after = early(await program.loaded());
    await program.end();
    expect(after).toEqual(["node_modules/hono/", "plugins/transport-http/app.ts"]);
  });

  test("a config file loads the schema, and TCP its own codec", async () => {
    const file = join(folder, "asked.config.json");
    writeFileSync(file, JSON.stringify({ storage: "memory", metadata: "memory" }));
    const program = await start("asked", "--config", file, "--tcp", "127.0.0.1:0");
    const found = early(await program.loaded());
    await program.end();
    for (const part of ["zod/", "config_schema.ts", "transport-tcp/", "storage-memory/"]) {
      expect(found.some((each) => each.endsWith(part))).toBe(true);
    }
    for (const part of ["hono/", "citty/", "src/client/", "src/cli/", "storage-kv/"]) {
      expect(found.some((each) => each.endsWith(part))).toBe(false);
    }
  });
});
