// The kafkajs side of the client checks; lib.sh calls its verbs, test/integration/npm_clients.test.ts its functions.
// It only produces and administers: kafkajs consumes in groups alone, so kcat reads back what it wrote.
// kafkajs brings gzip; the other codecs are plugged in: zstd of the host, lz4 and snappy of src/record, so that whoever
// reads the topic (a real broker among them) judges what our own compressors write.
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import {
  type Admin,
  CompressionCodecs,
  CompressionTypes,
  ConfigResourceTypes,
  Kafka,
  logLevel,
  type Message,
  type Producer,
} from "kafkajs";
import { lz4Compress, lz4Decompress } from "../../../src/record/codecs/lz4.ts";
import { snappyCompress, snappyDecompress } from "../../../src/record/codecs/snappy.ts";
import {
  type Check,
  type RecordLine,
  readLines,
  readRecordLines,
  runChecks,
  until,
} from "../npm_checks.ts";

interface Encoder {
  readonly buffer: Buffer;
}
const plugged =
  (compress: (data: Buffer) => Uint8Array, decompress: (data: Buffer) => Uint8Array) => () => ({
    compress: async (encoder: Encoder) => Buffer.from(compress(encoder.buffer)),
    decompress: async (data: Buffer) => Buffer.from(decompress(data)),
  });
CompressionCodecs[CompressionTypes.Snappy] = plugged(snappyCompress, (data) =>
  snappyDecompress(data, 64 << 20),
);
CompressionCodecs[CompressionTypes.LZ4] = plugged(lz4Compress, (data) =>
  lz4Decompress(data, 64 << 20),
);
CompressionCodecs[CompressionTypes.ZSTD] = plugged(
  (data) => zstdCompressSync(data),
  (data) => zstdDecompressSync(data),
);

const CODECS: Readonly<Record<string, CompressionTypes>> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

export function kafkajs(bootstrap: string): Kafka {
  return new Kafka({
    clientId: "compat-kafkajs",
    brokers: [bootstrap],
    logLevel: logLevel.NOTHING,
    retry: { retries: 5, initialRetryTime: 50 },
  });
}

async function withAdmin<T>(bootstrap: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafkajs(bootstrap).admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

async function withProducer<T>(
  bootstrap: string,
  idempotent: boolean,
  use: (producer: Producer) => Promise<T>,
): Promise<T> {
  const producer = kafkajs(bootstrap).producer({ idempotent, maxInFlightRequests: 1 });
  await producer.connect();
  try {
    return await use(producer);
  } finally {
    await producer.disconnect();
  }
}

export async function create(
  bootstrap: string,
  topic: string,
  partitions: number,
  configs: readonly string[],
): Promise<void> {
  const configEntries = configs.map((kv) => ({
    name: kv.split("=")[0]!,
    value: kv.split("=")[1]!,
  }));
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({
      topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
    }),
  );
}

export async function send(
  bootstrap: string,
  topic: string,
  codec: string,
  batches: Iterable<Message[]>,
  idempotent = false,
): Promise<void> {
  await withProducer(bootstrap, idempotent, async (producer) => {
    for (const messages of batches) {
      for (const message of messages) message.partition = 0;
      await producer.send({
        topic,
        messages,
        acks: -1,
        compression: CODECS[codec]!,
        timeout: 30_000,
      });
    }
  });
}

function* lineBatches(file: string): Iterable<Message[]> {
  for (const batch of readLines(file, 700_000)) yield batch.map((value) => ({ value }));
}

export function toMessage(record: RecordLine): Message {
  const headers: Record<string, Buffer | Buffer[]> = {};
  for (const [name, value] of record.headers) headers[name] = value as Buffer;
  return { key: record.key, value: record.value, headers };
}

function* recordBatches(file: string): Iterable<Message[]> {
  for (const batch of readRecordLines(file, 300_000)) yield batch.map(toMessage);
}

/** The admin calls; each throws when the broker does not do as it should. */
export function adminChecks(bootstrap: string, topic: string): Check[] {
  const use = (call: (admin: Admin) => Promise<void>) => () => withAdmin(bootstrap, call);
  const partitionsOf = async (admin: Admin) =>
    (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]!.partitions.length;
  const config = async (admin: Admin, name: string) => {
    const found = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: [name] }],
    });
    return found.resources[0]!.configEntries[0]!;
  };
  const base = Math.floor(Date.now() / 1000) * 1000 - 60_000;
  const expect = (holds: boolean, what: unknown) => {
    if (!holds) throw new Error(JSON.stringify(what));
  };
  return [
    [
      "admin_create_topic",
      use(async (admin) => {
        expect(
          await admin.createTopics({
            topics: [
              {
                topic,
                numPartitions: 3,
                configEntries: [{ name: "retention.ms", value: "3600000" }],
              },
            ],
          }),
          "not created",
        );
        expect(!(await admin.createTopics({ topics: [{ topic }] })), "created twice");
        expect((await admin.listTopics()).includes(topic), "not listed");
      }),
    ],
    [
      "admin_describe_topic",
      use(async (admin) => expect((await partitionsOf(admin)) === 3, "not 3 partitions")),
    ],
    [
      "admin_create_partitions",
      use(async (admin) => {
        await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
        await until(async () => (await partitionsOf(admin)) === 5, "5 partitions");
      }),
    ],
    [
      "admin_describe_configs",
      use(async (admin) => {
        const entry = await config(admin, "retention.ms");
        expect(entry.configValue === "3600000", entry);
      }),
    ],
    [
      "admin_alter_configs",
      use(async (admin) => {
        await admin.alterConfigs({
          validateOnly: false,
          resources: [
            {
              type: ConfigResourceTypes.TOPIC,
              name: topic,
              configEntries: [{ name: "max.message.bytes", value: "5000" }],
            },
          ],
        });
        await until(
          async () => (await config(admin, "max.message.bytes")).configValue === "5000",
          "max.message.bytes altered",
        );
      }),
    ],
    [
      "admin_list_offsets_by_time",
      use(async (admin) => {
        const messages = [0, 1, 2, 3, 4].map((i) => ({
          value: String(i),
          timestamp: String(base + i * 1000),
        }));
        await send(bootstrap, topic, "none", [messages]);
        const at = async (time: number) =>
          (await admin.fetchTopicOffsetsByTimestamp(topic, time)).find((p) => p.partition === 0)!
            .offset;
        expect((await at(base)) === "0", "the first");
        expect((await at(base + 1500)) === "2", "between");
        const ends = (await admin.fetchTopicOffsets(topic)).find((p) => p.partition === 0)!;
        expect(ends.low === "0" && ends.high === "5", ends);
      }),
    ],
    [
      "admin_delete_records",
      use(async (admin) => {
        await admin.fetchTopicOffsets(topic); // it looks up leaders only of topics that this admin has met
        await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "3" }] });
        const ends = (await admin.fetchTopicOffsets(topic)).find((p) => p.partition === 0)!;
        expect(ends.low === "3", ends);
      }),
    ],
    [
      "admin_describe_cluster",
      use(async (admin) => {
        const cluster = await admin.describeCluster();
        expect(
          cluster.brokers.length === 1 &&
            cluster.controller === cluster.brokers[0]!.nodeId &&
            cluster.clusterId !== "",
          cluster,
        );
      }),
    ],
    [
      "admin_delete_topic",
      use(async (admin) => {
        await admin.deleteTopics({ topics: [topic] });
        await until(async () => !(await admin.listTopics()).includes(topic), "the topic gone");
      }),
    ],
  ];
}

if (import.meta.main) {
  const bootstrap = process.env.BOOTSTRAP ?? "";
  const [verb, topic = "", ...rest] = process.argv.slice(2);
  try {
    if (verb === "create") await create(bootstrap, topic, Number(rest[0]), rest.slice(1));
    else if (verb === "lines")
      await send(bootstrap, topic, rest[0]!, lineBatches(rest[1]!), rest[2] === "idempotent");
    else if (verb === "write") await send(bootstrap, topic, rest[0]!, recordBatches(rest[1]!));
    else if (verb === "one")
      await send(bootstrap, topic, "none", [[{ value: Buffer.alloc(Number(rest[0])) }]]);
    else if (verb === "admin") process.exitCode = await runChecks(adminChecks(bootstrap, topic));
    else throw new Error(`verb ${verb}`);
  } catch (error) {
    console.error(String(error));
    process.exit(2);
  }
}
