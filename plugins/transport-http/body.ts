// A request's body as bytes, within bounds of size, pace and memory.
// Invariant: bytes that are arriving are counted and refused beyond the limit, so peers that stall hold no memory that
// others need; only a whole body takes its part of the broker's request budget.

import type { Scheduler } from "../../src/contracts/runtime.ts";
import type { MemoryBudget } from "../../src/contracts/transport.ts";
import type { Limits } from "./options.ts";
import { Refusal } from "./problem.ts";
import type { Traffic } from "./traffic.ts";

/** Less than this within `bodyStallMsMax`, and a body is given up. */
const PACE_BYTES = 16 * 1024;

export interface BodyContext {
  readonly limits: Limits;
  readonly traffic: Traffic;
  readonly scheduler: Scheduler;
  readonly budget: MemoryBudget;
}

/**
 * Reads the whole body and hands it to `use`, holding `weight` times its bytes of the request budget meanwhile.
 *
 * @throws {Refusal} 413 too large, 408 too slow, 415 encoded, 503 no room, 400 broken off
 */
export async function withBody<T>(
  request: Request,
  context: BodyContext,
  weight: number,
  use: (bytes: Uint8Array) => Promise<T>,
): Promise<T> {
  const { budget, traffic } = context;
  const arrivals = { sizeBytes: 0 };
  let heldBytes = 0;
  try {
    const bytes = await readBody(request, context, arrivals);
    const sizeBytes = bytes.length * weight;
    if (!budget.tryTake(sizeBytes)) await budget.take(sizeBytes);
    heldBytes = sizeBytes;
    traffic.arrived(arrivals.sizeBytes);
    arrivals.sizeBytes = 0;
    return await use(bytes);
  } finally {
    traffic.arrived(arrivals.sizeBytes);
    if (heldBytes > 0) budget.give(heldBytes);
  }
}

async function readBody(
  request: Request,
  context: BodyContext,
  arrivals: { sizeBytes: number },
): Promise<Uint8Array> {
  const { bodyBytesMax } = context.limits;
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") {
    throw new Refusal(415, "unsupported_content_encoding", "Send the body as it is, unencoded", {
      headers: { "accept-encoding": "identity" },
    });
  }
  if (Number(request.headers.get("content-length") ?? 0) > bodyBytesMax)
    throw tooLarge(bodyBytesMax);
  if (request.body === null) return new Uint8Array(0);
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  const pace = watchPace(context, () => sizeBytes);
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), pace.failed]);
      if (done) break;
      sizeBytes += value.length;
      if (sizeBytes > bodyBytesMax) throw tooLarge(bodyBytesMax);
      if (!context.traffic.tryArrive(value.length)) {
        throw new Refusal(503, "too_many_bytes_arriving", "Other requests are still arriving");
      }
      arrivals.sizeBytes += value.length;
      chunks.push(value);
    }
  } catch (error) {
    // Nobody waits for what is left of it.
    reader.cancel().catch(() => {});
    if (error instanceof Refusal) throw error;
    throw new Refusal(400, "body_broken_off", "The body ended before its end");
  } finally {
    pace.end();
  }
  return chunks.length === 1 ? chunks[0]! : joined(chunks, sizeBytes);
}

/** Fails when too little has come within the time; looked at once each such time. */
function watchPace(
  { limits, scheduler }: BodyContext,
  receivedBytes: () => number,
): { readonly failed: Promise<never>; end(): void } {
  let fail: (refusal: Refusal) => void = () => {};
  const failed = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  failed.catch(() => {}); // Whoever reads may have ended in the same turn.
  let beforeBytes = 0;
  const look = () => {
    const bytes = receivedBytes();
    if (bytes - beforeBytes < PACE_BYTES) {
      fail(
        new Refusal(
          408,
          "body_too_slow",
          `Less than ${PACE_BYTES} bytes of the body came within ${limits.bodyStallMsMax} ms`,
          { headers: { connection: "close" } },
        ),
      );
      return;
    }
    beforeBytes = bytes;
    timer = scheduler.after(limits.bodyStallMsMax, "http_body", look);
  };
  let timer = scheduler.after(limits.bodyStallMsMax, "http_body", look);
  return { failed, end: () => timer.cancel() };
}

function tooLarge(bodyBytesMax: number): Refusal {
  return new Refusal(413, "body_too_large", `A body may have ${bodyBytesMax} bytes at most`, {
    headers: { connection: "close" },
  });
}

function joined(chunks: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
