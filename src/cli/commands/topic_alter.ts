// `millrace topic alter`.

import type { ConfigChange } from "../../client/mod.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";

export const command: Command = {
  name: "topic alter",
  summary: "change a topic's settings, or give it more partitions",
  about: `Partitions can be added, never taken away. New ones change where keys go: records of one key
written before stay where they are.`,
  positionals: [{ name: "topic", summary: "its name" }],
  flags: [
    { name: "partitions", short: "p", value: "N", summary: "how many there shall be" },
    { name: "config", short: "c", value: "NAME=VALUE", summary: "a setting", isList: true },
    {
      name: "delete-config",
      value: "NAME",
      summary: "back to the broker's default",
      isList: true,
    },
    { name: "validate-only", summary: "check the settings, but do not change them" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace topic alter hello -c retention.ms=3600000", says: "keep an hour" },
    { command: "millrace topic alter hello --delete-config retention.ms", says: "as before" },
    { command: "millrace topic alter hello --partitions 6", says: "six partitions from now on" },
  ],
  run(args, host) {
    const name = args.required("topic");
    const partitions = args.whole("partitions", 1, 1_000_000);
    const changes: ConfigChange[] = [
      ...args
        .pairs("config")
        .map(([key, value]) => ({ name: key, operation: "set" as const, value })),
      ...args.list("delete-config").map((key) => ({ name: key, operation: "delete" as const })),
    ];
    if (partitions === undefined && changes.length === 0) {
      throw args.wrong("Nothing to change: give --config, --delete-config or --partitions");
    }
    const validateOnly = args.has("validate-only");
    if (validateOnly && partitions !== undefined) {
      throw args.wrong("--validate-only checks settings: leave out --partitions");
    }
    return withClient(args, host, async ({ admin }) => {
      if (changes.length > 0) {
        await admin.alterConfigs({ type: "topic", name }, changes, { validateOnly });
      }
      if (partitions !== undefined) await admin.createPartitions(name, partitions);
      if (args.has("json"))
        await host.print(`${JSON.stringify({ name, altered: !validateOnly })}\n`);
      else await host.print(validateOnly ? "The settings are fine\n" : `Altered topic "${name}"\n`);
      return 0;
    });
  },
};
