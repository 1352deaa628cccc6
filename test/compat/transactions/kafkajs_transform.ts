// Consume, transform, produce, in transactions, on kafkajs: worker.ts has the words. It asks for offsets without requiring
// stable ones (OffsetFetch v4), so it looks for them only when nothing of it is open: it begins with a transaction of nothing, which
// waits for what a dead process left, and it passes over what this process has committed already.
import { PartitionAssigners } from "kafkajs";
import { kafkajs } from "../kafkajs/client.ts";
import { type Options, say, transformer } from "./npm_transform.ts";

await transformer(async (options: Options, isStopping) => {
  const kafka = kafkajs(process.env["BOOTSTRAP"]!);
  const retry = { retries: 30, initialRetryTime: 50, maxRetryTime: 300 };
  const { id: transactionalId, group: groupId, in: topic, out } = options;
  const producer = kafka.producer({
    transactionalId,
    idempotent: true,
    maxInFlightRequests: 1,
    transactionTimeout: 15_000,
    retry,
  });
  const consumer = kafka.consumer({
    groupId,
    readUncommitted: false,
    sessionTimeout: 2000,
    heartbeatInterval: 300,
    rebalanceTimeout: 5000,
    maxWaitTimeInMs: 100,
    partitionAssigners: [PartitionAssigners.roundRobin],
    retry,
  });
  await producer.connect();
  await (await producer.transaction()).abort();
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) fail(payload.error);
  });
  say("started");
  /** Offsets before which this process has committed everything, by partition. */
  const done = new Map<number, bigint>();
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    async eachBatch({ batch, resolveOffset, heartbeat, isRunning, isStale }) {
      const { partition } = batch;
      const fresh = batch.messages.filter(
        ({ offset }) => BigInt(offset) >= (done.get(partition) ?? 0n),
      );
      for (let at = 0; at < fresh.length; at += options.batch) {
        if (!isRunning() || isStale() || isStopping()) return;
        const messages = fresh.slice(at, at + options.batch);
        const aborts = options.aborts();
        const end = BigInt(messages.at(-1)!.offset) + 1n;
        const transaction = await producer.transaction().catch(fail);
        if (transaction === undefined) return;
        try {
          await transaction.send({
            topic: out,
            messages: messages.map(({ key, value }) => ({
              key,
              value: `${aborts ? "a" : "c"}:${value}`,
              partition,
            })),
          });
          await transaction.sendOffsets({
            consumerGroupId: groupId,
            topics: [{ topic, partitions: [{ partition, offset: String(end) }] }],
          });
          await options.pause();
          if (aborts) await transaction.abort();
          else await transaction.commit();
        } catch (error) {
          say(`note ${error}`);
          // Whether it was committed nobody knows: a new process fences it, and asks.
          fail(error);
          return;
        }
        say(`${aborts ? "aborted" : "committed"} ${messages.length}`);
        if (aborts) {
          consumer.seek({ topic, partition, offset: messages[0]!.offset });
          return;
        }
        done.set(partition, end);
        resolveOffset(messages.at(-1)!.offset);
        await heartbeat();
      }
    },
  });
  return { failed, close: () => consumer.disconnect() };
});
