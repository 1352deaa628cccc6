// In a Workers project that has the package installed: a worker of a few lines with a Durable Object of millrace/edge,
// bundled as wrangler would, takes records by HTTP in real workerd and has them after a second start.
// Prints "ok …" and "not ok …" lines.      quickstart_workerd.js BUN MINIFLARE'S_FOLDER, run by Node

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { bundle, startWorkerd } from "./workerd.js";

const [bun, peers] = process.argv.slice(2);
const data = mkdtempSync("objects-");
let failed = false;

writeFileSync(
  "quickstart.in.js",
  `import { MillraceObject } from "millrace/edge";
export class Log extends MillraceObject {}
export default {
  fetch: (request, env) => env.LOG.get(env.LOG.idFromName("log")).fetch(request),
};
`,
);

const start = () =>
  startWorkerd(peers, {
    modules: ["quickstart.js"],
    durableObjects: { LOG: { className: "Log", useSQLite: true } },
    durableObjectsPersist: data,
  });
let workerd = null;

async function call(method, path, body) {
  const response = await workerd.dispatchFetch(`http://localhost${path}`, { method, body });
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
    const problem = bundle(bun, "quickstart.in.js", "quickstart.js");
    if (problem !== "") throw new Error(problem);
  });
  await check("workerd_runs_the_quickstart", async () => {
    workerd = await start();
    await call("PUT", "/v1/topics/orders");
    await call("POST", "/v1/topics/orders/records?partition=0", "one coffee");
    await call("POST", "/v1/topics/orders/records?partition=0", "two teas");
    await valuesAre("one coffee", "two teas");
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
