// The format version of a broker's folder, in format.json.
// Invariant: format.json is written whole under another name, synced and renamed, and its folder synced
// before anything else is made there: a folder with segments always has it.

import { StorageError } from "../../src/contracts/errors.ts";
import { codeOf, type FileLayer } from "../../src/files/file_layer.ts";

/** The newest format this code reads and writes. */
export const FORMAT_VERSION = 1;
/** Not a segment's name. */
export const FORMAT_FILE = "format.json";
const UNFINISHED = "format.json~";

/**
 * Checks the format of `folder`, and marks a new one. The caller syncs the folder's entries.
 * @throws {StorageError} "version" when it is newer, "corrupt" when it cannot be told
 */
export async function checkFormat(files: FileLayer, folder: string): Promise<void> {
  const path = `${folder}/${FORMAT_FILE}`;
  const text = readText(files, path);
  if (text === null) {
    const strangers = (files.list(folder) ?? []).filter(({ name }) => !name.includes("~"));
    if (strangers.length > 0) {
      throw new StorageError(
        "corrupt",
        `Cannot open folder "${folder}" as it holds "${strangers[0]!.name}" but no ${FORMAT_FILE}: restore ${FORMAT_FILE}, or choose an empty folder`,
      );
    }
    await writeFormat(files, folder);
    return;
  }
  const version = versionIn(text);
  if (version === null) {
    throw new StorageError(
      "corrupt",
      `Cannot read the format of folder "${folder}": ${FORMAT_FILE} must be {"format":${FORMAT_VERSION}}, found ${JSON.stringify(text.slice(0, 40))}`,
    );
  }
  if (version > FORMAT_VERSION) {
    throw new StorageError(
      "version",
      `Cannot open folder "${folder}" as its format is ${version} and this Millrace reads up to ${FORMAT_VERSION}: start a newer Millrace on it`,
    );
  }
}

async function writeFormat(files: FileLayer, folder: string): Promise<void> {
  const unfinished = `${folder}/${UNFINISHED}`;
  try {
    await files.unlink(unfinished);
  } catch (error) {
    // Only a start that was cut short leaves one.
    if (codeOf(error) !== "ENOENT") throw error;
  }
  const fd = files.open(unfinished, "create");
  try {
    const bytes = new TextEncoder().encode(`{"format":${FORMAT_VERSION}}\n`);
    for (let written = 0; written < bytes.byteLength; ) {
      const count = files.write(fd, [bytes.subarray(written)], written);
      if (count <= 0) throw new Error("the file system took no bytes");
      written += count;
    }
    await files.sync(fd, "all");
  } finally {
    files.close(fd);
  }
  files.rename(unfinished, `${folder}/${FORMAT_FILE}`);
}

function readText(files: FileLayer, path: string): string | null {
  let fd: number;
  try {
    fd = files.open(path, "read");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
  try {
    const bytes = new Uint8Array(1024);
    return new TextDecoder().decode(bytes.subarray(0, files.read(fd, bytes, 0)));
  } finally {
    files.close(fd);
  }
}

function versionIn(text: string): number | null {
  try {
    const { format } = JSON.parse(text) as { format?: unknown };
    return typeof format === "number" && Number.isInteger(format) && format >= 1 ? format : null;
  } catch {
    // Not JSON: the caller says so.
    return null;
  }
}
