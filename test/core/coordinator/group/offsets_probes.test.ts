// The probes of a real broker on committed offsets, one after the other, with groups that say what Kafka's said.
// Names of topic ids and the form of old versions are the broker's part, here in the test's.

import { describe, expect, test } from "bun:test";
import { uuidFromHex, ZERO_UUID } from "../../../../src/base/uuid.ts";
import type { KafkaErrorName } from "../../../../src/protocol/errors.ts";
import {
  OffsetCommit,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
} from "../../../../src/protocol/messages/08_offset_commit.ts";
import {
  OffsetFetch,
  type OffsetFetchRequest,
} from "../../../../src/protocol/messages/09_offset_fetch.ts";
import {
  OffsetDelete,
  type OffsetDeleteRequest,
  type OffsetDeleteResponse,
} from "../../../../src/protocol/messages/47_offset_delete.ts";
import { decodeRequest, decodeResponse } from "../../../../src/protocol/mod.ts";
import type { Api } from "../../../../src/protocol/schema.ts";
import { bytesOfHex, loadProbes, type Probe } from "../../../vectors/load.ts";
import { replayAfterEach } from "../shard_rig.ts";
import { OffsetsRig } from "./offsets_rig.ts";

replayAfterEach();

const SECTIONS = ["classic-group", "offset-fetch", "group-rebalance", "consumer-group-kip848"];
const TOPIC_ID = uuidFromHex("7154d27d-50ce-4029-970e-1967d40e36d6");
/** What the group says to these. */
const REFUSALS: Readonly<Record<string, KafkaErrorName>> = {
  "commit, wrong generation": "illegal_generation",
  "commit, unknown member": "unknown_member_id",
  "commit, simple consumer (generation -1, empty member) while the group has members":
    "unknown_member_id",
  "commit with a stale epoch": "stale_member_epoch",
  "commit with a stale epoch, v8: other error code": "unsupported_version",
  "fetch with a stale epoch": "stale_member_epoch",
};

const probes = loadProbes().filter(
  ({ section, api }) =>
    SECTIONS.includes(section) &&
    (api === "OffsetCommit" || api === "OffsetFetch" || api === "OffsetDelete"),
);

const rig = new OffsetsRig();
rig.topics.create("grp-322100", 4, [], TOPIC_ID);
rig.group("g1-322100");
rig.group("gc-322100");

describe("probes of a real broker", () => {
  test("are all that there are on offsets", () => {
    expect(probes).toHaveLength(29);
  });

  for (const probe of probes) {
    test(`${probe.section}: ${probe.api} v${probe.version} ${probe.what}`, () => {
      for (const groupId of ["g1-322100", "gc-322100"]) {
        const group = rig.group(groupId);
        group.commitRefusal = REFUSALS[probe.what] ?? null;
        // A classic group lets everybody read.
        group.fetchRefusal = groupId === "gc-322100" ? group.commitRefusal : null;
        group.subscribed.clear();
        if (probe.what === "offset delete of a subscribed topic")
          group.subscribed.add("grp-322100");
      }
      if (probe.api === "OffsetCommit") commit(probe);
      else if (probe.api === "OffsetFetch") fetch(probe);
      else remove(probe);
    });
  }

  test("leave a state that their records tell", () => {
    rig.checkReplay();
  });
});

function requestOf<const A extends Api>(api: A, probe: Probe) {
  return decodeRequest(api, bytesOfHex(probe.requestHex!)).body;
}

function responseOf<const A extends Api>(api: A, probe: Probe) {
  return decodeResponse(api, probe.version!, bytesOfHex(probe.responseHex!)).body;
}

function commit(probe: Probe): void {
  const version = probe.version!;
  const request: OffsetCommitRequest = requestOf(OffsetCommit, probe);
  const { value } = rig.ask<OffsetCommitResponse>((subject, reply) =>
    subject.offsets.commit(rig.call({ version }), request, reply),
  );
  expect(value).toEqual(responseOf(OffsetCommit, probe));
}

function fetch(probe: Probe): void {
  const version = probe.version!;
  const request: OffsetFetchRequest = requestOf(OffsetFetch, probe);
  const groups =
    version >= 8
      ? request.groups
      : [
          {
            groupId: request.groupId,
            memberId: null,
            memberEpoch: -1,
            topics: request.topics?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null,
          },
        ];
  const named = groups.map((group) => ({
    ...group,
    topics:
      version < 10
        ? group.topics
        : (group.topics?.map((each) => ({
            ...each,
            name: rig.topics.withId(each.topicId)?.name ?? "",
          })) ?? null),
  }));
  const rows = rig.fetchAll(named, request.requireStable).map((row) => ({
    ...row,
    topics: row.topics.map((topic) => {
      if (version < 10) return topic;
      const topicId = rig.topics.named(topic.name)?.id ?? topic.topicId;
      // The only one that is not there: refused by the broker, as the id has no name.
      const errorCode = rig.topics.named(topic.name) === null ? 100 : 0;
      return {
        name: "",
        topicId,
        partitions: topic.partitions.map((each) => ({ ...each, errorCode })),
      };
    }),
  }));
  const expected = responseOf(OffsetFetch, probe);
  if (version >= 8) {
    expect(rows).toEqual(expected.groups as typeof rows);
    return;
  }
  expect(rows[0]!.errorCode).toBe(expected.errorCode);
  const topics = rows[0]!.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map((each) => ({
      ...each,
      committedLeaderEpoch: version >= 5 ? each.committedLeaderEpoch : -1,
    })),
  }));
  expect(topics).toEqual(expected.topics as typeof topics);
}

function remove(probe: Probe): void {
  const request: OffsetDeleteRequest = requestOf(OffsetDelete, probe);
  const { value } = rig.ask<OffsetDeleteResponse>((subject, reply) =>
    subject.offsets.delete(request, reply),
  );
  expect(value).toEqual(responseOf(OffsetDelete, probe));
}
