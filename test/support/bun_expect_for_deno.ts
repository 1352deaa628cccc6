// `expect` of "bun:test" under Deno: @vitest/expect (the same jest matchers) plus the matchers that only Bun has.
// Invariant: a matcher here answers as Bun's does; test/support/bun_test_for_deno.test.ts runs the same on both.

import {
  ASYMMETRIC_MATCHERS_OBJECT,
  customMatchers,
  getState,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from "@vitest/expect";
import * as chai from "chai";

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

// biome-ignore lint/suspicious/noExplicitAny: the assertion type differs between Bun and chai; tsc checks tests by Bun's.
type Expect = any;

export const expect: Expect = (value: unknown, message?: string) => chai.expect(value, message);
Object.assign(
  expect,
  chai.expect,
  (globalThis as unknown as Record<symbol, object>)[ASYMMETRIC_MATCHERS_OBJECT],
);
expect.getState = () => getState(expect);
expect.setState = (state: object) => setState(state, expect);
expect.extend = (matchers: object) => (chai.expect as Expect).extend(expect, matchers);
expect.unreachable = (message = "reached unreachable code"): never => {
  throw new Error(message);
};
setState({ assertionCalls: 0, isExpectingAssertions: false }, expect);
expect.extend(customMatchers);

const keysOf = (value: unknown): string[] => Object.keys(value as object);
const valuesOf = (value: unknown): unknown[] => Object.values(value as object);
const number = (value: unknown): value is number => typeof value === "number";
const text = (value: unknown): value is string => typeof value === "string";

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  if (text(value) || Array.isArray(value)) return value.length === 0;
  if (value instanceof Map || value instanceof Set) return value.size === 0;
  if (ArrayBuffer.isView(value)) return value.byteLength === 0;
  return typeof value === "object" && keysOf(value).length === 0;
}

function timesIn(value: string, part: string): number {
  return part === "" ? 0 : value.split(part).length - 1;
}

const sameWithoutSpace = (value: string, wanted: string): boolean =>
  value.replace(/\s+/g, " ").trim() === wanted.replace(/\s+/g, " ").trim();

// biome-ignore lint/suspicious/noExplicitAny: one table for predicates of different arities.
const predicates: Record<string, (value: any, ...wanted: any[]) => boolean> = {
  toBeArray: (value) => Array.isArray(value),
  toBeArrayOfSize: (value, size: number) => Array.isArray(value) && value.length === size,
  toBeBoolean: (value) => typeof value === "boolean",
  toBeDate: (value) => value instanceof Date,
  toBeEmpty: isEmpty,
  toBeEmptyObject: (value) =>
    typeof value === "object" && value !== null && keysOf(value).length === 0,
  toBeEven: (value) => number(value) && value % 2 === 0,
  toBeFalse: (value) => value === false,
  toBeFinite: (value) => Number.isFinite(value),
  toBeFunction: (value) => typeof value === "function",
  toBeInteger: (value) => Number.isInteger(value),
  toBeNegative: (value) => number(value) && value < 0,
  toBeNil: (value) => value === null || value === undefined,
  toBeNumber: (value) => number(value),
  toBeObject: (value) => typeof value === "object" && value !== null,
  toBeOdd: (value) => number(value) && Math.abs(value % 2) === 1,
  toBePositive: (value) => number(value) && value > 0,
  toBeString: (value) => text(value),
  toBeSymbol: (value) => typeof value === "symbol",
  toBeTrue: (value) => value === true,
  toBeValidDate: (value) => value instanceof Date && !Number.isNaN(value.getTime()),
  toBeWithin: (value, start: number, end: number) => number(value) && value >= start && value < end,
  toContainAllKeys: (value, keys: string[]) =>
    keysOf(value).length === keys.length && keys.every((key) => Object.hasOwn(value, key)),
  toContainAnyKeys: (value, keys: string[]) => keys.some((key) => Object.hasOwn(value, key)),
  toContainKey: (value, key: string) => Object.hasOwn(value, key),
  toContainKeys: (value, keys: string[]) => keys.every((key) => Object.hasOwn(value, key)),
  toContainValue: (value, wanted) => valuesOf(value).includes(wanted),
  toContainValues: (value, wanted: unknown[]) =>
    wanted.every((each) => valuesOf(value).includes(each)),
  toEndWith: (value, end: string) => text(value) && value.endsWith(end),
  toEqualIgnoringWhitespace: (value, wanted: string) =>
    text(value) && sameWithoutSpace(value, wanted),
  toInclude: (value, part: string) => text(value) && value.includes(part),
  toIncludeRepeated: (value, part: string, times: number) =>
    text(value) && timesIn(value, part) === times,
  toStartWith: (value, start: string) => text(value) && value.startsWith(start),
};

function show(value: unknown): string {
  return text(value) ? JSON.stringify(value) : Deno.inspect(value);
}

expect.extend({
  ...Object.fromEntries(
    Object.entries(predicates).map(([name, holds]) => [
      name,
      (value: unknown, ...wanted: unknown[]) => ({
        pass: holds(value, ...wanted),
        message: () => `expect(${show(value)}).${name}(${wanted.map(show).join(", ")})`,
      }),
    ]),
  ),
  pass: (_value: unknown, message = "pass") => ({ pass: true, message: () => message }),
  fail: (_value: unknown, message = "fail") => ({ pass: false, message: () => message }),
});

const differenceLinesMax = 30;
/** One error may fail several tests: that of a beforeAll. */
const explained = new WeakSet<Error>();

/** The error with the lines in which wanted and received differ, where its assertion compared two values. */
export function withDifference(error: unknown): unknown {
  if (!(error instanceof Error) || !("expected" in error) || !("actual" in error)) return error;
  if (error.expected instanceof Error || explained.has(error)) return error;
  explained.add(error);
  const lines = (value: unknown): string[] =>
    Deno.inspect(value, {
      depth: 12,
      sorted: true,
      compact: false,
      iterableLimit: 200,
      strAbbreviateSize: 400,
    }).split("\n");
  const [wanted, received] = [lines(error.expected), lines(error.actual)];
  let head = 0;
  while (head < wanted.length && wanted[head] === received[head]) head++;
  let tail = 0;
  while (
    tail < Math.min(wanted.length, received.length) - head &&
    wanted.at(-1 - tail) === received.at(-1 - tail)
  ) {
    tail++;
  }
  const part = (mark: string, all: readonly string[]): string[] =>
    all
      .slice(head, all.length - tail)
      .slice(0, differenceLinesMax)
      .map((line) => `${mark} ${line}`);
  const message = [
    `${error.message}, from line ${head + 1}:`,
    ...part("-", wanted),
    ...part("+", received),
  ].join("\n");
  error.stack = (error.stack ?? "").replace(error.message, () => message);
  error.message = message;
  return error;
}
