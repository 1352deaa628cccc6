// What a broker says of a group, asked by one connection of our own: by the protocol, not by the client under test.

import { KafkaConnection } from "../../../src/client/connection.ts";
import { clientRuntime } from "../../../src/main.ts";
import { OffsetFetch } from "../../../src/protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../../../src/protocol/messages/10_find_coordinator.ts";
import { DescribeGroups } from "../../../src/protocol/messages/15_describe_groups.ts";
import { ConsumerGroupDescribe } from "../../../src/protocol/messages/69_consumer_group_describe.ts";

/** A connection whose requests are made by hand. */
export async function openConnection(bootstrap: string): Promise<KafkaConnection> {
  const at = bootstrap.lastIndexOf(":");
  const to = { host: bootstrap.slice(0, at), port: Number(bootstrap.slice(at + 1)) };
  return await KafkaConnection.open(
    await clientRuntime(),
    { ...to, timeoutMs: 10_000 },
    {
      clientId: "compat-groups",
      requestTimeoutMs: 30_000,
      inFlightMax: 64,
      responseBytesMax: 64 << 20,
    },
  );
}

const NOT_COORDINATOR_YET = [14, 15, 16];

/** The committed offset of each partition; -1 where there is none. @throws {Error} for any other error code */
export async function committedOffsets(
  bootstrap: string,
  group: string,
  topic: string,
  partitions: number,
): Promise<number[]> {
  const connection = await openConnection(bootstrap);
  try {
    const partitionIndexes = Array.from({ length: partitions }, (_, n) => n);
    for (let attempt = 0; ; attempt++) {
      const { groups } = await connection.request(
        OffsetFetch,
        connection.versionOf(OffsetFetch, 8, 9),
        {
          groups: [
            {
              groupId: group,
              memberId: null,
              memberEpoch: -1,
              topics: [{ name: topic, partitionIndexes }],
            },
          ],
          requireStable: true,
        },
      );
      const found = groups[0]!;
      if (NOT_COORDINATOR_YET.includes(found.errorCode) && attempt < 100) {
        // asking where it is makes the topic of the offsets
        await connection.request(FindCoordinator, connection.versionOf(FindCoordinator, 4), {
          keyType: 0,
          coordinatorKeys: [group],
        });
        await new Promise((done) => setTimeout(done, 50));
        continue;
      }
      if (found.errorCode !== 0) throw new Error(`OffsetFetch: error ${found.errorCode}`);
      const offsets = found.topics[0]!.partitions;
      const bad = offsets.find((each) => each.errorCode !== 0);
      if (bad !== undefined) throw new Error(`OffsetFetch: error ${bad.errorCode}`);
      return partitionIndexes.map((partition) =>
        Number(offsets.find((each) => each.partitionIndex === partition)!.committedOffset),
      );
    }
  } finally {
    connection.close("done");
  }
}

/** How many members the broker counts in a group of either protocol. */
export async function memberCount(bootstrap: string, group: string): Promise<number> {
  const connection = await openConnection(bootstrap);
  try {
    const newer = await connection.request(
      ConsumerGroupDescribe,
      connection.versionOf(ConsumerGroupDescribe),
      { groupIds: [group], includeAuthorizedOperations: false },
    );
    if (newer.groups[0]!.errorCode === 0) return newer.groups[0]!.members.length;
    const classic = await connection.request(DescribeGroups, connection.versionOf(DescribeGroups), {
      groups: [group],
      includeAuthorizedOperations: false,
    });
    return classic.groups[0]!.members.length;
  } finally {
    connection.close("done");
  }
}
