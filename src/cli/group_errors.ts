// What went wrong with a group, and the way out, for every command of groups.

import type { Client, GroupDescription } from "../client/mod.ts";
import { nearestKey } from "../config/nearest_key.ts";
import type { Arguments } from "./arguments.ts";
import { CommandError } from "./cli_error.ts";

/** The name of the group: an empty one is a variable of a script that was not set. */
export function groupOf(args: Arguments): string {
  const name = args.required("group");
  if (name === "") throw args.wrong("GROUP must be a name: it is empty");
  return name;
}

/** The group; null when there is none. @throws {ClientError} any other refusal */
export async function findGroup(client: Client, group: string): Promise<GroupDescription | null> {
  const [outcome] = await client.admin.describeGroups([group]);
  if (outcome!.ok) return outcome!.value;
  if (outcome!.error.code === "group_id_not_found") return null;
  // Thrown as the admin call would have.
  return client.admin.describeGroup(group);
}

/** Says that there is no such group, and which one may have been meant. */
export async function noGroup(client: Client, group: string): Promise<CommandError> {
  const names = await client.admin.listGroups().then(
    (groups) => groups.map(({ groupId }) => groupId),
    () => [],
  );
  const nearest = nearestKey(group, names);
  const fix =
    nearest === null
      ? "`millrace group list` shows all"
      : `did you mean "${nearest}"? \`millrace group list\` shows all`;
  return new CommandError("group_id_not_found", `There is no group "${group}": ${fix}`);
}

/** Offsets are moved under no member's feet. */
export function nonEmptyGroup({ groupId, members }: GroupDescription, doing: string): CommandError {
  const count = members.length === 1 ? "a member" : `${members.length} members`;
  const text = `Cannot ${doing} group "${groupId}": it has ${count}. Stop them first (\`millrace group describe ${groupId} --members\` shows who they are)`;
  return new CommandError("non_empty_group", text);
}
