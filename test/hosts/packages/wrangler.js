// In a Workers project made of examples/worker, the package and wrangler: wrangler's own bundle and its `dev` take every
// export, run the quickstart, and serve the example as docs/EDGE.md tells, also after all of it was killed.
// Prints "ok …" and "not ok …" lines.      wrangler.js REPOSITORY, run by Node

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { labelOf, needsNode } from "./workerd.js";

const READY_MS_MAX = 60_000;
const [repository] = process.argv.slice(2);
const program = join("node_modules", "wrangler", "bin", "wrangler.js");
const env = {
  ...process.env,
  HOME: resolve("home"), // its settings and logs lie in there
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true", // with it the question for a newer version
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};
delete env.XDG_CONFIG_HOME;
let failed = false;
let running = null;

async function check(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failed = true;
    console.log(`not ok ${name} ${String(error).replaceAll(/\s*\n\s*/g, " ")}`);
  }
}

/** `wrangler dev`: the address once it serves. It is two Nodes and two workerds, so it gets a process group. */
async function start(config) {
  const flags = ["--local", "--ip", "127.0.0.1", "--port", "0", "--inspector-port", "0"];
  const child = spawn(process.execPath, [program, "dev", "-c", config, ...flags], {
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  running = child;
  let said = "";
  return await new Promise((resolve, reject) => {
    const wrong = (why) => reject(new Error(`wrangler dev ${why}: ${said}`));
    const timer = setTimeout(() => wrong("was not ready in time"), READY_MS_MAX);
    child.once("close", () => wrong("ended"));
    const listen = (bytes) => {
      said += bytes;
      if (/Build failed/.test(said)) wrong("did not build");
      const [, url] = /Ready on (http:\/\/127\.0\.0\.1:\d+)/.exec(said) ?? [];
      if (url !== undefined) resolve(url);
      else return;
      clearTimeout(timer);
    };
    for (const stream of [child.stdout, child.stderr]) stream.on("data", listen);
  });
}

/** SIGKILL for all of it. */
async function kill() {
  const child = running;
  running = null;
  if (child === null) return;
  const isOver = child.exitCode !== null || child.signalCode !== null;
  const closed = isOver ? null : new Promise((resolve) => child.once("close", resolve));
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error; // nobody is left of it
  }
  await closed;
}
for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => kill().then(() => process.exit(130)));

async function ask(url, { method = "GET", body, token } = {}) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(url, { method, body, headers, signal: AbortSignal.timeout(30_000) });
  return { status: response.status, text: await response.text() };
}
async function must(url, options) {
  const { status, text } = await ask(url, options);
  if (status < 200 || status > 299) throw new Error(`${url}: ${status} ${text}`);
  return text;
}
async function valuesAre(url, wanted, token) {
  const { records } = JSON.parse(await must(`${url}/partitions/0/records?offset=0`, { token }));
  const found = records.map(({ value }) => value);
  if (String(found) !== String(wanted)) throw new Error(`found ${found}, wanted ${wanted}`);
}

/** A project's config of ours, beside the example's. */
function writeConfig(name, fields) {
  const example = { compatibility_date: "2026-01-01" };
  writeFileSync(`${name}.jsonc`, JSON.stringify({ name, ...example, ...fields }));
  return `${name}.jsonc`;
}

/** A worker that answers with what importing `names` gave, and at /quickstart with what that printed. */
function writeImporter(file, names, withQuickstart) {
  const loads = names.map((name) => {
    const specifier = JSON.stringify(name.replace(/^\./, "millrace"));
    return `${JSON.stringify(name)}: () => import(${specifier}),`;
  });
  writeFileSync(
    file,
    `const loads = { ${loads.join("\n")} };
    async function quickstart() {
      const { log } = console;
      const said = [];
      console.log = (text) => said.push(text);
      try {
        ${withQuickstart ? 'await import("../quickstart.ts");' : ""}
      } finally {
        console.log = log;
      }
      return new Response(said.join("\\n"));
    }
    export default {
      async fetch(request) {
        if (new URL(request.url).pathname === "/quickstart") return await quickstart();
        const found = {};
        for (const [name, load] of Object.entries(loads)) {
          try {
            found[name] = Object.keys(await load()).length;
          } catch (error) {
            found[name] = String(error);
          }
        }
        return Response.json(found);
      },
    };`,
  );
}

async function importsAre(url, names, suffix) {
  const found = JSON.parse(await must(url));
  for (const name of names) {
    await check(`wrangler_imports_${labelOf(name)}${suffix}`, () => {
      if (!(found[name] > 0)) throw new Error(`${found[name]}`);
    });
  }
}

const installed = JSON.parse(readFileSync("node_modules/millrace/package.json", "utf8"));
const names = Object.keys(installed.exports);
try {
  await check("wrangler_bundles_the_example", () => {
    const args = [program, "deploy", "--dry-run", "--outdir", "out"];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
    if (status !== 0) throw new Error(stdout + stderr);
    if (statSync("out/index.js").size < 10_000) throw new Error("the bundle is empty");
  });

  await check("wrangler_starts_with_every_export_for_the_edge", async () => {
    const plain = names.filter((name) => !(name in needsNode));
    writeImporter("src/plain.js", plain, false);
    const url = await start(writeConfig("plain", { main: "src/plain.js" }));
    await importsAre(url, plain, "");
  });
  await kill();

  await check("wrangler_starts_with_every_other_export", async () => {
    const others = names.filter((name) => name in needsNode);
    writeImporter("src/node.js", others, true);
    const flags = { main: "src/node.js", compatibility_flags: ["nodejs_compat"] };
    const url = await start(writeConfig("node", flags));
    await importsAre(url, others, "_with_nodejs_compat");
    await check("wrangler_runs_the_quickstart_with_nodejs_compat", async () => {
      const said = await must(`${url}/quickstart`);
      if (said.split(" ordered ").length !== 5) throw new Error(`it told ${said}`);
    });
  });
  await kill();

  const path = "/logs/orders/v1/topics/created"; // of docs/EDGE.md, as are the calls
  await check("wrangler_serves_the_example", async () => {
    const topic = `${await start("wrangler.jsonc")}${path}`;
    await must(topic, { method: "PUT" });
    await must(`${topic}/records`, { method: "POST", body: "hello" });
    await must(`${topic}/records`, { method: "POST", body: "again" });
    await valuesAre(topic, ["hello", "again"]);
  });
  await kill();
  await check("wrangler_has_everything_after_a_kill", async () => {
    const topic = `${await start("wrangler.jsonc")}${path}`;
    await valuesAre(topic, ["hello", "again"]);
    await must(`${topic}/records`, { method: "POST", body: "third" });
  });
  await kill();
  await check("wrangler_lets_in_with_the_token_of_the_secret", async () => {
    const token = "mr_a-token-of-this-check-and-of-nothing-else";
    const hash = createHash("sha256").update(token).digest("base64url");
    writeFileSync(".dev.vars", `TOKEN_HASH=sha256:${hash}\n`);
    const topic = `${await start("wrangler.jsonc")}${path}`;
    const { status } = await ask(`${topic}/partitions/0/records?offset=0`);
    if (status !== 401) throw new Error(`without a token: ${status}`);
    await valuesAre(topic, ["hello", "again", "third"], token);
  });
  await kill();

  await check("wrangler_serves_the_class_that_the_page_prints", async () => {
    const page = readFileSync(join(repository, "docs", "EDGE.md"), "utf8");
    const [, code] = /```ts\n([^`]*MillraceObject[^`]*)```/.exec(page);
    writeFileSync("src/page.ts", code);
    const config = writeConfig("page", {
      main: "src/page.ts",
      durable_objects: { bindings: [{ name: "LOG", class_name: "Log" }] },
      migrations: [{ tag: "v1", new_sqlite_classes: ["Log"] }],
    });
    const topic = `${await start(config)}/v1/topics/created`;
    await must(topic, { method: "PUT" });
    await must(`${topic}/records`, { method: "POST", body: "hello" });
    await valuesAre(topic, ["hello"]);
  });
} finally {
  await kill();
}
process.exit(failed ? 1 : 0);
