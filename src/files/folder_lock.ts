// One process at a time in a folder, without any call but creating, listing and removing files.
// Invariant: two live processes never both hold it; what a killed process left is never in the way.
// Every contender makes a ticket file of its own (`wx`), holders one more, and all say in their name
// whose they are: so a stale one can be removed by anybody, and no live one ever is. A contender gives way
// to any holder, a new holder to any smaller ticket. Tickets stay as long as the lock, so that no
// listing misses a contender in the middle of a change of name.

import type { Scheduler } from "../contracts/runtime.ts";
import { codeOf, type FileLayer } from "./file_layer.ts";

/** "~" is in no name that plugins give. */
const TICKET = "ticket~";
const HELD = "lock~";
/** Turns of the event loop that a new holder waits for a smaller ticket to go. */
const TURNS_MAX = 50;

/** Releases the folder. */
export type Unlock = () => Promise<void>;

/** What a folder is locked by: the calls, of all, that it takes. */
type LockFiles = Pick<FileLayer, "open" | "close" | "unlink" | "list" | "ownProcess" | "isRunning">;

/**
 * @param locked Makes the error for when a live process holds the folder, of what there is to say of it.
 * @throws What `locked` makes, and errors of `files`
 */
export async function lockFolder(
  files: LockFiles,
  folder: string,
  scheduler: Scheduler,
  locked: (message: string) => Error,
): Promise<Unlock> {
  const own = createTicket(files, folder);
  const unlock = async (): Promise<void> => {
    await remove(files, `${folder}/${HELD}${own}`);
    await remove(files, `${folder}/${TICKET}${own}`);
  };
  try {
    const before = await rivalsOf(files, folder, own);
    if (before.holder !== null) throw locked(heldBy(folder, before.holder));
    files.close(files.open(`${folder}/${HELD}${own}`, "create"));
    for (let turn = 0; ; turn++) {
      const { smaller } = await rivalsOf(files, folder, own);
      if (smaller === null) return unlock;
      if (turn === TURNS_MAX) throw locked(heldBy(folder, smaller));
      await scheduler.yieldNow();
    }
  } catch (error) {
    await unlock();
    throw error;
  }
}

/** Makes a ticket that no other contender, in this process or another, has. */
function createTicket(files: LockFiles, folder: string): string {
  const process = files.ownProcess();
  for (let number = 0; ; number++) {
    const ticket = `${process}~${number}`;
    try {
      files.close(files.open(`${folder}/${TICKET}${ticket}`, "create"));
      return ticket;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
  }
}

/** The files of live processes that stand in the way; those of dead ones are removed. */
async function rivalsOf(
  files: LockFiles,
  folder: string,
  own: string,
): Promise<{ holder: string | null; smaller: string | null }> {
  let holder: string | null = null;
  let smaller: string | null = null;
  for (const { name } of files.list(folder) ?? []) {
    const isHeld = name.startsWith(HELD);
    if (!isHeld && !name.startsWith(TICKET)) continue;
    const ticket = name.slice(isHeld ? HELD.length : TICKET.length);
    if (ticket === own) continue;
    const process = ticket.slice(0, ticket.lastIndexOf("~"));
    if (!files.isRunning(process)) {
      await remove(files, `${folder}/${name}`);
      continue;
    }
    if (isHeld) holder = ticket;
    if (ticket < own) smaller = ticket;
  }
  return { holder, smaller };
}

async function remove(files: LockFiles, path: string): Promise<void> {
  try {
    await files.unlink(path);
  } catch (error) {
    // Another contender was quicker, or we never made it.
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

function heldBy(folder: string, ticket: string): string {
  const pid = ticket.slice(0, ticket.indexOf("-"));
  return `Cannot open folder "${folder}" as process ${pid} holds it: stop that process`;
}
