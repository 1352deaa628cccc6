// Consume, transform, produce, in transactions, on @platformatic/kafka: worker.ts has the words. A process of it that is started
// again under its transactional id is refused by Kafka itself (clients.md, trap 8), so it goes on with the producer it has.
import { Consumer, type Message, Producer } from "@platformatic/kafka";
import { type Options, say, transformer } from "./npm_transform.ts";

type Bytes = Message<Buffer, Buffer, Buffer, Buffer>;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** While the broker is away. */
const TRIES = 150;

await transformer(async (options: Options, isStopping) => {
  const common = {
    clientId: options.id,
    bootstrapBrokers: [process.env["BOOTSTRAP"]!],
    retries: 20,
    retryDelay: 100,
    timeout: 10_000,
    metadataMaxAge: 1000,
  };
  const producer = new Producer<Buffer, Buffer, Buffer, Buffer>({
    ...common,
    transactionalId: options.id,
    idempotent: true,
    transactionTimeout: 60_000,
  } as never);
  const { in: topic, out, group: groupId } = options;

  /** Commits or aborts, again and again: true when it was committed. */
  async function ended(
    transaction: { commit(): Promise<void>; abort(): Promise<void> },
    commits: boolean,
  ): Promise<boolean> {
    for (let attempt = 0; ; attempt++) {
      try {
        if (commits) await transaction.commit();
        else await transaction.abort();
        return commits;
      } catch (error) {
        const code = codeOf(error);
        // It has been ended otherwise: it ran out of time.
        if (code === "INVALID_TXN_STATE") return false;
        if (attempt >= TRIES || code === "PRODUCER_FENCED" || code === "INVALID_PRODUCER_EPOCH") {
          throw error;
        }
        await wait(100);
      }
    }
  }

  /** One transaction. @returns whether it was committed */
  async function transact(consumer: Consumer, messages: readonly Bytes[]): Promise<boolean> {
    const aborts = options.aborts();
    const transaction = await producer.beginTransaction();
    let isWhole = true;
    try {
      await transaction.addConsumer(consumer);
      await transaction.send({
        messages: messages.map(({ key, value, partition }) => ({
          topic: out,
          partition,
          key,
          value: Buffer.from(`${aborts ? "a" : "c"}:${value}`),
        })),
      });
      const last = new Map(messages.map((message) => [message.partition, message]));
      for (const message of last.values()) await transaction.addOffset(message as never);
    } catch (error) {
      say(`note ${error}`);
      isWhole = false;
    }
    await options.pause();
    const isCommitted = await ended(transaction, isWhole && !aborts);
    say(`${isCommitted ? "committed" : "aborted"} ${messages.length}`);
    return isCommitted;
  }

  /** Reads from where the group stands until a transaction is aborted, or something breaks. */
  async function read(): Promise<void> {
    const consumer = new Consumer<Buffer, Buffer, Buffer, Buffer>({
      ...common,
      groupId,
      isolationLevel: "READ_COMMITTED",
      sessionTimeout: 3000,
      rebalanceTimeout: 5000,
      heartbeatInterval: 300,
      maxWaitTime: 100,
      autocommit: false,
    } as never);
    try {
      const stream = await consumer.consume({
        topics: [topic],
        mode: "committed",
        fallbackMode: "earliest",
      });
      let messages: Bytes[] = [];
      for await (const message of stream) {
        messages.push(message as Bytes);
        if (messages.length < options.batch && stream.readableLength > 0) continue;
        if (isStopping() || !(await transact(consumer, messages))) break;
        messages = [];
      }
      await stream.close();
    } finally {
      await Promise.race([consumer.close(true).catch(() => {}), wait(3000)]);
    }
  }

  say("started");
  const reading = (async (): Promise<never> => {
    for (let broken = 0; ; ) {
      try {
        await read();
        broken = 0;
      } catch (error) {
        say(`note ${error}`);
        if (/fenced/i.test(String(error)) || ++broken > TRIES) throw error;
        await wait(200);
      }
    }
  })();
  reading.catch(() => {});
  return { failed: reading, close: () => producer.close() };
});

/** Kafka's name of what went wrong, however deep it is wrapped. */
function codeOf(error: unknown): string {
  const {
    apiId,
    errors = [],
    cause,
  } = error as {
    apiId?: string;
    errors?: unknown[];
    cause?: unknown;
  };
  if (apiId !== undefined) return apiId;
  for (const inner of cause === undefined ? errors : [cause, ...errors]) {
    const found = inner === null || typeof inner !== "object" ? "" : codeOf(inner);
    if (found !== "") return found;
  }
  return "";
}
