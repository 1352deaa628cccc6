// `millrace transaction list`.

import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";
import { table, visible } from "../table.ts";

const STATES = [
  "Empty",
  "Ongoing",
  "PrepareCommit",
  "PrepareAbort",
  "CompleteCommit",
  "CompleteAbort",
  "PrepareEpochFence",
];

export const command: Command = {
  name: "transaction list",
  summary: "show the transactional ids and their states",
  about: `On a terminal a table; in a pipe one id a line. An id is forgotten when nobody has used it for
transactional.id.expiration.ms (7 days). Those that are Ongoing hold back who reads what is committed.`,
  flags: [
    {
      name: "state",
      value: "STATE",
      summary: "only those in this state, e.g. Ongoing",
      isList: true,
    },
    {
      name: "producer-id",
      value: "N",
      summary: "only those of this producer id",
      isList: true,
    },
    { name: "open-for", value: "SECONDS", summary: "only those open for at least so long" },
    { name: "pattern", value: "RE2", summary: "only ids that match as a whole" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace transaction list --state Ongoing", says: "what is open now" },
    { command: "millrace transaction list --open-for 60", says: "and has been for a minute" },
  ],
  run(args, host) {
    const states = args.list("state").map((state) => {
      const known = STATES.find((each) => each.toLowerCase() === state.toLowerCase());
      if (known !== undefined) return known;
      throw args.wrong(`--state must be one of ${STATES.join(", ")}: found "${state}"`);
    });
    const producerIds = args.list("producer-id").map((text) => {
      return args.wholeOf("--producer-id", text, 0);
    });
    const openS = args.whole("open-for", 0, 1e9);
    const pattern = args.text("pattern");
    return withClient(args, host, async ({ admin }) => {
      const found = await admin.listTransactions({
        states,
        producerIds,
        ...(openS === undefined ? {} : { openMs: openS * 1_000 }),
        ...(pattern === undefined ? {} : { pattern }),
      });
      if (args.has("json")) await host.print(`${JSON.stringify(found)}\n`);
      else if (!host.isOutputTerminal) {
        await host.print(
          found.map(({ transactionalId }) => `${visible(transactionalId)}\n`).join(""),
        );
      } else if (found.length === 0) {
        await host.print("No transactional ids\n");
      } else {
        const rows = found.map((each) => [
          each.transactionalId,
          each.state,
          each.producerId,
          each.coordinator,
        ]);
        await host.print(table(["TRANSACTIONAL ID", "STATE", "PRODUCER", "COORDINATOR"], rows));
      }
      return 0;
    });
  },
};
