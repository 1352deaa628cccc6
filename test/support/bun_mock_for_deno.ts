// `mock` and `spyOn` of "bun:test" under Deno: functions that remember their calls, in the shape that
// the toHaveBeenCalled… matchers of @vitest/expect read.
// Invariant: restoring a spy puts back exactly what was there.

// biome-ignore lint/suspicious/noExplicitAny: a mock stands in for functions of every shape.
type Any = any;
type Implementation = (this: unknown, ...args: Any[]) => unknown;

interface Recorded {
  calls: unknown[][];
  contexts: unknown[];
  instances: unknown[];
  invocationCallOrder: number[];
  results: { type: "return" | "throw"; value: unknown }[];
  settledResults: { type: "fulfilled" | "rejected" | "incomplete"; value: unknown }[];
  readonly lastCall: unknown[] | undefined;
}

let callCount = 0;
const restorers = new Set<() => void>();
const clearers = new Set<() => void>();

function makeMock(given: Implementation | undefined, restore: () => void): Any {
  let implementation = given;
  let once: Implementation[] = [];
  let name = "mock";
  const state: Recorded = {
    calls: [],
    contexts: [],
    instances: [],
    invocationCallOrder: [],
    results: [],
    settledResults: [],
    get lastCall() {
      return state.calls.at(-1);
    },
  };
  function mocked(this: unknown, ...args: unknown[]): unknown {
    state.calls.push(args);
    state.contexts.push(this);
    state.instances.push(this);
    state.invocationCallOrder.push(++callCount);
    const run = once.shift() ?? implementation;
    try {
      const value = run?.apply(this, args);
      state.results.push({ type: "return", value });
      recordSettling(value);
      return value;
    } catch (error) {
      state.results.push({ type: "throw", value: error });
      throw error;
    }
  }
  function recordSettling(value: unknown): void {
    const entry: Recorded["settledResults"][number] = { type: "incomplete", value: undefined };
    state.settledResults.push(entry);
    if (!(value instanceof Promise)) {
      Object.assign(entry, { type: "fulfilled", value });
      return;
    }
    value.then(
      (settled) => Object.assign(entry, { type: "fulfilled", value: settled }),
      (error) => Object.assign(entry, { type: "rejected", value: error }),
    );
  }
  const clear = (): void => {
    for (const list of [state.calls, state.contexts, state.instances]) list.length = 0;
    state.invocationCallOrder.length = 0;
    state.results.length = 0;
    state.settledResults.length = 0;
  };
  clearers.add(clear);
  const chain = (change: () => void) => {
    change();
    return mocked;
  };
  return Object.assign(mocked, {
    _isMockFunction: true,
    mock: state,
    getMockName: () => name,
    mockName: (given: string) => chain(() => void (name = given)),
    mockClear: () => chain(clear),
    mockReset: () =>
      chain(() => {
        clear();
        once = [];
        implementation = undefined;
      }),
    mockRestore: () => chain(restore),
    getMockImplementation: () => implementation,
    mockImplementation: (next: Implementation) => chain(() => void (implementation = next)),
    mockImplementationOnce: (next: Implementation) => chain(() => void once.push(next)),
    mockReturnValue: (value: unknown) => chain(() => void (implementation = () => value)),
    mockReturnValueOnce: (value: unknown) => chain(() => void once.push(() => value)),
    mockResolvedValue: (value: unknown) =>
      chain(() => void (implementation = () => Promise.resolve(value))),
    mockResolvedValueOnce: (value: unknown) =>
      chain(() => void once.push(() => Promise.resolve(value))),
    mockRejectedValue: (error: unknown) =>
      chain(() => void (implementation = () => Promise.reject(error))),
    mockRejectedValueOnce: (error: unknown) =>
      chain(() => void once.push(() => Promise.reject(error))),
  });
}

/** A function that remembers its calls; see bun:test. */
export const mock: Any = Object.assign(
  (implementation?: Implementation) => makeMock(implementation, () => {}),
  {
    restore: () => {
      for (const restore of restorers) restore();
    },
    clearAllMocks: () => {
      for (const clear of clearers) clear();
    },
  },
);

/** Replaces a method by a mock that calls through; see bun:test. */
export function spyOn(target: Any, key: PropertyKey): Any {
  const own = Object.getOwnPropertyDescriptor(target, key);
  const original = target[key] as Implementation;
  if (typeof original !== "function") {
    throw new TypeError(`Cannot spy on "${String(key)}" as it must be a function`);
  }
  const restore = (): void => {
    restorers.delete(restore);
    if (own === undefined) delete target[key];
    else Object.defineProperty(target, key, own);
  };
  restorers.add(restore);
  const spy = makeMock(original, restore);
  Object.defineProperty(target, key, {
    value: spy,
    configurable: true,
    writable: true,
    enumerable: own?.enumerable ?? true,
  });
  return spy;
}
