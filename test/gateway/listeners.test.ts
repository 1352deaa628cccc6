import { describe, expect, test } from "bun:test";
import type { ListenAddress, Listener } from "../../src/contracts/runtime.ts";
import { checkListeners, resolveNumbers } from "../../src/gateway/listener_options.ts";
import { Listeners } from "../../src/gateway/listeners.ts";
import { TestRuntime } from "../support/test_runtime.ts";

function bound(at: ListenAddress, closed: string[]): Listener {
  return {
    host: at.host,
    port: at.port === 0 ? 4711 : at.port,
    close: async () => void closed.push(at.host),
  };
}

describe("Listeners", () => {
  test("advertise what was given, the bound port, and localhost for a wildcard", async () => {
    const host = new TestRuntime();
    const listeners = new Listeners("kafka", host.runtime);
    await listeners.open(
      [
        { name: "a", host: "127.0.0.1", port: 0 },
        { name: "b", host: "0.0.0.0", port: 9 },
        { name: "c", host: "::", port: 9, advertisedHost: "c.example", advertisedPort: 19 },
      ],
      async (at) => bound(at, []),
    );
    expect(
      listeners.endpoints.map((each) => [each.listener, each.advertisedHost, each.advertisedPort]),
    ).toEqual([
      ["a", "127.0.0.1", 4711],
      ["b", "localhost", 9],
      ["c", "c.example", 19],
    ]);
    expect(host.lines.map(({ event, fields }) => [event, fields["listener"]])).toEqual([
      ["advertised_host_is_localhost", "b"],
    ]);
  });

  test("are all open or none", async () => {
    const closed: string[] = [];
    const listeners = new Listeners("kafka", new TestRuntime().runtime);
    const opening = listeners.open(
      [
        { name: "a", host: "127.0.0.1", port: 1 },
        { name: "b", host: "127.0.0.2", port: 1 },
      ],
      async (at) => {
        if (at.host === "127.0.0.2") throw new Error("in use");
        return bound(at, closed);
      },
    );
    await expect(opening).rejects.toThrow("in use");
    expect(closed).toEqual(["127.0.0.1"]);
  });
});

describe("options of listeners", () => {
  test("names are unique, ports are ports", () => {
    const one = { name: "a", host: "127.0.0.1", port: 0 };
    expect(() => checkListeners([one, one])).toThrow('two listeners "a"');
    expect(() => checkListeners([{ ...one, port: 65_536 }])).toThrow('port of listener "a"');
    expect(() => checkListeners([{ ...one, advertisedPort: 0 }])).toThrow("advertisedPort");
    checkListeners([one, { ...one, name: "b", port: 65_535, advertisedPort: 1 }]);
  });

  test("numbers are within their bounds, both included", () => {
    const table = { sizeBytes: [1, 3, 2] } as const;
    expect(resolveNumbers(table, {})).toEqual({ sizeBytes: 2 });
    expect(resolveNumbers(table, { sizeBytes: 3 })).toEqual({ sizeBytes: 3 });
    for (const sizeBytes of [0, 4, 1.5, Number.NaN]) {
      expect(() => resolveNumbers(table, { sizeBytes })).toThrow(
        "sizeBytes must be a whole number",
      );
    }
  });
});
