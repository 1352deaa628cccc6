// `millrace topic list`.

import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";
import { table } from "../table.ts";

export const command: Command = {
  name: "topic list",
  summary: "show the topics",
  about: "On a terminal a table; in a pipe one name a line.",
  flags: [
    { name: "internal", summary: "show the broker's own topics too" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace topic list", says: "all of them" },
    {
      command: "millrace topic list | xargs -n 1 millrace topic describe",
      says: "names for other programs",
    },
  ],
  run(args, host) {
    return withClient(args, host, async ({ admin }) => {
      const all = await admin.listTopics();
      const topics = all.filter((topic) => args.has("internal") || !topic.isInternal);
      if (args.has("json")) {
        const rows = topics.map(({ name, topicId, isInternal, partitions }) => ({
          name,
          topicId,
          isInternal,
          partitions: partitions.length,
          replicationFactor: partitions[0]?.replicas.length ?? 0,
        }));
        await host.print(`${JSON.stringify(rows)}\n`);
      } else if (!host.isOutputTerminal) {
        await host.print(topics.map(({ name }) => `${name}\n`).join(""));
      } else if (topics.length === 0) {
        await host.print("No topics yet: `millrace topic create NAME` makes one\n");
      } else {
        const rows = topics.map(({ name, partitions }) => {
          return [name, partitions.length, partitions[0]?.replicas.length ?? 0] as const;
        });
        await host.print(table(["TOPIC", "PARTITIONS", "REPLICAS"], rows));
      }
      return 0;
    });
  },
};
