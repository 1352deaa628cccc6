// Settings of a broker that runs: what IncrementalAlterConfigs changes counts for the next request, and what the cleaner
// knows is told to who asks by name.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { AppendResult, Outcome } from "../../../src/contracts/broker.ts";
import { batchesIn, type RecordBatch } from "../../../src/record/record_batch.ts";
import { keyedBatch } from "../../support/compacted_log.ts";
import { type MemoryBroker, memoryBroker } from "../../support/memory_broker.ts";

const TOPIC = 2;
const BROKER = 4;
const SET = 0;
const DELETE = 1;
let memory: MemoryBroker;
beforeAll(async () => {
  memory = await memoryBroker({ settings: { "log.cleaner.backoff.ms": 0 } });
});
afterAll(() => memory.stop());

async function alter(type: number, name: string, values: Readonly<Record<string, string | null>>) {
  const answer = await memory.broker.admin.incrementalAlterConfigs(
    memory.caller,
    {
      resources: [
        {
          resourceType: type,
          resourceName: name,
          configs: Object.entries(values).map(([key, value]) => ({
            name: key,
            configOperation: value === null ? DELETE : SET,
            value,
          })),
        },
      ],
      validateOnly: false,
    },
    1,
  );
  const [{ errorCode, errorMessage }] = answer.responses as [(typeof answer.responses)[number]];
  if (errorCode !== 0) throw new Error(`${errorCode} ${errorMessage}`);
}

async function append(topic: string, batches: Uint8Array): Promise<Outcome<AppendResult>> {
  const [outcome] = await memory.broker.log.append(memory.caller, {
    acks: -1,
    timeoutMs: 5000,
    transactionalId: null,
    partitions: [{ topic, partition: 0, batches }],
  });
  return outcome!;
}

async function fetch(
  topic: string,
  fetchOffset: number,
  bytesMax = 1 << 20,
): Promise<readonly RecordBatch[]> {
  const response = await memory.broker.log.fetch(memory.caller, {
    isolation: "read_uncommitted",
    waitMsMax: 0,
    bytesMin: 1,
    bytesMax,
    partitions: [{ topic, partition: 0, fetchOffset, bytesMax, leaderEpoch: -1 }],
  });
  const [outcome] = response.partitions;
  if (!outcome!.ok) throw new Error(outcome!.error.code);
  const bytes = outcome!.value.batches[0]?.slice() ?? new Uint8Array(0);
  response.release();
  return batchesIn(bytes).batches;
}

const keyed = (codec: "none" | "gzip" = "none") =>
  keyedBatch([{ key: "k", value: "v".repeat(200) }], { timestampMs: Date.now(), codec });
const keyless = () => keyedBatch([{ key: null, value: "v" }], { timestampMs: Date.now() });

/** A batch whose records are no gzip, and whose checksum is right all the same. */
function unopenable(): Uint8Array {
  const bytes = keyed("gzip");
  bytes.fill(0, 61);
  return recrc(bytes);
}

function recrc(bytes: Uint8Array): Uint8Array {
  let crc = ~0;
  for (const byte of bytes.subarray(21)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(17, ~crc >>> 0);
  return bytes;
}

describe("settings change while the broker runs", () => {
  for (const [type, resource, setting] of [
    [TOPIC, "sizes", "max.message.bytes"],
    [BROKER, "", "message.max.bytes"],
    [BROKER, "1", "message.max.bytes"],
  ] as const) {
    test(`${setting} of ${resource === "" ? "all brokers" : resource}`, async () => {
      const topic = `sizes${resource === "sizes" ? "" : `-${setting}-${resource}`}`;
      await memory.topic(topic);
      expect((await append(topic, keyed())).ok).toBe(true);
      await alter(type, resource, { [setting]: "100" });
      expect(await append(topic, keyed())).toMatchObject({ error: { code: "message_too_large" } });
      await alter(type, resource, { [setting]: null });
      expect((await append(topic, keyed())).ok).toBe(true);
    });
  }

  test("cleanup.policy: from compact on records without a key are refused, one by one", async () => {
    await memory.topic("policies");
    expect((await append("policies", keyless())).ok).toBe(true);
    await alter(TOPIC, "policies", { "cleanup.policy": "compact" });
    const entries = ["a", null, "b", null].map((key) => ({ key, value: "v" }));
    const mixed = keyedBatch(entries, { timestampMs: Date.now() });
    expect(await append("policies", mixed)).toMatchObject({
      error: { code: "invalid_record", recordErrors: [{ batchIndex: 1 }, { batchIndex: 3 }] },
    });
    expect((await append("policies", keyed())).ok).toBe(true);
    await alter(TOPIC, "policies", { "cleanup.policy": "compact,delete" });
    expect((await append("policies", keyless())).ok).toBe(false);
    await alter(TOPIC, "policies", { "cleanup.policy": null });
    expect((await append("policies", keyless())).ok).toBe(true);
  });

  test("compression.type, and the level of its codec: what is stored", async () => {
    await memory.topic("codecs");
    const entries = Array.from({ length: 400 }, (_, i) => {
      return { key: `${i}`, value: `${(i * 7919) % 1000}-${(i * 104_729) % 977}`.repeat(4) };
    });
    const sizes: number[] = [];
    const store = async (configs: Readonly<Record<string, string>>) => {
      await alter(TOPIC, "codecs", configs);
      const appended = await append("codecs", keyedBatch(entries, { timestampMs: Date.now() }));
      if (!appended.ok) throw new Error(appended.error.code);
      const [batch] = await fetch("codecs", appended.value.baseOffset);
      sizes.push(batch!.sizeBytes);
      return batch!.codec;
    };
    expect(await store({ "compression.type": "lz4" })).toBe("lz4");
    for (const [codec, level] of [
      ["gzip", "compression.gzip.level"],
      ["zstd", "compression.zstd.level"],
    ] as const) {
      expect(await store({ "compression.type": codec, [level]: "1" })).toBe(codec);
      expect(await store({ [level]: "9" })).toBe(codec);
      const [low, high] = sizes.slice(-2);
      expect(high).not.toBe(low!);
    }
    expect(await store({ "compression.type": "uncompressed" })).toBe("none");
  });

  test("compaction lags that contradict each other are refused, wherever each of them is set", async () => {
    await memory.topic("lags", 1, { "min.compaction.lag.ms": "5000" });
    const wrong = /min\.compaction\.lag\.ms \(\d+\) is above/;
    await expect(alter(TOPIC, "lags", { "max.compaction.lag.ms": "4999" })).rejects.toThrow(wrong);
    await alter(BROKER, "", { "log.cleaner.max.compaction.lag.ms": "6000" });
    const topic = alter(TOPIC, "lags", { "min.compaction.lag.ms": "6001" });
    await expect(topic).rejects.toThrow(wrong);
    const broker = alter(BROKER, "", { "log.cleaner.min.compaction.lag.ms": "6001" });
    await expect(broker).rejects.toThrow(wrong);
    const made = memory.topic("lags-too", 1, { "min.compaction.lag.ms": "6001" });
    await expect(made).rejects.toThrow(wrong);
    await alter(BROKER, "", {
      "log.cleaner.min.compaction.lag.ms": "6001",
      "log.cleaner.max.compaction.lag.ms": "7000",
    });
    await alter(BROKER, "", {
      "log.cleaner.min.compaction.lag.ms": null,
      "log.cleaner.max.compaction.lag.ms": null,
    });
    const settings = { "log.cleaner.min.compaction.lag.ms": 2, "max.compaction.lag.ms": 1 };
    await expect(memoryBroker({ settings })).rejects.toThrow(wrong);
  });

  test("message.timestamp.type of all brokers: whose time a record has", async () => {
    await memory.topic("times");
    await alter(BROKER, "", { "log.message.timestamp.type": "LogAppendTime" });
    const old = keyedBatch([{ key: "k", value: "v" }], { timestampMs: 5 });
    expect((await append("times", old)).ok).toBe(true);
    const [batch] = await fetch("times", 0);
    expect(batch!.isLogAppendTime).toBe(true);
    expect(batch!.maxTimestampMs).toBeGreaterThan(1_600_000_000_000);
    await alter(BROKER, "", { "log.message.timestamp.type": null });
  });

  test("millrace.validate.compressed: whether a compressed batch is opened", async () => {
    await memory.topic("opened");
    expect(await append("opened", unopenable())).toMatchObject({
      error: { code: "invalid_record" },
    });
    await alter(BROKER, "1", { "millrace.validate.compressed": "false" });
    expect((await append("opened", unopenable())).ok).toBe(true);
    await alter(BROKER, "1", { "millrace.validate.compressed": null });
    expect((await append("opened", unopenable())).ok).toBe(false);
  });

  test("fetch.max.bytes bounds an answer, whatever is asked for", async () => {
    const small = await memoryBroker({ settings: { "fetch.max.bytes": 1024 } });
    const before = memory;
    memory = small;
    try {
      await memory.topic("bounded");
      for (let i = 0; i < 10; i++) await append("bounded", keyed());
      const found = await fetch("bounded", 0);
      expect(found.length).toBeGreaterThan(0);
      expect(found.length).toBeLessThan(10);
    } finally {
      memory = before;
      await small.stop();
    }
  });
});

describe("millrace.cleaning", () => {
  const describeTopic = async (name: string, keys: readonly string[] | null) => {
    const { results } = await memory.broker.admin.describeConfigs(
      memory.caller,
      {
        resources: [{ resourceType: TOPIC, resourceName: name, configurationKeys: keys }],
        includeSynonyms: false,
        includeDocumentation: false,
      },
      4,
    );
    return results[0]!;
  };

  test("is told of compacted topics to who asks for it, and to nobody else", async () => {
    await memory.topic("tables", 2, { "cleanup.policy": "compact" });
    await memory.topic("streams");
    expect((await append("tables", keyed())).ok).toBe(true);
    const { configs } = await describeTopic("tables", ["millrace.cleaning", "retention.ms"]);
    expect(configs.map(({ name }) => name)).toEqual(["retention.ms", "millrace.cleaning"]);
    expect(configs[1]).toMatchObject({ readOnly: true, isSensitive: false });
    expect(JSON.parse(configs[1]!.value!)).toMatchObject([
      { partition: 0, dirtyRatio: 1, cleanings: 0, running: null, uncleanable: null },
    ]);
    expect((await describeTopic("streams", ["millrace.cleaning"])).configs).toEqual([]);
    const all = await describeTopic("tables", null);
    expect(all.configs.some(({ name }) => name === "millrace.cleaning")).toBe(false);
    expect((await describeTopic("nothing", ["millrace.cleaning"])).errorCode).toBe(3);
  });
});
