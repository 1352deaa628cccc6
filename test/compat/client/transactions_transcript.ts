// Transactions of our client against BOOTSTRAP: commit, abort, offsets, fencing, read_committed and what operators see; what each
// came to, a JSON line each. By the protocol that the broker has settled on, then by the other one.
// Ids, epochs and times differ from run to run and are left out.
import process from "node:process";
import {
  bootstrapAddresses,
  type Client,
  ClientError,
  type ClientPort,
  connect,
  createClient,
} from "../../../mod.ts";
import { WirePort } from "../../../src/client/wire_port.ts";
import { clientRuntime } from "../../../src/main.ts";
import { ApiVersions } from "../../../src/protocol/messages/18_api_versions.ts";
import { teller, until } from "./outcomes.ts";

const client: Client = await connect(`kafka://${process.env["BOOTSTRAP"]}`);
const { admin } = client;
const run = `transactions-${process.argv[2]}`;

const step = teller(run, ({ code, retriable, remedy }) => ({ code, retriable, remedy }));
const said = async (call: Promise<unknown>): Promise<unknown> => {
  try {
    return (await call) ?? "done";
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return [error.code, error.remedy];
  }
};
const text = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes ?? undefined);
const isolations = ["read_committed", "read_uncommitted"] as const;

for (const wish of ["settled", "first"] as const) {
  const topic = `${run}-${wish}`;
  const idOf = (name: string) => `${topic}-${name}`;
  const own = wish === "settled" ? client : await withoutFeatures();
  await admin.createTopic({ name: topic, partitions: 2 });
  await until(async () => (await admin.topic(topic)).partitions.length === 2, "a topic");
  const begin = (name: string, transactionTimeoutMs = 60_000) =>
    own.producer({ transactionalId: idOf(name), transactionTimeoutMs });
  const put = (value: string, partition = 0) => ({ topic, partition, value });
  const read = async (isolation: (typeof isolations)[number], from = 0) => {
    const found: unknown[] = [];
    const partitions = [{ topic, partition: 0, from: { offset: from } }];
    for await (const record of own.consumer({ partitions, isolation, untilEnd: true })) {
      found.push([record.offset, text(record.value)]);
    }
    return found;
  };
  const ends = async (name = topic) => {
    const query = { topic: name, partition: 0, at: "latest" } as const;
    return Promise.all(
      isolations.map(async (isolation) => {
        const [end] = await admin.offsets([query], { isolation });
        return end!.ok ? end!.value.offset : end!.error.code;
      }),
    );
  };
  /** What is answered is done; other brokers' views of it may be a moment behind. */
  const ended = (offset: number) => until(async () => (await ends())[0] === offset, `${offset}`);
  /** As many as were committed; Kafka writes the marker of a group's offsets after it has answered. */
  const offsetsOf = async (group: string, count: number) => {
    let found: Awaited<ReturnType<typeof admin.listGroupOffsets>> = [];
    await until(async () => {
      found = await admin.listGroupOffsets(group);
      return found.length === count;
    }, `${count} offsets`);
    return found;
  };
  const named = (name: string) => step.bind(null, `${wish}_${name}`);

  const producer = begin("one");
  await named("commit")(async () => {
    await producer.begin();
    const { offset } = await producer.send(put("a"));
    await producer.send(put("b", 1));
    const before = await ends();
    await producer.commit();
    await ended(2);
    return [offset, before, await ends(), await read("read_committed")];
  });
  await named("abort")(async () => {
    await producer.begin();
    await producer.sendAll([put("c"), put("d")]);
    await producer.abort();
    await ended(5);
    return [await read("read_committed"), await read("read_uncommitted")];
  });
  await named("empty")(async () => {
    await producer.begin();
    await producer.commit();
    await producer.begin();
    await producer.abort();
    return producer.phase;
  });
  await named("read_in_the_middle_of_what_was_aborted")(() => read("read_committed", 3));
  await named("open")(async () => {
    await producer.begin();
    await producer.send(put("e"));
    await own.producer().send(put("f"));
    const shown = [await ends(), await read("read_committed"), await read("read_uncommitted")];
    await producer.commit();
    await ended(8);
    return [...shown, await read("read_committed")];
  });
  await named("offsets")(async () => {
    const group = idOf("g");
    const offsets = [{ topic, partition: 0, offset: 3, metadata: "m" }];
    await producer.begin();
    await producer.sendOffsets(offsets, group);
    await producer.abort();
    const before = await admin.listGroupOffsets(group);
    await producer.begin();
    await producer.send(put("g", 1));
    await producer.sendOffsets(offsets, group);
    await producer.commit();
    const after = await offsetsOf(group, 1);
    return [before, after.map(({ offset, metadata }) => [offset, metadata])];
  });
  await named("offsets_of_a_zombie")(async () => {
    const group = idOf("members");
    const member = own.consumer({ group, topics: [topic], autoCommit: false });
    for await (const _ of member) break;
    await producer.begin();
    const zombie = { groupId: group, generation: 1, memberId: "gone", instanceId: null };
    const sent = await said(
      producer.sendOffsets([{ topic, partition: 0, offset: 1 }], zombie, { timeoutMs: 5_000 }),
    );
    const committed = await said(producer.commit());
    await producer.abort();
    return [sent, committed, await admin.listGroupOffsets(group)];
  });
  await named("fenced")(async () => {
    const first = begin("fenced");
    await first.begin();
    await first.send(put("h", 1));
    const second = begin("fenced");
    await second.begin();
    await second.send(put("i", 1));
    await second.commit();
    const found = [await said(first.commit()), first.phase, await said(first.begin())];
    await second.begin();
    await second.abort();
    return [...found, second.phase];
  });
  await named("fenced_while_it_sends")(async () => {
    const first = begin("fenced");
    await first.begin();
    await first.send(put("j", 1));
    await begin("fenced").init();
    const sent = await said(first.send(put("k", 1)));
    return [sent, await said(first.commit()), await said(first.abort())];
  });
  await named("fenced_by_an_operator")(async () => {
    await producer.begin();
    await producer.send(put("l", 1));
    const [outcome] = await admin.fenceProducers([idOf("one")]);
    return [outcome!.ok, (await said(producer.commit())) !== "done", producer.phase];
  });
  await named("spoiled")(async () => {
    const spoiled = begin("spoiled");
    await spoiled.begin();
    await spoiled.send(put("m", 1));
    void spoiled.send({ topic, partition: 9, value: "n" });
    const found = [await said(spoiled.commit()), spoiled.phase];
    await spoiled.abort();
    await spoiled.begin();
    await spoiled.send(put("o", 1));
    await spoiled.commit();
    return [...found, spoiled.phase];
  });
  await named("time_out_too_long")(() => begin("long", 1e9).begin());
  await named("members")(async () => {
    const group = idOf("loop");
    let rounds = 0;
    const consumer = own.consumer({
      group,
      topics: [topic],
      autoCommit: false,
      isolation: "read_committed",
      untilEnd: true,
    });
    const seen: string[] = [];
    for await (const batch of consumer.batches()) {
      const isSpoiled = rounds++ === 1;
      await own
        .transaction(
          (tx) => {
            tx.commitOffsets(consumer);
            for (const record of batch.records()) {
              void tx.send({ topic: `${topic}-out`, partition: 0, value: record.value });
            }
            if (isSpoiled) throw new Error("spoiled");
          },
          { transactionalId: idOf("loop") },
        )
        .catch((error: Error) => {
          if (error.message !== "spoiled") throw error;
        });
    }
    await until(async () => new Set(await ends(`${topic}-out`)).size === 1, "markers");
    const out = own.consumer({
      topics: [`${topic}-out`],
      isolation: "read_committed",
      untilEnd: true,
    });
    for await (const { value } of out) seen.push(text(value));
    const offsets = await offsetsOf(group, 2);
    return [seen.sort(), offsets.map(({ partition, offset }) => [partition, offset! > 0])];
  });
  await named("operators")(async () => {
    const open = begin("open");
    await open.begin();
    const { offset } = await open.send(put("p"));
    const [described] = await admin.describeTransactions([idOf("open")]);
    const [unknown] = await admin.describeTransactions([idOf("none")]);
    const of = (await admin.listTransactions()).filter((each) =>
      each.transactionalId.startsWith(`${topic}-`),
    );
    const place = { topic, partition: 0 };
    const [producers] = await admin.describeProducers([place]);
    const starts = producers!.ok
      ? producers!.value.flatMap(({ transactionStartOffset }) => transactionStartOffset ?? [])
      : producers!.error.code;
    const hanging = await admin.findHangingTransactions({ topics: [topic], idleMs: 0 });
    const none = await said(admin.abortTransaction({ ...place, startOffset: offset + 1 }));
    await open.abort();
    await until(async () => {
      const [left] = await admin.describeTransactions([idOf("open")]);
      return left!.ok && left!.value.state === "CompleteAbort";
    }, "markers");
    return [
      described!.ok && [
        described!.value.state,
        described!.value.timeoutMs,
        described!.value.partitions,
      ],
      unknown!.ok || unknown!.error.code,
      of.map(({ transactionalId, state }) => [transactionalId, state]),
      Array.isArray(starts) && starts.length === 1 && starts[0] === offset,
      hanging.length,
      none,
    ];
  });
  await named("states_unknown")(() => admin.listTransactions({ states: ["Nowhere"] }));
  await named("states")(async () => {
    const states = await Promise.all(
      ["Ongoing", "CompleteAbort", "CompleteCommit"].map((state) =>
        admin.listTransactions({ states: [state] }),
      ),
    );
    return states.map((found) =>
      found.flatMap(({ transactionalId }) =>
        transactionalId.startsWith(`${topic}-`) ? transactionalId : [],
      ),
    );
  });
}
await client.close();
process.exit(0);

/** A way on which nobody hears of levels of features, as from a broker that has none: the first protocol is spoken. */
async function withoutFeatures(): Promise<Client> {
  const runtime = await clientRuntime();
  const backoff = { backoffMs: 50, backoffMsMax: 1_000 };
  const wire = new WirePort(runtime, {
    ...backoff,
    bootstrap: bootstrapAddresses(process.env["BOOTSTRAP"]!),
    clientId: "millrace",
    connectTimeoutMs: 10_000,
    requestTimeoutMs: 30_000,
    inFlightMax: 64,
    responseBytesMax: 1 << 28,
  });
  const port: ClientPort = {
    learn: (brokers) => wire.learn(brokers),
    close: () => wire.close(),
    async send(api, request, options) {
      const answer = await wire.send(api, request, options);
      if (api.apiKey !== ApiVersions.apiKey) return answer;
      return { ...(answer as object), finalizedFeatures: [] } as unknown as typeof answer;
    },
  };
  return createClient(runtime, { ...backoff, port });
}
