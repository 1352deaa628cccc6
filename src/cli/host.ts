// The terminal, pipes, files and signals, as commands use them; the same on Bun and Deno, and replaced in
// tests.
// Invariant: a write resolves when the bytes are taken, so that a slow reader holds us back; when nobody
// reads any more it throws BrokenPipe, which ends the command in silence.

import { createReadStream } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { environment } from "../runtime/host.ts";
import { CommandError } from "./cli_error.ts";

/** Whoever read our output has gone. */
export class BrokenPipe extends Error {
  override readonly name = "BrokenPipe";
}

export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** What a broker would say of settings given at its start, a sentence each; and what it takes without them. */
export type CheckSettings = (settings: Readonly<Record<string, string>>) => Promise<{
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  /** Settings that do something here, with their defaults; null for none. */
  readonly defaults?: ReadonlyMap<string, string | null>;
}>;

export interface CliHost {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly checkSettings: CheckSettings;
  readonly isInputTerminal: boolean;
  readonly isOutputTerminal: boolean;
  readonly isErrorTerminal: boolean;
  /** Fires at the first SIGINT or SIGTERM; the second ends the process. */
  readonly interrupted: AbortSignal;
  input(): AsyncIterable<Uint8Array>;
  readonly output: ByteSink;
  /** Text on standard output. */
  print(text: string): Promise<void>;
  /** Text on standard error. */
  tell(text: string): void;
  /** @throws {CommandError} naming the file */
  readFile(
    path: string,
  ): Promise<{ readonly sizeBytes: number; chunks(): AsyncIterable<Uint8Array> }>;
  /** Replaces what is there. @throws {CommandError} naming the file */
  writeFile(path: string): Promise<ByteSink>;
}

const READ_BYTES = 1024 * 1024;
const encoder = new TextEncoder();

/** Where no broker is at hand to ask. */
const takeAll: CheckSettings = () => Promise.resolve({ errors: [], warnings: [] });

/** This process. */
export function processHost(checkSettings: CheckSettings = takeAll): CliHost {
  const interrupted = new AbortController();
  let isWatching = false;
  const output = standardOutput();
  return {
    environment: environment(),
    checkSettings,
    isInputTerminal: process.stdin.isTTY === true,
    isOutputTerminal: process.stdout.isTTY === true,
    isErrorTerminal: process.stderr.isTTY === true,
    get interrupted() {
      // Only who looks is asked: other commands end as a program does.
      if (!isWatching) {
        isWatching = true;
        const onSignal = () => {
          if (interrupted.signal.aborted) process.exit(130);
          interrupted.abort();
        };
        process.on("SIGINT", onSignal);
        process.on("SIGTERM", onSignal);
      }
      return interrupted.signal;
    },
    input: () => process.stdin,
    output,
    print: (text) => output.write(encoder.encode(text)),
    tell(text) {
      process.stderr.write(text);
    },
    async readFile(path) {
      try {
        const { size } = await stat(path);
        return { sizeBytes: size, chunks: () => chunksOf(path) };
      } catch (error) {
        throw fileError("read", path, error);
      }
    },
    async writeFile(path) {
      let file: FileHandle;
      try {
        file = await open(path, "w");
      } catch (error) {
        throw fileError("write", path, error);
      }
      return {
        async write(bytes) {
          let at = 0;
          try {
            while (at < bytes.length) {
              at += (await file.write(bytes, at, bytes.length - at)).bytesWritten;
            }
          } catch (error) {
            throw fileError("write", path, error);
          }
        },
        close: () => file.close(),
      };
    },
  };
}

async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw fileError("read", path, error);
  }
}

function standardOutput(): ByteSink {
  let failure: Error | null = null;
  let isWatched = false;
  return {
    write(bytes) {
      if (!isWatched) {
        isWatched = true;
        // Without a listener an error of the stream would end the process with a trace.
        process.stdout.on("error", (error) => {
          failure = error;
        });
      }
      return new Promise((resolve, reject) => {
        if (failure !== null) {
          reject(outputError(failure));
          return;
        }
        process.stdout.write(bytes, (error) => {
          if (error === null || error === undefined) resolve();
          else reject(outputError(error));
        });
      });
    },
    close: () => Promise.resolve(),
  };
}

function outputError(error: Error): Error {
  const { code } = error as { code?: string };
  if (code === "EPIPE" || code === "ERR_STREAM_DESTROYED" || error.name === "BrokenPipe") {
    return new BrokenPipe("The reader of the output has gone", { cause: error });
  }
  return new CommandError("output", `Cannot write the output: ${error.message}`, { cause: error });
}

function fileError(action: "read" | "write", path: string, error: unknown): CommandError {
  const { code, message } = error as { code?: string; message: string };
  const why =
    code === "ENOENT"
      ? action === "read"
        ? "there is no such file"
        : "there is no such folder"
      : code === "EACCES"
        ? `this user may not ${action} it`
        : code === "EISDIR"
          ? "it is a folder"
          : message;
  return new CommandError("file", `Cannot ${action} file "${path}": ${why}`, { cause: error });
}
