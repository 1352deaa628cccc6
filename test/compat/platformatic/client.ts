// The @platformatic/kafka side of the client checks; lib.sh calls its verbs, test/integration/npm_clients.test.ts its
// functions. It produces and administers; it consumes in groups alone, so kcat reads back what it wrote. fetchAll uses
// its request builders and parsers by hand: an independent reader by assignment that npm brings.
import {
  Admin,
  ConfigResourceTypes,
  Connection,
  fetchV17,
  IncrementalAlterConfigOperationTypes,
  type KafkaRecord,
  type MessageToProduce,
  Producer,
} from "@platformatic/kafka";
import {
  type Check,
  type RecordLine,
  readLines,
  readRecordLines,
  runChecks,
  until,
} from "../npm_checks.ts";

const common = (bootstrap: string) => ({
  clientId: "compat-platformatic",
  bootstrapBrokers: [bootstrap],
  retries: 3,
  retryDelay: 50,
  timeout: 30_000,
});

type Codec = "none" | "gzip" | "snappy" | "lz4" | "zstd";

async function withAdmin<T>(bootstrap: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin({ ...common(bootstrap), metadataMaxAge: 0 });
  try {
    return await use(admin);
  } finally {
    await admin.close();
  }
}

export async function create(
  bootstrap: string,
  topic: string,
  partitions: number,
  configs: readonly string[],
): Promise<void> {
  const entries = configs.map((kv) => ({ name: kv.split("=")[0]!, value: kv.split("=")[1]! }));
  await withAdmin(bootstrap, (admin) =>
    admin.createTopics({ topics: [topic], partitions, replicas: 1, configs: entries }),
  );
}

type Sent = Omit<MessageToProduce<Buffer, Buffer, Buffer, Buffer>, "topic">;

export async function send(
  bootstrap: string,
  topic: string,
  codec: string,
  batches: Iterable<Sent[]>,
  idempotent = false,
): Promise<void> {
  const producer = new Producer<Buffer, Buffer, Buffer, Buffer>({
    ...common(bootstrap),
    idempotent,
    acks: -1,
    compression: codec as Codec,
  });
  try {
    for (const batch of batches) {
      await producer.send({
        messages: batch.map((message) => ({ ...message, topic, partition: 0 })),
      });
    }
  } finally {
    await producer.close();
  }
}

function* lineBatches(file: string): Iterable<Sent[]> {
  for (const batch of readLines(file, 700_000)) yield batch.map((value) => ({ value }));
}

export function toMessage(record: RecordLine): Sent {
  // its types leave null out, its wire format does not
  const message = {
    key: record.key,
    value: record.value,
    headers: new Map(record.headers.map(([name, value]) => [Buffer.from(name), value])),
  };
  return message as unknown as Sent;
}

function* recordBatches(file: string): Iterable<Sent[]> {
  for (const batch of readRecordLines(file, 300_000)) yield batch.map(toMessage);
}

/** Every record of partition 0 from offset 0 to the high watermark, by Fetch v17 with the topic's id. */
export async function fetchAll(bootstrap: string, topic: string): Promise<KafkaRecord[]> {
  const topicId = await withAdmin(
    bootstrap,
    async (admin) => (await admin.metadata({ topics: [topic] })).topics.get(topic)!.id,
  );
  const [host, port] = bootstrap.split(":") as [string, string];
  const connection = new Connection("compat-platformatic-fetch");
  await connection.connect(host, Number(port));
  const records: KafkaRecord[] = [];
  try {
    for (let next = 0n; ; ) {
      const partitions = [
        {
          partition: 0,
          currentLeaderEpoch: -1,
          fetchOffset: next,
          lastFetchedEpoch: -1,
          partitionMaxBytes: 4 << 20,
        },
      ];
      const response = await fetchV17.api.async(
        connection,
        500,
        1,
        8 << 20,
        0,
        0,
        -1,
        [{ topicId, partitions }],
        [],
        "",
      );
      const partition = response.responses[0]!.partitions[0]!;
      for (const batch of partition.records ?? []) {
        for (const record of batch.records) {
          const offset = batch.firstOffset + BigInt(record.offsetDelta);
          if (offset < next) continue;
          if (offset !== next) throw new Error(`offset ${offset} where ${next} was expected`);
          records.push(record);
          next++;
        }
      }
      if (next >= partition.highWatermark) return records;
    }
  } finally {
    await connection.close();
  }
}

/** The admin calls; each throws when the broker does not do as it should. */
export function adminChecks(bootstrap: string, topic: string): Check[] {
  const use = (call: (admin: Admin) => Promise<void>) => () => withAdmin(bootstrap, call);
  const expect = (holds: boolean, what: unknown) => {
    if (!holds)
      throw new Error(JSON.stringify(what, (_, v) => (typeof v === "bigint" ? String(v) : v)));
  };
  const partitionsOf = async (admin: Admin) =>
    (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)!
      .partitionsCount;
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic };
  const config = async (admin: Admin, name: string) => {
    const found = await admin.describeConfigs({
      resources: [{ ...resource, configurationKeys: [name] }],
    });
    return found[0]!.configs.find((c) => c.name === name)!;
  };
  const offset = async (admin: Admin, timestamp: bigint) =>
    (
      await admin.listOffsets({
        topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }],
      })
    )[0]!.partitions[0]!.offset;
  const base = BigInt(Math.floor(Date.now() / 1000) * 1000 - 60_000);
  return [
    [
      "admin_create_topic",
      use(async (admin) => {
        const made = await admin.createTopics({
          topics: [topic],
          partitions: 3,
          replicas: 1,
          configs: [{ name: "retention.ms", value: "3600000" }],
        });
        expect(made[0]!.partitions === 3 && made[0]!.name === topic, made);
        expect((await admin.listTopics()).includes(topic), "not listed");
        const again = await admin.createTopics({ topics: [topic] }).then(
          () => "accepted",
          (error: unknown) =>
            JSON.stringify(error, Object.getOwnPropertyNames(error as object)) +
            String(error) +
            String((error as { errors?: unknown[] }).errors?.map((e) => JSON.stringify(e))),
        );
        expect(again !== "accepted", again);
      }),
    ],
    [
      "admin_describe_topic",
      use(async (admin) => expect((await partitionsOf(admin)) === 3, "not 3 partitions")),
    ],
    [
      "admin_create_partitions",
      use(async (admin) => {
        await admin.createPartitions({ topics: [{ name: topic, count: 5, assignments: null }] });
        await until(async () => (await partitionsOf(admin)) === 5, "5 partitions");
      }),
    ],
    [
      "admin_describe_configs",
      use(async (admin) => {
        const entry = await config(admin, "retention.ms");
        expect(entry.value === "3600000", entry);
      }),
    ],
    [
      "admin_incremental_alter_configs",
      use(async (admin) => {
        await admin.incrementalAlterConfigs({
          resources: [
            {
              ...resource,
              configs: [
                {
                  name: "max.message.bytes",
                  configOperation: IncrementalAlterConfigOperationTypes.SET,
                  value: "5000",
                },
              ],
            },
          ],
        });
        await until(
          async () => (await config(admin, "max.message.bytes")).value === "5000",
          "max.message.bytes altered",
        );
        await admin.incrementalAlterConfigs({
          resources: [
            {
              ...resource,
              configs: [
                {
                  name: "max.message.bytes",
                  configOperation: IncrementalAlterConfigOperationTypes.DELETE,
                },
              ],
            },
          ],
        });
        await until(
          async () => (await config(admin, "max.message.bytes")).value === "1048588",
          "max.message.bytes at its default",
        );
      }),
    ],
    [
      "admin_alter_configs",
      use(async (admin) => {
        await admin.alterConfigs({
          resources: [{ ...resource, configs: [{ name: "retention.bytes", value: "777777" }] }],
        });
        await until(
          async () => (await config(admin, "retention.bytes")).value === "777777",
          "retention.bytes altered",
        );
      }),
    ],
    [
      "admin_list_offsets_by_time",
      use(async (admin) => {
        await send(bootstrap, topic, "none", [
          [0, 1, 2, 3, 4].map((i) => ({
            value: Buffer.from([i]),
            timestamp: base + BigInt(i * 1000),
          })),
        ]);
        expect((await offset(admin, base + 1500n)) === 2n, "between");
        expect(
          (await offset(admin, -2n)) === 0n &&
            (await offset(admin, -1n)) === 5n &&
            (await offset(admin, -3n)) === 4n,
          "the ends",
        );
      }),
    ],
    [
      "admin_delete_records",
      use(async (admin) => {
        const deleted = await admin.deleteRecords({
          topics: [{ name: topic, partitions: [{ partition: 0, offset: 3n }] }],
        });
        expect(
          deleted[0]!.partitions[0]!.lowWatermark === 3n && (await offset(admin, -2n)) === 3n,
          deleted,
        );
      }),
    ],
    [
      "admin_describe_log_dirs",
      use(async (admin) => {
        const dirs = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] });
        expect(dirs.length === 1 && dirs[0]!.results.length > 0, dirs);
      }),
    ],
    [
      "admin_describe_cluster",
      use(async (admin) => {
        const cluster = await admin.metadata({ topics: [] });
        expect(
          cluster.brokers.size === 1 &&
            cluster.brokers.has(cluster.controllerId) &&
            cluster.id !== "",
          [...cluster.brokers.keys()],
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
    console.error(describe(error));
    process.exit(2);
  }
}

/** The error and what caused it: this client wraps the broker's answer several times. */
export function describe(error: unknown): string {
  const inner = (error as { errors?: unknown[] }).errors ?? [];
  return [String(error), (error as { apiId?: string }).apiId ?? "", ...inner.map(describe)].join(
    " ",
  );
}
