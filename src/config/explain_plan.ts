// A plan as a person or a program may read it: every value with where it came from, and as a config file.
// Invariant: the file gives the same plan wherever it is saved; no secret is shown, only where it stands.

import { ConfigError } from "./config_error.ts";
import type { MillraceConfig, PluginUse } from "./define_config.ts";
import { type Path, pathText } from "./key_path.ts";
import { listenerOptions, listenersOf, transportWord } from "./listeners.ts";
import type { PlannedSlot, Provenance, Source } from "./planned_slot.ts";
import { mapReferences, referenceOf } from "./references.ts";
import { isSecretKey, MASK, masked } from "./secrets.ts";
import { PATH_OPTIONS, type StartPlan } from "./start_plan.ts";

/** One value that is in force. */
export interface ExplainedValue {
  /** As in the config file: "data", `settings["num.partitions"]`, "transports[0].options.listen". */
  readonly path: string;
  /** Null: there is none. References to secrets stay references. */
  readonly value: unknown;
  readonly source: Source;
  /** The file, the variable or the flag; empty for a default. */
  readonly detail: string;
}

const DEFAULT: Provenance = { source: "default", detail: "" };

/** Every value of a plan, in the order of the file. */
export function explainPlan(plan: StartPlan): ExplainedValue[] {
  const rows: ExplainedValue[] = [];
  const push = (path: Path, value: unknown) => {
    const text = pathText(path);
    const known = plan.unknownAddresses.get(text) ?? value;
    rows.push({ path: text, value: known, ...provenanceOf(plan, path) });
  };
  // Whatever stands below a secret's key is part of it: a list of passwords, { value: "hunter2" }.
  const walk = (path: Path, value: unknown, secret?: PropertyKey): void => {
    const under = isSecretKey(path.at(-1)) ? path.at(-1) : secret;
    const isLeaf = typeof value !== "object" || value === null || referenceOf(value) !== null;
    const entries: [PropertyKey, unknown][] = isLeaf
      ? []
      : Array.isArray(value)
        ? [...value.entries()]
        : Object.entries(value);
    const isPlainList = Array.isArray(value) && value.every((each) => typeof each !== "object");
    const isHidden = isPlainList && value.length > 0 && isSecretKey(under);
    if (isLeaf || isPlainList) push(path, isHidden ? MASK : masked(under, value));
    else for (const [key, each] of entries) walk([...path, key], each, under);
  };
  const slot = (path: Path, given: PlannedSlot) => {
    if (!isUse(given)) {
      push(path, `plugin "${(given as { name?: unknown }).name}", made in the file`);
      return;
    }
    push(path, given.use);
    walk([...path, "options"], optionsOf(given));
  };
  const { broker, log } = plan;
  push(["data"], plan.data);
  push(["broker", "id"], broker.id);
  push(["broker", "clusterId"], broker.clusterId ?? null);
  push(["broker", "rack"], broker.rack ?? null);
  slot(["storage"], plan.storage);
  slot(["metadata"], plan.metadata);
  for (const [at, each] of plan.transports.entries()) slot(["transports", at], each);
  if (plan.transports.length === 0) push(["transports"], []);
  for (const [at, each] of plan.auth.entries()) slot(["auth", at], each);
  if (plan.auth.length === 0) push(["auth"], []);
  walk(["settings"], plan.settings);
  walk(["log"], { level: log.level, format: log.format });
  push(["insecure"], plan.insecure);
  return rows;
}

/**
 * The plan as the tree of a config file, with whole paths in it.
 *
 * @param currentFolder What relative paths of the plan start from.
 * @throws {ConfigError} for what a file cannot hold: a plugin made by code, a secret in plain text, and an address
 *   that refers to what is not there
 */
export function planAsConfig(plan: StartPlan, currentFolder: string): MillraceConfig {
  const { broker, data, settings, log, insecure, moduleFolder } = plan;
  const { resolve } = process.getBuiltinModule("node:path");
  const whole = (path: string) => resolve(currentFolder, path);
  const slot = (path: Path, given: PlannedSlot): PluginUse | string => {
    if (!isUse(given)) {
      throw new ConfigError(
        `Cannot write ${pathText(path)} into a file as it is a plugin made by code: name its module instead`,
      );
    }
    const { listen, ...others } = optionsOf(given);
    // What nobody asked for is not asked for in the file either: there it gives way as here.
    const isUnasked = given.use === "http" && isUnaskedHttp(plan, given);
    const options = mapReferences(
      isUnasked || listen === undefined ? others : { listen, ...others },
      (reference) =>
        "file" in reference ? { file: resolve(moduleFolder, reference.file) } : reference,
    );
    requireNoSecret([...path, "options"], options);
    const isBuiltIn = !/[/.:]/.test(given.use);
    for (const key of isBuiltIn ? PATH_OPTIONS : []) {
      if (typeof options[key] === "string") options[key] = whole(options[key]);
    }
    const use = /^\.{0,2}\//.test(given.use) ? resolve(moduleFolder, given.use) : given.use;
    return Object.keys(options).length === 0 ? use : { use, options };
  };
  const [[unknown] = []] = plan.unknownAddresses;
  if (unknown !== undefined) {
    throw new ConfigError(
      `Cannot write ${unknown} into a file as it refers to what is not there, and addresses stand there as text`,
    );
  }
  requireNoSecret(["settings"], settings);
  return {
    data: whole(data),
    broker: { ...broker },
    storage: slot(["storage"], plan.storage),
    metadata: slot(["metadata"], plan.metadata),
    transports: plan.transports.map((each, at) => slot(["transports", at], each)),
    ...(plan.auth.length === 0
      ? {}
      : { auth: plan.auth.map((each, at) => slot(["auth", at], each)) }),
    ...(Object.keys(settings).length === 0 ? {} : { settings }),
    log: { ...log },
    insecure,
  };
}

/** Where the value at `path` came from: what is said of it, or of what holds it. */
function provenanceOf({ provenance }: StartPlan, path: Path): Provenance {
  for (let length = path.length; length > 0; length--) {
    const found = provenance.get(pathText(path.slice(0, length)));
    if (found !== undefined) return found;
  }
  return DEFAULT;
}

function isUse(slot: PlannedSlot): slot is PluginUse {
  return "use" in slot;
}

/** Options as the file has them: addresses as text. */
function optionsOf(slot: PluginUse): Record<string, unknown> {
  const word = transportWord(slot);
  if (word === null) return { ...slot.options };
  const { listeners, ...options } = slot.options ?? {};
  return { ...listenerOptions(word, listenersOf(slot)), ...options };
}

function isUnaskedHttp({ unaskedHttp }: StartPlan, slot: PluginUse): boolean {
  const [first] = listenersOf(slot);
  return (
    unaskedHttp !== null && first?.host === unaskedHttp.host && first.port === unaskedHttp.port
  );
}

function requireNoSecret(path: Path, value: unknown, secret?: PropertyKey): void {
  if (referenceOf(value) !== null) return;
  const under = isSecretKey(path.at(-1)) ? path.at(-1) : secret;
  if (masked(under, value) === MASK) {
    throw new ConfigError(
      `Cannot write ${pathText(path)} into a file as it is a secret in plain text: put { "env": "NAME" } or { "file": "PATH" } in its place`,
    );
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, each] of Object.entries(value)) {
    requireNoSecret([...path, Array.isArray(value) ? Number(key) : key], each, under);
  }
}
