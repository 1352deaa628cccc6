// `millrace cluster status`.

import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";
import { counted, table } from "../table.ts";

/** Rows of partitions that are shown; --json has all. */
const ROWS_MAX = 50;

export const command: Command = {
  name: "cluster status",
  summary: "show what brokers lead and hold, what is out of sync, what is being moved",
  about:
    "The exit code is 1 where --check is given and something is out of sync, led by nobody, or on its way.",
  flags: [
    {
      name: "check",
      summary: "end with 1 unless everything is led and in sync, and nothing is on its way",
    },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace cluster status", says: "the whole picture" },
    {
      command: "until millrace cluster status --check; do sleep 1; done",
      says: "wait until all is well",
    },
  ],
  run(args, host) {
    return withClient(args, host, async ({ admin }) => {
      const [cluster, topics, moving] = await Promise.all([
        admin.describeCluster(),
        admin.listTopics(),
        admin.listReassignments(),
      ]);
      const partitions = topics.flatMap(({ name, partitions: rows }) =>
        rows.map((each) => ({ topic: name, ...each })),
      );
      const live = new Map(
        cluster.brokers.filter(({ isFenced }) => !isFenced).map((each) => [each.nodeId, each]),
      );
      const ids = new Set([
        ...cluster.brokers.map(({ nodeId }) => nodeId),
        ...partitions.flatMap(({ replicas }) => replicas),
      ]);
      const brokers = [...ids]
        .sort((a, b) => a - b)
        .map((id) => ({
          id,
          address: live.has(id) ? `${live.get(id)!.host}:${live.get(id)!.port}` : null,
          rack: live.get(id)?.rack ?? null,
          isLive: live.has(id),
          isController: id === cluster.controllerId,
          leads: partitions.filter(({ leader }) => leader === id).length,
          replicas: partitions.filter(({ replicas }) => replicas.includes(id)).length,
          outOfSync: partitions.filter(
            ({ replicas, inSyncReplicas }) => replicas.includes(id) && !inSyncReplicas.includes(id),
          ).length,
        }));
      const leaderless = partitions.filter(({ leader }) => leader < 0);
      const behind = partitions.filter(
        ({ replicas, inSyncReplicas }) => inSyncReplicas.length < replicas.length,
      );
      const misled = partitions.filter(
        ({ leader, replicas }) => leader >= 0 && leader !== replicas[0],
      );
      const isWell = leaderless.length + behind.length + moving.length === 0;
      const code = args.has("check") && !isWell ? 1 : 0;
      if (args.has("json")) {
        const rows = behind.map(({ topic, partition, leader, replicas, inSyncReplicas }) => {
          return { topic, partition, leader, replicas, inSyncReplicas };
        });
        const { clusterId } = cluster;
        const counts = { partitions: partitions.length, leaderless: leaderless.length };
        const shown = { clusterId, brokers, ...counts, outOfSync: rows, moving };
        const status = { ...shown, notPreferred: misled.length, isWell };
        await host.print(`${JSON.stringify(status)}\n`);
        return code;
      }
      const text = [`Cluster ${cluster.clusterId ?? "without an id"}\n\n`];
      text.push(
        table(
          ["BROKER", "ADDRESS", "RACK", "LEADS", "REPLICAS", "OUT OF SYNC", ""],
          brokers.map((each) => [
            each.id,
            each.address ?? "-",
            each.rack ?? "",
            each.leads,
            each.replicas,
            each.outOfSync,
            each.isController ? "controller" : each.isLive ? "" : "away",
          ]),
        ),
      );
      const unwell = partitions.filter(
        (each) => leaderless.includes(each) || behind.includes(each),
      );
      if (unwell.length > 0) {
        const rows = unwell
          .slice(0, ROWS_MAX)
          .map((each) => [
            each.topic,
            each.partition,
            each.leader < 0 ? "none" : each.leader,
            each.replicas.join(","),
            each.inSyncReplicas.join(","),
          ]);
        text.push(`\n${table(["TOPIC", "PARTITION", "LEADER", "REPLICAS", "IN SYNC"], rows)}`);
        if (unwell.length > ROWS_MAX) text.push(`… and ${unwell.length - ROWS_MAX} more\n`);
      }
      if (moving.length > 0) {
        const rows = moving
          .slice(0, ROWS_MAX)
          .map((each) => [
            each.topic,
            each.partition,
            each.replicas.join(","),
            each.adding.join(","),
            each.removing.join(","),
          ]);
        text.push(`\n${table(["ON ITS WAY", "PARTITION", "REPLICAS", "COME", "GO"], rows)}`);
        if (moving.length > ROWS_MAX) text.push(`… and ${moving.length - ROWS_MAX} more\n`);
      }
      const facts = [
        `${counted(partitions.length, "partition")}`,
        leaderless.length === 0 ? "all led" : `${leaderless.length} led by nobody`,
        behind.length === 0 ? "all in sync" : `${behind.length} out of sync`,
        ...(misled.length === 0 ? [] : [`${misled.length} not led by their preferred replica`]),
        ...(moving.length === 0 ? [] : [`${moving.length} on their way`]),
      ];
      text.push(`\n${facts.join(", ")}\n`);
      await host.print(text.join(""));
      return code;
    });
  },
};
