// The traps of the protocol notes (clients.md, by number) that concern the transport: each a test.

import { describe, expect, test } from "bun:test";
import type { OffsetQuery } from "../../../src/contracts/broker.ts";
import { Fetch } from "../../../src/protocol/messages/01_fetch.ts";
import { ListOffsets } from "../../../src/protocol/messages/02_list_offsets.ts";
import type { MetadataRequest } from "../../../src/protocol/messages/03_metadata.ts";
import { Metadata } from "../../../src/protocol/messages/03_metadata.ts";
import { SaslHandshake } from "../../../src/protocol/messages/17_sasl_handshake.ts";
import { ApiVersions } from "../../../src/protocol/messages/18_api_versions.ts";
import { CreateTopics } from "../../../src/protocol/messages/19_create_topics.ts";
import { SaslAuthenticate } from "../../../src/protocol/messages/36_sasl_authenticate.ts";
import { join, settle } from "./fakes.ts";
import { emptyFetch, Harness, ok } from "./scripted.ts";

/** Bytes of hexadecimal text. */
function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const SOFTWARE = { clientSoftwareName: "probe", clientSoftwareVersion: "1.0" };
const NO_TOPICS = {
  throttleTimeMs: 0,
  brokers: [],
  clusterId: "c",
  controllerId: 1,
  topics: [],
  errorCode: 0,
};

async function withMetadata(): Promise<Harness> {
  const harness = await Harness.start();
  harness.scripted.answers.set("metadata", () => NO_TOPICS);
  return harness;
}

describe("trap 1: ApiVersions", () => {
  test("the response header has no tag section, also in flexible versions", async () => {
    for (const version of [0, 1, 2, 3, 4]) {
      const client = (await Harness.start()).connect();
      const id = client.send(ApiVersions, version, SOFTWARE);
      await settle();
      const frame = client.peer.frames[0]!;
      // Correlation id, then at once the error code: a tag section would put a zero byte between.
      expect(hexOf(frame.subarray(0, 4))).toBe(id.toString(16).padStart(8, "0"));
      const rows = version >= 3 ? frame[6]! - 1 : (frame[8]! << 8) | frame[9]!;
      expect([frame[4], frame[5], rows]).toEqual([0, 0, 46]);
    }
  });

  test("a version above the maximum is answered in the v0 layout with error 35 and the range", async () => {
    const client = (await Harness.start()).connect();
    // Header: key 18, version 5, correlation id 7, a client id, then a body that no one knows.
    client.sendRaw(hex("0012000500000007000570726f6265deadbeef"));
    await settle();
    expect(hexOf(client.peer.frames[0]!)).toBe("00000007002300000001001200000004");
    // The connection goes on: franz-go asks again with v4.
    const answer = await client.ask(ApiVersions, 4, SOFTWARE);
    expect(answer.errorCode).toBe(0);
  });

  test("every other unsupported key or version closes the connection", async () => {
    const cases = {
      "unknown api key 999": ["03e7000000000001000570726f6265", "request_api_unknown"],
      "removed api key 4": ["0004000000000001000570726f6265", "request_api_unknown"],
      "negative api key": ["ffff000000000001000570726f6265", "request_api_unknown"],
      "Metadata v14": ["0003000e00000001000570726f62650001000000", "request_version_unsupported"],
      "Fetch v3": ["0001000300000001000570726f6265", "request_version_unsupported"],
      "Produce v2": ["0000000200000001000570726f6265", "request_version_unsupported"],
      "InitProducerId v6": ["0016000600000001000570726f6265", "request_version_unsupported"],
      "Metadata v13 without body": ["0003000d00000001000570726f6265", "request_undecodable"],
      nothing: ["", "request_undecodable"],
      "seven bytes": ["00030001000000", "request_undecodable"],
    };
    for (const [what, [bytes, event]] of Object.entries(cases)) {
      const harness = await withMetadata();
      const client = harness.connect();
      const other = harness.connect();
      client.sendRaw(hex(bytes!));
      await settle();
      expect({ what, reason: client.peer.closeReason }).toEqual({ what, reason: event! });
      expect(client.peer.frames.length).toBe(0);
      expect(harness.hand.eventsOf("kafka_connection_closed")[0]!["reason"]).toBe(event!);
      expect(harness.budget.heldBytes).toBe(0);
      // Nobody else is touched.
      expect((await other.ask(Metadata, 1, { topics: [] })).controllerId).toBe(1);
    }
  });
});

describe("trap 2: trailing bytes", () => {
  test("three bytes behind a Metadata v13 body are ignored (librdkafka)", async () => {
    const harness = await withMetadata();
    const client = harness.connect();
    client.sendRaw(hex("0003000d000000010007726b61666b610000000000010000010000"));
    await settle();
    expect(client.peer.frames.length).toBe(1);
    const [request] = harness.scripted.of<MetadataRequest>("metadata");
    expect(request!.topics).toBe(null);
    expect(request!.allowAutoTopicCreation).toBe(false);
  });
});

describe("trap 3: low versions", () => {
  test("are served from the lowest that Kafka implements", async () => {
    const harness = await Harness.start();
    const { apiKeys } = await harness.connect().ask(ApiVersions, 0, {});
    const lowest = Object.fromEntries(apiKeys.map((row) => [row.apiKey, row.minVersion]));
    expect(lowest).toEqual({
      0: 0,
      1: 4,
      2: 1,
      3: 0,
      8: 2,
      9: 1,
      10: 0,
      11: 0,
      12: 0,
      13: 0,
      14: 0,
      15: 0,
      16: 0,
      17: 0,
      18: 0,
      19: 2,
      20: 1,
      21: 0,
      22: 0,
      23: 2,
      24: 0,
      25: 0,
      26: 0,
      27: 1,
      28: 0,
      32: 1,
      33: 0,
      34: 1,
      35: 1,
      36: 0,
      37: 0,
      42: 0,
      43: 0,
      44: 0,
      45: 0,
      46: 0,
      47: 0,
      57: 0,
      60: 0,
      61: 0,
      64: 0,
      65: 0,
      66: 0,
      68: 0,
      69: 0,
      75: 0,
    });
  });
});

describe("trap 4: Produce is listed from 0", () => {
  test("up to 13, as are the highest stable versions of the others", async () => {
    const harness = await Harness.start();
    const { apiKeys } = await harness.connect().ask(ApiVersions, 4, SOFTWARE);
    const highest = Object.fromEntries(apiKeys.map((row) => [row.apiKey, row.maxVersion]));
    expect(highest).toEqual({
      0: 13,
      1: 18,
      2: 11,
      3: 13,
      8: 10,
      9: 10,
      10: 6,
      11: 9,
      12: 4,
      13: 5,
      14: 5,
      15: 6,
      16: 5,
      17: 1,
      18: 4,
      19: 7,
      20: 6,
      21: 2,
      22: 5,
      23: 4,
      24: 5,
      25: 4,
      26: 5,
      27: 2,
      28: 5,
      32: 4,
      33: 2,
      34: 2,
      35: 5,
      36: 2,
      37: 3,
      42: 2,
      43: 2,
      44: 1,
      45: 1,
      46: 0,
      47: 0,
      57: 2,
      60: 2,
      61: 0,
      64: 0,
      65: 0,
      66: 2,
      68: 1,
      69: 1,
      75: 0,
    });
  });
});

describe("trap 13: Fetch", () => {
  test("a healthy partition has empty records, never null", async () => {
    const harness = await Harness.start();
    for (let version = 4; version <= 18; version++) {
      harness.scripted.topicIds.set("AAAAAAAAAAAAAAAAAAAAAQ", "t");
      const answer = await harness.connect().ask(Fetch, version, {
        maxWaitMs: 0,
        minBytes: 0,
        topics: [
          {
            topic: version < 13 ? "t" : "",
            topicId: version < 13 ? "AAAAAAAAAAAAAAAAAAAAAA" : "AAAAAAAAAAAAAAAAAAAAAQ",
            partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100 }],
          },
        ],
      });
      expect(answer.responses[0]!.partitions[0]!.records).toEqual(new Uint8Array(0));
    }
  });
});

describe("trap 17: features and software names", () => {
  test("v3 leaves out supported features whose minimum is 0, v4 lists them", async () => {
    const harness = await Harness.start();
    harness.scripted.features = [
      { name: "metadata.version", minVersion: 7, maxVersion: 30, finalizedVersion: 30 },
      { name: "group.version", minVersion: 0, maxVersion: 1, finalizedVersion: 1 },
      { name: "transaction.version", minVersion: 0, maxVersion: 2, finalizedVersion: 0 },
    ];
    const client = harness.connect();
    const v3 = await client.ask(ApiVersions, 3, SOFTWARE);
    expect(v3.supportedFeatures.map((each) => each.name)).toEqual(["metadata.version"]);
    const v4 = await client.ask(ApiVersions, 4, SOFTWARE);
    expect(v4.supportedFeatures.length).toBe(3);
    expect(v4.finalizedFeatures).toEqual([
      { name: "metadata.version", maxVersionLevel: 30, minVersionLevel: 30 },
      { name: "group.version", maxVersionLevel: 1, minVersionLevel: 1 },
    ]);
    expect(v4.finalizedFeaturesEpoch).toBe(0);
    // Clients believe the answer with the larger epoch.
    harness.scripted.featuresEpoch = 41;
    expect((await client.ask(ApiVersions, 3, SOFTWARE)).finalizedFeaturesEpoch).toBe(41);
  });

  test("names that break the rule are answered with 42, in versions that carry them", async () => {
    const client = (await Harness.start()).connect();
    for (const name of ["bad name!", "", "-a", "a-", "ü", "."]) {
      const answer = await client.ask(ApiVersions, 3, {
        clientSoftwareName: name,
        clientSoftwareVersion: "1",
      });
      expect([name, answer.errorCode, answer.apiKeys.length]).toEqual([name, 42, 0]);
    }
    for (const name of ["a", "apache-kafka-java", "a.b-c9", "confluent-kafka-python-librdkafka"]) {
      const answer = await client.ask(ApiVersions, 4, {
        clientSoftwareName: name,
        clientSoftwareVersion: "4.3.1",
      });
      expect(answer.errorCode).toBe(0);
    }
  });
});

describe("trap 18: the client id", () => {
  test("is a classic string in flexible headers, may be null, and reaches the broker", async () => {
    const harness = await withMetadata();
    const client = harness.connect();
    await client.ask(Metadata, 12, { topics: [] }, null);
    await client.ask(Metadata, 12, { topics: [] }, "ü-app");
    await client.ask(Metadata, 1, { topics: [] }, "");
    expect(harness.scripted.calls.map((call) => call.caller.clientId)).toEqual(["", "ü-app", ""]);
    const { caller } = harness.scripted.calls[0]!;
    expect(caller.listener).toBe("kafka");
    expect(caller.principal).toEqual({ type: "User", name: "ANONYMOUS" });
    expect(caller.peer.host).toBe("192.0.2.1");
  });

  test("unknown tagged fields in header and body are skipped", async () => {
    const harness = await withMetadata();
    const client = harness.connect();
    // Header tags: one, tag 3, two bytes. Body: empty topics, false, false, one tag 9 with one byte.
    client.sendRaw(hex("0003000c0000000500016101030201020100000109" + "01aa"));
    await settle();
    expect(client.peer.frames.length).toBe(1);
  });
});

describe("trap 19: order", () => {
  test("answers leave in request order, whichever is ready first", async () => {
    const harness = await withMetadata();
    let finish: () => void = () => {};
    harness.scripted.fetch = (request) =>
      new Promise((resolve) => {
        finish = () => resolve(request.partitions.map(() => ok(emptyFetch(0))));
      });
    const client = harness.connect();
    const first = client.send(Fetch, 4, {
      maxWaitMs: 500,
      minBytes: 1,
      topics: [
        { topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 }] },
      ],
    });
    const second = client.send(Metadata, 1, { topics: [] });
    const third = client.send(ApiVersions, 0, {});
    await settle();
    expect(client.peer.frames.length).toBe(0);
    expect(harness.scripted.of("metadata").length).toBe(1);
    finish();
    await settle();
    const ids = client.peer.frames.map((frame) =>
      new DataView(frame.buffer, frame.byteOffset).getInt32(0),
    );
    expect(ids).toEqual([first, second, third]);
  });
});

describe("trap 23: SASL without an authenticator", () => {
  test("is illegal_sasl_state, and listed all the same, as Kafka does", async () => {
    const client = (await Harness.start()).connect();
    expect((await client.ask(SaslHandshake, 1, { mechanism: "PLAIN" })).errorCode).toBe(34);
    expect(
      (await client.ask(SaslAuthenticate, 2, { authBytes: new Uint8Array(0) })).errorCode,
    ).toBe(34);
    const { apiKeys } = await client.ask(ApiVersions, 0, {});
    const listed = apiKeys.filter((row) => row.apiKey === 17 || row.apiKey === 36);
    expect(listed.map(({ minVersion, maxVersion }) => [minVersion, maxVersion])).toEqual([
      [0, 1],
      [0, 2],
    ]);
  });
});

describe("trap 27: special timestamps of ListOffsets", () => {
  test("are known from their version on, and 35 for the partition before it", async () => {
    const since: Record<string, number> = { "-1": 1, "-2": 1, "-3": 7, "-4": 8, "-5": 9, "-6": 11 };
    for (let version = 1; version <= 11; version++) {
      const harness = await Harness.start();
      const client = harness.connect();
      for (let timestamp = -1; timestamp >= -8; timestamp--) {
        const { topics } = await client.ask(ListOffsets, version, {
          replicaId: -1,
          topics: [{ name: "t", partitions: [{ partitionIndex: 3, timestamp }] }],
        });
        const from = since[timestamp] ?? 99;
        const found = topics[0]!.partitions[0]!;
        expect([version, timestamp, found.errorCode]).toEqual([
          version,
          timestamp,
          version >= from ? 0 : 35,
        ]);
        expect(found.partitionIndex).toBe(3);
        // What has no place to be tiered to has no tiered offset.
        if (version < from || timestamp <= -5) expect(found.offset).toBe(-1);
        else expect(found.offset).toBe(7);
      }
      const asked = harness.scripted.of<OffsetQuery[]>("offsetFor").map(([query]) => query!.at);
      const expected = ["latest", "earliest", "max_timestamp", "earliest"];
      expect(asked as string[]).toEqual(expected.slice(0, version < 7 ? 2 : version < 8 ? 3 : 4));
    }
  });
});

describe("order of state-changing requests", () => {
  test("CreateTopics waits for earlier requests of its connection and holds later ones", async () => {
    const harness = await withMetadata();
    const finish: (() => void)[] = [];
    harness.scripted.fetch = (request) =>
      new Promise((resolve) => {
        finish.push(() => resolve(request.partitions.map(() => ok(emptyFetch(0)))));
      });
    harness.scripted.answers.set(
      "createTopics",
      () =>
        new Promise((resolve) => {
          finish.push(() => resolve({ throttleTimeMs: 0, topics: [] }));
        }),
    );
    const client = harness.connect();
    client.send(Fetch, 4, {
      maxWaitMs: 500,
      minBytes: 1,
      topics: [
        { topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 }] },
      ],
    });
    client.send(CreateTopics, 2, { topics: [], timeoutMs: 1000, validateOnly: false });
    client.send(Metadata, 1, { topics: [] });
    await settle();
    expect(harness.scripted.calls.map((call) => call.name)).toEqual(["fetch"]);
    finish[0]!();
    await settle();
    expect(harness.scripted.calls.map((call) => call.name)).toEqual(["fetch", "createTopics"]);
    finish[1]!();
    await settle();
    expect(harness.scripted.calls.map((call) => call.name)).toEqual([
      "fetch",
      "createTopics",
      "metadata",
    ]);
    expect(client.peer.frames.length).toBe(3);
  });
});

test("int64 values beyond 2^53 are refused where nobody deals with them", async () => {
  const harness = await Harness.start();
  const client = harness.connect();
  // WriteTxnMarkers v1 with producer id 2^62.
  client.sendRaw(
    join([
      hex("001b000100000001000161"),
      hex("0002"), // no tags; one marker
      hex("4000000000000000"),
      hex("0000" + "01" + "01" + "00000000"), // epoch, commit, no topics, the coordinator's epoch
      hex("0000"),
    ]),
  );
  await settle();
  expect(client.peer.closeReason).toBe("request_integer_too_large");
});
