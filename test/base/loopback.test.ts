import { describe, expect, test } from "bun:test";
import { isLoopback } from "../../src/base/loopback.ts";

describe("isLoopback()", () => {
  // transport-http had one of its own that did not know the mapped form: pages could rebind names to such a listener.
  test.each(["localhost", "127.0.0.1", "127.9.0.1", "::1", "::ffff:127.0.0.1"])(
    "takes %s",
    (host) => {
      expect(isLoopback(host)).toBe(true);
    },
  );

  test.each([
    "",
    "0.0.0.0",
    "::",
    "10.0.0.1",
    "128.0.0.1",
    "127.0.0.1.example",
    "localhost.example",
    "::ffff:10.0.0.1",
  ])("refuses %s", (host) => {
    expect(isLoopback(host)).toBe(false);
  });
});
