// Bytes that are no sane request of transactions, to a whole broker: Kafka's golden requests of each API and version with anything in
// them, whole, cut off, with bytes turned and with bytes behind them. Each is answered, or costs its connection and nothing else: the
// next one is served, a transaction that was open all the while is whole, and nothing fails inside.

import { expect, test } from "bun:test";
import { handlers } from "../../plugins/transport-kafka/handlers/table.ts";
import { SeededRandom } from "../../src/base/prng.ts";
import { ListOffsets } from "../../src/protocol/messages/02_list_offsets.ts";
import { ApiVersions } from "../../src/protocol/messages/18_api_versions.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { requestHeaderVersion } from "../../src/protocol/mod.ts";
import type { Api } from "../../src/protocol/schema.ts";
import { isFullTestRun } from "../support/test_scale.ts";
import { bytesOfHex, loadApiVectors } from "../vectors/load.ts";
import { Live, type WireClient } from "./live.ts";
import { TransactionRig } from "./transaction_rig.ts";

const KEYS = [0, 2, 22, 24, 25, 26, 27, 28, 57, 61, 65, 66];
const VARIANTS = isFullTestRun ? 60 : 3;
const SIZE_MAX = 20_000;
/** Beyond what is used as a correlation id here. */
const PROBE = 7_000_000;

function frameOf(api: Api, version: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const isFlexible = requestHeaderVersion(api, version) === 2;
  const frame = new Uint8Array(10 + (isFlexible ? 1 : 0) + body.length);
  const view = new DataView(frame.buffer);
  view.setInt16(0, api.apiKey);
  view.setInt16(2, version);
  view.setInt32(4, 1);
  view.setInt16(8, -1);
  frame.set(body, frame.length - body.length);
  return frame;
}

/** The frame with something wrong behind its header. */
function damaged(random: SeededRandom, frame: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const bytes = frame.slice();
  const place = () => 10 + random.below(Math.max(1, bytes.length - 10));
  switch (random.below(4)) {
    case 0:
      return bytes.slice(0, place());
    case 1:
      bytes[Math.min(place(), bytes.length - 1)] = random.below(256);
      return bytes;
    case 2: {
      for (let n = 0; n < 6; n++) bytes[Math.min(place(), bytes.length - 1)] = 255;
      return bytes;
    }
    default: {
      const longer = new Uint8Array(bytes.length + 1 + random.below(40)).fill(random.below(256));
      longer.set(bytes);
      return longer;
    }
  }
}

/** Sends a frame, and a sane one behind it. @returns whether the connection is still there */
async function survives(client: WireClient, frame: Uint8Array): Promise<boolean> {
  await client.send(frame);
  const sane = frameOf(ApiVersions, 0, new Uint8Array(0));
  new DataView(sane.buffer).setInt32(4, PROBE);
  try {
    await client.send(sane);
  } catch {
    // It was closed meanwhile.
  }
  for (;;) {
    const answer = await client.receive();
    if (answer === null) return false;
    if (new DataView(answer.buffer, answer.byteOffset).getInt32(0) === PROBE) return true;
  }
}

test("garbage costs at most its connection", async () => {
  const random = SeededRandom.of(41);
  const settings = { "offsets.topic.num.partitions": 3, "transaction.state.log.num.partitions": 3 };
  const live = await Live.start({ settings });
  const neighbour = await live.connect();
  try {
    await neighbour.ask(CreateTopics, 7, {
      topics: ["t", "u"].map((name) => ({
        ...{ name, numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] },
      })),
      timeoutMs: 5000,
      validateOnly: false,
    });
    const rig = new TransactionRig(neighbour, {});
    await rig.ready();
    const open = await rig.begun();
    expect(await rig.send(open)).toEqual([0]);
    const all = loadApiVectors().filter(({ apiKey }) => KEYS.includes(apiKey));
    expect(all.map(({ apiKey }) => apiKey)).toEqual(KEYS);
    let client = await live.connect();
    let sent = 0;
    let closed = 0;
    for (const { apiKey, request } of all) {
      const { api } = handlers[apiKey]!;
      for (const { v, hex } of request) {
        if (v < api.lowest || v > api.highestStable || hex.length > 2 * SIZE_MAX) continue;
        const whole = frameOf(api, v, bytesOfHex(hex));
        const frames = [whole, ...Array.from({ length: VARIANTS }, () => damaged(random, whole))];
        for (const frame of frames) {
          sent++;
          if (await survives(client, frame)) continue;
          closed++;
          client.close();
          client = await live.connect();
        }
      }
    }
    client.close();
    expect(sent).toBeGreaterThan(500);
    // Some of it was understood, and some was not.
    expect(closed).toBeGreaterThan(20);
    expect(closed).toBeLessThan(sent);

    const topics = [{ name: "t", partitions: [{ partitionIndex: 0, timestamp: -1 }] }];
    const stable = async () => {
      const asked = { replicaId: -1, isolationLevel: 1, topics };
      return Number((await neighbour.ask(ListOffsets, 7, asked)).topics[0]!.partitions[0]!.offset);
    };
    expect(await stable()).toBe(0);
    expect(await rig.send(open, { baseSequence: 1 })).toEqual([0]);
    expect(await rig.end(open, true)).toEqual([0]);
    expect(await stable()).toBe(3);
    expect(live.logLines.filter((line) => /defect|"level":"error"/.test(line))).toEqual([]);
  } finally {
    neighbour.close();
    await live.stop();
  }
}, 120_000);
