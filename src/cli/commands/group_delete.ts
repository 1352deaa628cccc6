// `millrace group delete`.

import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { findGroup, noGroup, nonEmptyGroup } from "../group_errors.ts";
import { withClient } from "../session.ts";
import { counted } from "../table.ts";

export const command: Command = {
  name: "group delete",
  summary: "remove groups with their committed offsets",
  about: "Works on groups without members. `millrace group export` keeps the offsets first.",
  positionals: [{ name: "groups", summary: "their names", isList: true }],
  flags: [
    { name: "if-exists", summary: "be content when a group is not there" },
    { name: "dry-run", summary: "show what would be done, and change nothing" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace group delete billing --dry-run", says: "what would go" },
    {
      command: "millrace group delete old older --if-exists",
      says: "several, those that are there",
    },
  ],
  run(args, host) {
    const names = args.list("groups");
    if (names.length === 0) throw args.wrong("GROUPS is missing");
    if (names.includes("")) throw args.wrong("A group has a name: one of these is empty");
    const isDry = args.has("dry-run");
    return withClient(args, host, async (client) => {
      const results: { group: string; deleted: boolean; offsets: number; error: string | null }[] =
        [];
      let failure: CommandError | null = null;
      for (const name of names) {
        const group = await findGroup(client, name);
        const offsets = group === null ? 0 : (await client.admin.listGroupOffsets(name)).length;
        let error: CommandError | null = null;
        if (group === null) error = args.has("if-exists") ? null : await noGroup(client, name);
        else if (group.members.length > 0) error = nonEmptyGroup(group, "delete");
        else if (!isDry) {
          const [outcome] = await client.admin.deleteGroups([name]);
          if (!outcome!.ok) error = new CommandError(outcome!.error.code, outcome!.error.message);
        }
        failure ??= error;
        const deleted = group !== null && error === null && !isDry;
        results.push({ group: name, deleted, offsets, error: error?.code ?? null });
        if (args.has("json") || group === null || error !== null) continue;
        const what = `group "${name}" with ${counted(offsets, "committed offset")}`;
        await host.print(isDry ? `Would delete ${what}\n` : `Deleted ${what}\n`);
      }
      if (args.has("json")) await host.print(`${JSON.stringify(results)}\n`);
      if (failure !== null) throw failure;
      return 0;
    });
  },
};
