// `millrace group describe`.

import type { GroupDescription } from "../../client/mod.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { findGroup, groupOf, noGroup } from "../group_errors.ts";
import { lagOf, type PartitionLag } from "../group_lag.ts";
import { withClient } from "../session.ts";
import { counted, table } from "../table.ts";

export const command: Command = {
  name: "group describe",
  summary: "show a group's state, offsets and members",
  about: `Shows each partition that the group has committed or reads now: the committed offset (the next one to
read), the end of the partition, and the lag between. --members shows who is in the group, and what each reads.`,
  positionals: [{ name: "group", summary: "its name" }],
  flags: [
    { name: "members", short: "m", summary: "show the members instead of the offsets" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace group describe billing", says: "where it stands" },
    { command: "millrace group describe billing --members", says: "who reads which partitions" },
  ],
  run(args, host) {
    const name = groupOf(args);
    return withClient(args, host, async (client) => {
      const group = await findGroup(client, name);
      if (group === null) throw await noGroup(client, name);
      const committed = await client.admin.listGroupOffsets(name);
      const offsets = await lagOf(client, group, committed, false);
      if (args.has("json")) {
        const shown = offsets.map(({ lagSeconds: _, ...each }) => each);
        await host.print(`${JSON.stringify({ ...group, offsets: shown })}\n`);
        return 0;
      }
      await host.print(`${headOf(group)}\n\n`);
      await host.print(args.has("members") ? memberTable(group) : offsetTable(offsets));
      return 0;
    });
  },
};

function headOf(group: GroupDescription): string {
  const { groupId, state, type, assignor, coordinator, members } = group;
  const how = assignor === "" ? type : `${type}, ${assignor}`;
  const epoch = group.epoch === null ? "" : `, epoch ${group.epoch}`;
  return `${groupId}: ${state}, ${counted(members.length, "member")} (${how}${epoch}), coordinator ${coordinator}`;
}

function offsetTable(offsets: readonly PartitionLag[]): string {
  if (offsets.length === 0) return "No offsets are committed, and no partitions read\n";
  const rows = offsets.map((each) => [
    each.topic,
    each.partition,
    each.committed ?? "-",
    each.end ?? "?",
    each.lag ?? "?",
    each.memberId ?? "-",
  ]);
  return table(["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"], rows);
}

function memberTable({ members }: GroupDescription): string {
  if (members.length === 0) return "Nobody is in it now\n";
  const rows = members.map((member) => [
    member.memberId,
    member.instanceId ?? "-",
    member.clientId,
    member.host,
    member.assignment.length,
    placesText(member.assignment),
  ]);
  return table(["MEMBER", "INSTANCE", "CLIENT", "HOST", "COUNT", "PARTITIONS"], rows);
}

/** "orders:0,1,2 users:0". */
function placesText(
  places: readonly { readonly topic: string; readonly partition: number }[],
): string {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of places) {
    topics.set(topic, [...(topics.get(topic) ?? []), partition]);
  }
  return [...topics].map(([topic, partitions]) => `${topic}:${partitions.join(",")}`).join(" ");
}
