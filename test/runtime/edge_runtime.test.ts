// The edge's runtime where it runs as well, beside the host's own: equal hashes, equal codecs, owned tasks.
// That it needs nothing of Bun, Deno or Node is shown in real workerd, by test/hosts/workerd.

import { describe, expect, test } from "bun:test";
import { NetworkError } from "../../src/contracts/errors.ts";
import { CompressionError } from "../../src/record/compression.ts";
import { hostCompression } from "../../src/runtime/compression.ts";
import { hostCryptography } from "../../src/runtime/cryptography.ts";
import { edgeRuntime } from "../../src/runtime/edge_runtime.ts";

const bytes = (size: number, step: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, at) => (at * step + 7) & 0xff);
const hashes = ["SHA-256", "SHA-512"] as const;

describe("cryptography", () => {
  const { crypto } = edgeRuntime().runtime;

  test("hashes as node:crypto does, at every length around a block", () => {
    for (const hash of hashes) {
      for (const size of [0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 1000]) {
        const data = bytes(size, 31);
        const key = bytes(size, 17);
        expect(crypto.digest(hash, data)).toEqual(hostCryptography.digest(hash, data));
        expect(crypto.hmac(hash, key, data)).toEqual(hostCryptography.hmac(hash, key, data));
      }
    }
  });

  test("derives the keys of SCRAM", () => {
    for (const hash of hashes) {
      const [password, salt] = [bytes(12, 5), bytes(16, 3)];
      expect(crypto.pbkdf2(hash, password, salt, 4096)).toEqual(
        hostCryptography.pbkdf2(hash, password, salt, 4096),
      );
    }
  });

  test("compares", () => {
    expect(crypto.timingSafeEqual(bytes(32, 9), bytes(32, 9))).toBe(true);
    expect(crypto.timingSafeEqual(bytes(32, 9), bytes(32, 11))).toBe(false);
    expect(crypto.timingSafeEqual(bytes(32, 9), bytes(31, 9))).toBe(false);
    expect(crypto.timingSafeEqual(bytes(0, 1), bytes(0, 1))).toBe(true);
  });
});

describe("compression", () => {
  const { compression } = edgeRuntime().runtime;
  const data = bytes(10_000, 1);

  test("snappy and lz4 are there, and the host reads them", () => {
    for (const codec of ["snappy", "lz4"] as const) {
      const packed = compression.compress(codec, data);
      expect(packed.length).toBeLessThan(data.length);
      expect(hostCompression.decompress(codec, packed, data.length)).toEqual(data);
      expect(compression.decompress(codec, packed, data.length)).toEqual(data);
    }
  });

  test("gzip and zstd are unsupported, not corrupt", () => {
    for (const codec of ["gzip", "zstd"] as const) {
      const packed = hostCompression.compress(codec, data);
      for (const attempt of [
        () => compression.decompress(codec, packed, data.length),
        () => compression.compress(codec, data),
      ]) {
        let thrown: unknown;
        try {
          attempt();
        } catch (error) {
          thrown = error;
        }
        expect(thrown).toBeInstanceOf(CompressionError);
        expect((thrown as CompressionError).code).toBe("unsupported");
      }
    }
  });

  test("takes another's codecs", () => {
    expect(edgeRuntime({ compression: hostCompression }).runtime.compression).toBe(hostCompression);
  });
});

describe("time and tasks", () => {
  test("the clock goes on where the wall's is set back", () => {
    const real = Date.now;
    try {
      let nowMs = 5_000_000;
      Date.now = () => nowMs;
      const { clock } = edgeRuntime().runtime;
      expect(clock.monotonicMs()).toBe(5_000_000);
      nowMs -= 3_600_000;
      expect(clock.monotonicMs()).toBe(5_000_000);
      nowMs += 20;
      expect(clock.monotonicMs()).toBe(5_000_020);
      expect(clock.wallMs()).toBe(nowMs);
    } finally {
      Date.now = real;
    }
  });

  test("timers fire no earlier than asked, and not once cancelled", async () => {
    const { clock, scheduler } = edgeRuntime().runtime;
    const startMs = clock.monotonicMs();
    let cancelledRan = false;
    scheduler.after(1, "cancelled", () => (cancelledRan = true)).cancel();
    await new Promise<void>((resolve) => scheduler.after(15, "test", resolve));
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(15);
    expect(cancelledRan).toBe(false);
    await scheduler.yieldNow();
  });

  test("the host is kept awake for a task, and its failure is told once", async () => {
    const kept: Promise<void>[] = [];
    const lines: string[] = [];
    const edge = edgeRuntime({
      waitUntil: (task) => void kept.push(task),
      log: (line) => void lines.push(line),
      logFields: { object: "o1" },
    });
    edge.runtime.scheduler.spawn("good", async () => {});
    edge.runtime.scheduler.spawn("bad", async () => {
      throw new Error("broken");
    });
    expect(kept.length).toBe(2);
    await Promise.all(kept);
    expect(await edge.failed).toBe('Task "bad" failed: broken');
    await edge.stop(1_000);
    expect(lines.length).toBe(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: "error",
      event: "task_failed",
      object: "o1",
      task: "bad",
      error: "broken",
    });
  });

  test("a task left over is named", async () => {
    const lines: string[] = [];
    const edge = edgeRuntime({ log: (line) => void lines.push(line) });
    let end: () => void = () => {};
    edge.runtime.scheduler.spawn("slow", () => new Promise<void>((resolve) => (end = resolve)));
    await edge.stop(5);
    end();
    expect(JSON.parse(lines[0]!)).toMatchObject({ event: "tasks_left_over", tasks: "slow" });
  });
});

describe("log and network", () => {
  test("a level that is off writes nothing; children keep their fields", () => {
    const lines: [string, string][] = [];
    const { log } = edgeRuntime({
      logLevel: "warn",
      log: (line, level) => void lines.push([level, line]),
    }).runtime;
    log.info("quiet");
    log.child({ topic: "t" }).warn("loud", { big: 12n, gone: undefined });
    expect(lines.length).toBe(1);
    expect(lines[0]![0]).toBe("warn");
    expect(JSON.parse(lines[0]![1])).toMatchObject({ event: "loud", topic: "t", big: "12" });
    expect(lines[0]![1].endsWith("}")).toBe(true);
  });

  test("opens no port and no connection", async () => {
    const { network } = edgeRuntime().runtime;
    const at = { host: "127.0.0.1", port: 0 };
    for (const refused of [
      network.listen(at, () => {}),
      network.connect({ ...at, port: 9092, timeoutMs: 10 }),
    ]) {
      const error = await refused.then(
        () => null,
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(NetworkError);
      expect((error as NetworkError).code).toBe("denied");
    }
  });
});
