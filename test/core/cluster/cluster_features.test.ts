// Levels of features where several brokers share the store: what is in force is in the store, nobody is left behind by a change, and
// who cannot work under it does not come in.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { MetadataStoreError } from "../../../src/contracts/errors.ts";
import { encodeFeatureLevels, FEATURES_KEY } from "../../../src/core/cluster/entries.ts";
import {
  CLUSTER_FEATURES,
  MILLRACE_VERSION,
  TRANSACTION_VERSION,
} from "../../../src/core/cluster/features.ts";
import { type BenchBroker, SharedBench, settle } from "./shared_bench.ts";

const UPGRADE = 1;
const SAFE = 2;

let bench: SharedBench;
beforeEach(() => {
  bench = new SharedBench();
});
afterEach(() => bench.close());

async function update(
  { cluster }: BenchBroker,
  feature: string,
  maxVersionLevel: number,
  upgradeType: number,
): Promise<string> {
  const decision = await cluster.updateFeatures([{ feature, maxVersionLevel, upgradeType }]);
  await settle();
  return decision.ok ? "ok" : `${decision.refusal.code}: ${decision.refusal.message}`;
}

/** @returns the error that kept it from coming in */
async function refusalOf(
  id: number,
  features: Record<string, { min: number; max: number }>,
): Promise<MetadataStoreError> {
  const error = await bench.start(id, { features }).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(MetadataStoreError);
  return error as MetadataStoreError;
}

describe("levels of features in a cluster", () => {
  test("all are in the store from the first broker on, once, and the same to all", async () => {
    const [a, b] = await bench.startAll(2);
    const levels = new Map(CLUSTER_FEATURES.map(({ name, defaultLevel }) => [name, defaultLevel]));
    expect(a!.cluster.image.features.levels).toEqual(levels);
    expect(a!.cluster.featureLevel(MILLRACE_VERSION)).toBe(1);
    expect(b!.cluster.image.features).toEqual(a!.cluster.image.features);
    const { revision } = a!.cluster.image.features;
    await bench.start(3);
    expect(a!.cluster.image.features.revision).toBe(revision);
  });

  test("what somebody had set before there was a cluster stays", async () => {
    const runtime = bench.runtime(9);
    const store = await bench.plugin.open({ runtime, brokerId: 9 });
    await store.commit({
      conditions: [],
      writes: [
        { key: FEATURES_KEY, value: encodeFeatureLevels(new Map([[TRANSACTION_VERSION, 1]])) },
      ],
    });
    await store.close();
    const a = await bench.start(1);
    expect(a.cluster.featureLevel(TRANSACTION_VERSION)).toBe(1);
    expect(a.cluster.image.features.levels.get(MILLRACE_VERSION)).toBe(1);
  });

  test("change only to what every broker that is there knows, which is said by its id", async () => {
    const a = await bench.start(1);
    expect(await update(a, TRANSACTION_VERSION, 1, SAFE)).toBe("ok");
    await bench.start(2, { features: { [TRANSACTION_VERSION]: { min: 0, max: 1 } } });
    const refused = await update(a, TRANSACTION_VERSION, 2, UPGRADE);
    expect(refused).toContain("invalid_update_version");
    expect(refused).toContain("Broker 2 only supports versions 0-1");
    expect(a.cluster.featureLevel(TRANSACTION_VERSION)).toBe(1);
    expect(await update(a, TRANSACTION_VERSION, 0, SAFE)).toBe("ok");
    // Once it is gone, it keeps nobody from going on.
    await bench.brokers[1]!.membership.stop();
    await settle();
    expect(await update(a, TRANSACTION_VERSION, 2, UPGRADE)).toBe("ok");
    expect(await update(a, MILLRACE_VERSION, 2, UPGRADE)).toContain("only supports versions 1-1");
  });

  test("a broker whose levels do not have the one in force is refused by name, and leaves nothing behind", async () => {
    const a = await bench.start(1);
    const older = await refusalOf(2, { [TRANSACTION_VERSION]: { min: 0, max: 1 } });
    expect(older.code).toBe("version");
    expect(older.message).toBe(
      "Cannot register broker 2 as the cluster has transaction.version at 2, and this release only supports versions 0-1",
    );
    const newer = await refusalOf(3, { [MILLRACE_VERSION]: { min: 2, max: 3 } });
    expect(newer.message).toContain("millrace.version at 1");
    expect(a.cluster.brokerIds).toEqual([1]);
    expect([...a.cluster.image.knownBrokers.keys()]).toEqual([1]);
    expect(await update(a, TRANSACTION_VERSION, 1, SAFE)).toBe("ok");
    await bench.start(2, { features: { [TRANSACTION_VERSION]: { min: 0, max: 1 } } });
    expect(a.cluster.brokerIds).toEqual([1, 2]);
  });

  test("a level that is raised while a broker registers is looked at again", async () => {
    const a = await bench.start(1);
    expect(await update(a, TRANSACTION_VERSION, 1, SAFE)).toBe("ok");
    let raised = "";
    bench.beforeCommit = async (id, { writes }) => {
      if (id !== 2 || raised !== "" || !writes.some(({ key }) => key === "brokers/2")) return;
      raised = await update(a, TRANSACTION_VERSION, 2, UPGRADE);
    };
    const refused = await refusalOf(2, { [TRANSACTION_VERSION]: { min: 0, max: 1 } });
    expect(raised).toBe("ok");
    expect(refused.message).toContain("transaction.version at 2");
    expect(a.cluster.brokerIds).toEqual([1]);
  });
});
