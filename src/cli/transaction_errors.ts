// What went wrong with a transactional id, and the way out, for the commands of transactions.

import type { Client } from "../client/mod.ts";
import { nearestKey } from "../config/nearest_key.ts";
import { CommandError } from "./cli_error.ts";

/** Says that there is no such id, and which one may have been meant. */
export async function noTransactionalId(client: Client, id: string): Promise<CommandError> {
  const names = await client.admin.listTransactions().then(
    (found) => found.map(({ transactionalId }) => transactionalId),
    () => [],
  );
  const nearest = nearestKey(id, names);
  const fix =
    nearest === null
      ? "`millrace transaction list` shows all"
      : `did you mean "${nearest}"? \`millrace transaction list\` shows all`;
  const text = `There is no transactional id "${id}": ${fix}`;
  return new CommandError("transactional_id_not_found", text);
}
