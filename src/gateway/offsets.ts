// Where reading begins: words, offsets and times made into offsets.
// Kafka: KafkaConsumer.beginningOffsets, endOffsets, offsetsForTimes; `auto.offset.reset`.

import { ok } from "../base/outcome.ts";
import type { Broker, Caller, OffsetQuery, OffsetResult } from "../contracts/broker.ts";
import { type Outcome, refuse } from "../protocol/errors.ts";

/**
 * Where to begin: at the first record there is, behind the last one, at an offset (which is taken as it is),
 * or at the first record of that time or later, in ms since the Unix epoch.
 */
export type StartPosition =
  | "earliest"
  | "latest"
  | { readonly offset: number }
  | { readonly timestampMs: number };

/** A partition and where to begin in it. */
export interface PartitionStart {
  readonly partition: number;
  readonly at: StartPosition;
}

/** Where a partition is to be read from. */
export interface ResolvedOffset {
  readonly partition: number;
  readonly offset: number;
  /** Of the record found by time; -1 otherwise. */
  readonly timestampMs: number;
}

/**
 * Makes start positions into offsets. Where no record is as late as a time, that is the end.
 *
 * @returns One outcome a start, in order.
 */
export async function resolveOffsets(
  broker: Broker,
  caller: Caller,
  topic: string,
  starts: readonly PartitionStart[],
  isolation: "read_uncommitted" | "read_committed" = "read_uncommitted",
): Promise<readonly Outcome<ResolvedOffset>[]> {
  const asked = await ask(
    broker,
    caller,
    starts.map(({ partition, at }) => query(topic, partition, at, isolation)),
  );
  // Only now is it known which of them need the end.
  const late = starts.map((_, i) => {
    const found = asked[i];
    return found?.ok === true && found.value.offset < 0;
  });
  const ends = await ask(
    broker,
    caller,
    starts.map(({ partition }, i) =>
      late[i] === true ? query(topic, partition, "latest", isolation) : null,
    ),
  );
  return starts.map(({ partition, at }, i): Outcome<ResolvedOffset> => {
    const found = late[i] === true ? ends[i] : asked[i];
    if (found === undefined) {
      const offset = (at as { readonly offset: number }).offset;
      if (Number.isSafeInteger(offset) && offset >= 0) {
        return ok({ partition, offset, timestampMs: -1 });
      }
      return refuse("offset_out_of_range", `No offset can be ${offset}`);
    }
    if (!found.ok) return found;
    const { offset, timestampMs } = found.value;
    return ok({ partition, offset, timestampMs });
  });
}

/** The query for a start; null where nothing has to be asked. */
function query(
  topic: string,
  partition: number,
  at: StartPosition,
  isolation: OffsetQuery["isolation"],
): OffsetQuery | null {
  if (typeof at === "object" && "offset" in at) return null;
  return { topic, partition, at, isolation, leaderEpoch: -1 };
}

/** Asks what is to be asked; the outcomes stand where the queries stood. */
async function ask(
  broker: Broker,
  caller: Caller,
  queries: readonly (OffsetQuery | null)[],
): Promise<readonly (Outcome<OffsetResult> | undefined)[]> {
  const open = queries.filter((each) => each !== null);
  if (open.length === 0) return [];
  const outcomes = await broker.log.offsetFor(caller, open);
  let next = 0;
  return queries.map((each) => (each === null ? undefined : outcomes[next++]));
}
