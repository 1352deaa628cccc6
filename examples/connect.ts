// A client of any Kafka cluster, ours or Apache's, by its address. It copies a line into a topic, and reads the
// topic's last lines.
//
//   bun examples/connect.ts kafka://localhost:9092 hello
//   deno run -A examples/connect.ts "kafkas://alice:secret@broker-1:9093,broker-2:9093" hello

import { ClientError, connect } from "millrace";

const [url = "kafka://localhost:9092", topic = "hello"] = process.argv.slice(2);

try {
  const client = await connect(url, { clientId: "example" });
  const { brokers, clusterId } = await client.admin.describeCluster();
  console.log(`cluster ${clusterId} of ${brokers.length} broker(s)`);

  await client.admin.createTopic({ name: topic, partitions: 1 }).catch((error: unknown) => {
    if (!(error instanceof ClientError && error.code === "topic_already_exists")) throw error;
  });

  // Idempotent and acknowledged by all replicas, unless told otherwise; sent at the latest after 5 ms.
  const producer = client.producer({ lingerMs: 5, compression: "gzip" });
  const { partition, offset } = await producer.send({
    topic,
    value: `It is ${new Date().toISOString()}`,
  });
  console.log(`written to ${topic}-${partition} at offset ${offset}`);

  const from = { lastOffsets: 5 };
  for await (const record of client.consumer({ topics: [topic], from, untilEnd: true })) {
    console.log(`${record.offset}: ${new TextDecoder().decode(record.value ?? undefined)}`);
  }
  await client.close();
} catch (error) {
  // Where there is no cluster, it says so at once; `code` is Kafka's name for what went wrong.
  if (!(error instanceof ClientError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
