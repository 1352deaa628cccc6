// During a run the host's timers, clocks, random sources and sockets throw, and fail the run, naming
// who called: a leak out of the simulation is then a failed test and not a flake.
// Invariant: what was replaced is put back, whatever the run does.

type Bag = Record<string, unknown>;
type Escaped = (name: string, caller: string) => void;

/** Host globals by the object that holds them. Names that a host lacks are skipped. */
const TRAPPED: readonly (readonly [owner: string, names: readonly string[]])[] = [
  [
    "",
    [
      "setTimeout",
      "setInterval",
      "setImmediate",
      "queueMicrotask",
      "fetch",
      "WebSocket",
      "Worker",
      "BroadcastChannel",
      "MessageChannel",
    ],
  ],
  ["Date", ["now"]],
  ["Math", ["random"]],
  ["performance", ["now"]],
  ["crypto", ["getRandomValues", "randomUUID"]],
  ["Bun", ["listen", "connect", "serve", "udpSocket", "sleep", "nanoseconds", "file", "write"]],
  [
    "Deno",
    ["listen", "connect", "connectTls", "serve", "open", "openSync", "readFile", "writeFile"],
  ],
];

/** Sets the traps. @returns Puts everything back; idempotent. */
export function setTraps(onEscape: Escaped): () => void {
  const undo: (() => void)[] = [];
  for (const [ownerName, names] of TRAPPED) {
    const owner = (ownerName === "" ? globalThis : (globalThis as unknown as Bag)[ownerName]) as
      | Bag
      | undefined;
    if (owner === undefined) continue;
    for (const name of names) {
      if (typeof owner[name] !== "function") continue;
      const full = ownerName === "" ? name : `${ownerName}.${name}`;
      const trap = function trapped(): never {
        const caller = callerOf();
        onEscape(full, caller);
        throw new Error(`${full}() was called in a simulation by ${caller}`);
      };
      undo.push(replace(owner, name, trap));
    }
  }
  undo.push(trapDate(onEscape));
  return () => {
    for (const back of undo.splice(0).reverse()) back();
  };
}

/** Replaces a property so that it can be put back exactly, or skips one that the host has frozen. */
function replace(owner: Bag, name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(owner, name);
  if (before !== undefined && before.configurable === false && before.writable !== true) {
    return () => {};
  }
  try {
    Object.defineProperty(owner, name, { value, configurable: true, writable: true });
  } catch {
    // Frozen by the host in a way its descriptor does not tell: nothing to trap, nothing to put back.
    return () => {};
  }
  return () => {
    if (before === undefined) delete owner[name];
    else Object.defineProperty(owner, name, before);
  };
}

/** `new Date()` reads the clock; `new Date(ms)` does not. */
function trapDate(onEscape: Escaped): () => void {
  const HostDate = globalThis.Date;
  const trapped = new Proxy(HostDate, {
    construct(target, args, newTarget) {
      if (args.length > 0) return Reflect.construct(target, args, newTarget);
      const caller = callerOf();
      onEscape("new Date", caller);
      throw new Error(`new Date() was called in a simulation by ${caller}`);
    },
  });
  return replace(globalThis as unknown as Bag, "Date", trapped);
}

function callerOf(): string {
  const lines = (new Error().stack ?? "").split("\n").filter((line) => /\.ts/.test(line));
  return (lines.find((line) => !/traps\.ts/.test(line)) ?? "unknown").trim();
}
