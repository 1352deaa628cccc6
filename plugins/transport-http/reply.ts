// An answer's bytes in pieces that the reader asks for, counted while they wait.
// Invariant: what is held is given back once: read to the end, given up by the client, or cut at the stop.

import type { Traffic } from "./traffic.ts";

/** Smaller answers are handed over whole: the host has them before anybody could be slow. */
const WHOLE_BYTES_MAX = 64 * 1024;
const PIECE_BYTES = 64 * 1024;

export function heldBody(
  bytes: Uint8Array,
  traffic: Traffic,
): ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> {
  if (bytes.length <= WHOLE_BYTES_MAX) return bytes as Uint8Array<ArrayBuffer>;
  traffic.holdReply(bytes.length);
  let at = 0;
  let isHeld = true;
  let forget = (): void => {};
  const give = () => {
    if (!isHeld) return;
    isHeld = false;
    forget();
    traffic.giveReply(bytes.length);
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        forget = traffic.onAbandoned(() => {
          give();
          controller.error(new Error("The transport stopped"));
        });
      },
      pull(controller) {
        controller.enqueue(bytes.subarray(at, at + PIECE_BYTES));
        at += PIECE_BYTES;
        if (at < bytes.length) return;
        give();
        controller.close();
      },
      cancel: give,
    },
    { highWaterMark: 0 },
  );
}
