// `millrace transaction abort`.

import type { Arguments } from "../arguments.ts";
import { CommandError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { CONNECTION_FLAGS, JSON_FLAG } from "../flags.ts";
import { withClient } from "../session.ts";
import { noTransactionalId } from "../transaction_errors.ts";

export const command: Command = {
  name: "transaction abort",
  summary: "end a transaction that somebody left open, or that hangs",
  about: `By its transactional id: what is open under it is aborted, and its producer fenced, which then has to
begin anew. By a place, for one that no coordinator will ever end (\`millrace transaction find-hanging\` shows
them): a marker of abort is written into that one partition. Both cannot be undone.`,
  positionals: [{ name: "id", summary: "the transactional id", isOptional: true }],
  flags: [
    { name: "topic", short: "t", value: "TOPIC", summary: "where it hangs" },
    { name: "partition", short: "p", value: "N", summary: "where it hangs" },
    { name: "start-offset", value: "N", summary: "where it begins there" },
    JSON_FLAG,
    ...CONNECTION_FLAGS,
  ],
  examples: [
    { command: "millrace transaction abort billing-1", says: "whatever billing-1 has open" },
    {
      command: "millrace transaction abort -t orders -p 3 --start-offset 8120",
      says: "one that hangs, in one partition",
    },
  ],
  run(args, host) {
    const id = args.text("id");
    const place = placeOf(args);
    if ((id === undefined) === (place === null)) {
      throw args.wrong("Give a transactional id, or --topic, --partition and --start-offset");
    }
    return withClient(args, host, async (client) => {
      if (place !== null) {
        const ended = await client.admin.abortTransaction(place);
        if (args.has("json")) await host.print(`${JSON.stringify(ended)}\n`);
        else {
          await host.print(
            `Aborted the transaction of producer ${ended.producerId} in ${place.topic}-${place.partition} from offset ${place.startOffset} on\n`,
          );
        }
        return 0;
      }
      const own = id!;
      // Whoever asks for an id that is not there would make it.
      const [found] = await client.admin.describeTransactions([own]);
      if (!found!.ok && found!.error.code === "transactional_id_not_found") {
        throw await noTransactionalId(client, own);
      }
      const [outcome] = await client.admin.fenceProducers([own]);
      if (!outcome!.ok) throw new CommandError(outcome!.error.code, outcome!.error.message);
      const wasOpen = found!.ok && found!.value.state === "Ongoing";
      if (args.has("json")) {
        await host.print(`${JSON.stringify({ transactionalId: own, aborted: wasOpen })}\n`);
      } else {
        const what = wasOpen ? "aborted its transaction" : "nothing was open";
        await host.print(`Fenced the producer of "${own}": ${what}\n`);
      }
      return 0;
    });
  },
};

function placeOf(args: Arguments) {
  const topic = args.text("topic");
  const partition = args.whole("partition", 0, 0x7fffffff);
  const startOffset = args.whole("start-offset", 0);
  if (topic === undefined && partition === undefined && startOffset === undefined) return null;
  if (topic === undefined || partition === undefined || startOffset === undefined) {
    throw args.wrong("--topic, --partition and --start-offset go together");
  }
  return { topic, partition, startOffset };
}
