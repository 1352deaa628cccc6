// `millrace group lag`.

import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { findGroup, groupOf, noGroup } from "../group_errors.ts";
import { durationText, lagOf } from "../group_lag.ts";
import { withClient } from "../session.ts";
import { counted, table } from "../table.ts";

export const command: Command = {
  name: "group lag",
  summary: "show how far a group is behind, in records and in seconds",
  about: `LAG counts the offsets from the committed one to the end. BEHIND is the time from the record that the
group reads next to the newest one, by their timestamps; "?" where there is none to look at.`,
  positionals: [{ name: "group", summary: "its name" }],
  flags: [
    { name: "topic", short: "t", value: "TOPIC", summary: "only this topic", isList: true },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace group lag billing", says: "by partition, and in all" },
    {
      command: "millrace group lag billing --json | jq .lagSeconds",
      says: "one number to be alarmed by",
    },
  ],
  run(args, host) {
    const name = groupOf(args);
    return withClient(args, host, async (client) => {
      const group = await findGroup(client, name);
      if (group === null) throw await noGroup(client, name);
      const topics = args.list("topic");
      const committed = await client.admin.listGroupOffsets(name);
      const all = await lagOf(client, group, committed, true);
      const own = [...new Set(all.map(({ topic }) => topic))];
      const stray = topics.find((topic) => !own.includes(topic));
      if (stray !== undefined) {
        const has = own.length === 0 ? "has nothing at all" : `has ${own.join(", ")}`;
        const text = `Group "${name}" has committed nothing of topic "${stray}", and reads nothing of it: it ${has}`;
        throw new CommandError("unknown_topic_or_partition", text);
      }
      const rows = all.filter(({ topic }) => topics.length === 0 || topics.includes(topic));
      const lag = rows.reduce((sum, each) => sum + (each.lag ?? 0), 0);
      const known = rows.map(({ lagSeconds }) => lagSeconds).filter((each) => each !== null);
      const lagSeconds = known.length === 0 ? null : Math.max(...known);
      if (args.has("json")) {
        const partitions = rows.map(({ metadata: _, ...each }) => each);
        await host.print(`${JSON.stringify({ group: name, lag, lagSeconds, partitions })}\n`);
        return 0;
      }
      if (rows.length === 0) {
        await host.print(`Group "${name}" has committed nothing, and reads nothing\n`);
        return 0;
      }
      await host.print(
        table(
          ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "BEHIND"],
          rows.map((each) => [
            each.topic,
            each.partition,
            each.committed ?? "-",
            each.end ?? "?",
            each.lag ?? "?",
            each.lagSeconds === null ? "?" : durationText(each.lagSeconds),
          ]),
        ),
      );
      const behind = lagSeconds === null ? "" : `, ${durationText(lagSeconds)}`;
      await host.print(`\n${counted(lag, "record")}${behind} behind\n`);
      return 0;
    });
  },
};
