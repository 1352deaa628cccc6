// Flags, variables and addresses: what is read, and what is refused by name.

import { describe, expect, test } from "bun:test";
import { isLoopback, parseAddress, parseListeners } from "../../src/config/addresses.ts";
import { readEnvironment, readFlags } from "../../src/config/layers.ts";
import { nearestKey } from "../../src/config/nearest_key.ts";

describe("readFlags()", () => {
  test("reads values after a space or an equals sign, and settings as often as they come", () => {
    const flags = readFlags([
      "--data",
      "/d",
      "--kafka=127.0.0.1:0",
      "-o",
      "num.partitions=3",
      "--option",
      "x=a=b",
      "--insecure",
      "--log-level",
      "debug",
    ]);
    expect(flags).toMatchObject({
      data: "/d",
      kafka: "127.0.0.1:0",
      logLevel: "debug",
      insecure: true,
      settings: { "num.partitions": "3", x: "a=b" },
      help: false,
      version: false,
    });
    expect(flags.given.get("settings.num.partitions")).toBe("-o num.partitions");
    expect(readFlags([]).insecure).toBeUndefined();
    expect(readFlags(["-h"]).help).toBe(true);
    expect(readFlags(["--version"]).version).toBe(true);
  });

  test("refuses what it does not know, with the nearest that it does", () => {
    expect(() => readFlags(["--dta", "x"])).toThrow('Unknown flag "--dta": did you mean "--data"');
    expect(() => readFlags(["hello"])).toThrow('Unexpected word "hello"');
    expect(() => readFlags(["--data"])).toThrow("The flag --data lacks its value");
    expect(() => readFlags(["--data", ""])).toThrow("The flag --data lacks its value");
    expect(() => readFlags(["--cluster-id="])).toThrow("The flag --cluster-id lacks its value");
    expect(() => readFlags(["-o", "num.partitions"])).toThrow("-o takes KEY=VALUE");
    expect(() => readFlags(["--insecure=yes"])).toThrow("Unknown flag");
  });
});

describe("readEnvironment()", () => {
  test("reads its own variables and settings, and names strangers in a warning", () => {
    const layer = readEnvironment({
      PATH: "/bin",
      MILLRACE_DATA: "/d",
      MILLRACE_SETTING_LOG_SEGMENT_BYTES: "1048576",
      MILLRACE_INSECURE: "1",
      MILLRACE_DATTA: "x",
      MILLRACE_RACK: "",
    });
    expect(layer).toMatchObject({
      data: "/d",
      insecure: true,
      settings: { "log.segment.bytes": "1048576" },
    });
    expect(layer.rack).toBeUndefined();
    expect(layer.warnings).toEqual([
      'Unknown variable MILLRACE_DATTA: did you mean "MILLRACE_DATA"',
    ]);
    expect(() => readEnvironment({ MILLRACE_INSECURE: "maybe" })).toThrow("must be true or false");
  });
});

describe("addresses", () => {
  test("parseAddress() takes names, both families and the wildcard", () => {
    expect(parseAddress("localhost:9092")).toEqual({ host: "localhost", port: 9092 });
    expect(parseAddress("[::1]:0")).toEqual({ host: "::1", port: 0 });
    expect(parseAddress(":9092")).toEqual({ host: "0.0.0.0", port: 9092 });
    for (const wrong of ["9092", "a:b", "a:65536", "::1:9092", "a b:1", "", "http://a:1"]) {
      expect(parseAddress(wrong)).toBeNull();
    }
  });

  test("parseListeners() takes Kafka's lists, each name once", () => {
    expect(parseListeners("A://:1, B://[::1]:2")).toEqual([
      { name: "A", host: "0.0.0.0", port: 1 },
      { name: "B", host: "::1", port: 2 },
    ]);
    for (const wrong of ["a:1", "A://x", "A://x:1,a://y:2", ""]) {
      expect(parseListeners(wrong)).toBeNull();
    }
  });

  test("isLoopback() knows what only this machine can reach", () => {
    for (const host of ["localhost", "127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"]) {
      expect(isLoopback(host)).toBe(true);
    }
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.evil.example", "1270.0.0.1"]) {
      expect(isLoopback(host)).toBe(false);
    }
  });
});

test("nearestKey() finds a slip of the hand, and nothing for a stranger", () => {
  expect(nearestKey("tranports", ["transports", "topics"])).toBe("transports");
  expect(nearestKey("lsiten", ["listen", "listeners"])).toBe("listen");
  expect(nearestKey("zebra", ["transports", "topics"])).toBeNull();
});
