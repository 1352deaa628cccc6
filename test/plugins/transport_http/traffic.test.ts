// The counts behind a transport's bounds: what goes up comes down once, whichever way an answer ends.

import { describe, expect, test } from "bun:test";
import { resolveOptions } from "../../../plugins/transport-http/options.ts";
import { heldBody, jsonTexts } from "../../../plugins/transport-http/reply.ts";
import { Traffic } from "../../../plugins/transport-http/traffic.ts";

import { HandRuntime } from "../transport_kafka/fakes.ts";

const MIB = 1024 * 1024;

function traffic(): Traffic {
  return new Traffic(resolveOptions({ listeners: null, requestsMax: 2, streamsMax: 1 }));
}

describe("heldBody()", () => {
  const hand = new HandRuntime();
  const bytes = new Uint8Array(MIB).map((_, at) => at & 255);

  test("gives its memory back once when it is read to the end", async () => {
    const counts = traffic();
    const body = new Response(heldBody(bytes, counts, hand.runtime.scheduler));
    expect(counts.replyBytes).toBe(MIB);
    expect(new Uint8Array(await body.arrayBuffer())).toEqual(bytes);
    expect(counts.replyBytes).toBe(0);
    counts.abandon();
    expect(counts.replyBytes).toBe(0);
  });

  test("gives it back when the client goes half way", async () => {
    const counts = traffic();
    const reader = (
      heldBody(bytes, counts, hand.runtime.scheduler) as ReadableStream<Uint8Array>
    ).getReader();
    await reader.read();
    expect(counts.replyBytes).toBe(MIB);
    await reader.cancel();
    expect(counts.replyBytes).toBe(0);
  });

  test("is cut, not ended, when the transport gives up on it", async () => {
    const counts = traffic();
    const reader = (
      heldBody(bytes, counts, hand.runtime.scheduler) as ReadableStream<Uint8Array>
    ).getReader();
    await reader.read();
    counts.abandon();
    await expect(reader.read()).rejects.toThrow("stopped");
    expect(counts.replyBytes).toBe(0);
  });

  test("gives up on a reader that takes nothing for a minute", async () => {
    const counts = traffic();
    const reader = (
      heldBody(bytes, counts, hand.runtime.scheduler) as ReadableStream<Uint8Array>
    ).getReader();
    await reader.read();
    await hand.advance(59_000);
    await reader.read();
    await hand.advance(59_000);
    expect(counts.replyBytes).toBe(MIB);
    await hand.advance(2_000);
    expect(counts.replyBytes).toBe(0);
    await expect(reader.read()).rejects.toThrow("does not read");
  });

  test("small answers are not counted", () => {
    const counts = traffic();
    expect(heldBody(bytes.subarray(0, 100), counts, hand.runtime.scheduler)).toBeInstanceOf(
      Uint8Array,
    );
    expect(counts.replyBytes).toBe(0);
  });
});

describe("Traffic", () => {
  test("bounds requests, streams and arriving bytes", () => {
    const counts = traffic();
    expect([counts.tryBegin(), counts.tryBegin(), counts.tryBegin()]).toEqual([true, true, false]);
    expect([counts.tryOpenStream(), counts.tryOpenStream()]).toEqual([true, false]);
    expect(counts.tryArrive(64 * MIB)).toBe(true);
    expect(counts.tryArrive(1)).toBe(false);
    counts.arrived(64 * MIB);
    expect(counts.tryArrive(1)).toBe(true);
  });

  test("fetches are small while answers wait, and never nothing", () => {
    const counts = traffic();
    expect(counts.fetchBytesMax(100 * MIB)).toBe(8 * MIB);
    counts.holdReply(31 * MIB);
    expect(counts.fetchBytesMax(100 * MIB)).toBe(MIB);
    counts.holdReply(10 * MIB);
    expect(counts.fetchBytesMax(100 * MIB)).toBe(64 * 1024);
    expect(counts.fetchBytesMax(10)).toBe(10);
  });

  test("lets four read at a time, first come first served", async () => {
    const counts = traffic();
    const ends = [];
    for (let at = 0; at < 4; at++) ends.push(await counts.reading());
    const begun: number[] = [];
    const later = [0, 1].map((at) =>
      counts.reading().then((end) => {
        begun.push(at);
        return end;
      }),
    );
    await Promise.resolve();
    expect(begun).toEqual([]);
    ends[2]!();
    (await later[0]!)();
    (await later[1]!)();
    expect(begun).toEqual([0, 1]);
    for (const at of [0, 1, 3]) ends[at]!();
    for (let at = 0; at < 4; at++) await counts.reading();
  });

  test("says when nobody is given more", () => {
    const counts = traffic();
    counts.holdReply(79 * MIB);
    expect(counts.isReplyFull).toBe(false);
    counts.holdReply(MIB);
    expect(counts.isReplyFull).toBe(true);
  });

  test("stop() resolves with the last request and stream", async () => {
    const counts = traffic();
    counts.tryBegin();
    counts.tryOpenStream();
    let isStopped = false;
    const stopped = counts.stop().then(() => {
      isStopped = true;
    });
    expect(counts.stopSignal.aborted).toBe(true);
    counts.end();
    await Promise.resolve();
    expect(isStopped).toBe(false);
    counts.closeStream();
    await stopped;
    await traffic().stop();
  });
});

test("records become JSON up to a size, and one always", () => {
  const value = new Uint8Array(1000).fill(7);
  const records = [0, 1, 2].map((offset) => ({
    partition: 0,
    offset,
    timestampMs: 0,
    key: null,
    value,
    headers: [],
  }));
  expect(jsonTexts(records, 1).length).toBe(1);
  expect(jsonTexts(records, 12_500).length).toBe(2);
  expect(jsonTexts(records, 100_000).length).toBe(3);
});
