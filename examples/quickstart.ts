// An event log inside your program: a broker, a topic, records in, records out. Nothing to install beside it.
//
//   bun examples/quickstart.ts        deno run -A examples/quickstart.ts

import { Millrace } from "millrace";

// In memory, and in this process alone. Leave `storage` and `metadata` out, and it lies in ./data; leave
// `transports` out, and every Kafka client can join at 127.0.0.1:9092.
const millrace = await Millrace.start({
  storage: "memory",
  metadata: "memory",
  transports: [],
});

await millrace.admin().createTopic({ name: "orders", partitions: 3 });

// Records with one key stay in one partition, and so in order.
const producer = millrace.producer();
await producer.sendAll([
  { topic: "orders", key: "alice", value: "1 coffee" },
  { topic: "orders", key: "bob", value: "2 teas" },
  { topic: "orders", key: "alice", value: "1 croissant" },
]);
const { partition, offset } = await producer.send({
  topic: "orders",
  key: "bob",
  value: "the bill",
});
console.log(`bob's bill is record ${offset} of partition ${partition}`);

// Read everything there is, from the beginning. Without `untilEnd` it would go on with what comes.
const text = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes ?? undefined);
for await (const record of millrace.consumer({ topics: ["orders"], untilEnd: true })) {
  console.log(`${text(record.key)} ordered ${text(record.value)}`);
}

await millrace.stop();
