// Tables of our client against BOOTSTRAP: what is put, deleted, aborted, cleaned, added and made anew; what each came
// to, a JSON line each. Where records lie after cleaning differs from run to run and is left out.
import process from "node:process";
import { type Client, connect, type Table } from "../../../mod.ts";
import { type Step, teller, until } from "./outcomes.ts";

const client: Client = await connect(`kafka://${process.env["BOOTSTRAP"]}`);
const { admin } = client;
const topic = `tables-${process.argv[2]}`;
const TEXT = { key: "text", value: "text" } as const;

const tell = teller(topic);
const step: Step = (name, call) => tell(`table ${name}`, call);
async function contents(table: Table<string, string>): Promise<string[]> {
  const found: string[] = [];
  for await (const { key, value } of table.scan()) found.push(`${key}=${value}`);
  return found;
}
const make = async (name: string, configs: Record<string, string>, partitions = 2) => {
  await admin.createTopic({ name, partitions, configs });
  await until(async () => (await admin.topic(name)).partitions.length === partitions, "a topic");
};

await make(topic, { "cleanup.policy": "compact" });
const table = await client.table(topic, TEXT);
const lazy = await client.table(topic, { ...TEXT, keep: "offsets" });
await step("of an empty topic", () => contents(table));
await step("put and get", async () => {
  for (let i = 0; i < 30; i++) await table.put(`k${i % 10}`, `${i}`);
  return Promise.all(["k0", "k9", "none"].map((key) => table.get(key)));
});
await step("the same read through the log", async () => {
  await lazy.upToDate();
  return [await contents(lazy), await lazy.get("k3"), lazy.stats.inLogOnly];
});
await step("delete", async () => {
  await lazy.delete("k1");
  await table.upToDate();
  return [await table.has("k1"), await contents(table), table.size];
});
await step("what was aborted is not seen, what was committed is", async () => {
  const producer = client.producer({ transactionalId: topic });
  for (const [value, isCommit] of [
    ["aborted", false],
    ["committed", true],
  ] as const) {
    await producer.begin();
    await producer.send({ topic, key: "k2", value });
    await (isCommit ? producer.commit() : producer.abort());
    await table.upToDate();
    if (!isCommit && (await table.get("k2")) !== "22") return "an aborted one";
  }
  await lazy.upToDate();
  return [await table.get("k2"), await lazy.get("k2"), table.stats.positions.length];
});
await step("a watch from a snapshot", async () => {
  const told: unknown[] = [];
  for await (const change of table.watch({ prefix: "k2", from: "snapshot" })) {
    told.push(change.type === "put" ? [change.key, change.value, change.old] : change.type);
    if (change.type === "loaded") await table.put("k2", "watched");
    if (told.length === 3) break;
  }
  return told;
});
await step("added partitions", async () => {
  await admin.createPartitions(topic, 4);
  await until(async () => (await admin.topic(topic)).partitions.length === 4, "partitions");
  const other = await connect(`kafka://${process.env["BOOTSTRAP"]}`);
  const producer = other.producer();
  for (let i = 0; i < 10; i++) await producer.send({ topic, key: `k${i}`, value: "moved" });
  await other.close();
  await Promise.all([table.upToDate(), lazy.upToDate()]);
  return [await contents(table), (await contents(lazy)).length, table.stats.positions.length];
});
await step("a topic that is not compacted", async () => {
  await make(`${topic}-plain`, { "cleanup.policy": "delete" });
  return client.table(`${topic}-plain`);
});
await step("a topic that is not there", () => client.table(`${topic}-none`));
await step("deleted records", async () => {
  const plain = await client.table(`${topic}-plain`, { ...TEXT, mayBeUncompacted: true });
  const { partition } = await plain.put("first", "1");
  await plain.put("first", "2");
  await admin.deleteRecords([{ topic: `${topic}-plain`, partition, beforeOffset: 2 }]);
  const gone = async () => plain.size === 0;
  await until(gone, "records that are gone");
  return plain.get("first");
});
await step("made anew", async () => {
  await admin.deleteTopic(`${topic}-plain`);
  await until(
    async () => !(await admin.listTopics()).some(({ name }) => name === `${topic}-plain`),
    "a topic that is gone",
  );
  await make(topic.replace("tables", "again"), { "cleanup.policy": "compact" }, 1);
  const own = await client.table(topic.replace("tables", "again"), TEXT);
  await own.put("old", "1");
  await admin.deleteTopic(own.name);
  await until(async () => {
    await admin.createTopic({
      name: own.name,
      partitions: 1,
      configs: { "cleanup.policy": "compact" },
    });
    return true;
  }, "the topic anew");
  const other = await connect(`kafka://${process.env["BOOTSTRAP"]}`);
  await other.producer().send({ topic: own.name, key: "new", value: "1" });
  await other.close();
  await until(async () => (await own.has("new")) && own.size === 1, "the new topic");
  return contents(own);
});
await client.close();
