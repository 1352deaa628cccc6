// __consumer_offsets in a whole broker: committed over and over, it stays small by itself, and loads quickly after a
// restart, with every offset as it was last committed. MILLRACE_TEST_FULL=1 takes the 100,000 offsets of the bar.

import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { createTopic } from "../../../src/gateway/topics.ts";
import { hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { GroupCalls } from "../../support/group_calls.ts";
import { caller } from "../../support/log_rig.ts";
import { isFullTestRun } from "../../support/test_scale.ts";

const GROUPS = isFullTestRun ? 100 : 20;
const PARTITIONS = 1000;
const ROUNDS = 8;

async function sizeOf(broker: RunningBroker): Promise<number> {
  const { results } = await broker.admin.describeLogDirs(caller, { topics: null }, 4);
  return results
    .flatMap(({ topics }) => topics.filter(({ name }) => name === "__consumer_offsets"))
    .flatMap(({ partitions }) => partitions)
    .reduce((sum, { partitionSize }) => sum + Number(partitionSize), 0);
}

describe("__consumer_offsets", () => {
  test("stays small while offsets are committed, and loads quickly", async () => {
    const directory = await mkdtemp(join(tmpdir(), "millrace-offsets-"));
    const metadata = metadataMemory();
    const start = async () => {
      const host = hostRuntime({ log: { level: "off", format: "json", configure: false } });
      const broker = await createBroker({
        broker: { id: 1 },
        runtime: host.runtime,
        storage: storageFs({ directory }),
        metadata,
        transports: [],
        settings: { "offsets.topic.num.partitions": 1, "log.cleaner.backoff.ms": 100 },
      });
      await broker.start();
      const stop = async () => {
        await broker.stop(0);
        await host.stop(1000);
      };
      return { broker, stop, calls: new GroupCalls(broker, caller) };
    };
    try {
      const first = await start();
      const made = await createTopic(first.broker, caller, { name: "t", partitions: PARTITIONS });
      expect(made.ok).toBe(true);
      for (let round = 1; round <= ROUNDS; round++) {
        for (let group = 0; group < GROUPS; group++) {
          const partitions = Array.from({ length: PARTITIONS }, (_, partitionIndex) => {
            const committedOffset = round * 1000 + group;
            return { partitionIndex, committedOffset, committedMetadata: "" };
          });
          const topics = [{ name: "t", partitions }];
          const answer = await first.calls.commit({ groupId: `group ${group}`, topics });
          expect(answer.topics[0]!.partitions.every(({ errorCode }) => errorCode === 0)).toBe(true);
        }
      }
      const wroteBytes = GROUPS * PARTITIONS * ROUNDS * 60;
      const deadlineMs = performance.now() + 20_000;
      let sizeBytes = await sizeOf(first.broker);
      while (sizeBytes > wroteBytes / 3 && performance.now() < deadlineMs) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        sizeBytes = await sizeOf(first.broker);
      }
      expect(sizeBytes).toBeGreaterThan(0);
      expect(sizeBytes).toBeLessThan(wroteBytes / 3);
      await first.stop();

      const again = await start();
      const startedMs = performance.now();
      expect(await again.calls.commitOne("group 0", "t", 0, 7)).toBe(0);
      const tookMs = performance.now() - startedMs;
      if (isFullTestRun) console.log(`${sizeBytes} bytes, loaded in ${Math.round(tookMs)} ms`);
      // The bar is a second for 100,000 on an idle machine.
      expect(tookMs).toBeLessThan(5000);
      for (let group = 1; group < GROUPS; group += 7) {
        const offsets = await again.calls.offsetsOf(`group ${group}`);
        expect(offsets.length).toBe(PARTITIONS);
        expect(offsets.every((each) => each.endsWith(`=${ROUNDS * 1000 + group}`))).toBe(true);
      }
      await again.stop();
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }, 180_000);
});
