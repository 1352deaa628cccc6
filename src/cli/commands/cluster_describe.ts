// `millrace cluster describe`.

import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";
import { table } from "../table.ts";

export const command: Command = {
  name: "cluster describe",
  summary: "show the cluster and its brokers",
  flags: [JSON_FLAG, ...CONNECTION_FLAGS],
  examples: [{ command: "millrace cluster describe", says: "who is there, and who is controller" }],
  run(args, host) {
    return withClient(args, host, async ({ admin }) => {
      const cluster = await admin.describeCluster();
      if (args.has("json")) {
        await host.print(`${JSON.stringify(cluster)}\n`);
        return 0;
      }
      const rows = cluster.brokers.map(({ nodeId, host: name, port, rack, isFenced }) => {
        const role = nodeId === cluster.controllerId ? "controller" : isFenced ? "fenced" : "";
        return [nodeId, `${name}:${port}`, rack ?? "", role];
      });
      await host.print(`Cluster ${cluster.clusterId ?? "without an id"}\n\n`);
      await host.print(table(["BROKER", "ADDRESS", "RACK", ""], rows));
      return 0;
    });
  },
};
