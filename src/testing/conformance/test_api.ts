// The test functions that the suites are written against: those of bun:test where there is such a module (Bun, and
// Deno where it is mapped, as deno.json here does), and those that `useTestApi` was given elsewhere, e.g. vitest's.
// Invariant: importing this fails nowhere; declaring a suite without test functions does, and says what to do.

/** The matchers that the suites use, as Jest means them. */
export interface Matchers {
  toBe(wanted: unknown): void;
  toEqual(wanted: unknown): void;
  toBeGreaterThan(bound: number): void;
  toBeGreaterThanOrEqual(bound: number): void;
  toBeInstanceOf(wanted: unknown): void;
}

type Declare = (name: string, body: () => void | Promise<void>, timeoutMs?: number) => void;

/** What a suite needs of a test runner: bun:test, vitest and Jest have it. */
export interface TestApi {
  describe(name: string, body: () => void): void;
  readonly test: Declare & { readonly skip: Declare };
  beforeEach(body: () => void | Promise<void>): void;
  afterEach(body: () => void | Promise<void>): void;
  expect(found: unknown): Matchers & { readonly not: Matchers };
}

let api = (await import("bun:test").catch(() => null)) as TestApi | null;

/** Gives the suites another runner's functions. Call it before a suite is declared. */
export function useTestApi(given: TestApi): void {
  api = given;
}

function used(): TestApi {
  if (api !== null) return api;
  throw new Error(
    "Cannot declare a conformance suite: there is no bun:test here; run it by `bun test`, or give the functions of another runner to useTestApi",
  );
}

export const describe: TestApi["describe"] = (name, body) => used().describe(name, body);
export const test: TestApi["test"] = Object.assign(
  ((name, body, timeoutMs) => used().test(name, body, timeoutMs)) as Declare,
  { skip: ((name, body, timeoutMs) => used().test.skip(name, body, timeoutMs)) as Declare },
);
export const beforeEach: TestApi["beforeEach"] = (body) => used().beforeEach(body);
export const afterEach: TestApi["afterEach"] = (body) => used().afterEach(body);
export const expect: TestApi["expect"] = (found) => used().expect(found);
