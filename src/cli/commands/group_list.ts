// `millrace group list`.

import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";
import { table, visible } from "../table.ts";

/** Of both protocols. */
const STATES = [
  "Empty",
  "PreparingRebalance",
  "CompletingRebalance",
  "Assigning",
  "Reconciling",
  "Stable",
  "Dead",
];

export const command: Command = {
  name: "group list",
  summary: "show the consumer groups",
  about: `On a terminal a table; in a pipe one name a line. Groups are of the "classic" protocol or of the
next-generation one ("consumer"); one that is Empty has committed offsets and no members now.`,
  flags: [
    {
      name: "state",
      value: "STATE",
      summary: "only those in this state, e.g. Stable, Empty",
      isList: true,
    },
    {
      name: "type",
      value: "TYPE",
      summary: "only those of this protocol",
      choices: ["classic", "consumer"],
    },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace group list", says: "all of them" },
    { command: "millrace group list --state Empty", says: "those that nobody is in now" },
  ],
  run(args, host) {
    const states = args.list("state");
    for (const state of states) {
      if (STATES.some((each) => each.toLowerCase() === state.toLowerCase())) continue;
      throw args.wrong(`--state must be one of ${STATES.join(", ")}: found "${state}"`);
    }
    return withClient(args, host, async ({ admin }) => {
      const type = args.text("type");
      const groups = await admin.listGroups({
        ...(states.length > 0 ? { states } : {}),
        ...(type === undefined ? {} : { types: [type] }),
      });
      if (args.has("json")) await host.print(`${JSON.stringify(groups)}\n`);
      else if (!host.isOutputTerminal) {
        await host.print(groups.map(({ groupId }) => `${visible(groupId)}\n`).join(""));
      } else if (groups.length === 0) {
        await host.print("No groups: `millrace consume TOPIC --group NAME` makes one\n");
      } else {
        const rows = groups.map(({ groupId, type, state, protocolType }) => {
          return [groupId, type ?? "?", state ?? "?", protocolType === "" ? "-" : protocolType];
        });
        await host.print(table(["GROUP", "TYPE", "STATE", "OF"], rows));
      }
      return 0;
    });
  },
};
