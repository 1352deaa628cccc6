// `millrace group export` and `millrace group import`.

import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { findGroup, groupOf, noGroup } from "../group_errors.ts";
import { type FileFormat, fileText, readFileText } from "../group_file.ts";
import { carryOut, partitionCounts, tellOutside } from "../group_moves.ts";
import { withClient } from "../session.ts";
import { counted } from "../table.ts";

export const exportCommand: Command = {
  name: "group export",
  summary: "save a group's committed offsets",
  about: `JSON keeps the metadata of commits as well; CSV is what Kafka's kafka-consumer-groups reads with --from-file.`,
  positionals: [{ name: "group", summary: "its name" }],
  flags: [
    { name: "format", value: "FORM", summary: "of the file (json)", choices: ["json", "csv"] },
    { name: "output", short: "o", value: "PATH", summary: "write a file instead" },
    ...CONNECTION_FLAGS,
  ],
  examples: [
    {
      command: "millrace group export billing --output billing.json",
      says: "before a risky change",
    },
    {
      command: "millrace group export billing | millrace group import billing-2",
      says: "another group that begins where this one is",
    },
  ],
  run(args, host) {
    const name = groupOf(args);
    const format = (args.text("format") ?? "json") as FileFormat;
    return withClient(args, host, async (client) => {
      const offsets = await client.admin.listGroupOffsets(name);
      if (offsets.length === 0 && (await findGroup(client, name)) === null) {
        throw await noGroup(client, name);
      }
      const text = fileText(format, name, offsets);
      const path = args.text("output");
      if (path === undefined || path === "-") await host.print(text);
      else {
        const file = await host.writeFile(path);
        await file.write(new TextEncoder().encode(text));
        await file.close();
        host.tell(`${counted(offsets.length, "offset")} of group "${name}" in ${path}\n`);
      }
      return 0;
    });
  },
};

export const importCommand: Command = {
  name: "group import",
  summary: "commit offsets for a group from a file",
  about: `Reads what \`millrace group export\` writes, JSON or CSV, from standard input or a file. The group must have no
members; one that is not there is made. Offsets are committed as they stand in the file.`,
  positionals: [{ name: "group", summary: "its name" }],
  flags: [
    { name: "file", short: "f", value: "PATH", summary: "read this file instead" },
    { name: "dry-run", summary: "show what would be done, and change nothing" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    {
      command: "millrace group import billing --file billing.json --dry-run",
      says: "what would change",
    },
    { command: "millrace group import billing --file billing.json", says: "back to where it was" },
  ],
  async run(args, host) {
    const name = groupOf(args);
    const path = args.text("file");
    const chunks =
      path === undefined || path === "-" ? host.input() : (await host.readFile(path)).chunks();
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
    const offsets = readFileText(text + decoder.decode(), name);
    if (offsets.length === 0) throw new CommandError("file", "There are no offsets in it");
    return withClient(args, host, async (client) => {
      const group = await findGroup(client, name);
      const committed = group === null ? [] : await client.admin.listGroupOffsets(name);
      const moves = offsets.map(({ offset, ...place }) => {
        const { topic, partition } = place;
        const known = committed.find(
          (each) => each.topic === topic && each.partition === partition,
        );
        return { ...place, from: known?.offset ?? null, to: offset };
      });
      // Told before anything is committed, and to who only tries it, too.
      await partitionCounts(client, moves);
      const code = await carryOut(args, host, client, name, group, moves);
      await tellOutside(client, host, moves);
      return code;
    });
  },
};
