import { describe, expect, test } from "bun:test";
import { InvariantError } from "../../src/base/assert.ts";
import { OffsetCommitKey } from "../../src/protocol/internal_records/offset_commit.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import { ApiVersions } from "../../src/protocol/messages/18_api_versions.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import {
  apiKeyOf,
  apiVersionOf,
  correlationIdOf,
  createApiRegistry,
  DecodeError,
  decodeAnyRequest,
  decodeMessage,
  decodeRequest,
  decodeResponse,
  EncodeError,
  encodeMessage,
  encodeRequest,
  encodeResponse,
  unknownTags,
} from "../../src/protocol/mod.ts";
import { bytesOfHex, hexOfBytes, loadProbes } from "../vectors/load.ts";

const probes = loadProbes();
const registry = createApiRegistry([Metadata, ApiVersions, Fetch, Produce, InitProducerId]);

function requestOfProbe(what: string): Uint8Array {
  return bytesOfHex(probes.find((probe) => probe.what === what)!.requestHex!);
}

function sentOfProbe(what: string): Uint8Array {
  return bytesOfHex(probes.find((probe) => probe.what.startsWith(what))!.sentHex!).subarray(4);
}

describe("decodeRequest()", () => {
  test("key, version and correlation id can be read first, whatever follows", () => {
    const frame = bytesOfHex("fffe8001ffffff85");
    expect(apiKeyOf(frame)).toBe(-2);
    expect(apiVersionOf(frame)).toBe(-32767);
    expect(correlationIdOf(frame)).toBe(-123);
    for (const read of [apiKeyOf, apiVersionOf, correlationIdOf]) {
      expect(() => read(frame.subarray(0, 7))).toThrow(DecodeError);
    }
  });

  test("client ids may be null or empty, unknown header tags are skipped (trap 18)", () => {
    expect(decodeRequest(Metadata, requestOfProbe("null client id in the header")).header).toEqual({
      apiKey: 3,
      apiVersion: 12,
      correlationId: 1,
      clientId: null,
    });
    expect(decodeRequest(Metadata, requestOfProbe("empty client id")).header.clientId).toBe("");
    const tagged = decodeRequest(
      Metadata,
      requestOfProbe("unknown tagged field in the request header"),
    );
    expect(tagged.header.clientId).toBe("probe");
    expect(tagged.trailingBytes).toBe(0);
    const inBody = decodeRequest(
      Metadata,
      requestOfProbe("unknown tagged field in the request body"),
    );
    expect(inBody.body[unknownTags]!.get(9)).toEqual(Uint8Array.of(0xaa));
  });

  test("bytes after the body are reported and ignored (trap 2)", () => {
    const frame = requestOfProbe("trailing bytes after the body are ignored");
    const { body, trailingBytes } = decodeRequest(Metadata, frame);
    expect(trailingBytes).toBe(3);
    expect(body.topics).toEqual([]);
  });

  test("a request cut short, of no such version or key, or not Kafka at all, is a DecodeError", () => {
    expect(() => decodeRequest(Metadata, sentOfProbe("body cut short"))).toThrow(
      /^MetadataRequest v13, byte 16: The bytes end/,
    );
    expect(() => decodeRequest(Metadata, sentOfProbe("Metadata v14"))).toThrow(DecodeError);
    expect(() => decodeRequest(Fetch, sentOfProbe("Fetch v3"))).toThrow(DecodeError);
    expect(() => decodeRequest(Produce, sentOfProbe("Produce v2"))).toThrow(DecodeError);
    expect(() => decodeAnyRequest(registry, sentOfProbe("unknown api key 999"))).toThrow(
      DecodeError,
    );
    expect(() => decodeAnyRequest(registry, sentOfProbe("HTTP request"))).toThrow(DecodeError);
    expect(() => decodeAnyRequest(registry, new Uint8Array(0))).toThrow(DecodeError);
  });

  test("an int64 beyond 2^53 is reported, so that admission can refuse it", () => {
    const request = (producerId: number | bigint) => {
      const body = { transactionalId: null, transactionTimeoutMs: 1, producerId, producerEpoch: 0 };
      const parts = encodeRequest(InitProducerId, 4, 1, "c", body);
      return decodeRequest(InitProducerId, parts[0]!.subarray(4));
    };
    expect(request(2 ** 53 - 1).hasBigint).toBe(false);
    expect(request(2n ** 53n).hasBigint).toBe(true);
  });

  test("a request of more than 2^20 elements is refused, whatever its frame could hold", () => {
    const request = (count: number) => {
      const topics = Array.from({ length: count }, (_, index) => ({ name: `t${index & 7}` }));
      return encodeRequest(Metadata, 4, 1, "c", { topics });
    };
    const joined = (parts: Uint8Array[]) => Uint8Array.from(Buffer.concat(parts)).subarray(4);
    const most = joined(request(2 ** 20));
    expect(decodeRequest(Metadata, most).body.topics!.length).toBe(2 ** 20);
    expect(() => decodeRequest(Metadata, joined(request(2 ** 20 + 1)))).toThrow("more elements");
    // Unknown tags count too: here 300,000 empty ones, with tags from 2^14 on.
    const tags = new Uint8Array(4 * 300_000);
    for (let tag = 0; tag < 300_000; tag++) {
      const value = 0x4000 + tag;
      tags.set([(value & 0x7f) | 0x80, ((value >> 7) & 0x7f) | 0x80, value >> 14, 0], 4 * tag);
    }
    const head = bytesOfHex("0003000c00000001ffff00" + "00" + "0000" + "e0a712");
    expect(() => decodeRequest(Metadata, Uint8Array.from([...head, ...tags]))).toThrow(
      "more elements",
    );
  });

  test("records are views of the frame, also when the frame lies inside a larger buffer", () => {
    const records = new Uint8Array(2000).fill(5);
    const topicData = [{ name: "t", partitionData: [{ index: 0, records }] }];
    const parts = encodeRequest(Produce, 9, 1, "c", { acks: 1, timeoutMs: 1, topicData });
    // The records went along as they are.
    expect(parts[1]).toBe(records);
    const hex = parts.map(hexOfBytes).join("");
    const received = bytesOfHex(`ffff${hex}ff`);
    const frame = received.subarray(6, received.length - 1);
    const { body, trailingBytes } = decodeRequest(Produce, frame);
    const view = body.topicData[0]!.partitionData[0]!.records!;
    expect(trailingBytes).toBe(0);
    expect(view.buffer).toBe(received.buffer);
    expect(view).toEqual(records);
  });
});

describe("encodeResponse()", () => {
  test("ApiVersions keeps response header 0 in flexible versions (trap 1)", () => {
    const body = { errorCode: 35, apiKeys: [] };
    expect(hexOfBytes(encodeResponse(ApiVersions, 0, 7, body)[0]!)).toBe(
      "0000000a00000007002300000000",
    );
    expect(hexOfBytes(encodeResponse(ApiVersions, 3, 7, body)[0]!)).toBe(
      "0000000c000000070023010000000000",
    );
    expect(
      decodeResponse(ApiVersions, 3, bytesOfHex("000000070023010000000000")).correlationId,
    ).toBe(7);
    const metadata = { brokers: [], topics: [] };
    // Any other flexible response has a tag section in its header.
    expect(hexOfBytes(encodeResponse(Metadata, 12, 7, metadata)[0]!)).toBe(
      "000000110000000700000000000100ffffffff0100",
    );
  });

  test("large records go along uncopied, the length in front counts them", () => {
    const batches = [new Uint8Array(10_000), new Uint8Array(20_000)];
    const partition = {
      partitionIndex: 0,
      errorCode: 0,
      highWatermark: 9,
      abortedTransactions: null,
    };
    const responses = [{ topic: "t", partitions: [{ ...partition, records: batches }] }];
    const parts = encodeResponse(Fetch, 12, 1, { responses });
    expect(parts[1]).toBe(batches[0]!);
    expect(parts[2]).toBe(batches[1]!);
    const total = parts.reduce((sum, part) => sum + part.length, 0);
    expect(new DataView(parts[0]!.buffer, parts[0]!.byteOffset).getInt32(0)).toBe(total - 4);
  });

  test("what a version cannot carry is an EncodeError, and the next message is whole", () => {
    const tooNew = { errorCode: 0, apiKeys: [], throttleTimeMs: 5 };
    // throttleTimeMs is ignorable; a version that does not exist is not.
    expect(encodeResponse(ApiVersions, 0, 1, tooNew).length).toBe(1);
    expect(() => encodeResponse(ApiVersions, 9, 1, tooNew)).toThrow(EncodeError);
    expect(() => encodeResponse(Metadata, 12, 1, { brokers: null as never, topics: [] })).toThrow(
      EncodeError,
    );
    expect(hexOfBytes(encodeResponse(ApiVersions, 0, 7, { errorCode: 0, apiKeys: [] })[0]!)).toBe(
      "0000000a00000007000000000000",
    );
  });
});

describe("ApiRegistry", () => {
  test("finds APIs by key, lists them in order, and serves what is stable", () => {
    expect(registry.apis.map((each) => each.apiKey)).toEqual([0, 1, 3, 18, 22]);
    expect(registry.get(1)).toBe(Fetch);
    expect(registry.get(2)).toBe(undefined);
    expect(registry.serves(22, 5)).toBe(true);
    expect(registry.serves(22, 6)).toBe(false);
    expect(registry.serves(0, 2)).toBe(false);
    expect(registry.serves(2, 0)).toBe(false);
    expect(Produce.advertisedLowest).toBe(0);
    expect(() => createApiRegistry([Fetch, Fetch])).toThrow(InvariantError);
  });
});

describe("messages by themselves", () => {
  test("go to bytes and back", () => {
    const key = { group: "g", topic: "t", partition: 3 };
    const bytes = encodeMessage(OffsetCommitKey, 0, key);
    expect(hexOfBytes(bytes)).toBe("00016700017400000003");
    expect(decodeMessage(OffsetCommitKey, 0, bytes)).toEqual(key);
    expect(() => decodeMessage(OffsetCommitKey, 1, bytes)).toThrow(DecodeError);
    expect(() => decodeMessage(OffsetCommitKey, 0, bytes.subarray(1))).toThrow(
      /OffsetCommitKey v0/,
    );
  });
});
