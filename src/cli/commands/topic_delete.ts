// `millrace topic delete`.

import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";

export const command: Command = {
  name: "topic delete",
  summary: "remove topics with all their records",
  positionals: [{ name: "topics", summary: "their names", isList: true }],
  flags: [
    { name: "if-exists", summary: "be content when a topic is not there" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace topic delete hello", says: "for good: nothing brings the records back" },
    { command: "millrace topic delete a b c --if-exists", says: "several, those that are there" },
  ],
  run(args, host) {
    const names = args.list("topics");
    if (names.length === 0) throw args.wrong("TOPICS is missing");
    return withClient(args, host, async ({ admin }) => {
      const outcomes = await admin.deleteTopics(names);
      const results = names.map((name, at) => {
        const outcome = outcomes[at]!;
        return { name, deleted: outcome.ok, error: outcome.ok ? null : outcome.error };
      });
      const failed = results.filter(({ error }) => {
        const isMissing = error?.code === "unknown_topic_or_partition";
        return error !== null && !(isMissing && args.has("if-exists"));
      });
      if (args.has("json")) {
        const rows = results.map(({ name, deleted, error }) => {
          return { name, deleted, error: error?.code ?? null };
        });
        await host.print(`${JSON.stringify(rows)}\n`);
      } else {
        for (const { name, deleted } of results) {
          if (deleted) await host.print(`Deleted topic "${name}"\n`);
        }
      }
      if (failed.length === 0) return 0;
      const [{ name, error }] = failed as [(typeof failed)[0]];
      const more = failed.length === 1 ? "" : ` (and ${failed.length - 1} more)`;
      const fix =
        error!.code === "unknown_topic_or_partition"
          ? "there is none: `millrace topic list` shows all, --if-exists is content without"
          : error!.message;
      throw new CommandError(error!.code, `Cannot delete topic "${name}"${more}: ${fix}`);
    });
  },
};
