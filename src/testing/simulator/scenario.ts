// What one seed tries: topics, clients, speeds, and which kinds of faults are on. Swarm testing: each
// seed leaves most kinds out, so that the ones it has meet often.
// Invariant: everything is drawn here, from forks of one seed, before the run begins.

import type { SeededRandom } from "../../base/prng.ts";
import type { NetworkConditions } from "./sim_network.ts";

export const FAULT_KINDS = [
  "kill",
  "power_loss",
  "graceful_restart",
  "sync_error",
  "append_error",
  "disk_full",
  "slow_sync",
  "read_errors",
  "pause",
  "reset",
  "stall",
  "half_open",
  "clock_jump",
  "garbage",
  "crash_at_call",
  "bit_flip",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Versions from which zstd may be sent and fetched. */
export const PRODUCE_WITH_ZSTD = 7;
export const FETCH_WITH_ZSTD = 10;

/** Many small records, or few large ones: seeds have to be quick. */
const BATCH_SHAPES = [
  { recordsMax: 1, valueBytesMax: 60 },
  { recordsMax: 3, valueBytesMax: 200 },
  { recordsMax: 3, valueBytesMax: 5000 },
  { recordsMax: 10, valueBytesMax: 300 },
  { recordsMax: 40, valueBytesMax: 40 },
] as const;

export interface TopicPlan {
  readonly name: string;
  readonly partitionCount: number;
  readonly configs: Readonly<Record<string, string>>;
  /** Old records go by themselves: retention is on. */
  readonly expires: boolean;
  /** An ack does not mean synced (durability interval or memory): a crash may take acknowledged records. */
  readonly isLossy: boolean;
  /** DeleteRecords is called on it. */
  readonly isTrimmed: boolean;
  readonly isStamped: boolean;
}

export interface ProducerPlan {
  readonly isIdempotent: boolean;
  readonly acks: -1 | 0 | 1;
  readonly batchCount: number;
  /** Requests sent before the first of them is answered. */
  readonly window: number;
  readonly recordsMax: number;
  readonly valueBytesMax: number;
  readonly codecs: readonly ("none" | "gzip" | "snappy" | "lz4" | "zstd")[];
  readonly thinkUsMax: number;
  readonly retriesUnknown: boolean;
}

export interface ConsumerPlan {
  readonly usesSessions: boolean;
  readonly waitMsMax: number;
  readonly bytesMax: number;
  readonly readDelayUs: number;
  readonly rereadsPercent: number;
  /** Lowest Fetch version: older ones cannot be given zstd. */
  readonly fetchVersionMin: number;
}

export interface Scenario {
  readonly topics: readonly TopicPlan[];
  readonly producers: readonly ProducerPlan[];
  readonly consumers: readonly ConsumerPlan[];
  readonly hasAdmin: boolean;
  readonly faults: ReadonlySet<FaultKind>;
  /** Virtual time with faults. */
  readonly activeUs: number;
  readonly network: NetworkConditions;
  readonly syncUsMin: number;
  readonly syncUsMax: number;
  readonly appendUsMax: number;
  readonly readUsMax: number;
  readonly asyncReadPercent: number;
  /** How likely an unsynced sector survives a power loss. */
  readonly keepPercent: number;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  /** Bounds of the transport, small ones among them. */
  readonly transport: {
    readonly inFlightMax: number;
    readonly requestBytesMax: number;
    readonly responseBytesMax: number;
    readonly sessionCacheSlots: number;
    readonly fetchBytesMax: number;
  };
  readonly clientTimeoutMs: number;
  /** The broker has a fast CRC-32C and looks at every batch it reads, as it does where the host has one. */
  readonly hasFastCrc: boolean;
}

export function drawScenario(random: SeededRandom): Scenario {
  const dice = random.fork("scenario");
  const pick = <T>(values: readonly T[]): T => values[dice.below(values.length)]!;
  const chance = (percent: number): boolean => dice.below(100) < percent;
  const faults = new Set<FaultKind>();
  for (const kind of FAULT_KINDS) {
    const percent =
      kind === "bit_flip" ? 4 : kind.endsWith("error") || kind === "disk_full" ? 12 : 25;
    if (chance(percent)) faults.add(kind);
  }
  const isFast = chance(30);
  const topics = drawTopics(dice, pick, chance);
  const producers: ProducerPlan[] = [];
  for (let i = 1 + dice.below(3); i >= 0; i--) {
    const isIdempotent = chance(65);
    producers.push({
      isIdempotent,
      acks: isIdempotent ? -1 : pick([-1, -1, 1, 1, 0] as const),
      batchCount: 10 + dice.below(50),
      window: 1 + dice.below(5),
      ...pick(BATCH_SHAPES),
      codecs: chance(50) ? ["none"] : ["none", "lz4", "snappy", "gzip", "zstd"],
      thinkUsMax: pick([500, 5_000, 40_000]),
      retriesUnknown: isIdempotent || chance(50),
    });
  }
  const hasZstd = producers.some(({ codecs }) => codecs.includes("zstd"));
  const consumers: ConsumerPlan[] = [];
  for (let i = dice.below(3); i >= 0; i--) {
    consumers.push({
      usesSessions: chance(60),
      waitMsMax: pick([0, 20, 200, 1000]),
      bytesMax: pick([300, 4_000, 30_000, 1_000_000]),
      readDelayUs: chance(15) ? 30_000 : 0,
      rereadsPercent: pick([0, 5, 30]),
      fetchVersionMin: hasZstd ? FETCH_WITH_ZSTD : 0,
    });
  }
  return {
    topics,
    producers,
    consumers,
    hasAdmin: chance(60),
    faults,
    activeUs: 300_000 + dice.below(2_000_000),
    network: {
      latencyUsMin: 20,
      latencyUsMax: isFast ? 60 : pick([300, 2_000, 15_000]),
      pieceBytesMax: pick([1_500, 16_000, 256_000]),
      windowBytes: pick([2_000, 16_000, 200_000]),
    },
    syncUsMin: isFast ? 20 : 200,
    syncUsMax: isFast ? 200 : pick([2_000, 8_000, 30_000]),
    appendUsMax: pick([10, 100, 2_000]),
    readUsMax: pick([50, 1_000, 10_000]),
    asyncReadPercent: pick([0, 0, 30, 100]),
    keepPercent: pick([0, 10, 50, 50, 90]),
    transport: {
      inFlightMax: pick([1, 3, 128, 128]),
      requestBytesMax: pick([3_000, 1_000_000]),
      responseBytesMax: pick([3_000, 1_000_000]),
      sessionCacheSlots: pick([0, 1, 1000, 1000]),
      fetchBytesMax: pick([2_000, 1_000_000]),
    },
    settings: {
      "queued.max.request.bytes": pick([-1, -1, 5_000]),
      "auto.create.topics.enable": false,
      "log.retention.check.interval.ms": pick([50, 300, 2000]),
      "millrace.journal.file.bytes": pick([8_192, 20_000, 65_536, 134_217_728]),
      "millrace.journal.bytes": pick([0, 0, 16_384, 1_073_741_824]),
      "millrace.segment.after.bytes": pick([500, 5_000, 20_000, 1_048_576]),
      "millrace.sync.interval.ms": pick([5, 50]),
    },
    clientTimeoutMs: pick([400, 1500]),
    hasFastCrc: chance(30),
  };
}

function drawTopics(
  dice: SeededRandom,
  pick: <T>(values: readonly T[]) => T,
  chance: (percent: number) => boolean,
): TopicPlan[] {
  const topics: TopicPlan[] = [];
  for (let i = dice.below(3); i >= 0; i--) {
    const expires = chance(25);
    const isLossy = i > 0 && chance(15);
    const isStamped = chance(20);
    const configs: Record<string, string> = {};
    if (expires) {
      if (chance(60)) configs["retention.bytes"] = String(pick([0, 3_000, 20_000]));
      else configs["retention.ms"] = String(pick([100, 600]));
    }
    if (expires || chance(40)) {
      configs["internal.segment.bytes"] = String(pick([600, 4_000, 30_000]));
    }
    if (chance(15)) configs["segment.ms"] = String(pick([20, 300]));
    if (isLossy) configs["millrace.durability"] = pick(["interval", "memory"]);
    if (isStamped) configs["message.timestamp.type"] = "LogAppendTime";
    if (chance(20)) configs["compression.type"] = pick(["lz4", "snappy", "uncompressed"]);
    if (chance(30)) configs["index.interval.bytes"] = "200";
    topics.push({
      name: `topic-${i}`,
      partitionCount: 1 + dice.below(pick([1, 3, 6])),
      configs,
      expires,
      isLossy,
      isTrimmed: chance(35),
      isStamped,
    });
  }
  return topics;
}
