#!/usr/bin/env node
// `millrace …`. In the published package, which is JavaScript, this process is the program: Node, or Bun and Deno
// where they run it. In a checkout, which is TypeScript, it hands over to Bun, or to Deno where only that is there.
// Signals reach the program itself, and its exit code is ours.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const suffix = process.platform === "win32" ? ".exe" : "";
const args = process.argv.slice(2);

/** The program of that name: what npm brought with us, then what the machine has. */
function find(name) {
  // Bun's package calls its program bun.exe on every platform; Deno's has it at the top.
  const brought = [join(root, "node_modules"), join(root, "..")].flatMap((modules) => [
    join(modules, name, "bin", `${name}.exe`),
    join(modules, name, `${name}${suffix}`),
  ]);
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  const candidates = [...brought, ...folders.map((folder) => join(folder, `${name}${suffix}`))];
  return candidates.find((path) => existsSync(path));
}

/** Where npx started us, it tells the shell between us of SIGTERM, which dies of it and tells nobody. */
function whenNpxIsGone(stop) {
  if (process.env.npm_command !== "exec") return;
  const shell = process.ppid;
  setInterval(() => process.ppid !== shell && stop(), 200).unref();
}

function launch(command, commandArgs) {
  const child = spawn(command, commandArgs, { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    // A terminal sends SIGINT to the child as well; a second one does no harm.
    process.on(signal, () => child.kill(signal));
  }
  whenNpxIsGone(() => child.kill("SIGTERM"));
  child.on("error", (error) => {
    console.error(`Cannot start ${command}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
  });
}

if (existsSync(new URL("../src/main.js", import.meta.url))) {
  if (typeof process.getBuiltinModule !== "function") {
    console.error(`millrace needs Node 20.16 or newer, Bun or Deno: this is ${process.version}`);
    process.exit(1);
  }
  let isTold = false;
  whenNpxIsGone(() => {
    if (!isTold) process.kill(process.pid, "SIGTERM");
    isTold = true;
  });
  const { main } = await import("../src/main.js");
  process.exit(await main(args));
} else {
  const [bun, deno] = [find("bun"), find("deno")];
  if (bun !== undefined) launch(bun, ["run", join(root, "src/main.ts"), ...args]);
  else if (deno !== undefined) launch(deno, ["run", "-A", join(root, "mod.ts"), ...args]);
  else {
    console.error(
      "millrace needs Bun or Deno: run npm ci in its folder, or npm install --global bun",
    );
    process.exit(1);
  }
}
