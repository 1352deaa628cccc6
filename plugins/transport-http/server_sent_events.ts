// A topic followed as an event stream: one event a record, its id the position of every partition behind it.
// Invariant: nothing is read from the log but while the client takes what it was given, so a slow reader holds at most
// one batch; whoever comes back with the last id it saw misses nothing and sees nothing twice.
// Standard: HTML, server-sent events. Kafka: Fetch, as a consumer with manual assignment.

import type { PartitionPosition } from "../../src/gateway/fetch_records.ts";
import { RecordTail } from "../../src/gateway/tail.ts";
import { type Exchange, parkedCaller } from "./exchange.ts";
import { badRequest, Refusal, refusalOf } from "./problem.ts";
import { jsonTexts, PIECE_BYTES, READER_STALL_MS, replyFull } from "./reply.ts";
import type { Traffic } from "./traffic.ts";

/** About a batch as producers send them: smaller steps would open the same batch again and again. */
const STEP_BYTES = 1024 * 1024;
const STEP_RECORDS = 5000;
/** What its JSON may take of that. */
const JSON_GROWTH = 2;
const NONE = new Uint8Array(0);
/** How long a client whose stream ended is asked to wait. */
const RETRY_MS = 1000;
const encoder = new TextEncoder();

/** Positions in a topic as the id of an event: "0:17,3:5@ID". */
export function idOf(positions: Iterable<PartitionPosition>, topicId: string | null): string {
  const parts: string[] = [];
  for (const { partition, offset } of positions) parts.push(`${partition}:${offset}`);
  return topicId === null ? parts.join(",") : `${parts.join(",")}@${topicId}`;
}

/** What an id says; the topic's own is null where a client made it up without. */
export interface SeenPositions {
  readonly positions: ReadonlyMap<number, number>;
  readonly topicId: string | null;
}

/** @throws {Refusal} 400 when it is no id of ours */
export function positionsOf(id: string): SeenPositions {
  const positions = new Map<number, number>();
  const topicId = /@([\w-]{22})$/.exec(id)?.[1] ?? null;
  for (const part of (topicId === null ? id : id.slice(0, -1 - topicId.length)).split(",")) {
    const match = /^(\d{1,10}):(\d{1,16})$/.exec(part);
    const [partition, offset] = [Number(match?.[1]), Number(match?.[2])];
    if (match === null || !Number.isSafeInteger(offset) || positions.has(partition)) {
      throw badRequest(`Last-Event-ID "${id.slice(0, 100)}" is none that this broker gave`);
    }
    positions.set(partition, offset);
  }
  return { positions, topicId };
}

/** The stream of a topic's records from `positions` on. Ends at the transport's stop, and when the token expires. */
export function eventStream(
  exchange: Exchange,
  topic: string,
  topicId: string | null,
  positions: readonly PartitionPosition[],
): ReadableStream<Uint8Array> {
  const { traffic, context, options, expiresAtMs } = exchange;
  const { scheduler, clock } = context.runtime;
  if (!traffic.tryOpenStream()) {
    throw new Refusal(503, "too_many_streams", "Too many event streams are open");
  }
  // The client's going is told by cancel() alone: Deno's request.signal also fires for what went well.
  const parking = parkedCaller(exchange, null);
  const tail = new RecordTail(context.broker, context.runtime, parking.caller, {
    topic,
    topicId,
    partitions: positions,
    recordsMax: STEP_RECORDS,
    quietMsMax: options.heartbeatMs,
  });
  const expiry =
    expiresAtMs === null
      ? null
      : scheduler.after(expiresAtMs - clock.wallMs(), "http_token", () => parking.end());
  let isOpen = true;
  let forget = (): void => {};
  let stall = { cancel(): void {} };
  let heldBytes = 0;
  const hold = (sizeBytes: number) => {
    traffic.giveReply(heldBytes);
    traffic.holdReply(sizeBytes);
    heldBytes = sizeBytes;
  };
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    hold(0);
    forget();
    expiry?.cancel();
    stall.cancel();
    parking.end();
    traffic.closeStream();
  };
  let bytes = NONE;
  let sentBytes = 0;
  let isLast = false;
  /** A piece at a time: hosts take one more than has left them. */
  const give = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    controller.enqueue(bytes.subarray(sentBytes, sentBytes + PIECE_BYTES));
    sentBytes += PIECE_BYTES;
    stall = scheduler.after(READER_STALL_MS, "http_reader", () => {
      if (!isOpen) return;
      close();
      controller.error(new Error("The client does not read"));
    });
  };
  let isBegun = false;
  let isPulling = false;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        forget = traffic.onAbandoned(() => {
          close();
          controller.error(new Error("The transport stopped"));
        });
        // A client that does not ask for more would not hear of the end before it does.
        parking.caller.signal.addEventListener("abort", () => {
          if (!isOpen || isPulling) return;
          close();
          controller.close();
        });
      },
      async pull(controller) {
        if (!isBegun) {
          isBegun = true;
          // An id without data is no event, but where a client goes on that comes back before the first.
          controller.enqueue(
            encoder.encode(`retry: ${RETRY_MS}\nid: ${idOf(positions, topicId)}\n\n`),
          );
          return;
        }
        try {
          stall.cancel();
          if (sentBytes < bytes.length) return give(controller);
          // The host has taken what it was given last.
          hold(0);
          bytes = NONE;
          isPulling = true;
          const step = isLast ? null : await nextStep(tail, topicId, traffic);
          isPulling = false;
          if (!isOpen) return;
          if (step !== null) {
            ({ isLast } = step);
            bytes = encoder.encode(step.text);
            sentBytes = 0;
            hold(bytes.length);
            return give(controller);
          }
          close();
          controller.close();
        } catch (error) {
          close();
          context.runtime.log.error("http_stream_failed", { topic, error: String(error) });
          controller.error(error);
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
}

/** What to send next; null at the end. */
async function nextStep(
  tail: RecordTail,
  topicId: string | null,
  traffic: Traffic,
): Promise<{ readonly text: string; readonly isLast: boolean } | null> {
  // However many wait for the same record, they read it one after the other.
  await tail.ready();
  const free = await traffic.reading();
  try {
    return await readStep(tail, topicId, traffic);
  } finally {
    free();
  }
}

async function readStep(
  tail: RecordTail,
  topicId: string | null,
  traffic: Traffic,
): Promise<{ readonly text: string; readonly isLast: boolean } | null> {
  const at = new Map(tail.positions.map((each) => [each.partition, each]));
  const bytesMax = traffic.fetchBytesMax(STEP_BYTES);
  const batch = await tail.next({ bytesMax, isNow: true });
  if (batch === null) return null;
  if (!batch.ok) {
    const problem = JSON.stringify(refusalOf(batch.error).problem);
    return { text: `event: problem\ndata: ${problem}\n\n`, isLast: true };
  }
  const { records, positions } = batch.value;
  // Positions may have moved although there was nothing to show.
  if (records.length === 0)
    return { text: `: \nid: ${idOf(positions, topicId)}\n\n`, isLast: false };
  if (traffic.isReplyFull) {
    // Who comes back with the last id misses nothing.
    const problem = JSON.stringify(replyFull().problem);
    return { text: `event: problem\ndata: ${problem}\n\n`, isLast: true };
  }
  let text = "";
  const texts = jsonTexts(records, JSON_GROWTH * bytesMax);
  for (const [i, json] of texts.entries()) {
    const { partition, offset } = records[i]!;
    at.set(partition, { partition, offset: offset + 1 });
    text += `id: ${idOf(at.values(), topicId)}\ndata: ${json}\n\n`;
  }
  if (texts.length < records.length) tail.rewind([...at.values()]);
  return { text, isLast: false };
}
