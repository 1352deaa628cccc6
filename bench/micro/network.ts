// What Network costs on this host: receiving, sending and echoing over loopback, for the host's own
// sockets and for node:net, each server in a process of its own (Bun and Deno), the same client for all.
//   bun bench/micro/network.ts [ROUNDS]
// Prints a Markdown table of medians.

import { spawn } from "node:child_process";
import process from "node:process";
import { answerHelp } from "../../scripts/usage.ts";
import type { Connection, Network } from "../../src/contracts/runtime.ts";
import { hostNetwork } from "../../src/runtime/network.ts";
import { nodeNetwork } from "../../src/runtime/node_network.ts";

answerHelp(import.meta.url);

const TRAFFIC_BYTES = 512 * 1024 * 1024;
const ECHOES = 20_000;
const ECHO_CONNECTIONS = 32;

if (process.argv[2] === "serve")
  await serve(process.argv[3] === "node" ? nodeNetwork() : hostNetwork());
else await compare(Number(process.argv[2] ?? 3));

async function serve(network: Network): Promise<void> {
  const listener = await network.listen({ host: "127.0.0.1", port: 0 }, (connection) => {
    void answer(connection).catch(() => connection.close());
  });
  console.log(listener.port);
}

/** The first byte says what: "s" sinks, "l" and "t" send large and tiny replies, "e" echoes. */
async function answer(connection: Connection): Promise<void> {
  let chunk = await connection.read();
  if (chunk === null) return;
  const kind = String.fromCharCode(chunk[0]!);
  if (kind === "e") {
    chunk = chunk.subarray(1);
    for (; chunk !== null; chunk = await connection.read()) await connection.write([chunk]);
  } else if (kind === "s") {
    let sizeBytes = -1;
    for (; chunk !== null; chunk = await connection.read()) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes === TRAFFIC_BYTES) await connection.write([cpu()]);
    }
  } else {
    const header = new Uint8Array(100);
    const body = new Uint8Array(kind === "l" ? 128 * 1024 - 100 : 924);
    const reply =
      kind === "l" ? [header, body] : Array.from({ length: 32 }, () => [header, body]).flat();
    const replyBytes = reply.reduce((sum, part) => sum + part.byteLength, 0);
    for (let sent = 0; sent < TRAFFIC_BYTES; sent += replyBytes) await connection.write(reply);
    await connection.write([cpu()]);
  }
  connection.close();
}

/** Process CPU so far in microseconds and resident memory in KiB, as 16 bytes. */
function cpu(): Uint8Array {
  const { user, system } = process.cpuUsage();
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setFloat64(0, user + system);
  view.setFloat64(8, process.memoryUsage().rss / 1024);
  return bytes;
}

interface Figures {
  sinkMbS: number;
  largeMbS: number;
  tinyMbS: number;
  echoP50Us: number;
  echoP99Us: number;
  cpuSGb: number;
  rssMb: number;
}

async function measure(port: number): Promise<Figures> {
  const network = hostNetwork();
  const open = () => network.connect({ host: "127.0.0.1", port, timeoutMs: 5_000 });
  const before = await traffic(await open(), "s");
  const large = await traffic(await open(), "l");
  const tiny = await traffic(await open(), "t");
  const times: number[] = [];
  await Promise.all(
    Array.from({ length: ECHO_CONNECTIONS }, async () => {
      const connection = await open();
      await connection.write([new Uint8Array([101])]);
      const ping = new Uint8Array(100);
      for (let at = 0; at < ECHOES / ECHO_CONNECTIONS; at++) {
        const start = performance.now();
        await connection.write([ping]);
        for (let got = 0; got < ping.byteLength; ) got += (await connection.read())!.byteLength;
        times.push((performance.now() - start) * 1_000);
      }
      connection.close();
    }),
  );
  times.sort((a, b) => a - b);
  const gigabytes = (2 * TRAFFIC_BYTES) / 1e9;
  return {
    sinkMbS: before.mbS,
    largeMbS: large.mbS,
    tinyMbS: tiny.mbS,
    echoP50Us: times[times.length >> 1]!,
    echoP99Us: times[Math.floor(times.length * 0.99)]!,
    cpuSGb: (tiny.cpuUs - before.cpuUs) / 1e6 / gigabytes,
    rssMb: tiny.rssMb,
  };
}

async function traffic(connection: Connection, kind: "s" | "l" | "t") {
  const start = performance.now();
  let tail = new Uint8Array(0);
  if (kind === "s") {
    const chunk = new Uint8Array(64 * 1024).fill(115);
    await connection.write([new Uint8Array([115])]);
    for (let sent = 0; sent < TRAFFIC_BYTES; sent += chunk.byteLength)
      await connection.write([chunk]);
    tail = (await connection.read()) as Uint8Array<ArrayBuffer>;
  } else {
    await connection.write([new Uint8Array([kind.charCodeAt(0)])]);
    let last: Uint8Array | null = null;
    for (let chunk = await connection.read(); chunk !== null; chunk = await connection.read()) {
      last = chunk.byteLength >= 16 || last === null ? chunk : joined(last, chunk);
    }
    tail = last as Uint8Array<ArrayBuffer>;
  }
  const seconds = (performance.now() - start) / 1_000;
  connection.close();
  const view = new DataView(tail.buffer, tail.byteOffset + tail.byteLength - 16, 16);
  return {
    mbS: TRAFFIC_BYTES / 1e6 / seconds,
    cpuUs: view.getFloat64(0),
    rssMb: view.getFloat64(8) / 1024,
  };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.byteLength + b.byteLength);
  whole.set(a);
  whole.set(b, a.byteLength);
  return whole;
}

async function compare(rounds: number): Promise<void> {
  const servers: [string, string[]][] = [
    ["Bun own", ["bun", "run", import.meta.filename, "serve", "host"]],
    ["Bun node:net", ["bun", "run", import.meta.filename, "serve", "node"]],
    ["Deno own", ["deno", "run", "-A", import.meta.filename, "serve", "host"]],
    ["Deno node:net", ["deno", "run", "-A", import.meta.filename, "serve", "node"]],
  ];
  const all = new Map<string, Figures[]>(servers.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, [program, ...args]] of servers) {
      const child = spawn(program!, args, { stdio: ["ignore", "pipe", "inherit"] });
      const port = await new Promise<number>((resolve) =>
        child.stdout.once("data", (text) => resolve(Number(String(text)))),
      );
      all.get(name)!.push(await measure(port));
      child.kill("SIGKILL");
    }
  }
  const columns: (keyof Figures)[] = [
    "sinkMbS",
    "largeMbS",
    "tinyMbS",
    "echoP50Us",
    "echoP99Us",
    "cpuSGb",
    "rssMb",
  ];
  console.log(
    "| server | receive MB/s | send 128 KiB MB/s | send 32×1 KiB MB/s | echo p50 µs | p99 µs | send CPU s/GB | RSS MB |",
  );
  console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
  for (const [name, figures] of all) {
    const cells = columns.map((column) => {
      const sorted = figures.map((each) => each[column]).sort((a, b) => a - b);
      const median = sorted[sorted.length >> 1]!;
      return median < 10 ? median.toFixed(2) : Math.round(median).toLocaleString("en");
    });
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
  process.exit(0);
}
