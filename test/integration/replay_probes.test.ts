// Crafted requests that were put to Apache Kafka 4.3.1, put to our broker over a socket, and the answers
// compared: error codes, shapes, and all values that do not vary from run to run. Where we differ on
// purpose, the reason stands in DEVIATIONS; a deviation that no longer shows fails the test too.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { servedApis } from "../../plugins/transport-kafka/dispatch.ts";
import { uuidFromHex } from "../../src/base/uuid.ts";
import { apis } from "../../src/protocol/all_messages.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { SyncGroup } from "../../src/protocol/messages/14_sync_group.ts";
import { ApiVersions } from "../../src/protocol/messages/18_api_versions.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { AddPartitionsToTxn } from "../../src/protocol/messages/24_add_partitions_to_txn.ts";
import { UpdateFeatures } from "../../src/protocol/messages/57_update_features.ts";
import { decodeRequest, decodeResponse, encodeRequest } from "../../src/protocol/mod.ts";
import type { Api } from "../../src/protocol/schema.ts";
import { patchBaseOffset, patchCrc } from "../../src/record/batch_header.ts";
import { structOf } from "../protocol/json_form.ts";
import { bytesOfHex, loadProbes, type Probe } from "../vectors/load.ts";
import { type Difference, differences, type Substitutes, substituted } from "./likeness.ts";
import { Live, type WireClient } from "./live.ts";
import { SecondMember } from "./second_member.ts";

/** When the probes were recorded. */
const RECORDED_MS = 1_795_377_816_000;
const BASE_SEQUENCE_AT = 53;
const served = new Set(servedApis().map((row) => row.apiKey));
const servesTransactions = served.has(AddPartitionsToTxn.apiKey);
const SECTIONS = [
  "api-versions",
  "framing",
  "topics",
  "metadata",
  "configs",
  "produce",
  "idempotent-produce",
  "list-offsets",
  "fetch",
  "fetch-session",
  "delete-records",
  "find-coordinator",
  "classic-group",
  "offset-fetch",
  "group-rebalance",
  "static-members",
  "consumer-group-kip848",
  "cluster-admin",
  ...(servesTransactions ? ["transactions-v1", "transactions-v2-kip890"] : []),
];
/** Of these sections only what is about this API: the rest asks for what other sections have asked, of another broker. */
const ONLY: Readonly<Record<string, string>> = { "cluster-admin": UpdateFeatures.name };
/** What the producer id of the first recorded transaction was. Ids are in batches, so ours has to be the same. */
const FIRST_TRANSACTIONAL_PRODUCER = 6;
const probes = loadProbes();

const BATCH_ERROR = "responses[0].partitionResponses[0].errorCode";
const NAMED_BATCH_ERROR = "responses[prod-a-227444].partitionResponses[0].errorCode";
const OLD_FORMAT =
  "unsupported_for_message_format says what is wrong; Kafka calls every such batch an invalid record.";

/** Where our answer is meant to be another, by the words of the probe; a path ends in * to stand for all below. */
const DEVIATIONS: Record<string, { readonly paths: readonly string[]; readonly why: string }> = {
  "unknown name, auto creation allowed: first answer is an error": {
    paths: [
      "topics[auto-made].errorCode",
      "topics[auto-made].topicId",
      "topics[auto-made].partitions.length",
    ],
    why: "The topic is there at once: kafka-go hands Kafka's first error on to its caller (trap 10).",
  },
  "describe topic, two names": {
    paths: ["results[0].configs[retention.ms].synonyms.length"],
    why: "We say where the value below the topic's comes from (log.retention.hours); Kafka leaves it out.",
  },
  "share key group:topicId:partition": {
    paths: ["coordinators[0].nodeId", "coordinators[0].errorCode"],
    why: "Share groups are not served yet: as Kafka answers where they are off.",
  },
  "joining a classic group that has members": {
    paths: ["assignment.topicPartitions[0].partitions[0]"],
    why: "Neither member has anything yet: who gets which partition is the order of a hash map in Kafka.",
  },
  "list v2": {
    paths: ["groups.length"],
    why: "The recording found groups of an earlier one.",
  },
  "codec 5": {
    paths: [BATCH_ERROR],
    why: "The batch is at fault, not the server: invalid_record instead of an unknown server error.",
  },
  "gzip payload damaged, CRC right": {
    paths: [BATCH_ERROR],
    why: "The batch is at fault, not the server: invalid_record instead of an unknown server error.",
  },
  "message set magic 0 in Produce v3": { paths: [NAMED_BATCH_ERROR], why: OLD_FORMAT },
  "message set magic 1 in Produce v3": { paths: [NAMED_BATCH_ERROR], why: OLD_FORMAT },
  ...Object.fromEntries(
    [
      ["create", "topics[probe-a]"],
      ["create: name colliding with . and _ swapped", "topics[probe.a]"],
      ["create: broker defaults (-1, -1)", "topics[probe-def]"],
      ["create: version 5 (returns configs)", "topics[probe-v5]"],
      ["create: validate only", "topics[dry]"],
      ["describe topic, all names", "results[0]"],
    ].map(([what, where]) => [
      what,
      {
        paths: [`${where}.configs[min.insync.replicas].configSource`],
        why: "Kafka sets it for the whole cluster when eligible leader replicas are on; we have no such feature.",
      },
    ]),
  ),
};

const IS_DONE =
  "The transaction is over when its end is answered: a retry is told so, where Kafka was still writing markers.";
if (servesTransactions) {
  Object.assign(DEVIATIONS, {
    "commit v3 again": { paths: ["errorCode"], why: IS_DONE },
    "commit v5 again with the old epoch (a retry)": {
      paths: ["errorCode", "producerId", "producerEpoch"],
      why: IS_DONE,
    },
  });
}

/** What the second member of the group "g1-322100" does ahead of a probe, and the probes that are its answers. */
const SECOND_MEMBER: Record<string, "join" | "joined" | "sync"> = {
  "heartbeat of the first member while a second one joins": "join",
  "answer to the second (following) member": "joined",
  "sync answer of the follower": "sync",
};

const AFTER_A_PRODUCE =
  "epoch 4, empty topics list after a produce: only the changed partition is returned";

/** Topics that the recording found in place, with the ids they had. */
const FOUND: Record<
  string,
  [id: string, name: string, partitions: number, configs: Record<string, string>][]
> = {
  produce: [
    ["887722cd-9b65-4ca9-9bf4-e19395792380", "prod-a-227444", 2, {}],
    [
      "01190825-d7fa-4edc-9d85-c171dc93494e",
      "prod-compact-227444",
      1,
      { "cleanup.policy": "compact" },
    ],
    [
      "a070de7c-7173-4766-8d22-913d309d1a48",
      "prod-lat",
      1,
      { "message.timestamp.type": "LogAppendTime" },
    ],
    ["041e4ef1-8789-4069-a2aa-ecb4919ee55d", "prod-isr", 1, { "min.insync.replicas": "2" }],
    ["874a64c2-04f5-47c1-a633-9e889657c0f5", "prod-small", 1, { "max.message.bytes": "200" }],
    ["16b7ec79-edcc-4ff3-9ce1-c067c57927a5", "prod-gzip", 1, { "compression.type": "gzip" }],
  ],
  "transactions-v1": [["4e0f80ce-239c-423b-8af2-774305fb60c5", "txn-908546", 2, {}]],
  "idempotent-produce": [["df539603-72bd-4357-86ca-ab05a8979eab", "prod-idem", 1, {}]],
  "classic-group": [["7154d27d-50ce-4029-970e-1967d40e36d6", "grp-322100", 2, {}]],
};

/** Produces that the recording left out: they ran ahead of the probe with these words. */
const UNRECORDED: Record<
  string,
  {
    readonly topic: string;
    readonly transactionalId?: string;
    readonly batches: () => Uint8Array[];
  }
> = {
  // What was aborted, as a later fetch shows it: at offset 3, behind two batches and a marker.
  "abort v4": {
    topic: "txn-908546",
    transactionalId: "t1-908546",
    batches: () => [fetchedBatch("fetch read uncommitted: no list", 3)],
  },
  // Sequences 4 to 8, one record each, after which 4 is the oldest of the last five batches.
  "old duplicate: sequence 4 (within the last five batches)": {
    topic: "prod-idem",
    batches: () => [4, 5, 6, 7, 8].map((sequence) => sequenced("sequence 0", sequence)),
  },
  // The batch that the next fetch of the session brings.
  [AFTER_A_PRODUCE]: { topic: "prod-a-227444", batches: () => [fetchedBatch(AFTER_A_PRODUCE)] },
};

interface Struct {
  readonly [name: string]: unknown;
}

function apiOf(probe: Probe): Api {
  return apis.find((api) => api.name === probe.api)!;
}

function bodyOf(what: string): Struct {
  const probe = probes.find((each) => each.what === what)!;
  return decodeRequest(apiOf(probe), bytesOfHex(probe.requestHex!)).body as Struct;
}

/** The batch of a recorded produce with another sequence. */
function sequenced(what: string, sequence: number): Uint8Array {
  const body = bodyOf(what) as unknown as {
    topicData: { partitionData: { records: Uint8Array }[] }[];
  };
  const batch = body.topicData[0]!.partitionData[0]!.records.slice();
  // The last field but the record count.
  new DataView(batch.buffer).setInt32(BASE_SEQUENCE_AT, sequence);
  patchCrc(batch, 0, batch.length);
  return batch;
}

/** A batch in the answer to a recorded fetch, by its place, as its producer sent it. */
function fetchedBatch(what: string, place = 0): Uint8Array {
  const probe = probes.find((each) => each.what === what)!;
  const answer = decodeResponse(apiOf(probe), probe.version!, bytesOfHex(probe.responseHex!))
    .body as unknown as { responses: { partitions: { records: Uint8Array }[] }[] };
  let records = answer.responses[0]!.partitions[0]!.records;
  for (let i = 0; i < place; i++) records = records.subarray(sizeOfBatch(records));
  const batch = records.slice(0, sizeOfBatch(records));
  patchBaseOffset(batch, 0, 0);
  return batch;
}

function sizeOfBatch(records: Uint8Array): number {
  return 12 + new DataView(records.buffer, records.byteOffset).getInt32(8);
}

/** The older protocol of transactions is the same whatever `transaction.version` is: its probes are put to each level. */
const RUNS = [
  { name: "answered by ours", sections: SECTIONS, transactionVersion: 2 },
  ...(servesTransactions ? [1, 0] : []).map((transactionVersion) => ({
    name: `at transaction.version ${transactionVersion}`,
    sections: ["transactions-v1"],
    transactionVersion,
  })),
];

for (const { name, sections, transactionVersion } of RUNS) {
  describe(`probes of Apache Kafka 4.3.1, ${name}`, () => replayed(sections, transactionVersion));
}

function replayed(sections: readonly string[], transactionVersion: number): void {
  let live: Live;
  let client: WireClient;
  let second: SecondMember;
  const substitutes: Substitutes = new Map();
  const found: { readonly what: string; readonly difference: Difference }[] = [];

  beforeAll(async () => {
    live = await Live.start({
      wallMs: RECORDED_MS,
      settings: {
        "num.partitions": 3,
        "log.retention.hours": 24,
        "offsets.topic.num.partitions": 5,
      },
    });
    client = await live.connect();
    const lowers = transactionVersion < 2;
    const { errorCode } = await client.ask(UpdateFeatures, 2, {
      timeoutMs: 1000,
      validateOnly: false,
      featureUpdates: lowers
        ? [{ feature: "transaction.version", maxVersionLevel: transactionVersion, upgradeType: 2 }]
        : [],
    });
    expect(errorCode).toBe(0);
    second = new SecondMember(live, "g1-322100", joinedMetadata());
  });
  afterAll(async () => {
    client.close();
    second.close();
    await live.stop();
  });

  /** The answer to a frame; a closed connection is replaced for the next probe. */
  async function exchange(frame: Uint8Array): Promise<Uint8Array | null> {
    await client.send(frame);
    return await answered();
  }

  async function answered(): Promise<Uint8Array | null> {
    const answer = await client.receive();
    if (answer === null) {
      client.close();
      client = await live.connect();
    }
    return answer;
  }

  async function prepare(section: string): Promise<void> {
    for (const [id, name, numPartitions, configs] of FOUND[section] ?? []) {
      const answer = await client.ask(CreateTopics, 7, {
        topics: [
          {
            name,
            numPartitions,
            replicationFactor: 1,
            assignments: [],
            configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
          },
        ],
        timeoutMs: 5000,
        validateOnly: false,
      });
      expect([name, answer.topics[0]!.errorCode]).toEqual([name, 0]);
      substitutes.set(uuidFromHex(id), answer.topics[0]!.topicId);
    }
    if (section === "transactions-v1") await leaveProducerIds(FIRST_TRANSACTIONAL_PRODUCER);
  }

  /** Takes producer ids until the next one is `next`. */
  async function leaveProducerIds(next: number): Promise<void> {
    for (;;) {
      const { errorCode, producerId } = await client.ask(InitProducerId, 4, {
        transactionalId: null,
        transactionTimeoutMs: 1000,
      });
      expect(errorCode).toBe(0);
      expect(producerId).toBeLessThan(next);
      if (producerId === next - 1) return;
    }
  }

  async function produceUnrecorded(what: string): Promise<void> {
    const unrecorded = UNRECORDED[what];
    if (unrecorded === undefined) return;
    for (const records of unrecorded.batches()) {
      const answer = await client.ask(Produce, 9, {
        transactionalId: unrecorded.transactionalId ?? null,
        acks: -1,
        timeoutMs: 5000,
        topicData: [{ name: unrecorded.topic, partitionData: [{ index: 0, records }] }],
      });
      expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
    }
  }

  async function replay(probe: Probe): Promise<void> {
    await produceUnrecorded(probe.what);
    if (probe.what.startsWith("the same instance joins anew")) await syncStaticMember();
    if (probe.sentHex !== undefined) {
      await client.sendBytes(bytesOfHex(probe.sentHex));
      expect([probe.what, await answered()]).toEqual([probe.what, null]);
      return;
    }
    const step = SECOND_MEMBER[probe.what];
    if (step === "join") await second.join();
    else if (step !== undefined) {
      compare(probe, probe.version!, step === "sync" ? await second.sync() : await second.joined());
    }
    if (probe.requestHex === undefined) return;
    const api = apiOf(probe);
    let frame = bytesOfHex(probe.requestHex);
    if (probe.request !== null && probe.request !== undefined) {
      const { header, body } = decodeRequest(api, frame);
      const ours = substituted(body, substitutes) as never;
      const parts = encodeRequest(api, probe.version!, header.correlationId, header.clientId, ours);
      // Trailing bytes and unknown tags are lost by that: those are sent as they came.
      if (hasIds(api, probe)) frame = withoutLength(parts);
    }
    if (probe.outcome.startsWith("no response")) {
      await client.send(frame);
      expect((await client.ask(ApiVersions, 0, {})).errorCode).toBe(0);
      return;
    }
    const answer = await exchange(frame);
    if (probe.outcome === "closed") {
      expect([probe.what, answer]).toEqual([probe.what, null]);
      return;
    }
    if (probe.responseHex === undefined) {
      // Kafka never answers null records; we say what is wrong with them.
      const { body } = decodeResponse(Produce, probe.version!, answer!);
      expect(body.responses[0]!.partitionResponses[0]!.errorCode).toBe(87);
      return;
    }
    if (answer === null) throw new Error(`closed instead of answering: ${probe.what}`);
    const version = probe.responseVersion ?? probe.version!;
    const ours = decodeResponse(api, version, answer);
    expect(ours.trailingBytes).toBe(0);
    compare(probe, version, ours.body);
  }

  function compare(probe: Probe, version: number, ours: unknown): void {
    const api = apiOf(probe);
    const recorded =
      probe.responseHex === undefined
        ? structOf(api.response.fields, version, probe.response as Record<string, unknown>)
        : decodeResponse(api, version, bytesOfHex(probe.responseHex)).body;
    for (const difference of differences(recorded, ours, substitutes)) {
      found.push({ what: probe.what, difference });
    }
  }

  /** The recording left out that the static member had synced: its group was stable when it came anew. */
  async function syncStaticMember(): Promise<void> {
    const joined = probes.find(
      ({ section, api }) => section === "static-members" && api === "JoinGroup",
    )!;
    const { memberId } = joined.response as { memberId: string };
    const answer = await client.ask(SyncGroup, 5, {
      groupId: "gs-322100",
      generationId: 1,
      memberId: String(substitutes.get(memberId)),
      groupInstanceId: "i1",
      protocolType: "consumer",
      protocolName: "range",
      assignments: [],
    });
    expect(answer.errorCode).toBe(0);
  }

  for (const section of sections) {
    test(section, async () => {
      await prepare(section);
      let replayed = 0;
      for (const probe of probes) {
        if (probe.section !== section) continue;
        if (probe.api !== undefined && !served.has(apiOf(probe).apiKey)) continue;
        if (ONLY[section] !== undefined && probe.api !== ONLY[section]) continue;
        await replay(probe);
        replayed++;
      }
      expect(replayed).toBeGreaterThan(0);
    });
  }

  test("no difference that has no reason, and no reason without its difference", () => {
    const seen = new Set<string>();
    const unexplained = found.filter(({ what, difference }) => {
      const paths = DEVIATIONS[what]?.paths ?? [];
      const path = paths.find((each) =>
        each.endsWith("*")
          ? difference.path.startsWith(each.slice(0, -1))
          : each === difference.path,
      );
      if (path !== undefined) seen.add(`${what} ${path}`);
      return path === undefined;
    });
    expect(unexplained).toEqual([]);
    const asked = new Set(
      probes.filter(({ section }) => sections.includes(section)).map(({ what }) => what),
    );
    const stale = Object.entries(DEVIATIONS)
      .filter(([what]) => asked.has(what))
      .flatMap(([what, { paths }]) =>
        paths.map((path) => `${what} ${path}`).filter((each) => !seen.has(each)),
      );
    expect(stale).toEqual([]);
  });
}

/** Whether the request speaks of ids, which are others here. */
function hasIds(api: Api, probe: Probe): boolean {
  const text = JSON.stringify(probe.request);
  return /"(topic|member)Id"/.test(text) || (api.name === "Fetch" && text.includes('"sessionId"'));
}

/** What the members of the recorded groups said of themselves. */
function joinedMetadata(): Uint8Array {
  const body = bodyOf("join v9 with the id: sole member becomes leader");
  return (body["protocols"] as { metadata: Uint8Array }[])[0]!.metadata.slice();
}

function withoutLength(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole.slice(4);
}
