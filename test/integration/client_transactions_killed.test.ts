// kill -9 of the broker, on disk, at any moment of loops that read, process and write in transactions of our own client, aborts among
// them: each input comes out once, and the loops go on by themselves. MILLRACE_TEST_FULL=1 kills twenty times.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, ClientError, connect } from "../../mod.ts";
import { SeededRandom } from "../../src/base/prng.ts";
import { isFullTestRun } from "../support/test_scale.ts";
import { pause, until } from "../support/waiting.ts";
import { Program } from "./program.ts";

const KILLS = isFullTestRun ? 20 : 3;
const INPUTS = 200;
const text = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes ?? undefined);

async function valuesOf(client: Client, topic: string): Promise<string[]> {
  const values: string[] = [];
  const own = { topics: [topic], isolation: "read_committed", untilEnd: true } as const;
  for await (const { value } of client.consumer(own)) values.push(text(value));
  return values;
}

/** Reads, and writes on, until it is told to end; whatever ends its consumer, it joins again as a program would that is started anew. */
async function loop(client: Client, name: string, ending: AbortSignal, random: SeededRandom) {
  while (!ending.aborted) {
    const consumer = client.consumer({
      group: "g",
      topics: ["in"],
      protocol: "classic",
      heartbeatIntervalMs: 100,
      autoCommit: false,
      isolation: "read_committed",
      waitMsMax: 20,
      signal: ending,
    });
    try {
      for await (const batch of consumer.batches()) {
        const run = client.transaction(
          (tx) => {
            tx.commitOffsets(consumer);
            for (const { value } of batch.records()) void tx.send({ topic: "out", value });
            if (random.uint32() % 5 === 0) throw new Error("unlucky");
          },
          { transactionalId: name },
        );
        await run.catch((error: Error) => {
          if (error.message !== "unlucky" && !(error instanceof ClientError)) throw error;
        });
      }
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      await pause(20);
    }
  }
}

test("each input comes out once, however often the broker is killed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-client-killed-"));
  const random = SeededRandom.of(11);
  const ending = new AbortController();
  let program: Program | null = null;
  let client: Client | null = null;
  try {
    const settings = [
      "-o",
      "group.initial.rebalance.delay.ms=0",
      "-o",
      "offsets.topic.num.partitions=3",
    ];
    settings.push("-o", "transaction.state.log.num.partitions=3");
    program = await Program.start(folder, ...settings);
    const address = ["--kafka", `127.0.0.1:${program.port}`];
    client = await connect(`kafka://127.0.0.1:${program.port}?backoffMsMax=100`);
    for (const name of ["in", "out"]) await client.admin.createTopic({ name, partitions: 2 });
    const own = client;
    const feeder = own.producer({ batchBytesMax: 150 });
    const feeding = (async () => {
      for (let at = 0; at < INPUTS; at++) {
        await feeder.send({ topic: "in", partition: at % 2, value: String(at) });
        await pause(random.uint32() % 10);
      }
    })();
    const loops = ["a", "b"].map((name) => loop(own, name, ending.signal, random));
    for (let kills = 0; kills < KILLS; kills++) {
      await pause(100 + (random.uint32() % 300));
      await program.kill();
      program = await Program.start(folder, ...address, ...settings);
    }
    await feeding;
    const isOut = async () => (await valuesOf(own, "out")).length >= INPUTS;
    await until(isOut, "every input is out", 60_000);
    ending.abort();
    await Promise.all(loops);
    const wanted = Array.from({ length: INPUTS }, (_, at) => String(at)).sort();
    expect((await valuesOf(own, "out")).sort()).toEqual(wanted);
    const offsets = await own.admin.listGroupOffsets("g");
    expect(offsets.length).toBe(2);
  } finally {
    ending.abort();
    await client?.close(1_000).catch(() => {});
    await program?.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}, 180_000);
