// What one seed of a simulated cluster is about: machines, topics, clients, and which faults there are.
// Invariant: all of it is drawn before the run begins, from a stream of its own.

import type { SeededRandom } from "../../../base/prng.ts";
import type { NetworkConditions } from "../sim_network.ts";

/** What may go wrong; docs/SIMULATION.md says what each does. */
export const CLUSTER_FAULTS = [
  "kill",
  "power_loss",
  "stop",
  "pause",
  "cut_brokers",
  "cut_one_way",
  "cut_store",
  "slow_link",
  "store_loses_answers",
  "store_lags",
  "clock_jump",
  "slow_sync",
  "sync_error",
  "reset",
  "new_disk",
  "reassign",
] as const;
export type ClusterFault = (typeof CLUSTER_FAULTS)[number];

export interface ClusterTopicPlan {
  readonly name: string;
  readonly partitionCount: number;
  readonly replicationFactor: number;
  readonly minInSync: number;
}

export interface ClusterProducerPlan {
  readonly isIdempotent: boolean;
  readonly acks: -1 | 0 | 1;
  readonly batchCount: number;
  readonly window: number;
  readonly recordsMax: number;
  readonly valueBytesMax: number;
  readonly thinkUsMax: number;
}

export interface ClusterPlan {
  readonly brokerCount: number;
  readonly topics: readonly ClusterTopicPlan[];
  readonly producers: readonly ClusterProducerPlan[];
  readonly consumerCount: number;
  /** They read from any replica, now and then. */
  readonly readsFollowers: boolean;
  readonly committerCount: number;
  readonly faults: ReadonlySet<ClusterFault>;
  readonly faultCount: number;
  readonly activeUs: number;
  readonly network: NetworkConditions;
  readonly storeLatencyUsMax: number;
  readonly storeHistoryRevisions: number;
  readonly syncUsMin: number;
  readonly syncUsMax: number;
  readonly keepPercent: number;
  readonly hasFastCrc: boolean;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly clientTimeoutMs: number;
}

export function drawClusterPlan(random: SeededRandom): ClusterPlan {
  const dice = random.fork("cluster plan");
  const pick = <T>(values: readonly T[]): T => values[dice.below(values.length)]!;
  const chance = (percent: number): boolean => dice.below(100) < percent;
  const faults = new Set<ClusterFault>();
  for (const kind of CLUSTER_FAULTS) if (chance(40)) faults.add(kind);
  const brokerCount = pick([3, 3, 3, 4, 5]);
  const topics: ClusterTopicPlan[] = [];
  for (let i = dice.below(2); i >= 0; i--) {
    const replicationFactor = pick([3, 3, 3, 2]);
    topics.push({
      name: `topic-${i}`,
      partitionCount: 1 + dice.below(4),
      replicationFactor,
      minInSync: replicationFactor === 2 ? 1 : 2,
    });
  }
  const producers: ClusterProducerPlan[] = [];
  for (let i = 1 + dice.below(2); i >= 0; i--) {
    const isIdempotent = i === 0 || chance(60);
    producers.push({
      isIdempotent,
      acks: isIdempotent ? -1 : pick([-1, 1, 0] as const),
      batchCount: 60 + dice.below(300),
      window: 1 + dice.below(4),
      recordsMax: pick([1, 5, 20]),
      valueBytesMax: pick([40, 300, 2000]),
      thinkUsMax: pick([20_000, 100_000, 400_000]),
    });
  }
  return {
    brokerCount,
    topics,
    producers,
    consumerCount: 1 + dice.below(2),
    readsFollowers: chance(40),
    committerCount: dice.below(2),
    faults,
    faultCount: pick([2, 6, 12, 24]),
    activeUs: 4_000_000 + dice.below(14_000_000),
    network: {
      latencyUsMin: 50,
      latencyUsMax: pick([300, 2_000, 10_000]),
      pieceBytesMax: pick([1_500, 16_000, 256_000]),
      windowBytes: pick([16_000, 200_000]),
    },
    storeLatencyUsMax: pick([500, 5_000, 30_000]),
    storeHistoryRevisions: pick([8, 1000, 1000]),
    syncUsMin: 100,
    syncUsMax: pick([500, 5_000, 20_000]),
    keepPercent: pick([0, 10, 50, 90]),
    hasFastCrc: chance(30),
    settings: {
      "auto.create.topics.enable": false,
      "default.replication.factor": 3,
      "offsets.topic.replication.factor": 3,
      "offsets.topic.num.partitions": 3,
      "transaction.state.log.num.partitions": 3,
      "broker.session.timeout.ms": 2000,
      "replica.lag.time.max.ms": pick([1_000, 3_000]),
      "replica.fetch.wait.max.ms": pick([50, 500]),
      "leader.imbalance.check.interval.seconds": 5,
      "millrace.journal.file.bytes": pick([16_384, 65_536, 134_217_728]),
      "millrace.segment.after.bytes": pick([2_000, 20_000, 1_048_576]),
    },
    clientTimeoutMs: pick([1500, 5000]),
  };
}
