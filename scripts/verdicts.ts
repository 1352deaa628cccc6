// What a long check found, as .ci/run counts it: a line "ok name" or "not ok name why" for each, and how many of both.

let passed = 0;
let failed = 0;

/** @param why What is wrong; undefined: nothing. @param note Said besides when nothing is */
export function told(name: string, why: string | undefined, note = ""): void {
  if (why === undefined) passed++;
  else failed++;
  console.log(why === undefined ? `ok ${name}${note}` : `not ok ${name} ${why}`);
}

/** An error that ended the check, with where it came from. */
export function toldError(name: string, error: unknown): void {
  told(name, String(error instanceof Error ? error.stack : error).replaceAll("\n", " "));
}

export function hasFailed(): boolean {
  return failed > 0;
}

/** The last line, and the program's end. */
export function endWithVerdicts(): never {
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}
