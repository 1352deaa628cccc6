// Everything that transactions are made of, behind one import: lazy_transactions.ts loads it when somebody first asks for a
// transactional id.

import type { TransactionApi } from "../../contracts/broker.ts";
import type { Peers } from "../replication/peers.ts";
import type { ApiContext } from "./api_context.ts";
import { callsOver } from "./cluster_calls.ts";
import { createTransactionApi } from "./transaction_api.ts";
import {
  TransactionCoordinator,
  type TransactionCoordinatorOptions,
} from "./transaction_coordinator.ts";

export interface TransactionsOptions extends TransactionCoordinatorOptions {
  readonly api: ApiContext;
  /** Of a cluster: its connections between brokers are what coordinators ask each other by. */
  readonly replication?: { readonly peers: Peers } | null;
}

export interface OpenTransactions {
  readonly api: TransactionApi;
  readonly coordinator: TransactionCoordinator;
}

export function openTransactions(options: TransactionsOptions): OpenTransactions {
  const { replication = null } = options;
  const calls = replication === null ? null : callsOver(replication.peers);
  const transactions = new TransactionCoordinator({ peers: () => calls, ...options });
  return {
    api: createTransactionApi({ api: options.api, transactions }),
    coordinator: transactions,
  };
}
