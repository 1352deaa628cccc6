// The promises of Network and Connection, over the host's own sockets and over node:net: whole and
// ordered bytes, back-pressure both ways, half-close, resets, and errors that name the fix.

import { afterEach, describe, expect, test } from "bun:test";
import { NetworkError } from "../../src/contracts/errors.ts";
import type { Connection, Listener, Network } from "../../src/contracts/runtime.ts";
import { hostNetwork } from "../../src/runtime/network.ts";
import { nodeNetwork } from "../../src/runtime/node_network.ts";
import { TEST_CERTIFICATE_PEM, TEST_PRIVATE_KEY_PEM } from "./test_certificate.ts";

const networks: [string, Network][] = [
  ["host", hostNetwork()],
  ["node", nodeNetwork()],
];

describe.each(networks)("%s network", (_name, network) => {
  const open: (Connection | Listener)[] = [];
  afterEach(async () => {
    for (const each of open.splice(0)) await each.close();
  });

  async function pair(): Promise<{ client: Connection; server: Connection; listener: Listener }> {
    let accepted: (connection: Connection) => void = () => {};
    const server = new Promise<Connection>((resolve) => {
      accepted = resolve;
    });
    const listener = await network.listen({ host: "127.0.0.1", port: 0 }, accepted);
    const to = { host: "127.0.0.1", port: listener.port, timeoutMs: 5_000 };
    const ends = { client: await network.connect(to), server: await server, listener };
    open.push(ends.client, ends.server, listener);
    return ends;
  }

  test("listen() binds a free port for 0 and tells it", async () => {
    const { listener, client, server } = await pair();
    expect(listener.host).toBe("127.0.0.1");
    expect(listener.port).toBeGreaterThan(0);
    expect(client.remote).toEqual({ host: "127.0.0.1", port: listener.port });
    expect(server.remote.host).toBe("127.0.0.1");
    expect(server.remote.port).toBeGreaterThan(0);
    expect(server.tls).toBeNull();
  });

  test("write() sends chunks of every size back to back, and read() gives them in order", async () => {
    const { client, server } = await pair();
    const sizes = [0, 1, 4, 100, 16_383, 0, 16_384, 3, 70_000, 8, 8, 400_000, 15_000, 60_000, 1, 0];
    const chunks = sizes.map((sizeBytes, at) => pattern(sizeBytes, at));
    const rounds = 20;
    const sent = (async () => {
      for (let round = 0; round < rounds; round++) await client.write(chunks);
    })();
    const whole = concat(chunks);
    const received = await readBytes(server, whole.byteLength * rounds);
    await sent;
    for (let round = 0; round < rounds; round++) {
      const part = received.subarray(round * whole.byteLength, (round + 1) * whole.byteLength);
      expect(equal(part, whole)).toBe(true);
    }
  });

  test("chunks that read() gave stay as they are while more is read", async () => {
    const { client, server } = await pair();
    const kept: Uint8Array[] = [];
    const reading = (async () => {
      for (;;) {
        const chunk = await server.read();
        if (chunk === null) return;
        kept.push(chunk);
      }
    })();
    const parts: Uint8Array[] = [];
    for (let at = 0; at < 300; at++) {
      const part = pattern(1 + ((at * 7_919) % 30_000), at);
      parts.push(part);
      await client.write([part]);
    }
    client.close();
    await reading;
    expect(equal(concat(kept), concat(parts))).toBe(true);
  });

  test("chunks that were kept stay as they are while others are recycled", async () => {
    const { client, server } = await pair();
    const parts: Uint8Array[] = [];
    for (let at = 0; at < 200; at++) parts.push(pattern(1 + ((at * 104_729) % 150_000), at));
    const whole = concat(parts);
    const sent = (async () => {
      for (const part of parts) await client.write([part]);
      client.close();
    })();
    const kept: { readonly chunk: Uint8Array; readonly at: number }[] = [];
    let at = 0;
    for (let count = 0; ; count++) {
      const chunk = await server.read();
      if (chunk === null) break;
      const { byteLength } = chunk;
      expect(equal(chunk, whole.subarray(at, at + byteLength))).toBe(true);
      if (count % 3 === 0) kept.push({ chunk, at });
      else server.recycle?.(chunk);
      at += byteLength;
    }
    await sent;
    expect(at).toBe(whole.byteLength);
    for (const { chunk, at } of kept) {
      expect(equal(chunk, whole.subarray(at, at + chunk.byteLength))).toBe(true);
    }
    for (const { chunk } of kept.reverse()) server.recycle?.(chunk);
  });

  test("chunks given to write() may be reused once it resolved", async () => {
    const { client, server } = await pair();
    const rounds = 400;
    const chunk = new Uint8Array(20_000);
    const small = new Uint8Array(64);
    const reading = readBytes(server, rounds * (chunk.byteLength + small.byteLength));
    for (let round = 0; round < rounds; round++) {
      chunk.fill(round);
      small.fill(round + 1);
      await client.write([small, chunk]);
    }
    const received = await reading;
    for (let round = 0; round < rounds; round++) {
      const start = round * (chunk.byteLength + small.byteLength);
      expect(received[start]).toBe((round + 1) & 255);
      expect(received[start + 63]).toBe((round + 1) & 255);
      expect(received[start + 64]).toBe(round & 255);
      expect(received[start + 20_063]).toBe(round & 255);
    }
  });

  test("a peer that does not read holds write() back, and one that is not read is held back", async () => {
    const { client, server } = await pair();
    const chunk = pattern(256 * 1024, 1);
    const chunks = 128;
    let taken = 0;
    let progress: () => void = () => {};
    const sending = (async () => {
      for (let at = 0; at < chunks; at++) {
        await client.write([chunk]);
        taken++;
        progress();
      }
    })();
    // Nobody reads: the kernel's buffers fill (a few MB on loopback), then writes stop resolving.
    await settled(
      () => taken,
      (wake) => (progress = wake),
    );
    const held = taken;
    expect(held).toBeLessThan(chunks / 2);
    const received = await readBytes(server, chunk.byteLength * chunks);
    await sending;
    expect(taken).toBe(chunks);
    for (let at = 0; at < chunks; at++) {
      const start = at * chunk.byteLength;
      expect(equal(received.subarray(start, start + chunk.byteLength), chunk)).toBe(true);
    }
  });

  test("close() ends the peer's reads with null after the last byte, and its own at once", async () => {
    const { client, server } = await pair();
    const own = client.read();
    await client.write([pattern(100_000, 5)]);
    client.close("done");
    client.close("again");
    expect(await own).toBeNull();
    expect(await client.read()).toBeNull();
    expect(equal(await readBytes(server, 100_000), pattern(100_000, 5))).toBe(true);
    expect(await server.read()).toBeNull();
    await expect(client.write([new Uint8Array(1)])).rejects.toMatchObject({
      name: "NetworkError",
      code: "closed",
    });
  });

  test("bytes written just before close() arrive although the peer goes on sending", async () => {
    const { client, server } = await pair();
    const flood = (async () => {
      const chunk = pattern(64 * 1024, 2);
      try {
        for (;;) await client.write([chunk]);
      } catch (error) {
        return error;
      }
    })();
    expect(await server.read()).not.toBeNull();
    await server.write([pattern(5_000, 9)]);
    server.close("refused");
    expect(equal(await readBytes(client, 5_000), pattern(5_000, 9))).toBe(true);
    expect(await client.read()).toBeNull();
    client.close();
    expect(await flood).toBeInstanceOf(NetworkError);
  });

  test("a pending write() rejects when its connection is closed", async () => {
    const { client } = await pair();
    const stuck = (async () => {
      for (;;) await client.write([new Uint8Array(1024 * 1024)]);
    })();
    await client.write([]).catch(() => {});
    setTimeout(() => client.close(), 20);
    await expect(stuck).rejects.toMatchObject({ code: "closed" });
  });

  test("a peer that ended may still be answered", async () => {
    const { server, listener } = await pair();
    server.close();
    const { connect } = await import("node:net");
    const accepted = new Promise<Connection>((resolve) => {
      void network.listen({ host: "127.0.0.1", port: 0 }, resolve).then((second) => {
        open.push(second);
        const socket = connect({ host: "127.0.0.1", port: second.port, allowHalfOpen: true });
        socket.on("error", () => {});
        let text = "";
        socket.on("data", (chunk) => (text += chunk));
        answer = new Promise((done) => socket.on("end", () => done(text)));
        socket.end("question");
      });
    });
    let answer: Promise<string> = Promise.resolve("");
    const connection = await accepted;
    expect(listener.port).toBeGreaterThan(0);
    expect(new TextDecoder().decode(await readBytes(connection, 8))).toBe("question");
    expect(await connection.read()).toBeNull();
    await connection.write([new TextEncoder().encode("answer")]);
    connection.close();
    expect(await answer).toBe("answer");
  });

  test("a reset makes reads and writes reject with code reset", async () => {
    const { connect } = await import("node:net");
    const accepted = Promise.withResolvers<Connection>();
    const listener = await network.listen({ host: "127.0.0.1", port: 0 }, accepted.resolve);
    open.push(listener);
    const socket = connect({ host: "127.0.0.1", port: listener.port });
    socket.on("error", () => {});
    const connected = new Promise<void>((resolve) => socket.on("connect", resolve));
    const connection = await accepted.promise;
    open.push(connection);
    await connected; // Before it, Deno's node:net would only end the connection.
    const reading = connection.read().then(
      (chunk) => ({ chunk, code: "" }),
      (error: NetworkError) => ({ chunk: null, code: error.code }),
    );
    socket.resetAndDestroy();
    const first = await reading;
    const writes = (async () => {
      for (let at = 0; at < 1_000; at++) await connection.write([new Uint8Array(100_000)]);
    })();
    await expect(writes).rejects.toMatchObject({ name: "NetworkError", code: "reset" });
    expect(first).toEqual({ chunk: null, code: "reset" });
  });

  test("listen() on a taken port names the port and the fix", async () => {
    const { listener } = await pair();
    const again = network.listen({ host: "127.0.0.1", port: listener.port }, () => {});
    const error = (await again.then(
      () => null,
      (reason) => reason,
    )) as NetworkError;
    expect(error).toBeInstanceOf(NetworkError);
    expect(error.code).toBe("in_use");
    expect(error.message).toContain(`127.0.0.1:${listener.port}`);
    expect(error.message).toContain("another port");
  });

  test("listen() on a name that nobody knows asks for another", async () => {
    const listening = network.listen({ host: "no.such.host.invalid", port: 0 }, () => {});
    const error = (await listening.then(
      () => null,
      (reason) => reason,
    )) as NetworkError;
    expect(error).toBeInstanceOf(NetworkError);
    expect(error.message).toContain('is "no.such.host.invalid" a name of this machine?');
    expect(error.message).toContain("Use 127.0.0.1, or 0.0.0.0 for all interfaces");
  });

  test("connect() to a port where nobody listens is refused", async () => {
    const { listener, client } = await pair();
    await listener.close();
    client.close();
    const to = { host: "127.0.0.1", port: listener.port, timeoutMs: 5_000 };
    await expect(network.connect(to)).rejects.toMatchObject({
      name: "NetworkError",
      code: "refused",
    });
  });

  test("Listener.close() lets open connections go on", async () => {
    const { client, server, listener } = await pair();
    await listener.close();
    await client.write([pattern(10, 1)]);
    expect(equal(await readBytes(server, 10), pattern(10, 1))).toBe(true);
  });

  test("TLS carries bytes between ends that trust one another, and refuses strangers", async () => {
    const accepted = Promise.withResolvers<Connection>();
    const tls = { certificatePem: TEST_CERTIFICATE_PEM, privateKeyPem: TEST_PRIVATE_KEY_PEM };
    const listener = await network.listen({ host: "127.0.0.1", port: 0, tls }, accepted.resolve);
    open.push(listener);
    const to = { host: "127.0.0.1", port: listener.port, timeoutMs: 5_000 };
    const trust = { serverName: "localhost", caPem: TEST_CERTIFICATE_PEM };
    const client = await network.connect({ ...to, tls: trust });
    const server = await accepted.promise;
    open.push(client, server);
    expect(server.tls).toEqual({ peerCertificate: null });
    await client.write([pattern(300_000, 4), pattern(10, 5)]);
    expect(equal(await readBytes(server, 300_000), pattern(300_000, 4))).toBe(true);
    const stranger = network.connect({ ...to, tls: { serverName: "localhost" } });
    await expect(stranger).rejects.toMatchObject({ name: "NetworkError", code: "tls" });
  });
});

function pattern(sizeBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at++) bytes[at] = (at * 31 + seed * 17 + (at >> 8)) & 255;
  return bytes;
}

const kept = new WeakMap<Connection, Uint8Array>();

/** Reads exactly `sizeBytes`; what comes beyond waits for the next call. */
async function readBytes(connection: Connection, sizeBytes: number): Promise<Uint8Array> {
  const whole = new Uint8Array(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const chunk = kept.get(connection) ?? (await connection.read());
    kept.delete(connection);
    if (chunk === null) throw new Error(`Connection ended after ${filled} of ${sizeBytes} bytes`);
    const part = chunk.subarray(0, sizeBytes - filled);
    whole.set(part, filled);
    filled += part.byteLength;
    if (part.byteLength < chunk.byteLength) kept.set(connection, chunk.subarray(part.byteLength));
  }
  return whole;
}

/** Resolves when `value` has not changed through 200 ms. */
async function settled(value: () => number, onProgress: (wake: () => void) => void): Promise<void> {
  await new Promise<void>((resolve) => {
    let timer = setTimeout(resolve, 200);
    onProgress(() => {
      clearTimeout(timer);
      timer = setTimeout(resolve, 200);
    });
  });
  value();
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
