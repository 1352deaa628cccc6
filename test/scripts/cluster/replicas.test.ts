// Replicas that differ in a byte, or are too few, are found: in folders of Kafka's form, and in folders of ours.

import { expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { millraceReplicas } from "../../../scripts/cluster/millrace_replicas.ts";
import { differenceOf, kafkaReplicas } from "../../../scripts/cluster/replicas.ts";
import { batchOf, LogRig, topic } from "../../support/log_rig.ts";

async function inFolder(work: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-replicas-"));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const TOPICS = [{ name: "t", partitions: 2 }];

test("Kafka's logs are compared over all their segments", async () => {
  await inFolder((folder) => {
    const replica = (broker: number, ...segments: string[]) => {
      const own = join(folder, String(broker), "t-0");
      mkdirSync(own, { recursive: true });
      segments.forEach((text, i) => {
        writeFileSync(join(own, `${String(i * 100).padStart(20, "0")}.log`), text);
      });
      writeFileSync(join(own, "00000000000000000000.index"), `of ${broker}`);
      return kafkaReplicas(broker, join(folder, String(broker)), TOPICS).get("t/0")!;
    };
    const [one, two, other] = [
      replica(1, "abc", "def"),
      replica(2, "abcdef"),
      replica(3, "abcdeF"),
    ];
    expect(one.sizeBytes).toBe(6);
    expect(differenceOf("t/0", [one, two], 2)).toBe(undefined);
    expect(differenceOf("t/0", [one, two, other], 3)).toContain("t/0 differs (broker 1: 6 bytes");
    expect(differenceOf("t/0", [one, two], 3)).toBe("t/0 has 2 replicas, not 3");
  });
});

test("our folders are read from the journal, and what was read is as it was", async () => {
  await inFolder(async (folder) => {
    const image = topic("t", 2);
    const write = async (broker: number, values: readonly string[]): Promise<void> => {
      const data = join(folder, `data-${broker}`);
      const rig = await LogRig.open(storageFs({ directory: data }), { topics: [image] });
      for (const value of values)
        expect((await rig.append(batchOf([value]), "t", 1)).ok).toBe(true);
      await rig.close();
      if (broker !== 1) {
        cpSync(join(data, "broker-1"), join(data, `broker-${broker}`), { recursive: true });
      }
    };
    await write(1, ["a", "b", "c"]);
    await write(2, ["a", "b", "c"]);
    await write(3, ["a", "b", "d"]);
    const read = async (broker: number) =>
      await millraceReplicas(broker, join(folder, `data-${broker}`), join(folder, "work"), [
        { name: "t", id: image.id, partitions: 2 },
      ]);
    const [one, two, three] = [await read(1), await read(2), await read(3)];
    expect(one.get("t/0")!.sizeBytes).toBe(0);
    expect(one.get("t/1")!.sizeBytes).toBeGreaterThan(100);
    const at = (place: string) => [one, two, three].map((each) => each.get(place)!);
    expect(differenceOf("t/0", at("t/0"), 3)).toBe(undefined);
    expect(differenceOf("t/1", at("t/1").slice(0, 2), 2)).toBe(undefined);
    expect(differenceOf("t/1", at("t/1"), 3)).toContain("t/1 differs");
    expect(await read(1)).toEqual(one);
  });
});
