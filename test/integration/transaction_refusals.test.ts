// What Apache Kafka 4.3.1 answers to requests of transactions, right and wrong, case by case (transaction_refusals.ts and
// transaction_produce_refusals.ts), at transaction.version 2, 1 and 0; and that we say the same. Where we mean to say something
// else, the reason stands in DEVIATIONS; one that does not show any more fails, too.

import { expect, test } from "bun:test";
import { UpdateFeatures } from "../../src/protocol/messages/57_update_features.ts";
import { loadTransactionRefusals } from "../vectors/load.ts";
import { Live } from "./live.ts";
import type { Codes } from "./refusal_rig.ts";
import { runRefusals } from "./transaction_cases.ts";

const ROW_ORDER =
  "Rows come in the order of the request; Kafka's have what it refuses itself in front or behind.";
const NOBODYS =
  "A transactional batch without a producer belongs to no transaction: no marker would ever end it.";
const INTERNAL =
  "It is said at once that nobody may write there; Kafka asks its coordinator first.";
const REPEATED =
  "The batch is there already, and its offset is told; nothing is appended, so nothing has to be verified.";
const NOT_ADDED = { ours: [17], why: INTERNAL };
/** Versions of Produce by the older protocol. */
const OLDER = [3, 8, 10, 11];

interface Deviation {
  readonly ours: Codes;
  readonly why: string;
}

const DEVIATIONS: Readonly<Record<string, Deviation>> = {
  "AddPartitionsToTxn: one twice": {
    ours: [0],
    why: "A partition has one row, however often named.",
  },
  "AddPartitionsToTxn: an unknown partition, among known ones": {
    ours: [3, 55, 55],
    why: ROW_ORDER,
  },
  "AddPartitionsToTxn, batched: are they in, one is not": { ours: [0, 0, 120], why: ROW_ORDER },
  "TxnOffsetCommit: metadata too long, none, no such partition, below zero": {
    ours: [12, 0, 3, 0],
    why: ROW_ORDER,
  },
  "Produce v11, mixed: one is not added": { ours: [0, 120], why: ROW_ORDER },
  ...Object.fromEntries(
    OLDER.flatMap((version): [string, Deviation][] => [
      [`Produce v${version}: without a producer`, { ours: [87], why: NOBODYS }],
      [`Produce v${version}: the topic of transactions`, NOT_ADDED],
      [`Produce v${version}: the topic of offsets`, NOT_ADDED],
      [`Produce v${version}: after its end, the last again`, { ours: [0], why: REPEATED }],
    ]),
  ),
  "Produce v12: without a producer": { ours: [87], why: NOBODYS },
};
/** What is asked only where the newer protocol is spoken. */
const NEWER = [
  "AddPartitionsToTxn, batched: are they in, one is not",
  "Produce v12: without a producer",
];

const SAFE_DOWNGRADE = 2;

for (const version of [2, 1, 0] as const) {
  test(`a broker answers as Kafka does, at transaction.version ${version}`, async () => {
    const live = await Live.start({
      settings: { "offsets.topic.num.partitions": 5, "transaction.state.log.num.partitions": 5 },
    });
    const client = await live.connect();
    try {
      const update = { feature: "transaction.version", upgradeType: SAFE_DOWNGRADE };
      const lowered = await client.ask(UpdateFeatures, 2, {
        timeoutMs: 1000,
        validateOnly: false,
        featureUpdates: version === 2 ? [] : [{ ...update, maxVersionLevel: version }],
      });
      expect(lowered.errorCode).toBe(0);
      const seen: Record<string, Codes> = {};
      await runRefusals(client, seen, version);
      const kafkas = loadTransactionRefusals()[version]!;
      expect(Object.keys(seen)).toEqual(Object.keys(kafkas));
      for (const [what, codes] of Object.entries(kafkas)) {
        const deviation = DEVIATIONS[what];
        expect([what, ...seen[what]!]).toEqual([what, ...(deviation?.ours ?? codes)]);
        if (deviation !== undefined) expect([...deviation.ours]).not.toEqual([...codes]);
      }
      const stale = Object.keys(DEVIATIONS).filter((what) => !(what in kafkas));
      expect(stale).toEqual(version === 0 ? NEWER : []);
      // Nothing of it is a defect of ours.
      expect(live.logLines.filter((line) => /defect|"level":"error"/.test(line))).toEqual([]);
    } finally {
      client.close();
      await live.stop();
    }
  }, 60_000);
}
