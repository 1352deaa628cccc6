// One round of a producer under faults, all of it drawn from a seed: options, faults, calls, aborts, growing
// partitions, settings that shrink, flushes and closes at any moment. What became of it is read back from the log.
// Invariant checked: what was acknowledged lies there once, where it was said to; what failed at most once; each
// partition in the order of the calls; and every promise settles.

import { SeededRandom } from "../../src/base/prng.ts";
import type { Delivery, ProducerOptions } from "../../src/client/mod.ts";
import { type Fault, Rig, type Way } from "./ports.ts";
import { text } from "./rig.ts";

const SETTLE_MS = 15_000;
const FAULTS: readonly Fault[] = [
  "break_before",
  "break_after",
  "no_answer",
  "slow",
  "not_leader",
  "forgotten",
  "refused_after",
  "twice",
];
const SURE: readonly Fault[] = ["not_leader", "forgotten"];
const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Sent {
  readonly id: number;
  readonly partition: number;
  delivery: Delivery | null;
  error: unknown;
}

/** What is wrong, in words; empty when all is well. */
export async function stressRound(seed: number, way: Way): Promise<readonly string[]> {
  const random = SeededRandom.of(seed);
  const below = (count: number) => random.uint32() % count;
  const one = <T>(...values: readonly T[]): T => values[below(values.length)]!;
  const wrong: string[] = [];
  const rig = await Rig.start();
  const { admin } = rig.client(way);
  let partitions = 1 + below(3);
  await admin.createTopic({ name: "t", partitions });
  const options: ProducerOptions = {
    inFlightMax: 1 + below(5),
    lingerMs: one(0, 0, 1, 3),
    batchBytesMax: one(150, 300, 1_000),
    bufferBytesMax: one(300, 1_000, 10_000),
    bufferWaitMsMax: one(0, 20, 5_000),
    deliveryTimeoutMs: one(60, 300, 10_000),
    requestBytesMax: one(200, 1 << 20),
    compression: one("none", "gzip", "lz4"),
  };
  // A broker that has forgotten a producer cannot say whether it has a batch: no such doubt beside it.
  const drawn = FAULTS.filter(() => below(3) > 0);
  const isSure = below(4) === 0;
  const faultsOf = isSure ? SURE : drawn.filter((fault) => fault !== "forgotten");
  const quiet = 2 + below(12);
  rig.faults.append = () => faultsOf[below(faultsOf.length + quiet)] ?? null;
  const client = rig.client(way, { requestTimeoutMs: isSure ? 5_000 : 30 });
  const producer = client.producer(options);
  const sent: Sent[] = [];
  const waits: Promise<unknown>[] = [];
  const started = performance.now();

  const newRecord = () => {
    const each: Sent = {
      id: sent.length,
      partition: below(partitions),
      delivery: null,
      error: null,
    };
    sent.push(each);
    const value = `${each.id}:${"x".repeat(below(120))}`;
    const headers = below(8) === 0 ? { h: "y".repeat(below(50)) } : undefined;
    return { each, record: { topic: "t", partition: each.partition, value, headers } };
  };
  const follow = (each: Sent, promise: Promise<Delivery>) => {
    waits.push(
      promise.then(
        (delivery) => {
          each.delivery = delivery;
        },
        (error: unknown) => {
          each.error = error ?? "?";
        },
      ),
    );
  };
  const calls = 20 + below(100);
  for (let call = 0; call < calls; call++) {
    const { each, record } = newRecord();
    switch (below(8)) {
      case 0: {
        const controller = new AbortController();
        follow(each, producer.send(record, { signal: controller.signal }));
        const delay = below(60);
        if (delay < 30) setTimeout(() => controller.abort(), delay);
        else if (delay < 45) controller.abort();
        else void Promise.resolve().then(() => controller.abort());
        break;
      }
      case 1:
      case 2: {
        const room = producer.enqueue(record)?.catch((error: unknown) => {
          each.error = error ?? "?";
        });
        if (room !== undefined) await room;
        break;
      }
      case 3: {
        const many = [{ each, record }, newRecord(), newRecord()];
        const signal = below(3) === 0 ? AbortSignal.timeout(below(20)) : undefined;
        const all = producer.sendAll(
          many.map((one) => one.record),
          { signal },
        );
        await all.then(
          (deliveries) => {
            many.forEach((one, index) => {
              one.each.delivery = deliveries[index]!;
            });
          },
          (error: unknown) => {
            for (const one of many) one.each.error = error ?? "?";
          },
        );
        break;
      }
      default:
        follow(each, producer.send(record));
    }
    switch (below(40)) {
      case 0:
        waits.push(producer.flush().catch(() => {}));
        break;
      case 1:
        await producer.flush().catch(() => {});
        break;
      case 2:
        partitions++;
        await admin.createPartitions("t", partitions);
        break;
      case 3:
        await admin.alterConfigs({ type: "topic", name: "t" }, [
          { name: "max.message.bytes", operation: "set", value: String(one(260, 400, 1_000)) },
        ]);
        break;
      case 4:
      case 5:
      case 6:
        await later(below(5));
        break;
      default:
        if (below(2) === 0) await null;
    }
  }
  const closing = producer.close(one(undefined, 0, 5, 50, 2_000)).catch(() => {});
  if (below(2) === 0) follow(newRecord().each, producer.send({ topic: "t", value: "late" }));
  const left = new Promise<string>((resolve) => {
    setTimeout(() => resolve("hangs"), SETTLE_MS).unref?.();
  });
  const outcome = await Promise.race([Promise.all([closing, ...waits]), left]);
  if (outcome === "hangs") wrong.push("something never settled");
  if (performance.now() - started > SETTLE_MS + 5_000) wrong.push("it took too long");
  // What was given up may still be on its way.
  await later(40);
  rig.faults.append = () => null;

  const seen = new Map<number, string>();
  const last = new Map<number, number>();
  const reader = rig.client(way).consumer({ topics: ["t"], untilEnd: true });
  for await (const { partition, offset, value } of reader) {
    const id = Number.parseInt(text(value)!, 10);
    const place = `${partition}@${offset}`;
    if (seen.has(id)) wrong.push(`${id} lies at ${seen.get(id)} and at ${place}`);
    seen.set(id, place);
    if (id < (last.get(partition) ?? -1)) {
      wrong.push(`${id} lies at ${place}, behind ${last.get(partition)}`);
    }
    last.set(partition, id);
  }
  for (const { id, partition, delivery } of sent) {
    if (delivery === null) continue;
    const place = seen.get(id);
    if (place === undefined) wrong.push(`${id} was acknowledged and is lost`);
    else if (delivery.offset >= 0 && place !== `${partition}@${delivery.offset}`) {
      wrong.push(`${id} lies at ${place}: acknowledged at ${partition}@${delivery.offset}`);
    }
  }
  const { records, delivered, failed } = producer.stats;
  if (records !== delivered + failed) {
    wrong.push(`of ${records} records ${delivered} were delivered and ${failed} failed`);
  }
  await rig.stop();
  return wrong;
}
