// Members of consumer groups on kafkajs, many in one process.
import { PartitionAssigners } from "kafkajs";
import { kafkajs } from "../kafkajs/client.ts";
import { leadMembers, say, sayOwned } from "./npm_members.ts";

await leadMembers(async (name, options) => {
  const isManual = options["commit"] === "manual";
  const topic = options["topic"]!;
  const consumer = kafkajs(process.env["BOOTSTRAP"]!).consumer({
    groupId: options["group"]!,
    sessionTimeout: Number(options["session"]),
    heartbeatInterval: Number(options["heartbeat"]),
    rebalanceTimeout: 10_000,
    maxWaitTimeInMs: 100,
    metadataMaxAge: 1000,
    partitionAssigners: [PartitionAssigners.roundRobin],
    retry: { retries: 20, initialRetryTime: 50, maxRetryTime: 500 },
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    sayOwned(name, payload.memberAssignment[topic] ?? []);
  });
  consumer.on(consumer.events.REBALANCING, () => sayOwned(name, []));
  consumer.on(consumer.events.CRASH, ({ payload }) =>
    say(`${payload.restart ? "note" : "failed"} ${name} ${payload.error}`),
  );
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommit: !isManual,
    autoCommitInterval: 200,
    eachBatchAutoResolve: false,
    async eachBatch({ batch, heartbeat, resolveOffset, isRunning, isStale }) {
      for (const message of batch.messages) {
        if (!isRunning() || isStale()) break;
        say(`r ${name} ${batch.partition} ${message.offset}`);
        resolveOffset(message.offset);
        if (!isManual) continue;
        const offset = String(BigInt(message.offset) + 1n);
        await consumer.commitOffsets([{ topic, partition: batch.partition, offset }]);
      }
      await heartbeat();
    },
  });
  return { leave: () => consumer.disconnect() };
});
