// The KeyValueStore over `node:sqlite`, of Bun, Deno and Node. Loaded only where such a store is opened.
// Invariant: a commit is one transaction of a write-ahead log that is handed to the operating system, so a
// killed process loses none (synchronous=NORMAL); `sync` is one more, with synchronous=FULL, whose fsync
// of that log covers all before it. SQLite's exclusive lock keeps every other opener out.

import fs from "node:fs";
import path from "node:path";
import { StorageError, type StorageErrorCode } from "../../src/contracts/errors.ts";
import type { KeyValueStore } from "../../src/contracts/key_value.ts";
import {
  CREATE_TABLE,
  type SqlHost,
  SqlKeyValue,
  type SqlValue,
  STATEMENTS,
  type StatementName,
} from "./sql_key_value.ts";

/** What sqliteKeyValue takes. */
export interface SqliteKeyValueOptions {
  /** The file; it and its folders are made when missing. SQLite keeps a second one beside it, `PATH-wal`. */
  readonly path: string;
  /** Most bytes of the file, beyond which commits fail with "full". Default: what the disk has. */
  readonly sizeBytesMax?: number;
  /** What is kept in it, for messages: "the log". */
  readonly what?: string;
  /** Replaces `import("node:sqlite")`, for tests. */
  readonly load?: () => Promise<SqliteModule>;
}

/** What is used of `node:sqlite`. */
export interface SqliteModule {
  readonly DatabaseSync: new (path: string, options: { readonly timeout: number }) => Database;
}

interface Database {
  prepare(sql: string): Statement;
  exec(sql: string): void;
  close(): void;
}

interface Statement {
  run(...values: SqlValue[]): unknown;
  get(...values: SqlValue[]): unknown;
  all(...values: SqlValue[]): unknown[];
  setReturnArrays(enabled: boolean): void;
}

/** "Mill" in ASCII: marks the file as ours. */
const APPLICATION_ID = 0x4d696c6c;
/** The newest layout of the file this code reads and writes. */
const FORMAT_VERSION = 1;
const PAGE_BYTES = 4096;
/** Pages of the log that are moved into the file at once, by our count: the log grows to some 16 MiB. */
const CHECKPOINT_PAGES = 4000;
/** Pages that a statement or a commit writes, about: of both trees, and of the list of free pages. */
const STATEMENT_PAGES = 2;
const RANGE_PAGES = 24;
const VALUE_BYTES_MAX = 64 * 1024 * 1024;
const OPERATIONS_MAX = 1_000_000;
const COMMIT_BYTES_MAX = 256 * 1024 * 1024;

const TABLES = [
  CREATE_TABLE,
  "CREATE TABLE millrace_sync (id INTEGER PRIMARY KEY, count INTEGER NOT NULL)",
  "INSERT INTO millrace_sync VALUES (1, 0)",
  `PRAGMA application_id = ${APPLICATION_ID}`,
  `PRAGMA user_version = ${FORMAT_VERSION}`,
];

/**
 * Opens or makes the file.
 *
 * @throws {StorageError} "locked" when another process or store has it open, "version" when it is newer,
 *   "corrupt" when it is damaged or no file of ours, "full", "io" also where the runtime has no `node:sqlite`
 */
export async function sqliteKeyValue(options: SqliteKeyValueOptions): Promise<KeyValueStore> {
  const { DatabaseSync } = await load(options);
  const file = options.path;
  let database: Database | null = null;
  try {
    const folders = makeFolder(path.dirname(path.resolve(file)));
    database = new DatabaseSync(file, { timeout: 0 });
    prepareFile(database, file, options.sizeBytesMax);
    const place = fs.realpathSync(file);
    const host = new SqliteHost(database, file, () => openHere.delete(place));
    openHere.set(place, options.what ?? A_STORE);
    // Also those that were there: the process that made them may have died before its sync.
    for (const folder of folders) syncFolder(folder);
    return new SqlKeyValue(host, {
      valueBytesMax: VALUE_BYTES_MAX,
      operationsMax: OPERATIONS_MAX,
      commitBytesMax: COMMIT_BYTES_MAX,
    });
  } catch (error) {
    database?.close();
    const told = error instanceof StorageError ? error : errorOf(error, "open", file);
    throw told.code === "locked" ? ourOwnLock(told, file, options.what) : told;
  }
}

const A_STORE = "a store";

/** What this process has open, by the real path: SQLite's lock does not say who holds it. */
const openHere = new Map<string, string>();

/** The same error, but where it is ourselves who hold the lock: then nobody finds another process to stop. */
function ourOwnLock(error: StorageError, file: string, what = A_STORE): StorageError {
  const holder = openHere.get(fs.realpathSync(file));
  if (holder === undefined) return error;
  const fix =
    holder === what
      ? "close that one first, or choose another path"
      : `one file holds one of them: give ${what} a path of its own, or give both a directory in place of path`;
  const text = `Cannot open "${file}" as this process has it open already, for ${holder}: ${fix}`;
  return new StorageError("locked", text, { cause: error.cause });
}

async function load(options: SqliteKeyValueOptions): Promise<SqliteModule> {
  try {
    return await (options.load ?? importSqlite)();
  } catch (error) {
    throw new StorageError(
      "io",
      `Cannot open "${options.path}" as this runtime has no node:sqlite: run Bun 1.4, Deno 2.2 or Node 22.13 or newer, or keep the log in files (storage-fs)`,
      { cause: error },
    );
  }
}

async function importSqlite(): Promise<SqliteModule> {
  return (await import("node:sqlite")) as unknown as SqliteModule;
}

/** Locks the file, checks whose it is, and makes the tables of a new one. */
function prepareFile(database: Database, file: string, sizeBytesMax: number | undefined): void {
  const ask = (sql: string): unknown => Object.values(database.prepare(sql).get() as object)[0];
  database.prepare(`PRAGMA page_size = ${PAGE_BYTES}`).get();
  database.prepare("PRAGMA locking_mode = EXCLUSIVE").get();
  const applicationId = Number(ask("PRAGMA application_id"));
  const version = Number(ask("PRAGMA user_version"));
  const tables = Number(ask("SELECT count(*) FROM sqlite_schema"));
  if (applicationId !== APPLICATION_ID && (applicationId !== 0 || version !== 0 || tables > 0)) {
    throw new StorageError(
      "corrupt",
      `Cannot open "${file}" as it is a database of another program: choose another path`,
    );
  }
  if (version > FORMAT_VERSION) {
    throw new StorageError(
      "version",
      `Cannot open "${file}" as its format is ${version} and this Millrace reads up to ${FORMAT_VERSION}: start a newer Millrace on it`,
    );
  }
  const mode = ask("PRAGMA journal_mode = WAL");
  if (mode !== "wal") {
    throw new StorageError("io", `Cannot open "${file}" with a write-ahead log: found "${mode}"`);
  }
  // By itself SQLite swallows what goes wrong, and an fsync that failed succeeds the next time: see #checkpoint.
  database.prepare("PRAGMA wal_autocheckpoint = 0").get();
  // The first transaction and its fsync: the tables are durable, and a file that cannot be written shows now.
  database.prepare("PRAGMA synchronous = FULL").run();
  database.prepare("BEGIN IMMEDIATE").run();
  if (tables === 0) for (const sql of TABLES) database.prepare(sql).run();
  database.prepare(SYNC_SQL).run();
  database.prepare("COMMIT").run();
  database.prepare("PRAGMA synchronous = NORMAL").run();
  if (sizeBytesMax !== undefined) {
    database.prepare(`PRAGMA max_page_count = ${Math.ceil(sizeBytesMax / PAGE_BYTES)}`).get();
  }
}

const SYNC_SQL = "UPDATE millrace_sync SET count = count + 1 WHERE id = 1";

class SqliteHost implements SqlHost {
  readonly #database: Database;
  readonly #file: string;
  readonly #onClosed: () => void;
  readonly #statements = {} as Record<StatementName, Statement>;
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #rollback: Statement;
  readonly #count: Statement;
  readonly #toFile: Statement;
  #logPages = 0;

  constructor(database: Database, file: string, onClosed: () => void) {
    this.#database = database;
    this.#onClosed = onClosed;
    this.#file = file;
    for (const name of Object.keys(STATEMENTS) as StatementName[]) {
      this.#statements[name] = database.prepare(STATEMENTS[name]);
      this.#statements[name].setReturnArrays(true);
    }
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#rollback = database.prepare("ROLLBACK");
    this.#count = database.prepare(SYNC_SQL);
    this.#toFile = database.prepare("PRAGMA wal_checkpoint(PASSIVE)");
    // What a killed process left in the log counts too.
    this.#logPages = Math.ceil(fs.statSync(`${file}-wal`).size / PAGE_BYTES);
  }

  rows(name: StatementName, values: readonly SqlValue[]): unknown[][] {
    return this.#statements[name].all(...values) as unknown[][];
  }

  run(name: StatementName, values: readonly SqlValue[]): void {
    this.#statements[name].run(...values);
    const bytes = values[1] instanceof Uint8Array ? values[1].byteLength : 0;
    this.#logPages += name === "removeRange" ? RANGE_PAGES : STATEMENT_PAGES;
    this.#logPages += Math.ceil(bytes / PAGE_BYTES);
  }

  transaction(work: () => boolean): boolean {
    this.#begin.run();
    try {
      if (work()) {
        this.#commit.run();
        this.#logPages += STATEMENT_PAGES;
        if (this.#logPages >= CHECKPOINT_PAGES) this.#checkpoint();
        return true;
      }
    } catch (error) {
      try {
        this.#rollback.run();
      } catch {
        // There is none any more, as after a failing disk or checkpoint: the first error tells more.
      }
      throw error;
    }
    this.#rollback.run();
    return false;
  }

  bytesOf(column: unknown): Uint8Array {
    return column as Uint8Array;
  }

  async sync(): Promise<void> {
    // This pragma acts when it is compiled, not when it runs: a prepared one would do nothing the first time.
    this.#database.exec("PRAGMA synchronous = FULL");
    this.#count.run();
    this.#database.exec("PRAGMA synchronous = NORMAL");
    this.#logPages += STATEMENT_PAGES;
    if (this.#logPages >= CHECKPOINT_PAGES) this.#checkpoint();
    // All this took no turn of the event loop: whoever appends and waits, again and again, would stop every timer.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /**
   * Moves the log's pages into the file, so that the log begins anew: fsync of the log, writes, fsync of the file.
   * When one of those fails, the kernel may have dropped what was not written and say so only this once: it must
   * end the store, or a later sync would vouch for commits that are not on the disk.
   */
  #checkpoint(): void {
    this.#toFile.get();
    this.#logPages = 0;
  }

  close(): void {
    this.#database.close();
    this.#onClosed();
  }

  errorOf(error: unknown, action: string): StorageError {
    return errorOf(error, action, this.#file);
  }
}

/** What SQLite's primary result codes mean, and what to do. */
const MEANINGS: Readonly<Record<number, readonly [StorageErrorCode, string]>> = {
  5: ["locked", "another process or store has it open: stop that one, or choose another path"],
  6: ["locked", "another process or store has it open: stop that one, or choose another path"],
  8: ["io", "it is read-only: give this user the right to write the file and its folder"],
  10: ["io", "the disk failed: look into the system's log, and check the disk"],
  11: ["corrupt", "it is damaged: check the disk, and put back a copy from a backup"],
  13: ["full", "there is no room: free space on the disk, or raise sizeBytesMax"],
  14: ["io", "it cannot be opened: check that its folder exists and may be written"],
  26: [
    "corrupt",
    "it is no SQLite database: choose another path, or put back a copy from a backup",
  ],
};

function errorOf(error: unknown, action: string, file: string): StorageError {
  // Deno leaves the code away where the file cannot even be opened.
  const {
    errcode,
    code: name,
    message,
  } = error as {
    errcode?: number;
    code?: string;
    message?: string;
  };
  const primary = errcode !== undefined ? errcode & 0xff : name === "ERR_SQLITE_ERROR" ? 14 : 0;
  const [code, advice] = MEANINGS[primary] ?? (FULL.has(name ?? "") ? FULL_MEANING : IO_MEANING);
  return new StorageError(
    code,
    `Cannot ${action} "${file}": ${advice} (${message ?? String(error)})`,
    { cause: error },
  );
}

const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
const FULL_MEANING = ["full", "there is no room: free space on the disk"] as const;
const IO_MEANING = ["io", "the file system failed"] as const;

/** Folders above the file's own that we may have made in an earlier start: DIRECTORY, and the one it lies in. */
const FOLDERS_ABOVE = 2;

/** Makes `folder` and what is missing above it; the folders whose entries must be synced for the file to last. */
function makeFolder(folder: string): ReadonlySet<string> {
  const first = fs.mkdirSync(folder, { recursive: true });
  const touched = new Set([folder]);
  let at = folder;
  while (touched.size <= FOLDERS_ABOVE || (first !== undefined && at.startsWith(first))) {
    if (path.dirname(at) === at) break;
    at = path.dirname(at);
    touched.add(at);
  }
  return touched;
}

function syncFolder(folder: string): void {
  let fd: number;
  try {
    fd = fs.openSync(folder, "r");
  } catch (error) {
    // Above the data folder lies what the operator made; we may lack the right to open it.
    const { code } = error as { code?: string };
    if (code === "EACCES" || code === "EPERM") return;
    throw error;
  }
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
