// An answer's bytes in pieces that the reader asks for, counted while they wait.
// Invariant: what is held is given back once: read to the end, given up by the client, or cut at the stop.

import type { Scheduler } from "../../src/contracts/runtime.ts";
import type { GatewayRecord } from "../../src/gateway/fetch_records.ts";
import { Refusal } from "./problem.ts";
import { recordToJson } from "./record_shapes.ts";
import type { Traffic } from "./traffic.ts";

/** Smaller answers are handed over whole: the host has them before anybody could be slow. */
const WHOLE_BYTES_MAX = 64 * 1024;
export const PIECE_BYTES = 64 * 1024;
/** Who takes nothing of its answer for so long is given up: not every host does that itself. */
export const READER_STALL_MS = 60_000;

export function heldBody(
  bytes: Uint8Array,
  traffic: Traffic,
  scheduler: Scheduler,
): ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> {
  if (bytes.length <= WHOLE_BYTES_MAX) return bytes as Uint8Array<ArrayBuffer>;
  traffic.holdReply(bytes.length);
  let at = 0;
  let isHeld = true;
  let forget = (): void => {};
  let stall = { cancel(): void {} };
  const give = () => {
    if (!isHeld) return;
    isHeld = false;
    forget();
    stall.cancel();
    traffic.giveReply(bytes.length);
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        forget = traffic.onAbandoned(() => {
          give();
          controller.error(new Error("The transport stopped"));
        });
        stall = scheduler.after(READER_STALL_MS, "http_reader", () => {
          give();
          controller.error(new Error("The client does not read"));
        });
      },
      pull(controller) {
        stall.cancel();
        controller.enqueue(bytes.subarray(at, at + PIECE_BYTES));
        at += PIECE_BYTES;
        if (at < bytes.length) {
          stall = scheduler.after(READER_STALL_MS, "http_reader", () => {
            give();
            controller.error(new Error("The client does not read"));
          });
          return;
        }
        give();
        controller.close();
      },
      cancel: give,
    },
    { highWaterMark: 0 },
  );
}

/** What whoever asks for records is told while others do not read theirs. */
export function replyFull(): Refusal {
  return new Refusal(503, "too_many_bytes_waiting", "Other answers wait for their readers");
}

/**
 * Records as JSON, one text each, up to about `bytesMax` characters in all and always one: JSON can be six times as
 * large as what it shows.
 */
export function jsonTexts(records: readonly GatewayRecord[], bytesMax: number): string[] {
  const texts: string[] = [];
  let sizeChars = 0;
  for (const record of records) {
    const text = JSON.stringify(recordToJson(record));
    sizeChars += text.length;
    if (texts.length > 0 && sizeChars > bytesMax) break;
    texts.push(text);
  }
  return texts;
}
