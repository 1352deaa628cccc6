#!/usr/bin/env node
// `millrace …` for npm and npx, which start Node: hands over to Bun, or to Deno where only that is there.
// Signals reach the program itself, and its exit code is ours.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const suffix = process.platform === "win32" ? ".exe" : "";

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

const args = process.argv.slice(2);
const [bun, deno] = [find("bun"), find("deno")];
if (bun === undefined && deno === undefined) {
  console.error(
    "millrace needs Bun or Deno: run npm ci in its folder, or npm install --global bun",
  );
  process.exit(1);
}
const [command, commandArgs] =
  bun === undefined
    ? [deno, ["run", "-A", join(root, "mod.ts"), ...args]]
    : [bun, ["run", join(root, "src/main.ts"), ...args]];

const child = spawn(command, commandArgs, { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  // A terminal sends SIGINT to the child as well; a second one does no harm.
  process.on(signal, () => child.kill(signal));
}
if (process.env.npm_command === "exec") {
  // npx tells the shell between us of SIGTERM, which dies of it and tells nobody: a broker would be left over.
  const shell = process.ppid;
  setInterval(() => process.ppid !== shell && child.kill("SIGTERM"), 200).unref();
}
child.on("error", (error) => {
  console.error(`Cannot start ${command}: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
});
