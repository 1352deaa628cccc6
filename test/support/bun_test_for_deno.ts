// What "bun:test" means under `deno test` (deno.json maps the name to this file): the part of its API that our tests
// use, collected into flat leaves, each handed to Deno.test, so that counts, filters and exit codes are Deno's own.
// Invariant: a leaf runs its hooks outermost first; afterAll runs once, after the suite's last leaf. A failing beforeAll
// fails every leaf under it. Not here, so refused by a missing export: snapshots, mock.module, fake timers.

import { expect, withDifference } from "./bun_expect_for_deno.ts";
import { mock, spyOn } from "./bun_mock_for_deno.ts";

export { expect, mock, spyOn };

/** Deno is slower to start and compile than Bun; a timeout is there to end a hang, not to measure. */
const TIMEOUT_FACTOR = 4;
let timeoutMsDefault = 5_000;

type Done = (error?: unknown) => void;
// biome-ignore lint/suspicious/noExplicitAny: each() spreads rows of any shape into the body, as bun:test types it.
type Body = (...args: any[]) => unknown;
type Hook = () => unknown;
type Options =
  | number
  | { readonly timeout?: number; readonly retry?: number; readonly repeats?: number };
interface Mode {
  readonly ignore?: boolean;
  readonly only?: boolean;
  readonly failing?: boolean;
}

interface Suite {
  readonly name: string;
  readonly parent: Suite | null;
  readonly mode: Mode;
  readonly beforeAll: Hook[];
  readonly afterAll: Hook[];
  readonly beforeEach: Hook[];
  readonly afterEach: Hook[];
  /** Leaves below, at any depth, that have not run yet; at 0 the suite closes. */
  leavesLeft: number;
  opening: Promise<void> | null;
  closed: boolean;
}

let current: Suite = newSuite("", null, {});
let finishers: Hook[] | null = null;
const opened: Suite[] = [];

function newSuite(name: string, parent: Suite | null, mode: Mode): Suite {
  return {
    name,
    parent,
    mode,
    beforeAll: [],
    afterAll: [],
    beforeEach: [],
    afterEach: [],
    leavesLeft: 0,
    opening: null,
    closed: false,
  };
}

function addSuite(name: string, body: Body, mode: Mode, args: readonly unknown[] = []): void {
  const parent = current;
  current = newSuite(name, parent, {
    ignore: mode.ignore === true || parent.mode.ignore === true,
    only: mode.only === true || parent.mode.only === true,
  });
  try {
    const result = body(...args);
    if (result instanceof Promise) {
      throw new Error(`Cannot collect suite "${name}" as its body is async: make it synchronous`);
    }
  } finally {
    current = parent;
  }
}

function addLeaf(
  name: string,
  body: Body | undefined,
  options: Options | undefined,
  mode: Mode,
  args: readonly unknown[] = [],
): void {
  const suite = current;
  const path = outermostFirst(suite);
  const ignore = mode.ignore === true || suite.mode.ignore === true || body === undefined;
  if (!ignore) for (const each of path) each.leavesLeft++;
  const given = typeof options === "number" ? { timeout: options } : (options ?? {});
  const timeoutMs = (given.timeout ?? timeoutMsDefault) * TIMEOUT_FACTOR;
  Deno.test({
    name: [...path.map((each) => each.name).filter((part) => part !== ""), name].join(" > "),
    ignore,
    only: mode.only === true || suite.mode.only === true,
    sanitizeOps: false,
    sanitizeResources: false,
    sanitizeExit: false,
    fn: async () => {
      try {
        for (const each of path) await open(each);
        const runs = 1 + (given.repeats ?? 0);
        for (let run = 0; run < runs; run++) {
          await runWithRetry(
            () => runLeaf(path, body!, args, timeoutMs, mode.failing === true),
            given.retry ?? 0,
          );
        }
      } catch (error) {
        throw withDifference(error);
      } finally {
        for (const each of [...path].reverse()) {
          if (--each.leavesLeft === 0) await close(each);
        }
      }
    },
  });
}

function outermostFirst(suite: Suite): readonly Suite[] {
  const path: Suite[] = [];
  for (let at: Suite | null = suite; at !== null; at = at.parent) path.unshift(at);
  return path;
}

function open(suite: Suite): Promise<void> {
  if (suite.opening === null) {
    opened.push(suite);
    suite.opening = (async () => {
      for (const hook of suite.beforeAll) await callEither(hook, []);
    })();
  }
  return suite.opening;
}

async function close(suite: Suite): Promise<void> {
  if (suite.closed) return;
  suite.closed = true;
  for (const hook of suite.afterAll) await callEither(hook, []);
}

// Under --filter some leaves never run, so their suites would never reach zero.
Deno.test.afterAll(async () => {
  for (const suite of opened.reverse()) await close(suite);
});

async function runWithRetry(run: () => Promise<void>, retries: number): Promise<void> {
  for (let left = retries; ; left--) {
    try {
      return await run();
    } catch (error) {
      if (left <= 0) throw error;
    }
  }
}

async function runLeaf(
  path: readonly Suite[],
  body: Body,
  args: readonly unknown[],
  timeoutMs: number,
  failing: boolean,
): Promise<void> {
  finishers = [];
  try {
    for (const suite of path) for (const hook of suite.beforeEach) await callEither(hook, []);
    await within(timeoutMs, async () => {
      if (!failing) {
        await callEither(body, args);
        return;
      }
      const failed = await Promise.resolve()
        .then(() => callEither(body, args))
        .then(
          () => false,
          () => true,
        );
      if (!failed) throw new Error("A test marked test.failing() passed: remove the mark");
    });
  } finally {
    for (const suite of [...path].reverse()) {
      for (const hook of suite.afterEach) await callEither(hook, []);
    }
    for (const hook of finishers) await callEither(hook, []);
    finishers = null;
  }
}

/** A body with one more parameter than it gets arguments is asking for a `done` callback. */
function callEither(body: Body, args: readonly unknown[]): unknown {
  if (body.length !== args.length + 1) return body(...args);
  return new Promise<void>((resolve, reject) => {
    const done: Done = (error) => (error == null ? resolve() : reject(error));
    const result = body(...args, done);
    if (result instanceof Promise) result.catch(reject);
  });
}

async function within(timeoutMs: number, run: () => Promise<void>): Promise<void> {
  if (timeoutMs <= 0 || timeoutMs === Number.POSITIVE_INFINITY) return await run();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`The test passed its ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** `%s %d %i %f %j %o %p %# %%` and `$key` of a first object argument, as bun:test fills a title. */
function title(pattern: string, args: readonly unknown[], index: number): string {
  let next = 0;
  const filled = pattern.replace(/%([sdifjop#%])/g, (whole, letter: string) => {
    if (letter === "%") return "%";
    if (letter === "#") return String(index);
    if (next >= args.length) return whole;
    const value = args[next++];
    return letter === "j" || letter === "o" || letter === "p"
      ? (JSON.stringify(value) ?? String(value))
      : String(value);
  });
  const first = args[0];
  if (typeof first !== "object" || first === null) return filled;
  return filled.replace(/\$([\w.]+)/g, (whole, path: string) => {
    const value = path
      .split(".")
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], first);
    return value === undefined ? whole : String(value);
  });
}

function eachRow(
  rows: readonly unknown[],
  add: (index: number, args: readonly unknown[]) => void,
): void {
  rows.forEach((row, index) => {
    add(index, Array.isArray(row) ? row : [row]);
  });
}

function testWith(mode: Mode) {
  const add = (name: string, body?: Body, options?: Options) => addLeaf(name, body, options, mode);
  const each =
    (rows: readonly unknown[]) =>
    (name: string, body: Body, options?: Options): void =>
      eachRow(rows, (index, args) => addLeaf(title(name, args, index), body, options, mode, args));
  return Object.assign(add, { each });
}

function describeWith(mode: Mode) {
  const add = (name: string, body: Body) => addSuite(name, body, mode);
  const each =
    (rows: readonly unknown[]) =>
    (name: string, body: Body): void =>
      eachRow(rows, (index, args) => addSuite(title(name, args, index), body, mode, args));
  return Object.assign(add, { each });
}

const skipped = { ignore: true };
const todo = (name: string, _body?: Body, options?: Options) =>
  addLeaf(name, undefined, options, skipped);

/** Registers one test; see bun:test. */
export const test = Object.assign(testWith({}), {
  skip: testWith(skipped),
  todo,
  only: testWith({ only: true }),
  failing: testWith({ failing: true }),
  concurrent: testWith({}),
  serial: testWith({}),
  skipIf: (condition: unknown) => testWith(condition ? skipped : {}),
  todoIf: (condition: unknown) => testWith(condition ? skipped : {}),
  if: (condition: unknown) => testWith(condition ? {} : skipped),
});
export const it = test;

/** Groups tests; see bun:test. */
export const describe = Object.assign(describeWith({}), {
  skip: describeWith(skipped),
  todo: describeWith(skipped),
  only: describeWith({ only: true }),
  skipIf: (condition: unknown) => describeWith(condition ? skipped : {}),
  if: (condition: unknown) => describeWith(condition ? {} : skipped),
});

export const beforeAll = (hook: Hook): void => void current.beforeAll.push(hook);
export const afterAll = (hook: Hook): void => void current.afterAll.push(hook);
export const beforeEach = (hook: Hook): void => void current.beforeEach.push(hook);
export const afterEach = (hook: Hook): void => void current.afterEach.push(hook);

/** Runs `hook` after the test that is running now, its afterEach hooks included. */
export function onTestFinished(hook: Hook): void {
  if (finishers === null) throw new Error("onTestFinished() was called outside a test");
  finishers.push(hook);
}

export function setDefaultTimeout(timeoutMs: number): void {
  timeoutMsDefault = timeoutMs;
}
