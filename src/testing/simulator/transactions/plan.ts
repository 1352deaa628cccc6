// What a seed tries of transactions: topics, writers, loops, readers, and settings as short as a run is.
// Invariant: everything is drawn here, before the run begins.

import type { SeededRandom } from "../../../base/prng.ts";
import type { Scenario } from "../scenario.ts";
import type { ModelOptions, TopicShape } from "./model.ts";

export interface TopicPlanned {
  readonly shape: TopicShape;
  readonly configs: Readonly<Record<string, string>>;
  /** "doomed": written to, and deleted in the middle of it. */
  readonly role: "input" | "output" | "any" | "doomed";
}

export interface WriterPlan {
  readonly transactionalId: string;
  readonly instances: number;
  readonly usesNewProtocol: boolean;
  readonly timeoutMs: number;
  readonly transactionCount: number;
  readonly recordsMax: number;
  readonly valueBytesMax: number;
  readonly thinkUsMax: number;
  readonly idleUsMax: number;
}

export interface LoopPlan {
  readonly groupId: string;
  /** "alone": partitions by assignment, and instances of one transactional id. */
  readonly kind: "alone" | "classic" | "consumer";
  /** Instances, or members. */
  readonly count: number;
  readonly usesNewProtocol: boolean;
  readonly timeoutMs: number;
  readonly bytesMax: number;
  readonly thinkUsMax: number;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly heartbeatUs: number;
}

export interface TransactionPlan {
  readonly topics: readonly TopicPlanned[];
  readonly writers: readonly WriterPlan[];
  readonly loops: readonly LoopPlan[];
  readonly plainWriters: readonly { readonly isIdempotent: boolean; readonly batchCount: number }[];
  readonly committedReaders: number;
  readonly uncommittedReaders: number;
  readonly readerBytesMax: number;
  readonly waitMsMax: number;
  readonly thinkUsMax: number;
  readonly level: 0 | 1 | 2;
  /** Somebody changes it now and then. */
  readonly changesLevel: boolean;
  readonly model: Omit<ModelOptions, "world">;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
}

const NEVER = 86_400_000;
/** From taking an id to the first use of it a loop asks for offsets, reads, and sends heartbeats. */
const WAYS_TO_FIRST_USE = 20;

export function drawTransactions(random: SeededRandom, scenario: Scenario): TransactionPlan {
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)]!;
  const chance = (percent: number): boolean => random.below(100) < percent;
  const idsExpire = chance(15);
  const producersExpire = chance(25);
  const topics = drawTopics(random, pick, chance);
  const level = pick([2, 2, 2, 2, 1, 0] as const);
  const mayBeNew = level === 2;
  const timeoutMs = () => pick([150, 500, 1500, 1500]);
  const thinkUsMax = pick([3_000, 15_000, 60_000]);
  const writers = Array.from({ length: 1 + random.below(2) }, (_, i): WriterPlan => {
    return {
      transactionalId: `writer-${i}`,
      instances: chance(35) ? 2 : 1,
      usesNewProtocol: mayBeNew && chance(60),
      timeoutMs: timeoutMs(),
      transactionCount: 2 + random.below(7),
      recordsMax: pick([1, 3, 8]),
      valueBytesMax: pick([40, 40, 300, 2000]),
      thinkUsMax,
      idleUsMax: pick([5_000, 300_000]),
    };
  });
  const loops = Array.from({ length: pick([0, 1, 1, 1, 2]) }, (_, i): LoopPlan => {
    return {
      groupId: `loop-${i}`,
      kind: pick(["alone", "classic", "classic", "consumer"] as const),
      count: pick([1, 2, 2]),
      usesNewProtocol: mayBeNew && chance(60),
      timeoutMs: timeoutMs(),
      bytesMax: pick([200, 1000, 20_000]),
      thinkUsMax,
      sessionTimeoutMs: pick([300, 2000]),
      rebalanceTimeoutMs: pick([500, 3000]),
      heartbeatUs: pick([30_000, 90_000]),
    };
  });
  return {
    topics,
    writers,
    loops,
    plainWriters: Array.from({ length: random.below(2) }, () => ({
      // What is forgotten of a producer cannot tell a repeated batch from a new one.
      isIdempotent: !producersExpire && chance(60),
      batchCount: 3 + random.below(10),
    })),
    committedReaders: 1,
    uncommittedReaders: random.below(2),
    readerBytesMax: pick([300, 3_000, 100_000]),
    waitMsMax: pick([0, 20, 200]),
    thinkUsMax,
    level,
    changesLevel: chance(10),
    model: { idsExpire, producersExpire, timesOutEarly: scenario.faults.has("clock_jump") },
    settings: {
      "transaction.state.log.num.partitions": pick([1, 2, 5]),
      "transaction.abort.timed.out.transaction.cleanup.interval.ms": pick([20, 150]),
      "transaction.remove.expired.transaction.cleanup.interval.ms": pick([30, 200]),
      "transactional.id.expiration.ms": idsExpire
        ? Math.max(pick([100, 500]), idLifeMsMin(scenario))
        : NEVER,
      "producer.id.expiration.ms": producersExpire ? pick([50, 400]) : NEVER,
      "producer.id.expiration.check.interval.ms": pick([20, 100]),
      "transaction.partition.verification.enable": true,
      "log.cleaner.backoff.ms": pick([30, 150, 500]),
      "log.cleaner.min.cleanable.ratio": pick([0, 0.3]),
      "log.cleaner.delete.retention.ms": pick([0, 50, NEVER]),
      "log.cleaner.max.compaction.lag.ms": pick([100, 400, NEVER]),
    },
  };
}

/** An id that is forgotten before anybody can have used it lets nobody come to an end. */
function idLifeMsMin({ network }: Scenario): number {
  return (WAYS_TO_FIRST_USE * network.latencyUsMax) / 1000;
}

function drawTopics(
  random: SeededRandom,
  pick: <T>(values: readonly T[]) => T,
  chance: (percent: number) => boolean,
): TopicPlanned[] {
  const roles = ["input", "output", "any", ...(chance(25) ? ["doomed" as const] : [])] as const;
  return roles.map((role): TopicPlanned => {
    const configs: Record<string, string> = {};
    const isCompacted = role === "any" && chance(50);
    const expires = role === "any" && !isCompacted && chance(50);
    if (isCompacted) configs["cleanup.policy"] = "compact";
    if (isCompacted || expires || chance(40)) {
      configs["internal.segment.bytes"] = String(pick([400, 1_500, 10_000]));
    }
    if (expires && chance(50)) configs["retention.bytes"] = String(pick([0, 2_000, 10_000]));
    if (chance(15)) configs["segment.ms"] = String(pick([20, 200]));
    if (chance(20)) configs["message.timestamp.type"] = "LogAppendTime";
    if (chance(30)) configs["index.interval.bytes"] = "200";
    const partitionCount = 1 + random.below(pick([1, 2, 3]));
    const shape = { name: `transactional-${role}`, partitionCount, isCompacted, expires };
    return { shape, configs, role };
  });
}

/** Less of what there is without transactions: seeds have to be quick. */
export function withTransactionSettings(scenario: Scenario, plan: TransactionPlan): Scenario {
  const faults = new Set(scenario.faults);
  // What is damaged may rightly be reported, and then nothing can be said of transactions.
  faults.delete("bit_flip");
  const producers = scenario.producers.slice(0, 1).map((producer) => ({
    ...producer,
    batchCount: Math.min(producer.batchCount, 6),
    valueBytesMax: Math.min(producer.valueBytesMax, 300),
    isIdempotent: producer.isIdempotent && !plan.model.producersExpire,
    retriesUnknown: producer.isIdempotent && !plan.model.producersExpire,
  }));
  return {
    ...scenario,
    faults,
    // The last one is never lossy.
    topics: scenario.topics.slice(-1),
    producers,
    consumers: [],
    hasAdmin: false,
    activeUs: Math.min(scenario.activeUs, 800_000),
    settings: { ...scenario.settings, ...plan.settings },
  };
}
