// The shim's own proof: one file, run by Bun (where "bun:test" is the real one) and by Deno (where it is the shim),
// must count and behave the same. What must fail is shown by shim_reports_failures.test.ts.

import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  mock,
  onTestFinished,
  spyOn,
  test,
} from "bun:test";

const trace: string[] = [];

describe("hooks", () => {
  beforeAll(() => void trace.push("all+"));
  beforeEach(() => void trace.push("each+"));
  afterEach(() => void trace.push("each-"));
  afterAll(() => void trace.push("all-"));

  test("run outermost first", () => {
    trace.push("one");
  });
  describe("nested", () => {
    beforeAll(async () => {
      await Promise.resolve();
      trace.push("nested all+");
    });
    beforeEach(() => void trace.push("nested each+"));
    afterAll(() => void trace.push("nested all-"));
    test("inner", () => {
      trace.push("two");
      onTestFinished(() => void trace.push("finished"));
    });
  });
});

test("hooks ran in the order that Bun runs them", () => {
  expect(trace).toEqual([
    "all+",
    "each+",
    "one",
    "each-",
    "nested all+",
    "each+",
    "nested each+",
    "two",
    "each-",
    "finished",
    "nested all-",
    "all-",
  ]);
});

describe("rows", () => {
  const sums: number[] = [];
  test.each([
    [1, 2, 3],
    [2, 3, 5],
  ])("%d + %d is %d", (a, b, sum) => {
    sums.push(sum);
    expect(a + b).toBe(sum);
  });
  test.each(["a", "b"])("one value a row: %s", (letter) => {
    expect("ab").toContain(letter);
  });
  describe.each([{ name: "x" }])("suite of $name", ({ name }) => {
    test("sees the row", () => expect(name).toBe("x"));
  });
  test("every row ran", () => expect(sums).toEqual([3, 5]));
});

describe("marks", () => {
  test.skip("a skipped body is not run", () => expect.unreachable());
  test.todo("later");
  test.if(false)("if(false) is skipped", () => expect.unreachable());
  test.skipIf(true)("skipIf(true) is skipped", () => expect.unreachable());
  describe.skip("a skipped suite", () => {
    beforeAll(() => expect.unreachable());
    test("is not run", () => expect.unreachable());
  });
  test.failing("failing() wants an error", () => {
    throw new Error("as promised");
  });
  let runs = 0;
  test(
    "retry runs again",
    () => {
      if (++runs < 3) throw new Error("not yet");
    },
    { retry: 2 },
  );
});

test("a body with a parameter is given done()", (done) => {
  setTimeout(() => done(), 1);
});

test("async bodies are awaited", async () => {
  await new Promise((resolve) => setTimeout(resolve, 1));
  await expect(Promise.resolve(1)).resolves.toBe(1);
  await expect(Promise.reject(new Error("no"))).rejects.toThrow("no");
  expect(() => {
    throw new TypeError("bad input");
  }).toThrow(TypeError);
});

it("compares bytes, sparse objects and asymmetric matchers", () => {
  expect(new Uint8Array([1, 2])).toEqual(new Uint8Array([1, 2]));
  expect(new Uint8Array([1, 2])).not.toEqual(new Uint8Array([1, 3]));
  const sparse: { a: number; b?: number | undefined } = { a: 1, b: undefined };
  expect(sparse).toEqual({ a: 1 });
  expect(sparse).not.toStrictEqual({ a: 1 });
  expect({ a: 1n, at: 5 }).toEqual({ a: 1n, at: expect.any(Number) });
  expect({ list: [1, 2, 3] }).toEqual({
    list: expect.arrayContaining([3, 1]) as unknown as number[],
  });
  expect({ a: { b: 1, c: 2 } }).toMatchObject({ a: { b: 1 } });
  expect(0.1 + 0.2).toBeCloseTo(0.3);
  expect([{ a: 1 }]).toContainEqual({ a: 1 });
});

it("has the matchers that only Bun has", () => {
  expect([]).toBeArray();
  expect([1, 2]).toBeArrayOfSize(2);
  expect(new Map()).toBeEmpty();
  expect("x").not.toBeEmpty();
  expect(4).toBeEven();
  expect(3).toBeOdd();
  expect(true).toBeTrue();
  expect(false).toBeFalse();
  expect(null).toBeNil();
  expect(3).toBeWithin(3, 4);
  expect(4).not.toBeWithin(3, 4);
  expect({ a: 1 }).toContainKey("a");
  expect({ a: 1, b: 2 }).toContainAllKeys(["b", "a"]);
  expect({ a: 1 }).not.toContainKeys(["a", "b"]);
  expect("abc").toStartWith("ab");
  expect("abc").toEndWith("bc");
  expect("abcabc").toIncludeRepeated("abc", 2);
  expect(" a  b ").toEqualIgnoringWhitespace("a b");
  expect(2).toBeOneOf([1, 2]);
  expect(() => expect(5).toBeEven()).toThrow();
});

it("mocks remember their calls and spies are put back", () => {
  const double = mock((n: number) => n * 2);
  expect(double(2)).toBe(4);
  expect(double).toHaveBeenCalledTimes(1);
  expect(double).toHaveBeenCalledWith(2);
  double.mockReturnValueOnce(7);
  expect([double(1), double(1)]).toEqual([7, 2]);
  const thing = { name: () => "real" };
  const spy = spyOn(thing, "name").mockImplementation(() => "fake");
  expect(thing.name()).toBe("fake");
  expect(spy.mock.calls).toHaveLength(1);
  spy.mockRestore();
  expect(thing.name()).toBe("real");
});
