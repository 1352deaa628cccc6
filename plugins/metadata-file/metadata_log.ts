// The file behind metadata-file: one generation at a time, each a snapshot and the commits after it.
// Invariant: `append` resolves after its sync; a new generation is whole and synced before it gets its
// name, and the highest name counts. A torn tail is cut; damage before a valid frame was synced once,
// so it is corruption and refused.

import type { RevisionTable } from "../../src/base/revision_table.ts";
import { MetadataStoreError } from "../../src/contracts/errors.ts";
import { codeOf } from "../../src/files/file_layer.ts";
import type { Step } from "../../src/metadata/committed_metadata.ts";
import type { FileLayer } from "./file_layer.ts";
import {
  encodeGroup,
  encodeSnapshot,
  FORMAT_VERSION,
  frameAt,
  HEADER_BYTES,
  nextFrameAfter,
  versionOf,
} from "./log_format.ts";

const NAME = /^metadata-(\d{8,})\.log$/;
/** A new generation when the log is this many times what is alive. */
const COMPACT_RATIO = 4;
/** What an entry costs in a log beside its key and value, roughly. */
const ENTRY_BYTES = 24;

export class MetadataLog {
  readonly #files: FileLayer;
  readonly #folder: string;
  #generation: number;
  #fd: number;
  #sizeBytes: number;
  /** After a compaction that found no room, the next is not tried before the log has this size. */
  #compactAfterBytes: number;
  readonly #compactBytesMin: number;
  /** Bytes that were cut off the end when it was opened: a write that a crash cut short. */
  readonly tornBytes: number;

  private constructor(files: FileLayer, folder: string, at: Created, compactBytesMin: number) {
    this.#files = files;
    this.#folder = folder;
    this.#generation = at.generation;
    this.#fd = at.fd;
    this.#sizeBytes = at.sizeBytes;
    this.tornBytes = at.tornBytes;
    this.#compactBytesMin = compactBytesMin;
    this.#compactAfterBytes = compactBytesMin;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * Brings `table`, which is empty, to what the folder holds, and makes a new log in an empty folder.
   * The caller holds the folder's lock.
   * @param compactBytesMin A log smaller than this is never worth a new generation.
   * @throws {MetadataStoreError} "corrupt", "version"
   */
  static async open(
    files: FileLayer,
    folder: string,
    table: RevisionTable,
    compactBytesMin: number,
  ): Promise<MetadataLog> {
    let newest = -1;
    const names = (files.list(folder) ?? []).map(({ name }) => name);
    for (const name of names) newest = Math.max(newest, generationOf(name));
    const at =
      newest === -1
        ? await create(files, folder, 1, table)
        : await recover(files, folder, newest, table);
    // Older generations and those never finished are what a crash in a compaction leaves. They go only
    // now, as the newest one's name is durable.
    for (const name of names) {
      const generation = generationOf(name.endsWith("~") ? name.slice(0, -1) : name);
      if (generation === -1 || name === nameOf(at.generation)) continue;
      await removeIfThere(files, `${folder}/${name}`);
    }
    return new MetadataLog(files, folder, at, compactBytesMin);
  }

  /** Writes the group and syncs: it survives a power loss once this has resolved. */
  async append(steps: readonly Step[]): Promise<void> {
    const frame = encodeGroup(steps, this.#generation, this.#sizeBytes);
    writeAll(this.#files, this.#fd, [frame], this.#sizeBytes);
    await this.#files.sync(this.#fd, "data");
    this.#sizeBytes += frame.byteLength;
  }

  /** Whether most of the log is of the past. */
  needsCompaction(table: RevisionTable): boolean {
    if (this.#sizeBytes < this.#compactAfterBytes) return false;
    const aliveBytes = table.liveBytes + table.entryCount * ENTRY_BYTES;
    return this.#sizeBytes > aliveBytes * COMPACT_RATIO;
  }

  /**
   * Goes over to a new generation that begins with `table`. Where there is no room for one, the old
   * goes on; a failure once the new one may have its name is thrown, as nobody knows then which counts.
   */
  async compact(table: RevisionTable): Promise<void> {
    const generation = this.#generation + 1;
    let written: Created;
    try {
      written = await writeGeneration(this.#files, this.#folder, generation, table);
    } catch {
      // The old log is whole and stays in use; the unfinished file goes at the next try or start.
      this.#compactAfterBytes = this.#sizeBytes * 2;
      return;
    }
    await name(this.#files, this.#folder, generation);
    this.#files.close(this.#fd);
    await this.#files.unlink(`${this.#folder}/${nameOf(this.#generation)}`);
    this.#generation = generation;
    this.#fd = written.fd;
    this.#sizeBytes = written.sizeBytes;
    this.#compactAfterBytes = this.#compactBytesMin;
  }

  close(): void {
    this.#files.close(this.#fd);
  }
}

interface Created {
  readonly generation: number;
  readonly fd: number;
  readonly sizeBytes: number;
  readonly tornBytes: number;
}

async function create(
  files: FileLayer,
  folder: string,
  generation: number,
  table: RevisionTable,
): Promise<Created> {
  const created = await writeGeneration(files, folder, generation, table);
  await name(files, folder, generation);
  return created;
}

/** A whole, synced generation that has no name yet. */
async function writeGeneration(
  files: FileLayer,
  folder: string,
  generation: number,
  table: RevisionTable,
): Promise<Created> {
  const path = `${folder}/${nameOf(generation)}~`;
  await removeIfThere(files, path);
  const fd = files.open(path, "create");
  try {
    const parts = encodeSnapshot(table.rows(), table.revision, generation);
    const sizeBytes = writeAll(files, fd, parts, 0);
    await files.sync(fd, "all");
    return { generation, fd, sizeBytes, tornBytes: 0 };
  } catch (error) {
    files.close(fd);
    throw error;
  }
}

async function name(files: FileLayer, folder: string, generation: number): Promise<void> {
  const path = `${folder}/${nameOf(generation)}`;
  files.rename(`${path}~`, path);
  await files.syncDirectory(folder);
}

async function recover(
  files: FileLayer,
  folder: string,
  generation: number,
  table: RevisionTable,
): Promise<Created> {
  const path = `${folder}/${nameOf(generation)}`;
  const fd = files.open(path, "update");
  try {
    const bytes = readWhole(files, fd, files.sizeOf(path) ?? 0);
    checkVersion(bytes, path);
    const end = replay(bytes, generation, table, path);
    if (end < bytes.byteLength) files.truncate(fd, end);
    // What an earlier process wrote and did not live to sync is about to be believed: sync it first,
    // with its name.
    await Promise.all([files.sync(fd, "all"), files.syncDirectory(folder)]);
    return { generation, fd, sizeBytes: end, tornBytes: bytes.byteLength - end };
  } catch (error) {
    files.close(fd);
    throw error;
  }
}

/** Applies every frame; where the valid ones end. */
function replay(bytes: Uint8Array, generation: number, table: RevisionTable, path: string): number {
  let position = HEADER_BYTES;
  let isAfterSnapshot = false;
  for (;;) {
    const found = frameAt(bytes, position, generation);
    if (found === null) break;
    const { frame } = found;
    if (frame.kind === "rows") {
      for (const row of frame.rows) table.restore(row);
    } else if (frame.kind === "snapshot_end") {
      table.restoredAt(frame.revision);
      isAfterSnapshot = true;
    } else {
      for (const step of frame.steps) table.apply(step.revision, step.writes);
    }
    position = found.end;
  }
  if (!isAfterSnapshot) throw corrupt(path, position);
  const later = nextFrameAfter(bytes, position, generation);
  if (later !== -1) throw corrupt(path, position);
  return position;
}

function checkVersion(bytes: Uint8Array, path: string): void {
  const version = versionOf(bytes);
  if (version === null) throw corrupt(path, 0);
  if (version > FORMAT_VERSION) {
    throw new MetadataStoreError(
      "version",
      `Cannot open "${path}" as its format is ${version} and this Millrace reads up to ${FORMAT_VERSION}: start a newer Millrace on it`,
    );
  }
}

function corrupt(path: string, position: number): MetadataStoreError {
  return new MetadataStoreError(
    "corrupt",
    `Cannot read "${path}" as it is damaged at byte ${position}, before commits that were synced: check the disk, and put back a copy of this folder from a backup`,
  );
}

function readWhole(files: FileLayer, fd: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const count = files.read(fd, bytes.subarray(filled), filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

function writeAll(
  files: FileLayer,
  fd: number,
  parts: readonly Uint8Array[],
  position: number,
): number {
  let written = 0;
  for (const part of parts) {
    for (let at = 0; at < part.byteLength; ) {
      const count = files.write(fd, [part.subarray(at)], position + written);
      if (count <= 0) throw new Error("the file system took no bytes");
      at += count;
      written += count;
    }
  }
  return written;
}

async function removeIfThere(files: FileLayer, path: string): Promise<void> {
  try {
    await files.unlink(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

function nameOf(generation: number): string {
  return `metadata-${String(generation).padStart(8, "0")}.log`;
}

function generationOf(name: string): number {
  const match = NAME.exec(name);
  return match === null ? -1 : Number(match[1]);
}
