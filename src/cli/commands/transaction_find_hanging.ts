// `millrace transaction find-hanging`.

import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { durationText } from "../group_lag.ts";
import { withClient } from "../session.ts";
import { table } from "../table.ts";

/** The most that brokers allow a transaction, unless told otherwise (transaction.max.timeout.ms). */
const IDLE_S = 900;

export const command: Command = {
  name: "transaction find-hanging",
  summary: "show transactions that nobody will ever end",
  about: `Looks for transactions that are open in a partition, in which nothing was written for long, and of which no
coordinator knows: they hold back who reads what is committed, for ever. Brokers that verify transactions
(Millrace, and Kafka from 3.6 on) leave none. Each is told with the command that ends it.`,
  flags: [
    {
      name: "topic",
      short: "t",
      value: "TOPIC",
      summary: "only partitions of this one (all topics)",
      isList: true,
    },
    { name: "partition", short: "p", value: "N", summary: "only this one of --topic" },
    { name: "broker", value: "ID", summary: "only partitions with a replica there" },
    {
      name: "idle",
      value: "SECONDS",
      summary: `nothing was written in it for so long (${IDLE_S})`,
    },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace transaction find-hanging", says: "in all topics" },
    { command: "millrace transaction find-hanging -t orders --idle 60", says: "soon after" },
  ],
  run(args, host) {
    const topics = args.list("topic");
    const partition = args.whole("partition", 0, 0x7fffffff);
    const broker = args.whole("broker", 0, 0x7fffffff);
    const idleS = args.whole("idle", 0, 1e9) ?? IDLE_S;
    if (partition !== undefined && topics.length !== 1) {
      throw args.wrong("--partition is one of a single --topic");
    }
    return withClient(args, host, async ({ admin }) => {
      const found = await admin.findHangingTransactions({
        ...(partition !== undefined
          ? { partitions: [{ topic: topics[0]!, partition }] }
          : topics.length > 0
            ? { topics }
            : {}),
        ...(broker === undefined ? {} : { broker }),
        idleMs: idleS * 1_000,
      });
      if (args.has("json")) await host.print(`${JSON.stringify(found)}\n`);
      else if (found.length === 0) await host.print("No transaction hangs\n");
      else {
        const rows = found.map((each) => [
          each.topic,
          each.partition,
          each.producerId,
          each.producerEpoch,
          each.transactionStartOffset,
          durationText(Math.max(Date.now() - each.lastTimestampMs, 0) / 1_000),
        ]);
        const titles = ["TOPIC", "PARTITION", "PRODUCER", "EPOCH", "START OFFSET", "IDLE"];
        await host.print(table(titles, rows));
        const { topic, partition: at, transactionStartOffset } = found[0]!;
        await host.print(
          `\nTo end the first: millrace transaction abort -t ${topic} -p ${at} --start-offset ${transactionStartOffset}\n`,
        );
      }
      return 0;
    });
  },
};
