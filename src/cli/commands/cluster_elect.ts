// `millrace cluster elect` and `cluster unregister`.

import { CommandError } from "../cli_error.ts";
import { agreed, PLAN_FLAGS, partitionsNamed } from "../cluster_moves.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";
import { counted, table } from "../table.ts";

export const elect: Command = {
  name: "cluster elect",
  summary: "give leadership back to preferred replicas, or elect somebody where nobody leads",
  about: `The preferred replica is the first one; it leads if it is in sync. With --unclean anybody who is there leads a partition
that nobody leads: **records that only those who are away have are lost.**`,
  positionals: [
    {
      name: "partitions",
      summary: "topics, or some partitions of them; all when left out",
      isList: true,
      isOptional: true,
    },
  ],
  flags: [
    { name: "unclean", summary: "elect whoever is there, where nobody leads" },
    ...PLAN_FLAGS,
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    {
      command: "millrace cluster elect --yes",
      says: "after a restart, without waiting for the controller",
    },
    {
      command: "millrace cluster elect orders:2 --unclean",
      says: "its replicas in sync are gone for good",
    },
  ],
  run(args, host) {
    const names = args.list("partitions");
    const isUnclean = args.has("unclean");
    return withClient(args, host, async (client) => {
      const named = names.length === 0 ? null : await partitionsNamed(client, args, names);
      const asked = named === null ? null : new Set(named.map(keyOf));
      const topics = await client.admin.listTopics();
      const wanted = topics
        .flatMap(({ name, partitions }) => partitions.map((each) => ({ topic: name, ...each })))
        .filter((each) => asked === null || asked.has(keyOf(each)))
        .filter(({ leader, replicas }) => (isUnclean ? leader < 0 : leader !== replicas[0]));
      if (!args.has("json")) {
        const rows = wanted.map(({ topic, partition, leader, replicas }) => [
          topic,
          partition,
          leader < 0 ? "none" : leader,
          isUnclean ? `of ${replicas.join(",")}` : replicas[0]!,
        ]);
        await host.print(
          rows.length === 0
            ? "No election is needed\n"
            : table(["TOPIC", "PARTITION", "LEADER", "THEN"], rows),
        );
      }
      const says = `${counted(wanted.length, "partition")} to elect a leader of`;
      const isAgreed = wanted.length > 0 && (await agreed(args, host, says));
      const type = isUnclean ? "unclean" : "preferred";
      const rows = isAgreed ? await client.admin.electLeaders(type, wanted) : [];
      // Somebody else may have been quicker.
      const failed = rows.filter(
        ({ error }) => error !== null && error.code !== "election_not_needed",
      );
      if (args.has("json")) {
        const results = rows.map(({ topic, partition, error }) => {
          return { topic, partition, error: error?.code ?? null };
        });
        const plan = wanted.map(({ topic, partition, leader }) => ({ topic, partition, leader }));
        await host.print(`${JSON.stringify({ wanted: plan, results })}\n`);
      } else if (isAgreed) {
        await host.print(`Elected ${counted(rows.length - failed.length, "leader")}\n`);
      }
      const [first] = failed;
      if (first === undefined) return 0;
      const more = failed.length === 1 ? "" : ` (and ${failed.length - 1} more)`;
      throw new CommandError(
        first.error!.code,
        `No leader was elected of ${first.topic}-${first.partition}${more}: ${first.error!.message}`,
      );
    });
  },
};

export const unregister: Command = {
  name: "cluster unregister",
  summary: "forget a broker that is gone for good",
  about: `For a broker that has been stopped and will not come back. Drain it first: a replica that lies on it still counts as one,
and is missing.`,
  positionals: [{ name: "broker", summary: "its number" }],
  flags: [...PLAN_FLAGS, JSON_FLAG, ...CONNECTION_FLAGS],
  examples: [
    { command: "millrace cluster unregister 3", says: "after it was drained and stopped" },
  ],
  run(args, host) {
    const id = args.wholeOf("BROKER", args.required("broker"), 0);
    return withClient(args, host, async ({ admin }) => {
      const topics = await admin.listTopics();
      const replicas = topics
        .flatMap(({ partitions }) => partitions)
        .filter((each) => each.replicas.includes(id)).length;
      const warning = replicas === 0 ? "" : ` (${counted(replicas, "replica")} on it still)`;
      const isAgreed = await agreed(args, host, `Broker ${id} to be forgotten${warning}`);
      if (isAgreed) await admin.unregisterBroker(id);
      if (args.has("json")) {
        const row = { broker: id, replicas, unregistered: isAgreed };
        await host.print(`${JSON.stringify(row)}\n`);
      } else if (isAgreed) await host.print(`Unregistered broker ${id}${warning}\n`);
      return 0;
    });
  },
};

function keyOf({
  topic,
  partition,
}: {
  readonly topic: string;
  readonly partition: number;
}): string {
  return `${topic}-${partition}`;
}
