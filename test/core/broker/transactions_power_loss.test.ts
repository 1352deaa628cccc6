// Transactions of a whole broker on a disk that loses power: whatever is left of the journal, each transaction stands as a
// whole or not at all, in both topics and in the offsets of its group, and as its producer was told, if it was.
// MILLRACE_TEST_FULL=1 tries every point.

import { describe, expect, test } from "bun:test";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { MetadataStorePlugin } from "../../../src/contracts/metadata_store.ts";
import { createBroker } from "../../../src/core/mod.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { hostRuntime } from "../../../src/runtime/host_runtime.ts";
import type { Survivors } from "../../../src/testing/power_loss/rebuild.ts";
import {
  type RecordedFiles,
  type Recording,
  recordingFiles,
} from "../../../src/testing/power_loss/recording_files.ts";
import { callerOf } from "../../support/memory_broker.ts";
import { isFullTestRun } from "../../support/test_scale.ts";
import { codeName, type Producer, TransactionCalls } from "../../support/transaction_calls.ts";

const IDS = ["t0", "t1", "t2"];
const TOPICS = ["a", "b"];
const ROUNDS = 12;

async function started(files: RecordedFiles, metadata: MetadataStorePlugin) {
  const host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
  const broker = await createBroker({
    broker: { id: 1 },
    runtime: host.runtime,
    storage: storageFs({ directory: "/data", files }),
    metadata,
    transports: [],
    settings: { "offsets.topic.num.partitions": 2, "transaction.state.log.num.partitions": 2 },
  });
  await broker.start();
  const gone = new AbortController();
  const calls = new TransactionCalls(broker, callerOf("alice", gone.signal));
  const stop = async () => {
    gone.abort();
    await broker.stop(1000);
    await host.stop(1000);
  };
  return { broker, calls, stop };
}

/** Until no earlier end is under way any more. */
async function patiently<Answer>(
  ask: () => Promise<Answer>,
  codeOf: (answer: Answer) => string,
): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    const code = codeOf(answer);
    if (code === "none" || code === "ok") return answer;
    if (!code.startsWith("coordinator_load") && code !== "concurrent_transactions") {
      throw new Error(code);
    }
  }
}

async function init(calls: TransactionCalls, transactionalId: string): Promise<Producer> {
  const { producerId, producerEpoch } = await patiently(
    () => calls.init({ transactionalId }),
    ({ errorCode }) => codeName(errorCode),
  );
  return { producerId: Number(producerId), producerEpoch };
}

/** What a producer was told of a transaction, and when. */
interface Told {
  readonly id: string;
  readonly round: number;
  readonly isCommit: boolean;
  readonly point: number;
}

interface Life {
  readonly recording: Recording;
  readonly metadata: MetadataStorePlugin;
  /** Topics and ids are there from here on. */
  readonly firstPoint: number;
  readonly told: Told[];
}

/** @param durability Of the topics; the coordinator's own, and the groups', are synced. */
async function recordedLife(durability: "fsync" | "memory"): Promise<Life> {
  const recording = recordingFiles({});
  const metadata = metadataMemory();
  const { broker, calls, stop } = await started(recording.layer, metadata);
  for (const name of TOPICS) {
    const made = await createTopic(broker, calls.caller, {
      name,
      partitions: 1,
      config: { "millrace.durability": durability },
    });
    if (!made.ok) throw new Error(made.error.message);
  }
  const producers: Producer[] = [];
  for (const id of IDS) {
    producers.push(await init(calls, id));
    expect(await calls.committedOffset(`group of ${id}`, "a")).toBe(-1);
  }
  const life: Life = { recording, metadata, firstPoint: recording.points(), told: [] };
  const random = SeededRandom.of("transactions of a broker");
  const run = async (id: string, first: Producer) => {
    let producer = first;
    for (let round = 0; round < ROUNDS; round++) {
      const value = [`${id}:${round}`];
      const produced = TOPICS.map((topic) =>
        patiently(
          () => calls.produce(producer, value, { topic, transactionalId: id }),
          (code) => code,
        ),
      );
      const committed = patiently(
        () => calls.commitOffset(producer, `group of ${id}`, "a", round, id),
        (code) => code,
      );
      await Promise.all([...produced, committed]);
      const isCommit = random.below(3) > 0;
      const ended = await patiently(
        () => calls.end(producer, isCommit, 5, id),
        ({ errorCode }) => codeName(errorCode),
      );
      life.told.push({ id, round, isCommit, point: recording.points() });
      producer = { ...producer, producerEpoch: ended.producerEpoch };
    }
  };
  await Promise.all(IDS.map((id, i) => run(id, producers[i]!)));
  await stop();
  return life;
}

/** What is wrong after a power loss at `point`, or null. */
async function wrongAt(life: Life, point: number, survivors: Survivors): Promise<string | null> {
  const rebuilt = life.recording.rebuild(point, survivors);
  const { calls, stop } = await started(rebuilt.layer, life.metadata);
  try {
    // Whoever comes back finds the end of the last transaction, or is the end of it.
    for (const id of IDS) await init(calls, id);
    const seen = new Map<string, string[]>();
    for (const topic of TOPICS) seen.set(topic, await calls.read("read_committed", topic));
    for (const id of IDS) {
      const [a, b] = TOPICS.map((topic) => seen.get(topic)!.filter((each) => each.startsWith(id)));
      if (a!.join() !== b!.join()) return `${id}: ${a!.join()} and ${b!.join()}`;
      const last = a!.at(-1) ?? `${id}:-1`;
      const offset = await calls.committedOffset(`group of ${id}`, "a");
      if (last !== `${id}:${offset}`) return `${last} is the last, and offset ${offset}`;
      for (const told of life.told) {
        if (told.id !== id || told.point > point) continue;
        if (a!.includes(`${id}:${told.round}`) !== told.isCommit) {
          return `${id}:${told.round} was told as ${told.isCommit}, and is not`;
        }
      }
      if (a!.join() !== [...new Set(a)].join()) return `${id}: twice in ${a!.join()}`;
    }
    return null;
  } finally {
    await stop();
  }
}

describe("transactions of a broker, after a power loss", () => {
  test.each(["fsync", "memory"] as const)(
    "stand as wholes, records and offsets, with topics of durability %s",
    async (durability) => {
      const life = await recordedLife(durability);
      expect(life.told.some(({ isCommit }) => isCommit)).toBe(true);
      expect(life.told.some(({ isCommit }) => !isCommit)).toBe(true);
      const random = SeededRandom.of("points of a broker");
      const { firstPoint } = life;
      const count = life.recording.points() + 1 - firstPoint;
      const points = isFullTestRun
        ? Array.from({ length: count }, (_, i) => firstPoint + i)
        : Array.from({ length: 40 }, () => firstPoint + random.below(count));
      for (const point of points) {
        for (const survivors of ["nothing", SeededRandom.of(`${point}`)] as const) {
          expect([point, await wrongAt(life, point, survivors)]).toEqual([point, null]);
        }
      }
    },
    3_600_000,
  );
});
