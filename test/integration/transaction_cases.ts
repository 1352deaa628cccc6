// All cases of transactions, in the order in which they were recorded.

import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import type { WireClient } from "./live.ts";
import type { Codes } from "./refusal_rig.ts";
import { TransactionProduceRefusals } from "./transaction_produce_refusals.ts";
import { TransactionRefusals } from "./transaction_refusals.ts";

/** Adds to `seen` what a broker that has nothing yet says, by case. @param transactionVersion of the broker */
export async function runRefusals(
  client: WireClient,
  seen: Record<string, Codes>,
  transactionVersion: number,
): Promise<void> {
  const topics = [
    ["t", 2],
    ["u", 2],
    ["lso", 1],
  ] as const;
  const made = await client.ask(CreateTopics, 7, {
    topics: topics.map(([name, numPartitions]) => ({
      ...{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] },
    })),
    timeoutMs: 5000,
    validateOnly: false,
  });
  if (made.topics.some(({ errorCode }) => errorCode !== 0)) throw new Error("no topics");
  for (const Cases of [TransactionRefusals, TransactionProduceRefusals]) {
    await new Cases(client, seen, transactionVersion > 0).run();
  }
}
