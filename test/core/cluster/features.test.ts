// Levels of features: what moves them and what does not, with Kafka's codes; and that they are there after a restart.

import { describe, expect, test } from "bun:test";
import { MetadataStoreError } from "../../../src/contracts/errors.ts";
import { encodeFeatureLevels, FEATURES_KEY } from "../../../src/core/cluster/entries.ts";
import {
  type FeatureUpdate,
  GROUP_VERSION,
  TRANSACTION_VERSION,
} from "../../../src/core/cluster/features.ts";
import { type ClusterBench, clusterBench } from "./cluster_bench.ts";

const UPGRADE = 1;
const SAFE = 2;
const UNSAFE = 3;

const to = (feature: string, maxVersionLevel: number, upgradeType = UPGRADE): FeatureUpdate => ({
  feature,
  maxVersionLevel,
  upgradeType,
});

async function update(
  { cluster }: ClusterBench,
  updates: readonly FeatureUpdate[],
  validateOnly = false,
): Promise<string> {
  const decision = await cluster.updateFeatures(updates, validateOnly);
  return decision.ok ? "ok" : decision.refusal.code;
}

function levels({ cluster }: ClusterBench): number[] {
  return ["metadata.version", GROUP_VERSION, TRANSACTION_VERSION].map((name) =>
    cluster.featureLevel(name),
  );
}

describe("levels of features", () => {
  test("are the newest where nobody has said anything", async () => {
    const bench = await clusterBench();
    expect(levels(bench)).toEqual([30, 1, 2]);
    expect(bench.cluster.image.features.revision).toBe(0);
    expect(() => bench.cluster.featureLevel("nope")).toThrow(RangeError);
    await bench.close();
  });

  test("go down by a downgrade and up by an upgrade, and not the other way round", async () => {
    const bench = await clusterBench();
    const refused = "invalid_update_version";
    for (const [what, expected, found] of [
      [to(TRANSACTION_VERSION, 1), refused, 2],
      [to(TRANSACTION_VERSION, 1, SAFE), "ok", 1],
      [to(TRANSACTION_VERSION, 2, SAFE), refused, 1],
      [to(TRANSACTION_VERSION, 2, UNSAFE), refused, 1],
      [to(TRANSACTION_VERSION, 0, UNSAFE), "ok", 0],
      [to(TRANSACTION_VERSION, 2), "ok", 2],
      // Where it is already: by whatever way.
      [to(TRANSACTION_VERSION, 2), "ok", 2],
      [to(TRANSACTION_VERSION, 2, SAFE), "ok", 2],
      [to(TRANSACTION_VERSION, 3), refused, 2],
      [to(TRANSACTION_VERSION, -1, SAFE), refused, 2],
      [to(TRANSACTION_VERSION, 1, 0), refused, 2],
      [to(TRANSACTION_VERSION, 1, 4), refused, 2],
    ] as const) {
      expect([what, await update(bench, [what])]).toEqual([what, expected]);
      expect(bench.cluster.featureLevel(TRANSACTION_VERSION)).toBe(found);
    }
    await bench.close();
  });

  test("what metadata.version has changed is not taken back", async () => {
    const bench = await clusterBench();
    for (const upgradeType of [SAFE, UNSAFE]) {
      for (const level of [29, 7, 6, 0]) {
        const wanted = [to("metadata.version", level, upgradeType)];
        expect(await update(bench, wanted)).toBe("invalid_update_version");
      }
    }
    expect(await update(bench, [to("metadata.version", 31)])).toBe("invalid_update_version");
    expect(await update(bench, [to("metadata.version", 30)])).toBe("ok");
    await bench.close();
  });

  test("features that Kafka has besides are off, and may be told so; unknown ones are refused", async () => {
    const bench = await clusterBench();
    for (const name of ["share.version", "streams.version", "kraft.version"]) {
      expect(await update(bench, [to(name, 0, SAFE)])).toBe("ok");
      expect(await update(bench, [to(name, 1)])).toBe("invalid_update_version");
    }
    for (const level of [0, 1]) {
      expect(await update(bench, [to("nope", level)])).toBe("invalid_update_version");
    }
    expect(bench.cluster.image.features.revision).toBe(0);
    await bench.close();
  });

  test("several change together or not at all; of one named twice the last counts", async () => {
    const bench = await clusterBench();
    const wanted = [to(TRANSACTION_VERSION, 0, SAFE), to(GROUP_VERSION, 2)];
    const decision = await bench.cluster.updateFeatures(wanted);
    expect(decision.ok ? "" : decision.refusal.message).toContain("group.version");
    expect(levels(bench)).toEqual([30, 1, 2]);
    expect(
      await update(bench, [
        to(GROUP_VERSION, 0, SAFE),
        to(TRANSACTION_VERSION, 0, SAFE),
        to(TRANSACTION_VERSION, 1, SAFE),
      ]),
    ).toBe("ok");
    expect(levels(bench)).toEqual([30, 0, 1]);
    await bench.close();
  });

  test("are only checked where that is all that was asked for", async () => {
    const bench = await clusterBench();
    const { revision } = bench.cluster.image;
    expect(await update(bench, [to(TRANSACTION_VERSION, 0, SAFE)], true)).toBe("ok");
    expect(await update(bench, [to(TRANSACTION_VERSION, 9)], true)).toBe("invalid_update_version");
    expect(await update(bench, [])).toBe("ok");
    expect([levels(bench), bench.cluster.image.revision]).toEqual([[30, 1, 2], revision]);
    await bench.close();
  });

  test("are there after a restart, on every broker, with an epoch that only grows", async () => {
    const first = await clusterBench();
    await update(first, [to(TRANSACTION_VERSION, 1, SAFE)]);
    const { revision } = first.cluster.image.features;
    expect(revision).toBeGreaterThan(0);
    const second = await clusterBench({ metadata: first.metadata, brokerId: 2 });
    expect(levels(second)).toEqual([30, 1, 1]);
    await update(second, [to(TRANSACTION_VERSION, 2)]);
    expect(await update(first, [to(TRANSACTION_VERSION, 2)])).toBe("ok");
    await first.cluster.createTopic({
      name: "t",
      numPartitions: 1,
      replicationFactor: 1,
      assignments: [],
      configs: [],
    });
    expect(levels(first)).toEqual([30, 1, 2]);
    expect(first.cluster.image.features).toEqual(second.cluster.image.features);
    expect(first.cluster.image.features.revision).toBeGreaterThan(revision);
    await second.close();
    await first.close();
  });

  test("many at once follow each other", async () => {
    const bench = await clusterBench();
    const outcomes = await Promise.all(
      [0, 1, 2, 0].map((level, at) =>
        update(bench, [to(TRANSACTION_VERSION, level, at % 3 === 0 ? SAFE : UPGRADE)]),
      ),
    );
    expect(outcomes).toEqual(["ok", "ok", "ok", "ok"]);
    expect(bench.cluster.featureLevel(TRANSACTION_VERSION)).toBe(0);
    await bench.close();
  });

  test("that this release does not know keep it from starting", async () => {
    for (const wrong of [new Map([[TRANSACTION_VERSION, 3]]), new Map([["share.version", 1]])]) {
      const bench = await clusterBench();
      bench.cluster.close();
      await bench.metadata.commit({
        conditions: [],
        writes: [{ key: FEATURES_KEY, value: encodeFeatureLevels(wrong) }],
      });
      const opened = clusterBench({ metadata: bench.metadata });
      const error = await opened.then(
        () => null,
        (thrown: unknown) => thrown as MetadataStoreError,
      );
      expect(error).toBeInstanceOf(MetadataStoreError);
      expect(error!.code).toBe("version");
      expect(error!.message).toContain([...wrong.keys()][0]!);
      await bench.close();
    }
  });
});
