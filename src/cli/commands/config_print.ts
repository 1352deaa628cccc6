// `millrace config print`: what a start would use, and where each value comes from.
// Invariant: takes every flag that `millrace start` takes, and reads them by the same function.

import { ConfigError } from "../../config/config_error.ts";
import { type ExplainedValue, explainPlan, planAsConfig } from "../../config/explain_plan.ts";
import { readEnvironment, readFlags } from "../../config/layers.ts";
import { loadConfig } from "../../config/load_config.ts";
import { type OnMissing, type Reference, referenceOf } from "../../config/references.ts";
import { planStart } from "../../config/start_plan.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { type Flag, JSON_FLAG } from "../flags.ts";
import { table } from "../table.ts";

/** Those of `millrace start`. */
const START_FLAGS: readonly Flag[] = [
  { name: "data", value: "DIR", summary: "folder of the data" },
  { name: "kafka", value: "HOST:PORT", summary: 'where Kafka clients connect, or "off"' },
  { name: "http", value: "HOST:PORT", summary: 'where HTTP is served, or "off"' },
  { name: "tcp", value: "HOST:PORT", summary: 'where framed CBOR is served, or "off"' },
  { name: "metadata", value: "STORE", summary: "file, memory, kv or etcd=http://HOST:PORT[,…]" },
  { name: "config", value: "FILE", summary: "the config file, as the word FILE says it too" },
  { name: "option", short: "o", value: "KEY=VALUE", summary: "a setting", isList: true },
  { name: "log-level", value: "LEVEL", summary: "debug, info, warn, error or off" },
  { name: "log-format", value: "FORM", summary: "json, text or auto" },
  { name: "broker-id", value: "N", summary: "number of this broker in its cluster" },
  { name: "cluster-id", value: "ID", summary: "of a new cluster" },
  { name: "rack", value: "NAME", summary: "where this broker stands" },
  { name: "insecure", summary: "allow listening off loopback without authentication" },
];

export const print: Command = {
  name: "config print",
  summary: "show what a start would use, and where each value comes from",
  about:
    "Takes the flags of `millrace start` and shows the plan they make with the MILLRACE_* variables, the\n" +
    "config file and the defaults. Secrets are not shown, only where they stand. Variables and files that\n" +
    "options refer to may be missing: they are named, and the exit code is 0 all the same (config check: 1).",
  positionals: [
    {
      name: "file",
      summary: "the config file (millrace.config.ts or millrace.config.json)",
      isOptional: true,
    },
  ],
  flags: [
    JSON_FLAG,
    { name: "all", summary: "every setting, also those with their default" },
    { name: "as-config", summary: "as a config file, which gives the same plan when saved" },
    ...START_FLAGS,
  ],
  examples: [
    { command: "millrace config print", says: "as `millrace start` in this folder" },
    {
      command: "millrace config print --http off -o num.partitions=3",
      says: "as with these flags",
    },
    {
      command: "millrace config print --as-config > millrace.config.json",
      says: "and from now on it is in the file",
    },
  ],
  async run(args, host) {
    const { environment } = host;
    const lookUp = (name: string): string | undefined => environment[name];
    const flags = readFlags(startWords(args));
    const variables = readEnvironment(environment);
    const named = args.text("file") ?? flags.config ?? variables.config ?? null;
    if (args.text("file") !== undefined && flags.config !== undefined) {
      throw args.wrong("FILE and --config are the same: give one");
    }
    if (args.has("as-config") && args.has("all")) {
      throw args.wrong("--all shows defaults, which --as-config leaves out: give one");
    }
    const folder = process.cwd();
    const missing = new Map<string, string>();
    const warnings = new Set<string>();
    const onMissing: OnMissing = (reference, path, why) => {
      missing.set(JSON.stringify(reference), why);
      warnings.add(`${path} refers to ${why}: a start is refused`);
    };
    const file = await loadConfig(named, folder, lookUp, onMissing);
    const plan = planStart(file, variables, flags, folder, lookUp, onMissing);
    const found = await host.checkSettings(plan.settings);
    if (found.errors.length > 0) throw new ConfigError(found.errors);
    for (const warning of [...warnings, ...plan.warnings, ...found.warnings]) {
      host.tell(`warning: ${warning}\n`);
    }
    if (args.has("as-config")) {
      await host.print(`${JSON.stringify(planAsConfig(plan, folder), null, 2)}\n`);
      return 0;
    }
    const whyUnset = (value: unknown): string | undefined => {
      const reference: Reference | null = referenceOf(value);
      return reference === null ? undefined : missing.get(JSON.stringify(reference));
    };
    const rows: (ExplainedValue & { readonly isUnset?: true })[] = explainPlan(plan).map((row) =>
      whyUnset(row.value) === undefined ? row : { ...row, isUnset: true },
    );
    if (args.has("all")) {
      for (const [name, value] of found.defaults ?? []) {
        if (plan.settings[name] !== undefined) continue;
        const path = `settings[${JSON.stringify(name)}]`;
        rows.push({ path, value, source: "default", detail: "" });
      }
    }
    if (args.has("json")) await host.print(`${JSON.stringify(rows)}\n`);
    else {
      const unset = (value: unknown): string => {
        const why = whyUnset(value);
        return why === undefined ? "" : `, unset: ${why}`;
      };
      const lines = rows.map(({ path, value, source, detail }) => [
        path,
        typeof value === "string" ? value : value === null ? "-" : JSON.stringify(value),
        (source === "default" ? source : `${NOUNS[source]} ${detail}`) + unset(value),
      ]);
      await host.print(table(["KEY", "VALUE", "FROM"], lines));
    }
    return 0;
  },
};

const NOUNS = { file: "file", environment: "variable", flag: "flag" } as const;

/** The words of `millrace start` again. */
function startWords(args: Arguments): string[] {
  return START_FLAGS.flatMap(({ name, value, isList }) => {
    if (value === undefined) return args.has(name) ? [`--${name}`] : [];
    const given = isList === true ? args.list(name) : [args.text(name)];
    return given.flatMap((text) => (text === undefined ? [] : [`--${name}=${text}`]));
  });
}
