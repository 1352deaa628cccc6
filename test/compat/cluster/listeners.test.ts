// The process behind a port is found, and none where nobody listens.

import { expect, test } from "bun:test";
import { createServer } from "node:net";
import process from "node:process";
import { listenerOf } from "./listeners.ts";

test("who listens is found until it stops", async () => {
  if (process.platform !== "linux") {
    expect(() => listenerOf(1)).toThrow("/proc"); // only Linux says it so
    return;
  }
  const server = createServer();
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
  });
  expect(listenerOf(port)).toBe(process.pid);
  await new Promise((resolve) => server.close(resolve));
  expect(listenerOf(port)).toBe(0);
});
