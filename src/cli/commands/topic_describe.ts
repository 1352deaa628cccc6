// `millrace topic describe`.

import type { Client, ConfigEntry, PartitionInfo, TopicInfo } from "../../client/mod.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";
import { counted, table } from "../table.ts";
import { cleaningOf, cleaningText } from "../topic_cleaning.ts";

interface PartitionRow extends PartitionInfo {
  /** Null where its leader did not tell. */
  readonly startOffset: number | null;
  readonly endOffset: number | null;
}

export const command: Command = {
  name: "topic describe",
  summary: "show a topic's partitions, offsets and settings",
  positionals: [{ name: "topic", summary: "its name" }],
  flags: [
    { name: "all", short: "a", summary: "show every setting, not only those that were changed" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace topic describe hello", says: "partitions and what was set" },
    {
      command: "millrace topic describe hello --all",
      says: "every setting and where it comes from",
    },
  ],
  run(args, host) {
    const name = args.required("topic");
    return withClient(args, host, async (client) => {
      const topic = await client.admin.describeTopic(name);
      const partitions = await withOffsets(client, topic);
      const isCompacted = topic.configs.some(
        ({ name: key, value }) => key === "cleanup.policy" && value?.includes("compact") === true,
      );
      const cleaning = isCompacted ? await cleaningOf(client, name) : null;
      const isShown = (entry: ConfigEntry) => args.has("all") || entry.source === "topic";
      const configs = topic.configs
        .filter((entry) => isShown(entry) || entry.name === "partitioner")
        .sort((a, b) => (a.name < b.name ? -1 : 1));
      if (args.has("json")) {
        const { topicId, isInternal } = topic;
        const figures = cleaning === null ? {} : { cleaning };
        const shown = { name, topicId, isInternal, partitions, configs, ...figures };
        await host.print(`${JSON.stringify(shown)}\n`);
        return 0;
      }
      const records = partitions.reduce((sum, each) => {
        return sum + (each.endOffset ?? 0) - (each.startOffset ?? 0);
      }, 0);
      const head = `${name}: ${counted(partitions.length, "partition")}, ${counted(records, "offset")}`;
      await host.print(`${head}${topic.topicId === null ? "" : `, id ${topic.topicId}`}\n\n`);
      await host.print(
        table(
          ["PARTITION", "LEADER", "REPLICAS", "IN SYNC", "START", "END"],
          partitions.map((each) => [
            each.partition,
            each.leader < 0 ? "none" : each.leader,
            each.replicas.join(","),
            each.inSyncReplicas.join(","),
            each.startOffset ?? "?",
            each.endOffset ?? "?",
          ]),
        ),
      );
      if (cleaning !== null && cleaning.length > 0) {
        await host.print(`\n${cleaningText(cleaning)}`);
      }
      if (configs.length === 0) return 0;
      const rows = configs.map(({ name: key, value, source }) => [key, value ?? "", source]);
      await host.print(`\n${table(["SETTING", "VALUE", "FROM"], rows)}`);
      return 0;
    });
  },
};

async function withOffsets(client: Client, topic: TopicInfo): Promise<PartitionRow[]> {
  const led = topic.partitions.filter((each) => each.leader >= 0);
  const queries = led.flatMap(({ partition }) =>
    (["earliest", "latest"] as const).map((at) => ({ topic: topic.name, partition, at })),
  );
  const outcomes = await client.admin.offsets(queries);
  const found = outcomes.map((outcome) => (outcome.ok ? outcome.value.offset : null));
  return topic.partitions.map((each) => {
    const at = led.indexOf(each);
    const startOffset = at < 0 ? null : (found[2 * at] ?? null);
    const endOffset = at < 0 ? null : (found[2 * at + 1] ?? null);
    return { ...each, startOffset, endOffset };
  });
}
