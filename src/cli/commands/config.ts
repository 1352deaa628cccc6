// `millrace config check` and `config schema`.

import { ConfigError } from "../../config/config_error.ts";
import { readEnvironment, readFlags } from "../../config/layers.ts";
import { loadConfig } from "../../config/load_config.ts";
import { resolvePlugins } from "../../config/resolve_plugins.ts";
import { planStart } from "../../config/start_plan.ts";
import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { JSON_FLAG } from "../flags.ts";
import type { CliHost } from "../host.ts";

const FILE = {
  name: "file",
  summary: "the config file (millrace.config.ts or millrace.config.json)",
  isOptional: true,
} as const;

export const check: Command = {
  name: "config check",
  summary: "check a config file without starting anything",
  about:
    "Prints every problem with the path of its key, and the nearest known key for a misspelt one.\n" +
    "Plugins are loaded and made of their options; nothing is opened.",
  positionals: [FILE],
  flags: [JSON_FLAG],
  examples: [
    { command: "millrace config check", says: "the file of this folder" },
    { command: "millrace config check deploy/millrace.config.json --json", says: "in a pipeline" },
  ],
  async run(args, host) {
    try {
      const { path, plan } = await planned(args.text("file") ?? null, host);
      if (path === null) {
        throw new CommandError(
          "no_config",
          "There is no millrace.config.ts or millrace.config.json in this folder, and none is needed: name a file to check one",
        );
      }
      const found = await host.checkSettings(plan.settings);
      if (found.errors.length > 0) throw new ConfigError(found.errors);
      // A plugin checks more than its schema can say; making it opens nothing.
      await resolvePlugins(plan, (name) => host.environment[name]);
      const warnings = [...plan.warnings, ...found.warnings];
      if (args.has("json")) {
        await host.print(`${JSON.stringify({ file: path, ok: true, warnings })}\n`);
      } else {
        for (const warning of warnings) host.tell(`warning: ${warning}\n`);
        await host.print(`${path} is fine\n`);
      }
      return 0;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      if (args.has("json")) {
        await host.print(`${JSON.stringify({ ok: false, problems: error.problems })}\n`);
      } else for (const problem of error.problems) host.tell(`millrace: ${problem}\n`);
      return 1;
    }
  },
};

export const schema: Command = {
  name: "config schema",
  summary: "print the JSON Schema of the config file, for editors",
  flags: [],
  examples: [
    {
      command: "millrace config schema > millrace.schema.json",
      says: 'then "$schema": "./millrace.schema.json"',
    },
  ],
  async run(_args, host) {
    const { configJsonSchema } = await import("../../config/config_schema.ts");
    await host.print(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    return 0;
  },
};

async function planned(named: string | null, host: CliHost) {
  const { environment } = host;
  const variables = readEnvironment(environment);
  const folder = process.cwd();
  const lookUp = (name: string) => environment[name];
  const file = await loadConfig(named ?? variables.config ?? null, folder, lookUp);
  const plan = planStart(file, variables, readFlags([]), folder, lookUp);
  return { path: file?.path ?? null, plan };
}
