// Clock, scheduler, randomness, cryptography and log lines of the host.

import { describe, expect, test } from "bun:test";
import { configure, reset } from "@logtape/logtape";
import { hostRuntime } from "../../src/runtime/host_runtime.ts";
import { HostLog } from "../../src/runtime/logger.ts";

function quiet() {
  const lines: string[] = [];
  const host = hostRuntime({
    log: { level: "debug", format: "json", write: (text) => lines.push(text) },
  });
  return { ...host, lines: () => lines.join("").split("\n").filter(Boolean) };
}

describe("scheduler", () => {
  test("after() never fires early, and in order of its delays", async () => {
    const { runtime } = quiet();
    const { clock, scheduler } = runtime;
    const fired: number[] = [];
    await Promise.all(
      [12, 3, 7, 0, 1.5].map(
        (delayMs) =>
          new Promise<void>((resolve) => {
            const startMs = clock.monotonicMs();
            scheduler.after(delayMs, "test", () => {
              expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(delayMs);
              fired.push(delayMs);
              resolve();
            });
          }),
      ),
    );
    expect(fired).toEqual([0, 1.5, 3, 7, 12]);
  });

  test("yieldNow() calls the host's setImmediate as nobody's method", async () => {
    // workerd's refused to be called on the scheduler: "Illegal invocation", at the first request in process.
    const own = globalThis.setImmediate;
    const seen: unknown[] = [];
    try {
      globalThis.setImmediate = function (this: unknown, task: () => void) {
        seen.push(this);
        return own(task);
      } as typeof setImmediate;
      await quiet().runtime.scheduler.yieldNow();
    } finally {
      globalThis.setImmediate = own;
    }
    expect(seen).toHaveLength(1);
    expect([undefined, globalThis]).toContain(seen[0] as never);
  });

  test("after() takes delays beyond 2^31 ms, and a cancelled timer stays silent", async () => {
    const { runtime } = quiet();
    let fired = 0;
    const long = runtime.scheduler.after(2 ** 40, "long", () => fired++);
    const short = runtime.scheduler.after(1, "short", () => fired++);
    short.cancel();
    short.cancel();
    await new Promise<void>((resolve) => runtime.scheduler.after(10, "later", resolve));
    long.cancel();
    expect(fired).toBe(0);
  });

  test("stop() waits for spawned tasks, also for those that they spawn", async () => {
    const { runtime, stop } = quiet();
    const ended: string[] = [];
    runtime.scheduler.spawn("outer", async () => {
      await runtime.scheduler.yieldNow();
      runtime.scheduler.spawn("inner", async () => {
        await runtime.scheduler.yieldNow();
        ended.push("inner");
      });
      ended.push("outer");
    });
    await stop(5_000);
    expect(ended).toEqual(["outer", "inner"]);
  });

  test("stop() names the tasks that did not end in time", async () => {
    const { runtime, stop, lines } = quiet();
    runtime.scheduler.spawn("endless", () => new Promise<void>(() => {}));
    await stop(5);
    expect(JSON.parse(lines()[0]!)).toMatchObject({
      level: "warn",
      event: "tasks_left_over",
      tasks: "endless",
    });
  });

  test("a failed task, or a timer that throws, is logged and stops the broker", async () => {
    const { runtime, failed, stop, lines } = quiet();
    runtime.scheduler.spawn("flusher", async () => {
      await runtime.scheduler.yieldNow();
      throw new Error("disk gone");
    });
    expect(await failed).toBe('Task "flusher" failed: disk gone');
    await stop(100);
    expect(JSON.parse(lines()[0]!)).toMatchObject({
      level: "error",
      event: "task_failed",
      task: "flusher",
      error: "disk gone",
    });
    const second = quiet();
    second.runtime.scheduler.after(0, "tick", () => {
      throw new Error("no");
    });
    expect(await second.failed).toBe('Task "tick" failed: no');
  });

  test("yieldNow() lets timers and I/O go first", async () => {
    const { runtime } = quiet();
    let timerFired = false;
    runtime.scheduler.after(0, "tick", () => {
      timerFired = true;
    });
    for (let turn = 0; turn < 10_000 && !timerFired; turn++) await runtime.scheduler.yieldNow();
    expect(timerFired).toBe(true);
  });
});

describe("random", () => {
  test("draws whole 32-bit words, fills any length, and forks do not repeat one another", () => {
    const { random } = quiet().runtime;
    let ones = 0;
    let zeros = 0;
    for (let draw = 0; draw < 1_000; draw++) {
      const word = random.uint32();
      expect(Number.isInteger(word) && word >= 0 && word < 2 ** 32).toBe(true);
      ones |= word;
      zeros |= ~word;
    }
    expect(ones).toBe(-1);
    expect(zeros).toBe(-1);
    const target = new Uint8Array(200_003);
    expect(random.fill(target)).toBe(target);
    expect(target.subarray(-16).some((byte) => byte !== 0)).toBe(true);
    const draws = new Set([random.fork("a").uint32(), random.fork("a").uint32(), random.uint32()]);
    expect(draws.size).toBe(3);
  });
});

describe("cryptography", () => {
  const { crypto } = quiet().runtime;
  const utf8 = new TextEncoder();
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

  test("agrees with published vectors", () => {
    // FIPS 180-2 "abc", RFC 4231 case 2, RFC 7677's salted password (PBKDF2-HMAC-SHA-256).
    expect(hex(crypto.digest("SHA-256", utf8.encode("abc")))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    expect(
      hex(crypto.hmac("SHA-256", utf8.encode("Jefe"), utf8.encode("what do ya want for nothing?"))),
    ).toBe("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    const salted = crypto.pbkdf2(
      "SHA-256",
      utf8.encode("pencil"),
      new Uint8Array(Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64")),
      4096,
    );
    expect(Buffer.from(salted).toString("base64")).toBe(
      "xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0=",
    );
    expect(crypto.digest("SHA-512", new Uint8Array()).byteLength).toBe(64);
    expect(crypto.pbkdf2("SHA-512", utf8.encode("a"), utf8.encode("b"), 1).byteLength).toBe(64);
  });

  test("timingSafeEqual() answers false for different lengths", () => {
    expect(crypto.timingSafeEqual(utf8.encode("abc"), utf8.encode("abc"))).toBe(true);
    expect(crypto.timingSafeEqual(utf8.encode("abc"), utf8.encode("abd"))).toBe(false);
    expect(crypto.timingSafeEqual(utf8.encode("abc"), utf8.encode("ab"))).toBe(false);
  });
});

describe("log", () => {
  test("events before and after the start is over come out once, in order, with their fields", async () => {
    let text = "";
    const log = new HostLog({ format: "json", write: (more) => (text += more) });
    log.logger.debug("not_shown");
    log.logger.info("first", { port: 9092 });
    await log.load();
    log.logger.child({ broker: 1 }).warn("second", { at: 12n, why: 'a "quote"\nand a line' });
    log.flush();
    const events = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events).toMatchObject([
      { level: "info", event: "first", port: 9092 },
      { level: "warn", event: "second", broker: 1, at: "12", why: 'a "quote"\nand a line' },
    ]);
    expect(new Date(events[0].time).getTime()).toBeGreaterThan(Date.now() - 60_000);
  });

  test("flush() writes what waits, and writes it once", async () => {
    let text = "";
    const log = new HostLog({ format: "text", write: (more) => (text += more) });
    log.logger.error("broker_failed", { why: "no space left", partition: 3 });
    log.flush();
    expect(text).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} error broker_failed why="no space left" partition=3\n$/,
    );
    await log.load();
    log.flush();
    expect(text.split("\n").length).toBe(2);
  });

  test("where the program configures LogTape, events go to its category, and no line is written", async () => {
    let text = "";
    const seen: [string, unknown][] = [];
    await configure({
      reset: true,
      sinks: { test: (record) => seen.push([String(record.rawMessage), record.properties]) },
      loggers: [
        { category: ["millrace"], lowestLevel: "debug", sinks: ["test"] },
        { category: ["logtape", "meta"], lowestLevel: "warning", sinks: [] },
      ],
    });
    try {
      const log = new HostLog({ configure: false, write: (more) => (text += more) });
      log.logger.info("before", { port: 1 });
      await log.load();
      log.logger.warn("after", { port: 2 });
      log.flush();
    } finally {
      await reset();
    }
    expect(seen).toEqual([
      ["before", { port: 1 }],
      ["after", { port: 2 }],
    ]);
    expect(text).toBe("");
  });

  test("a threshold silences what is below it", async () => {
    let text = "";
    const log = new HostLog({ level: "error", format: "json", write: (more) => (text += more) });
    log.logger.warn("hidden");
    log.logger.error("shown");
    await log.load();
    log.flush();
    expect(text.trim().split("\n").length).toBe(1);
    expect(text).toContain('"shown"');
  });
});
