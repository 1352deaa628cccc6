// What the checks of the two npm clients share: reading their input, and running named checks.
import { readFileSync } from "node:fs";

/** A record of a record file (see make_input.ts); null and empty differ. */
export interface RecordLine {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [string, Buffer | null])[];
}

/** A check is its name and a call that throws when it does not hold. */
export type Check = readonly [name: string, call: () => Promise<void>];

/** The lines of a file as bytes, in groups of about sizeBytes. */
export function* readLines(file: string, sizeBytes: number): Iterable<Buffer[]> {
  const data = readFileSync(file);
  let batch: Buffer[] = [];
  let size = 0;
  for (let at = 0; at < data.length; ) {
    let end = data.indexOf(10, at);
    if (end < 0) end = data.length;
    batch.push(data.subarray(at, end));
    size += end - at + 20;
    at = end + 1;
    if (size >= sizeBytes) {
      yield batch;
      batch = [];
      size = 0;
    }
  }
  if (batch.length > 0) yield batch;
}

const unhex = (text: string): Buffer | null => (text === "-" ? null : Buffer.from(text, "hex"));

/** The records of a record file, in groups of about sizeBytes. */
export function* readRecordLines(file: string, sizeBytes: number): Iterable<RecordLine[]> {
  let batch: RecordLine[] = [];
  let size = 0;
  for (const line of readFileSync(file, "latin1").split("\n")) {
    if (line === "") continue;
    const [key, value, headers] = line.split("\t") as [string, string, string];
    batch.push({
      key: unhex(key),
      value: unhex(value),
      headers:
        headers === ""
          ? []
          : headers
              .split(",")
              .map(
                (h) =>
                  [unhex(h.split("=")[0]!)!.toString("utf8"), unhex(h.split("=")[1]!)] as const,
              ),
    });
    size += line.length / 2;
    if (size >= sizeBytes) {
      yield batch;
      batch = [];
      size = 0;
    }
  }
  if (batch.length > 0) yield batch;
}

/** Waits until holds() is true, five seconds at most. */
export async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs the checks in turn and prints a line for each; answers the exit code. */
export async function runChecks(checks: readonly Check[]): Promise<number> {
  let failed = 0;
  for (const [name, call] of checks) {
    try {
      await call();
      console.log(`ok ${name}`);
    } catch (error) {
      failed++;
      console.log(`not ok ${name} ${String(error).replaceAll("\n", " ")}`);
    }
  }
  return failed === 0 ? 0 : 1;
}
