// Which host this is, when the process began, and a last word to its standard error.
// Invariant: nothing here loads a module.

import type { DenoHost, DenoPermission } from "./deno_host.ts";

/** Major 1, minor 3: /dev/null. */
const LINUX_NULL_DEVICE = 0x103;

export type HostName = "bun" | "deno" | "other";

const globals = globalThis as { Bun?: { version: string }; Deno?: DenoHost };

export function hostName(): HostName {
  if (globals.Bun !== undefined) return "bun";
  return globals.Deno === undefined ? "other" : "deno";
}

/** When this process began, in milliseconds since the Unix epoch, as the host counts it. */
export function processStartMs(): number {
  return performance.timeOrigin;
}

/** Milliseconds since this process began. */
export function sinceProcessStartMs(): number {
  return performance.now();
}

/** Whether standard error is a terminal. */
export function stderrIsTerminal(): boolean {
  const deno = globals.Deno;
  if (deno !== undefined) return deno.stderr.isTerminal();
  // node:tty brings the streams along, half a megabyte: only what may be a terminal is asked there.
  try {
    const stat = builtin<typeof import("node:fs")>("node:fs").fstatSync(2);
    if (!stat.isCharacterDevice() || stat.rdev === LINUX_NULL_DEVICE) return false;
  } catch {
    return false; // Closed.
  }
  return builtin<typeof import("node:tty")>("node:tty").isatty(2);
}

/** Writes text to standard error at once, past every buffer. Gives up where nobody takes it. */
export function writeStderr(text: string): void {
  let bytes: Uint8Array = new TextEncoder().encode(text);
  const deno = globals.Deno;
  try {
    while (bytes.byteLength > 0) {
      const sizeBytes =
        deno === undefined
          ? builtin<typeof import("node:fs")>("node:fs").writeSync(2, bytes)
          : deno.stderr.writeSync(bytes);
      bytes = bytes.subarray(sizeBytes);
    }
  } catch {
    // A closed or full pipe: a log line is not worth stopping or stalling the broker.
  }
}

/** A built-in module of Node's, loaded now and synchronously. */
export function builtin<M>(name: string): M {
  return process.getBuiltinModule(name) as M;
}

/** The environment's variables; none where Deno was not allowed to read them, without asking for it. */
export function environment(): Readonly<Record<string, string | undefined>> {
  const deno = globals.Deno;
  if (deno === undefined) return process.env;
  return deno.permissions.querySync({ name: "env" }).state === "granted" ? deno.env.toObject() : {};
}

/** Whether a file may be looked at without asking. */
export function mayRead(path: string): boolean {
  return globals.Deno?.permissions.querySync({ name: "read", path }).state !== "prompt";
}

/**
 * Asks, on a terminal, for the permissions that a broker with these addresses and this folder needs
 * of Deno: three questions instead of one for every file.
 *
 * @returns The flags for those it still lacks: refused, or nobody there to be asked. Empty elsewhere.
 */
export function missingPermissions(
  addresses: readonly string[],
  folder: { readonly read: string; readonly write: string } | null,
): string[] {
  const deno = globals.Deno;
  if (deno === undefined) return [];
  const isAsked = deno.stdin.isTerminal() && deno.stderr.isTerminal();
  let isTold = false;
  const lacks = (needed: DenoPermission, question: DenoPermission): boolean => {
    const { state } = deno.permissions.querySync(needed);
    if (state !== "prompt" || !isAsked) return state !== "granted";
    if (!isTold) writeStderr("A broker listens and keeps its data in files. Deno asks for that:\n");
    isTold = true;
    return deno.permissions.requestSync(question).state !== "granted";
  };
  const flags: string[] = [];
  for (const host of addresses) {
    if (lacks({ name: "net", host }, { name: "net", host })) flags.push(host);
  }
  if (flags.length > 0) flags.splice(0, flags.length, `--allow-net=${flags.join(",")}`);
  if (folder === null) return flags;
  // To read anything is asked for: who holds the folder is looked up in /proc.
  if (lacks({ name: "read", path: folder.read }, { name: "read" })) {
    flags.push(`--allow-read=${folder.read}`);
  }
  const write = { name: "write", path: folder.write };
  if (lacks(write, write)) flags.push(`--allow-write=${folder.write}`);
  return flags;
}

/** `bun 1.4.5`, `deno 2.9.6`. */
export function hostVersion(): string {
  const name = hostName();
  if (name === "bun") return `bun ${globals.Bun?.version}`;
  if (name === "deno") return `deno ${globals.Deno?.version.deno}`;
  return `node ${process.versions.node}`;
}
