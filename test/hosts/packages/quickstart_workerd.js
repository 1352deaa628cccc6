// In a Workers project that has the package installed: examples/worker, bundled as wrangler would, takes records by HTTP
// in real workerd from who has the token, from nobody else, and has them after a second start.
// Prints "ok …" and "not ok …" lines.      quickstart_workerd.js BUN MINIFLARE'S_FOLDER SOURCE, run by Node

import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import process from "node:process";
import { bundle, startWorkerd } from "./workerd.js";

const [bun, peers, source] = process.argv.slice(2);
const data = mkdtempSync("objects-");
let failed = false;

const TOKEN = "mr_a-token-of-this-check-and-of-nothing-else";
const hash = createHash("sha256").update(TOKEN).digest("base64url");

const start = () =>
  startWorkerd(peers, {
    modules: ["quickstart.js"],
    bindings: { TOKEN_HASH: `sha256:${hash}` },
    durableObjects: { LOG: { className: "Log", useSQLite: true } },
    durableObjectsPersist: data,
  });
let workerd = null;

const ask = (method, path, token, body) =>
  workerd.dispatchFetch(`http://localhost/logs/mine${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    body,
  });

async function call(method, path, body) {
  const response = await ask(method, path, TOKEN, body);
  const said = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${said}`);
  return JSON.parse(said);
}

async function check(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failed = true;
    console.log(`not ok ${name} ${String(error).replaceAll(/\s*\n\s*/g, " ")}`);
  }
}

async function valuesAre(...wanted) {
  const { records } = await call("GET", "/v1/topics/orders/partitions/0/records?offset=0");
  const found = records.map(({ value }) => value);
  if (String(found) !== String(wanted)) throw new Error(`found ${found}, wanted ${wanted}`);
}

try {
  await check("workerd_bundles_the_quickstart", () => {
    const problem = bundle(bun, source, "quickstart.js");
    if (problem !== "") throw new Error(problem);
  });
  await check("workerd_runs_the_quickstart", async () => {
    workerd = await start();
    await call("PUT", "/v1/topics/orders");
    await call("POST", "/v1/topics/orders/records?partition=0", "one coffee");
    await call("POST", "/v1/topics/orders/records?partition=0", "two teas");
    await valuesAre("one coffee", "two teas");
  });
  await check("workerd_refuses_another_token", async () => {
    const { status } = await ask("POST", "/v1/topics/orders/records", "mr_another-token", "x");
    if (status !== 401) throw new Error(`${status}`);
  });
  await check("workerd_has_everything_after_a_restart", async () => {
    await workerd.dispose();
    workerd = await start();
    await valuesAre("one coffee", "two teas");
  });
} finally {
  await workerd?.dispose();
  rmSync(data, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
