// `millrace transaction describe`.

import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { durationText } from "../group_lag.ts";
import { withClient } from "../session.ts";
import { table } from "../table.ts";
import { noTransactionalId } from "../transaction_errors.ts";

export const command: Command = {
  name: "transaction describe",
  summary: "show what is open under a transactional id",
  about: `Shows its producer and epoch, its time-out, since when a transaction is open, and the partitions in it
(of one that ends: those that still wait for its marker).`,
  positionals: [{ name: "id", summary: "the transactional id" }],
  flags: [JSON_FLAG, ...CONNECTION_FLAGS],
  examples: [
    { command: "millrace transaction describe billing-1", says: "what billing-1 is doing" },
  ],
  run(args, host) {
    const id = args.required("id");
    return withClient(args, host, async (client) => {
      const [outcome] = await client.admin.describeTransactions([id]);
      if (!outcome!.ok) {
        const { code, message } = outcome!.error;
        if (code === "transactional_id_not_found") throw await noTransactionalId(client, id);
        throw new CommandError(code, message);
      }
      const found = outcome!.value;
      if (args.has("json")) {
        await host.print(`${JSON.stringify(found)}\n`);
        return 0;
      }
      const { producerId, producerEpoch, state, timeoutMs, startMs, coordinator } = found;
      // Of one that is over, too, the coordinator remembers when it began.
      const isOver = state === "Empty" || state === "Dead" || state.startsWith("Complete");
      const since =
        startMs === null || isOver
          ? ""
          : `, open for ${durationText(Math.max(Date.now() - startMs, 0) / 1_000)} of ${durationText(timeoutMs / 1_000)}`;
      await host.print(
        `${id}: ${state}${since}, producer ${producerId} epoch ${producerEpoch}, coordinator ${coordinator}\n`,
      );
      if (found.partitions.length > 0) {
        const rows = found.partitions.map(({ topic, partition }) => [topic, partition]);
        await host.print(`\n${table(["TOPIC", "PARTITION"], rows)}`);
      }
      return 0;
    });
  },
};
