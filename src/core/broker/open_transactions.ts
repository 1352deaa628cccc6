// Everything that transactions are made of, behind one import: lazy_transactions.ts loads it when somebody first asks for a
// transactional id.

import type { TransactionApi } from "../../contracts/broker.ts";
import type { ApiContext } from "./api_context.ts";
import { createTransactionApi } from "./transaction_api.ts";
import {
  TransactionCoordinator,
  type TransactionCoordinatorOptions,
} from "./transaction_coordinator.ts";

export interface TransactionsOptions extends TransactionCoordinatorOptions {
  readonly api: ApiContext;
}

export interface OpenTransactions {
  readonly api: TransactionApi;
  readonly coordinator: TransactionCoordinator;
}

export function openTransactions(options: TransactionsOptions): OpenTransactions {
  const transactions = new TransactionCoordinator(options);
  return {
    api: createTransactionApi({ api: options.api, transactions }),
    coordinator: transactions,
  };
}
