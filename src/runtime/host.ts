// Which host this is, when the process began, and a last word to its standard error.
// Invariant: nothing here loads a module.

import type { DenoHost } from "./deno_host.ts";

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
 * The Deno flags that a broker with these addresses and this folder lacks, where nobody is there to
 * be asked, or said no; empty elsewhere.
 */
export function missingPermissions(
  addresses: readonly string[],
  folder: { readonly read: string; readonly write: string } | null,
): string[] {
  const deno = globals.Deno;
  if (deno === undefined) return [];
  const isAsked = deno.stdin.isTerminal() && deno.stderr.isTerminal();
  const lacks = (wanted: { name: string; host?: string; path?: string }): boolean => {
    const { state } = deno.permissions.querySync(wanted);
    return state === "denied" || (state === "prompt" && !isAsked);
  };
  const flags: string[] = [];
  if (addresses.some((host) => lacks({ name: "net", host }))) {
    flags.push(`--allow-net=${addresses.join(",")}`);
  }
  for (const [name, path] of Object.entries(folder ?? {})) {
    if (lacks({ name, path })) flags.push(`--allow-${name}=${path}`);
  }
  return flags;
}

/** `bun 1.4.5`, `deno 2.9.6`. */
export function hostVersion(): string {
  const name = hostName();
  if (name === "bun") return `bun ${globals.Bun?.version}`;
  if (name === "deno") return `deno ${globals.Deno?.version.deno}`;
  return `node ${process.versions.node}`;
}
