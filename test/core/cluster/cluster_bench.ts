// A cluster over metadata-memory with a runtime of its own, for tests at the level of decisions: no
// sockets, no disk, seeded randomness, timers that never fire by themselves.

import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { SeededRandom } from "../../../src/base/prng.ts";
import type { MetadataStore, MetadataStorePlugin } from "../../../src/contracts/metadata_store.ts";
import type { Logger, Runtime } from "../../../src/contracts/runtime.ts";
import { type Cluster, openCluster } from "../../../src/core/cluster/cluster.ts";
import { Settings } from "../../../src/core/settings/dynamic.ts";

const silent: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silent,
};

/** A runtime of which only what the cluster uses is there. `settled` awaits what was spawned. */
export function benchRuntime(seed = 1): Runtime & { settled(): Promise<void> } {
  const spawned: Promise<void>[] = [];
  const random = SeededRandom.of(seed);
  const absent = (): never => {
    throw new Error("not on this bench");
  };
  return {
    clock: { wallMs: () => 1_700_000_000_000, monotonicMs: () => 0 },
    scheduler: {
      after: () => ({ cancel() {} }),
      spawn: (_label, task) => void spawned.push(task()),
      yieldNow: () => Promise.resolve(),
    },
    random,
    network: { listen: absent, connect: absent },
    crypto: {
      digest: absent,
      hmac: absent,
      pbkdf2: absent,
      timingSafeEqual: absent,
    },
    compression: null as never,
    log: silent,
    async settled() {
      await Promise.all(spawned);
    },
  };
}

export interface ClusterBench {
  readonly cluster: Cluster;
  readonly settings: Settings;
  readonly metadata: MetadataStore;
  readonly runtime: Runtime & { settled(): Promise<void> };
  close(): Promise<void>;
}

export async function clusterBench(
  options: {
    readonly settings?: Readonly<Record<string, string>>;
    readonly plugin?: MetadataStorePlugin;
    readonly brokerId?: number;
    readonly metadata?: MetadataStore;
    readonly seed?: number;
  } = {},
): Promise<ClusterBench> {
  const runtime = benchRuntime(options.seed);
  const brokerId = options.brokerId ?? 1;
  const metadata =
    options.metadata ?? (await (options.plugin ?? metadataMemory()).open({ runtime, brokerId }));
  const settings = new Settings(new Map(Object.entries(options.settings ?? {})));
  const cluster = await openCluster({ metadata, runtime, settings, brokerId });
  return {
    cluster,
    settings,
    metadata,
    runtime,
    async close() {
      cluster.close();
      await runtime.settled();
      if (options.metadata === undefined) await metadata.close();
    },
  };
}

/** A request for a topic with defaults. */
export function topicRequest(
  name: string,
  more: {
    readonly numPartitions?: number;
    readonly replicationFactor?: number;
    readonly assignments?: readonly {
      readonly partitionIndex: number;
      readonly brokerIds: readonly number[];
    }[];
    readonly configs?: Readonly<Record<string, string | null>>;
  } = {},
) {
  return {
    name,
    numPartitions: more.numPartitions ?? -1,
    replicationFactor: more.replicationFactor ?? -1,
    assignments: more.assignments ?? [],
    configs: Object.entries(more.configs ?? {}).map(([key, value]) => ({ name: key, value })),
  };
}
