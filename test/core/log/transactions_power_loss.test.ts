// Transactions on a disk that loses power: at points of a recorded life, what is found is a prefix of what was sent, at
// least as long as what was acknowledged, and is seen as that prefix says. The files of what was aborted never have to
// be made again; without their syncs they have to be. MILLRACE_TEST_FULL=1 tries every point.

import { describe, expect, test } from "bun:test";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { Survivors } from "../../../src/testing/power_loss/rebuild.ts";
import {
  type RecordedFiles,
  type RecordedSync,
  type Recording,
  recordingFiles,
} from "../../../src/testing/power_loss/recording_files.ts";
import { batchOf, caller, LogRig, type RigOptions, topic } from "../../support/log_rig.ts";
import { isFullTestRun } from "../../support/test_scale.ts";
import {
  fetchCommitted,
  readCommitted,
  TransactionModel,
} from "../../support/transaction_model.ts";

const OPTIONS: RigOptions = {
  topics: [topic("t", 1, { "internal.segment.bytes": "3000" })],
  journalFileBytes: 6 * 1024,
  journalBytesMax: 0,
  grownBytes: 1500,
  gate: { admit: () => ok(null) },
};

const on = (files: RecordedFiles) => storageFs({ directory: "/data", files });
const logOf = (rig: LogRig) => rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!;

interface Life {
  readonly recording: Recording;
  readonly model: TransactionModel;
  /** From that point on everything before the offset is acknowledged. */
  readonly acked: { readonly point: number; readonly endOffset: number }[];
  readonly deleted: { readonly point: number; readonly offset: number }[];
}

async function recordedLife(dropSync: (sync: RecordedSync) => boolean): Promise<Life> {
  const recording = recordingFiles({ dropSync });
  const rig = await LogRig.open(on(recording.layer), OPTIONS);
  const life: Life = { recording, model: new TransactionModel(), acked: [], deleted: [] };
  const random = SeededRandom.of("transactions on a disk");
  const producers = [31, 32, 33].map((id) => ({ id, epoch: 0, sequence: 0 }));
  const send = async (): Promise<void> => {
    const producer = producers[random.below(3)]!;
    const { id: producerId } = producer;
    const log = logOf(rig);
    const at = log.logEndOffset;
    const draw = random.below(10);
    if (draw >= 6) {
      const isCommit = draw === 6;
      const producerEpoch = ++producer.epoch;
      producer.sequence = 0;
      const verdict = log.appendMarker(
        { producerId, producerEpoch, coordinatorEpoch: 1, isCommit, transactionVersion: 2 },
        rig.test.wallMs,
      );
      life.model.add(producerId, isCommit ? "commit" : "abort", at);
      if (verdict.kind !== "appended" || !(await verdict.group.settled())) throw new Error("no");
    } else {
      const values = [`${at}`.padEnd(20 + random.below(150), "v")];
      const isTransactional = draw > 0;
      const { epoch: producerEpoch, sequence: baseSequence } = producer;
      const batches = isTransactional
        ? batchOf(values, { producerId, producerEpoch, baseSequence, isTransactional })
        : batchOf(values);
      if (isTransactional) producer.sequence++;
      life.model.add(producerId, isTransactional ? "data" : "plain", at, values);
      const [outcome] = await rig.api.append(caller, {
        acks: -1,
        timeoutMs: 1000,
        transactionalId: "tx",
        partitions: [{ topic: "t", partition: 0, batches }],
      });
      if (!outcome!.ok) throw new Error(outcome!.error.code);
    }
    life.acked.push({ point: recording.points(), endOffset: at + 1 });
  };
  for (let i = 0; i < 120; i++) {
    // Some share a sync.
    if (i % 4 === 0) await Promise.all([send(), send(), send()]);
    else await send();
    if (i % 12 === 11) await rig.logs.maintain(false);
    if (i === 90) {
      const offset = logOf(rig).segments[2]!.baseOffset + 1;
      await rig.logs.deleteRecords(OPTIONS.topics![0]!.id, 0, offset);
      life.deleted.push({ point: recording.points(), offset });
    }
  }
  expect(logOf(rig).segments.some(({ abortedCount }) => abortedCount > 0)).toBe(true);
  await rig.close();
  return life;
}

/** What is wrong after a power loss at `point`, or null; "rebuilt" where a file had to be made again. */
async function wrongAt(
  life: Life,
  point: number,
  survivors: Survivors,
  rebuilds = false,
): Promise<string | null> {
  const rebuilt = life.recording.rebuild(point, survivors);
  const rig = await LogRig.open(on(rebuilt.layer), OPTIONS);
  const log = logOf(rig);
  const { highWatermark, logStartOffset } = log;
  const acked = life.acked.findLast((each) => each.point <= point)?.endOffset ?? 0;
  if (highWatermark < acked) return `ends at ${highWatermark}, acknowledged was ${acked}`;
  const deleted = life.deleted.findLast((each) => each.point <= point)?.offset ?? 0;
  if (logStartOffset < deleted) return `starts at ${logStartOffset}, deleted was ${deleted}`;
  const model = new TransactionModel();
  model.entries = [...life.model.entries];
  model.cut(highWatermark);
  if (model.endOffset !== highWatermark) return "ends inside a batch";
  const stable = model.lastStableOffset(highWatermark, logStartOffset);
  if (log.lastStableOffset !== stable) return `stable to ${log.lastStableOffset}, not ${stable}`;
  const seen = JSON.stringify(await readCommitted(rig, logStartOffset, 2000));
  if (seen !== JSON.stringify(model.committed(logStartOffset, stable))) return `sees ${seen}`;
  for (let offset = logStartOffset; offset < stable; offset += 7) {
    const { result, endOffset } = await fetchCommitted(rig, offset, 1500);
    const told = result.abortedTransactions.map(({ producerId, firstOffset }) => {
      return { producerId, firstOffset };
    });
    const wanted = model.aborted(offset, endOffset);
    // A file that was made again knows no more of what was deleted: what a reader sees is the same.
    if (rebuilds && logStartOffset > 0) continue;
    if (JSON.stringify(told) !== JSON.stringify(wanted)) {
      return `at ${offset} to ${endOffset}: ${JSON.stringify(told)}`;
    }
  }
  const said = rig.test.lines.find(({ level }) => level === "error");
  if (said !== undefined) return said.event;
  const isRebuilt = rig.test.events("aborted_index_rebuilt").length > 0;
  await rig.logs.maintain(false);
  await rig.close();
  return isRebuilt ? "rebuilt" : null;
}

describe("transactions after a power loss", () => {
  test("are what the batches that are left say, and no file of what was aborted is torn", async () => {
    const life = await recordedLife(() => false);
    const random = SeededRandom.of("points of transactions");
    const count = life.recording.points() + 1;
    const points = isFullTestRun
      ? Array.from({ length: count }, (_, i) => i)
      : Array.from({ length: 60 }, () => random.below(count));
    for (const point of points) {
      for (const survivors of ["nothing", "everything", SeededRandom.of(`${point}`)] as const) {
        expect([point, await wrongAt(life, point, survivors)]).toEqual([point, null]);
      }
    }
  }, 3_600_000);

  test("are seen as they should be without the syncs of those files, which are made again", async () => {
    const life = await recordedLife(({ path }) => path.endsWith(".aborted"));
    const found = new Set<string | null>();
    const random = SeededRandom.of("points without syncs");
    for (let i = 0; i < 40; i++) {
      const point = random.below(life.recording.points() + 1);
      found.add(await wrongAt(life, point, "nothing", true));
    }
    expect([...found].sort()).toEqual([null, "rebuilt"].sort());
  }, 3_600_000);
});
