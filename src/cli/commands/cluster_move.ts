// `millrace cluster move`, `cluster drain`, `cluster rebalance`: replicas go to other brokers.

import type { Client } from "../../client/mod.ts";
import type { Arguments } from "../arguments.ts";
import { CommandError } from "../cli_error.ts";
import { agreed, carryOut, layoutOf, MOVE_FLAGS, partitionsNamed } from "../cluster_moves.ts";
import { Plan } from "../cluster_plan.ts";
import type { Command } from "../command.ts";
import type { CliHost } from "../host.ts";
import { withClient } from "../session.ts";
import { counted } from "../table.ts";

export const move: Command = {
  name: "cluster move",
  summary: "put the replicas of topics or partitions on other brokers",
  about: `The first of the brokers is to lead; of several partitions each begins with the next one, so that they all lead some.
Replicas are copied first, and the old ones go once the new ones are in sync.`,
  positionals: [
    {
      name: "partitions",
      summary: "topics, or some partitions of them: orders, orders:0,3",
      isList: true,
      isOptional: true,
    },
  ],
  flags: [
    { name: "to", value: "BROKERS", summary: "the brokers that are to have them: 1,2,3" },
    {
      name: "cancel",
      summary: "go back to where what is on its way came from; without partitions: all",
    },
    ...MOVE_FLAGS,
  ],
  examples: [
    { command: "millrace cluster move orders --to 2,3,4 --dry-run", says: "what would be copied" },
    { command: "millrace cluster move orders:0 --to 3,1 --yes", says: "one partition, led by 3" },
    { command: "millrace cluster move --cancel --yes", says: "everything back" },
  ],
  run(args, host) {
    const names = args.list("partitions");
    const to = args.text("to");
    if (args.has("cancel")) {
      if (to !== undefined) throw args.wrong("Give --to BROKERS or --cancel, not both");
      return withClient(args, host, (client) => cancel(args, host, client, names));
    }
    if (to === undefined) throw args.wrong("Say where to: --to BROKERS, as in --to 1,2,3");
    if (names.length === 0) throw args.wrong("Say what to move: TOPIC, or TOPIC:0,3");
    const ids = to.split(",").map((each) => args.wholeOf("A broker of --to", each, 0));
    if (new Set(ids).size !== ids.length) throw args.wrong("--to names a broker twice");
    return withClient(args, host, async (client) => {
      const found = await partitionsNamed(client, args, names);
      const moves = found.map(({ topic, partition, replicas }, at) => ({
        topic,
        partition,
        from: replicas,
        to: ids.map((_, i) => ids[(at + i) % ids.length]!),
      }));
      const changed = moves.filter(({ from, to: ids }) => ids.join() !== from.join());
      return carryOut(args, host, client, changed);
    });
  },
};

async function cancel(
  args: Arguments,
  host: CliHost,
  client: Client,
  names: readonly string[],
): Promise<number> {
  const asked = names.length === 0 ? null : await partitionsNamed(client, args, names);
  const moving = await client.admin.listReassignments(asked);
  const says = `${counted(moving.length, "move")} to cancel`;
  if (moving.length === 0 || !(await agreed(args, host, says))) {
    if (args.has("json")) await host.print(`${JSON.stringify({ cancelled: [] })}\n`);
    else if (moving.length === 0) await host.print("Nothing is on its way\n");
    return 0;
  }
  const outcomes = await client.admin.moveReplicas(
    moving.map(({ topic, partition }) => ({ topic, partition, replicas: null })),
  );
  const at = outcomes.findIndex(
    // It may have come to its end meanwhile.
    (each) => !each.ok && each.error.code !== "no_reassignment_in_progress",
  );
  const outcome = outcomes[at];
  if (outcome?.ok === false) {
    const { topic, partition } = moving[at]!;
    const { code, message } = outcome.error;
    throw new CommandError(code, `Cannot cancel the move of ${topic}-${partition}: ${message}`);
  }
  const cancelled = moving.filter((_, i) => outcomes[i]!.ok);
  if (args.has("json")) {
    const rows = cancelled.map(({ topic, partition }) => ({ topic, partition }));
    await host.print(`${JSON.stringify({ cancelled: rows })}\n`);
  } else await host.print(`Cancelled ${counted(cancelled.length, "move")}\n`);
  return 0;
}

export const drain: Command = {
  name: "cluster drain",
  summary: "take every replica off a broker, so that it can go for good",
  about: `Each replica goes to the broker with the fewest, in a rack of its own if there is one. The broker may be away: then the
others copy from those that are in sync. Afterwards stop it, and \`millrace cluster unregister\`.`,
  positionals: [{ name: "broker", summary: "its number" }],
  flags: MOVE_FLAGS,
  examples: [
    { command: "millrace cluster drain 3 --dry-run", says: "where everything would go" },
    { command: "millrace cluster drain 3 --yes", says: "until broker 3 has nothing left" },
  ],
  run(args, host) {
    const id = args.wholeOf("BROKER", args.required("broker"), 0);
    return withClient(args, host, async (client) => {
      const { places, partitions } = await layoutOf(client);
      const plan = new Plan(places, partitions);
      const stuck = plan.drain(id);
      if (stuck !== null) {
        const { topic, partition, replicas } = stuck;
        const others = places.filter((place) => place.id !== id).length;
        throw new CommandError(
          "invalid_replication_factor",
          `Cannot drain broker ${id}: ${topic}-${partition} has ${counted(replicas.length, "replica")}, and there are ${counted(others, "other broker")}`,
        );
      }
      return carryOut(args, host, client, plan.moves);
    });
  },
};

export const rebalance: Command = {
  name: "cluster rebalance",
  summary: "even out replicas and leaders over the brokers",
  about: `Moves as few replicas as make the brokers' counts differ by one at most, keeps every partition in as many racks as it
is in, and then puts replicas first so that leaders are even, too.`,
  flags: [{ name: "leaders-only", summary: "copy nothing: only who leads what" }, ...MOVE_FLAGS],
  examples: [
    {
      command: "millrace cluster rebalance",
      says: "after a broker was added: the plan, and a question",
    },
    {
      command: "millrace cluster rebalance --leaders-only --yes",
      says: "without copying anything",
    },
  ],
  run(args, host) {
    return withClient(args, host, async (client) => {
      const { places, partitions } = await layoutOf(client);
      const plan = new Plan(places, partitions);
      if (!args.has("leaders-only")) plan.spreadReplicas();
      plan.spreadLeaders();
      return carryOut(args, host, client, plan.moves);
    });
  },
};
