// Which process listens on a port of the loopback: how a check finds the brokers of a program that starts them itself.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const LISTENING = "0A";

/** The inodes of sockets that listen on `port`, of IPv4 and IPv6. */
function inodesOf(port: number): ReadonlySet<string> {
  const inodes = new Set<string>();
  for (const table of ["tcp", "tcp6"]) {
    for (const line of readFileSync(`/proc/net/${table}`, "utf8").split("\n").slice(1)) {
      const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
      if (state === LISTENING && Number.parseInt(local.split(":")[1] ?? "", 16) === port) {
        inodes.add(inode);
      }
    }
  }
  return inodes;
}

/** The process that listens on `port`; 0: none that may be looked at. Linux. */
export function listenerOf(port: number): number {
  const inodes = inodesOf(port);
  if (inodes.size === 0) return 0;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      for (const handle of readdirSync(`/proc/${name}/fd`)) {
        const target = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${name}/fd/${handle}`));
        if (target !== null && inodes.has(target[1]!)) return Number(name);
      }
    } catch {
      // It ended meanwhile, or it is another user's.
    }
  }
  return 0;
}
