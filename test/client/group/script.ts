// A group coordinator as a script: one that knows one member at a time, keeps offsets, and refuses on command.

import { Fetch } from "../../../src/protocol/messages/01_fetch.ts";
import { OffsetCommit } from "../../../src/protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../../src/protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../../../src/protocol/messages/10_find_coordinator.ts";
import { JoinGroup } from "../../../src/protocol/messages/11_join_group.ts";
import { Heartbeat } from "../../../src/protocol/messages/12_heartbeat.ts";
import { LeaveGroup } from "../../../src/protocol/messages/13_leave_group.ts";
import { SyncGroup } from "../../../src/protocol/messages/14_sync_group.ts";
import { ConsumerGroupHeartbeat } from "../../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import type { ScriptedBroker } from "../../../src/testing/scripted_broker.ts";
import type { Rig } from "../rig.ts";

/** Kafka's numbers, which the script answers by. */
export const codes = {
  loading: 14,
  notCoordinator: 16,
  illegalGeneration: 22,
  unknownMember: 25,
  rebalance: 27,
  unsupportedVersion: 35,
  memberIdRequired: 79,
  fencedInstance: 82,
  fencedEpoch: 110,
  staleEpoch: 113,
} as const;

/** What the coordinator holds. */
export interface Script {
  readonly committed: Map<string, number>;
  /** Every commit in order: "t-0=5". */
  readonly commits: string[];
  generation: number;
  memberId: string;
  /** Answers of heartbeats to come, of either protocol: 0 when there are none. */
  readonly beats: number[];
  /** Of the next-generation protocol: what the member is to have, by partition of topic "t". */
  target: readonly number[];
  epoch: number;
  /** What it reported last. */
  reported: readonly number[] | null;
  left: number;
}

const HEARTBEAT_MS = 15;

/** Scripts every broker of the rig; the coordinator is the last one. */
export function scriptGroup(rig: Rig, topicId: string): Script {
  const script: Script = {
    committed: new Map(),
    commits: [],
    generation: 0,
    memberId: "",
    beats: [],
    target: [],
    epoch: 0,
    reported: null,
    left: 0,
  };
  const { nodeId, address } = rig.brokers.at(-1)!;
  for (const broker of rig.brokers) {
    // The broker of the script holds an empty fetch back until there is something: others would wait behind it.
    broker.always(Fetch, async (call) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return call.model();
    });
    broker.always(FindCoordinator, ({ request }) => ({
      coordinators: request.coordinatorKeys.map((key) => {
        return { key, nodeId, ...address, errorCode: 0, errorMessage: null };
      }),
    }));
  }
  scriptOffsets(rig.brokers.at(-1)!, script);
  scriptClassic(rig.brokers.at(-1)!, script);
  scriptConsumer(rig.brokers.at(-1)!, script, topicId);
  return script;
}

function scriptOffsets(broker: ScriptedBroker, script: Script): void {
  broker.always(OffsetCommit, ({ request, version }) => ({
    topics: request.topics.map(({ name, topicId, partitions }) => ({
      ...(version >= 10 ? { topicId } : { name }),
      partitions: partitions.map(({ partitionIndex, committedOffset }) => {
        const key = `t-${partitionIndex}`;
        script.committed.set(key, committedOffset);
        script.commits.push(`${key}=${committedOffset}`);
        return { partitionIndex, errorCode: 0 };
      }),
    })),
  }));
  broker.always(OffsetFetch, ({ request }) => ({
    groups: request.groups.map(({ groupId, topics }) => ({
      groupId,
      errorCode: 0,
      topics: (topics ?? []).map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({
          partitionIndex,
          committedOffset: script.committed.get(`t-${partitionIndex}`) ?? -1,
          metadata: "",
          errorCode: 0,
        })),
      })),
    })),
  }));
}

function scriptClassic(broker: ScriptedBroker, script: Script): void {
  broker.always(JoinGroup, ({ request }) => {
    const refused = {
      generationId: -1,
      protocolName: null,
      leader: "",
      skipAssignment: false,
      members: [],
    };
    if (request.memberId === "") {
      script.memberId = `member-${script.generation + 1}`;
      return { ...refused, errorCode: codes.memberIdRequired, memberId: script.memberId };
    }
    if (request.memberId !== script.memberId) {
      return { ...refused, errorCode: codes.unknownMember, memberId: request.memberId };
    }
    script.generation++;
    const { memberId } = script;
    const [{ name, metadata }] = request.protocols as [(typeof request.protocols)[0]];
    return {
      errorCode: 0,
      generationId: script.generation,
      protocolType: "consumer",
      protocolName: name,
      leader: memberId,
      skipAssignment: false,
      memberId,
      members: [{ memberId, groupInstanceId: null, metadata }],
    };
  });
  broker.always(SyncGroup, ({ request }) => ({
    errorCode: 0,
    protocolType: "consumer",
    protocolName: request.protocolName,
    assignment: request.assignments[0]!.assignment,
  }));
  broker.always(Heartbeat, () => ({ errorCode: script.beats.shift() ?? 0 }));
  broker.always(LeaveGroup, ({ request }) => {
    script.left++;
    script.memberId = "";
    return {
      errorCode: 0,
      members: request.members.map(({ memberId }) => {
        return { memberId, groupInstanceId: null, errorCode: 0 };
      }),
    };
  });
}

function scriptConsumer(broker: ScriptedBroker, script: Script, topicId: string): void {
  let told = "";
  broker.always(ConsumerGroupHeartbeat, ({ request }) => {
    const { memberEpoch, memberId } = request;
    const answer = { throttleTimeMs: 0, errorMessage: null, heartbeatIntervalMs: HEARTBEAT_MS };
    if (memberEpoch < 0) {
      script.left++;
      return { ...answer, errorCode: 0, memberId, memberEpoch };
    }
    const errorCode = script.beats.shift() ?? 0;
    if (errorCode !== 0) return { ...answer, errorCode, memberId, memberEpoch: 0 };
    if (memberEpoch === 0) {
      script.epoch++;
      script.memberId = memberId;
      told = "";
    }
    if (request.topicPartitions !== null) {
      script.reported = request.topicPartitions.flatMap(({ partitions }) => partitions);
    }
    const text = script.target.join(",");
    const isNews = text !== told;
    told = text;
    if (isNews && memberEpoch !== 0) script.epoch++;
    const topicPartitions =
      script.target.length === 0 ? [] : [{ topicId, partitions: script.target }];
    return {
      ...answer,
      errorCode: 0,
      memberId,
      memberEpoch: script.epoch,
      assignment: isNews ? { topicPartitions } : null,
    };
  });
}
