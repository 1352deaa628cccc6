// One round of an idempotent producer whose topic is deleted and made again while it sends, drawn from a seed.
// Invariant checked: what lies in the last of the topics is in the order of the calls, once, where it was said to;
// what was sent after that topic was made, and acknowledged, is there; and every promise settles.

import { SeededRandom } from "../../src/base/prng.ts";
import { ClientError, type Delivery } from "../../src/client/mod.ts";
import { type Fault, Rig, type Way } from "./ports.ts";
import { text } from "./rig.ts";

const SETTLE_MS = 20_000;
const FAULTS: readonly Fault[] = ["slow", "late", "not_leader", "break_before"];
/** The topic was gone while its settings were asked for; the new one took later records first. */
const GIVEN_UP: ReadonlySet<string> = new Set([
  "unknown_topic_or_partition",
  "out_of_order_sequence_number",
]);
const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What is wrong, in words; empty when all is well. */
export async function recreatedRound(seed: number, way: Way): Promise<readonly string[]> {
  const random = SeededRandom.of(seed);
  const below = (count: number) => random.uint32() % count;
  const wrong: string[] = [];
  const rig = await Rig.start();
  const { admin } = rig.client(way);
  const partitions = 1 + below(2);
  await admin.createTopic({ name: "t", partitions });
  const quiet = 3 + below(20);
  rig.faults.append = () => FAULTS[below(FAULTS.length + quiet)] ?? null;
  const producer = rig.client(way, { requestTimeoutMs: 2_000 }).producer({
    lingerMs: below(2),
    batchBytesMax: 100 + below(200),
    deliveryTimeoutMs: 15_000,
    inFlightMax: 5,
    mayCreateTopics: false,
    unknownTopicWaitMs: 10_000,
  });
  const sent: { generation: number; delivery: Delivery | null; error: unknown }[] = [];
  const waits: Promise<unknown>[] = [];
  let generation = 0;
  let isOver = false;
  const send = () => {
    const id = sent.length;
    const each: (typeof sent)[number] = { generation, delivery: null, error: null };
    sent.push(each);
    const record = { topic: "t", partition: id % partitions, value: `${id}` };
    waits.push(
      producer.send(record).then(
        (delivery) => {
          each.delivery = delivery;
        },
        (error: unknown) => {
          each.error = error;
        },
      ),
    );
  };
  const sending = (async () => {
    while (!isOver) {
      for (let count = below(12); count >= 0; count--) send();
      await later(below(3));
    }
  })();
  for (let times = 1 + below(3); times > 0; times--) {
    await later(5 + below(20));
    await admin.deleteTopic("t");
    if (below(2) === 0) await later(below(8));
    await admin.createTopic({ name: "t", partitions });
    generation++;
  }
  await later(5 + below(20));
  isOver = true;
  await sending;
  const hangs = new Promise<string>((resolve) => {
    setTimeout(() => resolve("hangs"), SETTLE_MS).unref?.();
  });
  const outcome = await Promise.race([Promise.all(waits), hangs]);
  if (outcome === "hangs") wrong.push("something never settled");
  rig.faults.append = () => null;

  const seen = new Map<number, string>();
  const last = new Map<number, number>();
  const reader = rig.client(way).consumer({ topics: ["t"], untilEnd: true });
  for await (const { partition, offset, value } of reader) {
    const id = Number(text(value));
    const place = `${partition}@${offset}`;
    if (seen.has(id)) wrong.push(`${id} lies at ${seen.get(id)} and at ${place}`);
    seen.set(id, place);
    if (id < (last.get(partition) ?? -1)) {
      wrong.push(`${id} lies at ${place}, behind ${last.get(partition)}`);
    }
    last.set(partition, id);
  }
  sent.forEach((each, id) => {
    const code = each.error instanceof ClientError ? each.error.code : "";
    if (each.error !== null && !GIVEN_UP.has(code)) wrong.push(`${id} failed: ${each.error}`);
    if (each.delivery !== null && each.generation === generation && !seen.has(id)) {
      wrong.push(`${id} was acknowledged by the last topic and is lost`);
    }
  });
  await producer.close();
  await rig.stop();
  return wrong;
}
