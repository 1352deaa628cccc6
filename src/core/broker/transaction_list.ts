// ListTransactions: every transactional id of this broker that the filters leave, by state, producer, age and name.
// Kafka: TransactionStateManager.listTransactionStates (KIP-664, KIP-994, KIP-1152).

import type { Caller } from "../../contracts/broker.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  ListTransactionsRequest,
  ListTransactionsResponse,
} from "../../protocol/messages/66_list_transactions.ts";
import { RegexError } from "../coordinator/group/consumer/regex_syntax.ts";
import { TopicRegex } from "../coordinator/group/consumer/topic_regex.ts";
import {
  STATE_NAMES,
  TRANSACTION_STATES,
  type Transaction,
  type TransactionState,
} from "../coordinator/transaction/transaction.ts";
import type { TransactionCoordinator } from "./transaction_coordinator.ts";

const STATE_BY_NAME: ReadonlyMap<string, TransactionState> = new Map(
  TRANSACTION_STATES.map((state) => [STATE_NAMES[state], state]),
);

export async function listTransactions(
  transactions: TransactionCoordinator,
  caller: Caller,
  request: ListTransactionsRequest,
): Promise<ListTransactionsResponse> {
  const { stateFilters, producerIdFilters, durationFilter, transactionalIdPattern } = request;
  const pattern = patternOf(transactionalIdPattern);
  if (pattern === "invalid") return nothing("invalid_regular_expression");
  const states = new Set<TransactionState>();
  const unknownStateFilters: string[] = [];
  for (const name of stateFilters) {
    const state = STATE_BY_NAME.get(name);
    if (state === undefined) unknownStateFilters.push(name);
    else states.add(state);
  }
  const filter = {
    producerIds: new Set(producerIdFilters),
    states: stateFilters.length === 0 ? null : states,
    durationMs: durationFilter,
  };
  const outcomes = await transactions.runAll<readonly Transaction[]>(
    (shard, now, reply) => shard.list(filter, now, reply),
    caller.signal,
  );
  const found: Transaction[] = [];
  for (const outcome of outcomes) {
    if (outcome.ok) found.push(...outcome.value);
    // To list the rest would say that there is no more. Clients know what passes by this name.
    else if (outcome.error.code === "not_coordinator") return nothing("coordinator_not_available");
    else return nothing(outcome.error.code);
  }
  const listed =
    pattern === null ? found : found.filter((each) => pattern.matches(each.transactionalId));
  return {
    throttleTimeMs: 0,
    errorCode: NONE,
    unknownStateFilters,
    transactionStates: listed.map(({ transactionalId, producerId, state }) => ({
      transactionalId,
      producerId,
      transactionState: STATE_NAMES[state],
    })),
  };
}

function nothing(code: KafkaErrorName): ListTransactionsResponse {
  const errorCode = wireCodeOf(code);
  return { throttleTimeMs: 0, errorCode, unknownStateFilters: [], transactionStates: [] };
}

/** Kafka reads these by the same library as the expressions of subscriptions. Null: any name will do. */
function patternOf(text: string | null): TopicRegex | null | "invalid" {
  if (text === null || text === "") return null;
  try {
    return new TopicRegex(text);
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    return "invalid";
  }
}
