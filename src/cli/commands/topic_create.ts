// `millrace topic create`.

import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";
import { counted } from "../table.ts";

export const command: Command = {
  name: "topic create",
  summary: "make a topic",
  about: `A topic is a named log of records in one partition or several. Order is kept within a partition.
The broker fills in what is left out (num.partitions, default.replication.factor).`,
  positionals: [{ name: "topic", summary: "its name: a-z, A-Z, 0-9, dot, dash, underscore" }],
  flags: [
    { name: "partitions", short: "p", value: "N", summary: "how many partitions" },
    { name: "replication-factor", value: "N", summary: "how many brokers keep each partition" },
    {
      name: "config",
      short: "c",
      value: "NAME=VALUE",
      summary: "a setting, e.g. retention.ms=86400000",
      isList: true,
    },
    {
      name: "partitioner",
      value: "NAME",
      summary: "how keys choose partitions, fixed for ever; murmur2 is what Java's clients do",
      choices: ["xxhash", "murmur2"],
    },
    { name: "if-not-exists", summary: "be content when the topic is there already" },
    { name: "validate-only", summary: "check it, but do not make it" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace topic create hello", says: "with the broker's defaults" },
    {
      command: "millrace topic create orders -p 12 -c cleanup.policy=compact",
      says: "twelve partitions that keep the last record of each key",
    },
    {
      command: "millrace topic create shared --partitioner murmur2",
      says: "for keys that Java's clients write too",
    },
  ],
  run(args, host) {
    const name = args.required("topic");
    const partitions = args.whole("partitions", 1, 1_000_000);
    const replicationFactor = args.whole("replication-factor", 1, 1000);
    const configs = Object.fromEntries(args.pairs("config"));
    const partitioner = args.text("partitioner");
    if (partitioner !== undefined) configs["partitioner"] = partitioner;
    const validateOnly = args.has("validate-only");
    return withClient(args, host, async ({ admin }) => {
      const topic = {
        name,
        configs,
        ...(partitions === undefined ? {} : { partitions }),
        ...(replicationFactor === undefined ? {} : { replicationFactor }),
      };
      const outcome = await admin.createTopic(topic, { validateOnly }).catch((error) => {
        if (args.has("if-not-exists") && error.code === "topic_already_exists") return null;
        throw error;
      });
      if (args.has("json")) {
        await host.print(
          `${JSON.stringify({ ...(outcome ?? { name }), created: outcome !== null && !validateOnly })}\n`,
        );
      } else if (outcome === null) await host.print(`Topic "${name}" is there already\n`);
      else if (validateOnly) await host.print(`Topic "${name}" could be created\n`);
      else {
        const count =
          outcome.partitions < 1 ? "" : ` with ${counted(outcome.partitions, "partition")}`;
        await host.print(`Created topic "${name}"${count}\n`);
      }
      return 0;
    });
  },
};
