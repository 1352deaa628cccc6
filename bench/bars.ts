// The figures of the side-by-side run, the bars they are held to, and the tables that say which hold.
// A bar is a ratio of Millrace to Kafka in the same run: at least (more is better) or at most (less is better).
import { ratioCell } from "./ratio_table.ts";
import { medianOf, type Rounds } from "./rounds.ts";
import { type Side, show } from "./sides.ts";

export interface Bar {
  readonly key: string;
  readonly label: string;
  /** +1: more is better; -1: less is better. */
  readonly better: 1 | -1;
  /** Against Kafka as it comes, which syncs nothing before it acknowledges. */
  readonly toKafka?: number;
  /** Against Kafka with log.flush.interval.messages=1. */
  readonly toFsync?: number;
}

export const BARS: readonly Bar[] = [
  {
    key: "single_req_s",
    label: "single-record 1 KiB requests, 12 partitions, 8 connections: requests/s",
    better: 1,
    toKafka: 1.5,
    toFsync: 5,
  },
  {
    key: "raw16_mb_s",
    label: "16 KiB batches, 12 partitions, 8 connections: MB/s",
    better: 1,
    toKafka: 1,
    toFsync: 3,
  },
  {
    key: "client_mb_s",
    label: "franz-go, 1 KiB records, acks=all: MB/s",
    better: 1,
    toKafka: 1,
    toFsync: 1.2,
  },
  { key: "raw1m_mb_s", label: "1 MB batches: MB/s", better: 1, toKafka: 0.7, toFsync: 0.7 },
  { key: "consume_mb_s", label: "consume, franz-go: MB/s", better: 1, toKafka: 0.9 },
  { key: "rawconsume_mb_s", label: "consume, prepared fetches: MB/s", better: 1, toKafka: 0.5 },
  { key: "e2e_p50_ms", label: "end to end at 10,000 records/s, p50: ms", better: -1, toKafka: 0.5 },
  { key: "e2e_p99_ms", label: "end to end at 10,000 records/s, p99: ms", better: -1, toKafka: 0.3 },
  { key: "round_robin_mb_s", label: "1,000 partitions round robin: MB/s", better: 1, toKafka: 50 },
  { key: "peak_rss_mb", label: "peak memory under that load: MB", better: -1, toKafka: 0.25 },
  { key: "start_ms", label: "start to the first acknowledged record: ms", better: -1 },
  { key: "idle_rss_mb", label: "idle memory: MB", better: -1 },
  { key: "idle_cpu", label: "idle CPU: % of a core", better: -1 },
  { key: "topics_ms", label: "1,000 topics one by one: ms", better: -1 },
  { key: "client_cpu", label: "franz-go produce, broker CPU: s/GB", better: -1 },
  { key: "raw16_cpu", label: "16 KiB batches, broker CPU: s/GB", better: -1 },
  { key: "rawconsume_cpu", label: "prepared fetches, broker CPU: s/GB", better: -1 },
  { key: "single_p99_ms", label: "single-record requests, p99: ms", better: -1 },
  {
    key: "others",
    label: "other processes meanwhile: cores (throw a round with much away)",
    better: -1,
  },
];

/** The table of medians and ratios, and the list of bars that do not hold. */
export function tableOf(rounds: Rounds): string {
  const lines = [
    "| figure (median) | Kafka | Kafka, fsync | Millrace, Bun | to Kafka | to Kafka, fsync | Millrace, Deno | to Kafka | to Kafka, fsync |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
  ];
  const figureOf = medianOf(rounds);
  for (const bar of BARS) {
    const { key, better, toKafka, toFsync } = bar;
    const of = (side: Side) => figureOf(side, key);
    const [kafka, fsync] = [of("kafka"), of("kafka-fsync")];
    const cells = [show(kafka), show(fsync)];
    for (const side of ["millrace-bun", "millrace-deno"] as const) {
      const ours = of(side);
      cells.push(
        show(ours),
        key === "others" ? "–" : ratioCell(ours, kafka, better, toKafka),
        key === "others" ? "–" : ratioCell(ours, fsync, better, toFsync),
      );
    }
    lines.push(`| ${bar.label} | ${cells.join(" | ")} |`);
  }
  return lines.join("\n");
}
