// How the APIs of groups reach shards: one group's, or those of many, each asked once.
// Invariant: a decision falls before `ask` gives its promise when the shard is loaded, so that a connection's calls keep
// their order. Kafka: GroupCoordinatorService.

import type { Caller } from "../../contracts/broker.ts";
import type { KafkaErrorName, Outcome } from "../../protocol/errors.ts";
import type { GroupCall } from "../coordinator/group/group.ts";
import type { GroupRecord } from "../coordinator/group/group_record.ts";
import type { GroupRequests } from "../coordinator/group/group_requests.ts";
import type { Decision, Now, Reply } from "../coordinator/runtime/shard.ts";
import type { ApiContext } from "./api_context.ts";
import type { GroupCoordinator } from "./group_coordinator.ts";

type Ask<Response> = (
  shard: GroupRequests,
  call: GroupCall,
  reply: Reply<Response>,
) => Decision<GroupRecord>;

/** What the APIs of groups share. */
export interface GroupContext {
  readonly api: ApiContext;
  readonly groups: GroupCoordinator;
  /** Whether the caller may see a topic. Asked where a request does not name it: by an expression. */
  mayDescribe(caller: Caller, topic: string): boolean;
}

/** Asks the shard of a group, in the name of the caller. */
export function ask<Response>(
  { groups }: GroupContext,
  groupId: string,
  caller: Caller,
  version: number,
  decide: Ask<Response>,
): Promise<Outcome<Response>> {
  return groups.run<Response>(
    groupId,
    (shard, now, reply) => decide(shard, callOf(caller, version, now), reply),
    caller.signal,
  );
}

export function callOf(caller: Caller, version: number, now: Now): GroupCall {
  return { now, version, clientId: caller.clientId, clientHost: `/${caller.peer.host}` };
}

/**
 * Splits items by the shard of their group, asks each shard once, and puts the rows into the order of the items.
 *
 * @param decide Gives one row for each item it was handed, in order.
 */
export async function byShard<Item, Row>(
  { groups }: GroupContext,
  items: readonly Item[],
  groupOf: (item: Item) => string,
  decide: (groupId: string, items: readonly Item[]) => Promise<Outcome<readonly Row[]>>,
  refused: (item: Item, code: KafkaErrorName) => Row,
): Promise<readonly Row[]> {
  const places = new Map<number, number[]>();
  for (const [i, item] of items.entries()) {
    const shard = groups.shardOf(groupOf(item));
    const known = places.get(shard);
    if (known === undefined) places.set(shard, [i]);
    else known.push(i);
  }
  const rows: Row[] = new Array(items.length);
  await Promise.all(
    [...places.values()].map(async (indexes) => {
      const own = indexes.map((i) => items[i]!);
      const outcome = await decide(groupOf(own[0]!), own);
      for (const [k, i] of indexes.entries()) {
        rows[i] = outcome.ok ? outcome.value[k]! : refused(own[k]!, outcome.error.code);
      }
    }),
  );
  return rows;
}
