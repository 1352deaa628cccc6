// Drives one group of each kind with a member of ours and Kafka's console consumer; "ok NAME" or "not ok NAME why" a check.
import { spawn } from "node:child_process";
import process from "node:process";
import {
  type AssignorName,
  type Client,
  connect,
  type GroupConsumerOptions,
} from "../../../mod.ts";

const bootstrap = process.env["BOOTSTRAP"]!;
const client: Client = await connect(`kafka://${bootstrap}?clientId=ours`);
const { admin } = client;
const PARTITIONS = 6;
const RECORDS = 600;
const STRATEGY = "partition.assignment.strategy=org.apache.kafka.clients.consumer";
const STICKY = "CooperativeStickyAssignor";

let failed = 0;
async function check(name: string, call: () => Promise<void>): Promise<void> {
  try {
    await call();
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.log(`not ok ${name} ${(error as Error).message}`);
  }
}
async function until(isSo: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(what());
}

async function round(
  name: string,
  own: Partial<GroupConsumerOptions>,
  javas: string,
): Promise<void> {
  const topic = `mixed-${process.argv[2]}-${name}`;
  const group = `${topic}-g`;
  await admin.createTopic({ name: topic, partitions: PARTITIONS });
  const seen = new Map<string, number>();
  const note = (value: string) => seen.set(value, (seen.get(value) ?? 0) + 1);
  let made = 0;
  const allRead = async () => {
    const records = Array.from({ length: RECORDS }, (_, at) => {
      return { topic, partition: at % PARTITIONS, value: String(made + at) };
    });
    await client.producer().sendAll(records);
    made += RECORDS;
    await until(
      () => seen.size === made,
      () => `${seen.size} of ${made} were read`,
    );
  };
  const ours = () => {
    const ending = new AbortController();
    const { signal } = ending;
    const consumer = client.consumer({ group, topics: [topic], ...own, signal });
    const ended = (async () => {
      for await (const { value } of consumer) note(new TextDecoder().decode(value!));
    })();
    ended.catch(() => {});
    return {
      stop: () => {
        ending.abort();
        return ended;
      },
    };
  };
  /** "ours:3 java:3" */
  const shares = async (wanted: string) => {
    let found = "";
    await until(
      async () => {
        const [described] = await admin.describeGroups([group]);
        const members = described!.ok ? described!.value.members : [];
        found = members
          .map((each) => `${each.clientId === "ours" ? "ours" : "java"}:${each.assignment.length}`)
          .sort()
          .join(" ");
        return found === wanted;
      },
      () => `found ${found}, wanted ${wanted}`,
    );
  };
  let member = ours();
  await shares("ours:6");
  const java = spawn(
    "java",
    [
      ...["-Xmx128m", "-cp", `${process.env["KAFKA_LIBS"]}/*`],
      "org.apache.kafka.tools.consumer.ConsoleConsumer",
      ...["--bootstrap-server", bootstrap, "--topic", topic, "--group", group, "--from-beginning"],
      ...["--consumer-property", javas],
    ],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  const ended = new Promise<void>((resolve) => java.once("close", () => resolve()));
  let rest = "";
  java.stdout.on("data", (chunk) => {
    const lines = (rest + String(chunk)).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (/^\d+$/.test(line)) note(line);
  });
  try {
    await check(`${name}_java_joins_ours`, async () => {
      await shares("java:3 ours:3");
      await allRead();
    });
    await check(`${name}_ours_leaves`, async () => {
      await member.stop();
      await shares("java:6");
      await allRead();
    });
    await check(`${name}_ours_joins_java`, async () => {
      member = ours();
      await shares("java:3 ours:3");
      await allRead();
    });
  } finally {
    java.kill("SIGTERM");
    await ended;
  }
  await check(`${name}_java_leaves`, async () => {
    await shares("ours:6");
    await allRead();
    await member.stop();
  });
  await check(`${name}_each_record_once`, async () => {
    const again = [...seen.values()].filter((times) => times > 1).length;
    if (again > 0) throw new Error(`${again} of ${made} were read again`);
    const offsets = await admin.listGroupOffsets(group);
    const sum = offsets.reduce((total, { offset }) => total + offset!, 0);
    if (sum !== made) throw new Error(`${sum} of ${made} are committed`);
  });
}

const sticky: readonly AssignorName[] = ["cooperative-sticky"];
await Promise.all([
  round(
    "range",
    { protocol: "classic" },
    `${STRATEGY}.RangeAssignor,org.apache.kafka.clients.consumer.${STICKY}`,
  ),
  round("sticky", { protocol: "classic", assignors: sticky }, `${STRATEGY}.${STICKY}`),
  round("consumer", { protocol: "consumer" }, "group.protocol=consumer"),
]);
await client.close();
process.exit(failed > 0 ? 1 : 0);
