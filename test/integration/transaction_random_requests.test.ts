// Well-formed requests of every API of transactions and version with anything in them, batches and markers among them, to a whole
// broker over sockets: whatever is asked in whatever order, each is answered, no connection is closed, nothing fails inside; and
// all of it survives a load of the shards and logs, which read it back. MILLRACE_TEST_FULL=1 asks thirty times as much.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { handlers } from "../../plugins/transport-kafka/handlers/table.ts";
import { Produce } from "../../src/protocol/messages/00_produce.ts";
import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { ListOffsets } from "../../src/protocol/messages/02_list_offsets.ts";
import { OffsetFetch } from "../../src/protocol/messages/09_offset_fetch.ts";
import { CreateTopics } from "../../src/protocol/messages/19_create_topics.ts";
import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { EndTxn } from "../../src/protocol/messages/26_end_txn.ts";
import { WriteTxnMarkers } from "../../src/protocol/messages/27_write_txn_markers.ts";
import { TxnOffsetCommit } from "../../src/protocol/messages/28_txn_offset_commit.ts";
import { DescribeProducers } from "../../src/protocol/messages/61_describe_producers.ts";
import { DescribeTransactions } from "../../src/protocol/messages/65_describe_transactions.ts";
import { ListTransactions } from "../../src/protocol/messages/66_list_transactions.ts";
import type { Api } from "../../src/protocol/schema.ts";
import { RecordBatchBuilder } from "../../src/record/record_builder.ts";
import { isFullTestRun } from "../support/test_scale.ts";
import { hexOfBytes } from "../vectors/load.ts";
import { Anything, LONG } from "./anything.ts";
import { Live, type WireClient } from "./live.ts";

const KEYS = [2, 22, 24, 25, 26, 27, 28, 61, 65, 66];
const ROUNDS = isFullTestRun ? 30 : 1;
const REQUESTS = 1500;
const PARTITIONS = 3;
const TOPICS = ["t", "u"];
const ALL = TOPICS.flatMap((name) => Array.from({ length: PARTITIONS }, (_, n) => ({ name, n })));
const PRODUCES = 0;

const IDS = ["a", "b", "c", "d"];
const STRINGS: Readonly<Record<string, readonly string[]>> = {
  name: [...TOPICS, "t", "u", "nope", "", "__consumer_offsets", "__transaction_state", LONG],
  transactionalId: [...IDS, "", LONG],
  v3AndBelowTransactionalId: [...IDS, ""],
  transactionalIds: [...IDS, "", "nobody"],
  stateFilters: ["Ongoing", "Empty", "CompleteCommit", "Dead", "nonsense", ""],
  transactionalIdPattern: [".*", "[ab]", "(", ""],
  groupId: ["g", "g", "h", ""],
  committedMetadata: ["", "m", "m", LONG],
  default: ["g", "h", "", "ü\u0000", LONG],
};

interface Identity {
  readonly transactionalId: string;
  producerId: number;
  producerEpoch: number;
}

const NOBODY: Identity = { transactionalId: "nobody", producerId: 999, producerEpoch: 0 };

class Requests {
  readonly anything: Anything;
  readonly #identities: Identity[] = [];

  constructor(seed: number) {
    this.anything = new Anything(seed, {
      strings: STRINGS,
      numbers: {
        // Never so short that the next look at the clock aborts it: after the restart it has to be as it was.
        transactionTimeoutMs: () => [600_000, 600_000, 600_000, 900_001, 0, -1],
        producerId: () => [...this.#identities.map(({ producerId }) => producerId), -1, 0, 999],
        partitionIndex: () => [0, 1, 2, 0, 1, 9, -1],
        timestamp: () => [-1, -1, -2, -3, 0, -9],
        // A later one would fence our own: the transaction could not end, and would be ended once more at every load.
        coordinatorEpoch: () => [0, 0, -1],
        durationFilter: () => [-1, 0, 600_000, -7],
      },
    });
  }

  /** Mostly of a producer as it stands, in all that it says of itself. */
  of(api: Api, version: number): Record<string, unknown> {
    if (api === Produce) return this.#produce();
    const request = this.anything.struct(api.request.fields, version);
    // Mostly of nobody in the group, as of one that has no members.
    if (api === TxnOffsetCommit && this.anything.below(3) > 0) {
      Object.assign(request, { groupInstanceId: null, memberId: "", generationId: -1 });
    }
    // Markers are a broker's to write: one with an epoch that is to come would keep the coordinator's own out.
    return this.#identified(request, api === WriteTxnMarkers);
  }

  learn(api: Api, request: Record<string, unknown>, answer: object): void {
    const told = answer as { errorCode: number; producerId: number; producerEpoch: number };
    const transactionalId = request["transactionalId"] as string | null;
    if ((api !== InitProducerId && api !== EndTxn) || told.errorCode !== 0) return;
    if (transactionalId === null || told.producerId < 0) return;
    const known = this.#identities.find((each) => each.transactionalId === transactionalId);
    const { producerId, producerEpoch } = told;
    if (known === undefined) this.#identities.push({ transactionalId, producerId, producerEpoch });
    else Object.assign(known, { producerId, producerEpoch });
  }

  #identified(request: Record<string, unknown>, always: boolean): Record<string, unknown> {
    const found = { ...request };
    for (const [name, value] of Object.entries(request)) {
      if (!Array.isArray(value) || typeof value[0] !== "object") continue;
      found[name] = value.map((each) => this.#identified(each, always));
    }
    const isLeft = this.#identities.length === 0 || this.anything.below(5) === 0;
    if (isLeft && !always) return found;
    const who = this.#identities.length === 0 ? NOBODY : this.anything.one(this.#identities);
    for (const [name, value] of Object.entries(who)) {
      const old = `v3AndBelow${name[0]!.toUpperCase()}${name.slice(1)}`;
      if (name in found && (found["transactionTimeoutMs"] === undefined || name !== "producerId")) {
        found[name] = value;
      }
      if (old in found) found[old] = value;
    }
    if (found["transactionTimeoutMs"] !== undefined && this.anything.below(2) === 0) {
      Object.assign(found, { producerId: -1, producerEpoch: -1 });
    }
    return found;
  }

  #produce(): Record<string, unknown> {
    const { anything } = this;
    const who = this.#identities.length === 0 ? NOBODY : anything.one(this.#identities);
    const partitions = anything.below(4) === 0 ? 2 : 1;
    const batch = () => {
      const builder = new RecordBatchBuilder({
        producerId: anything.below(12) === 0 ? anything.one([-1, 999]) : who.producerId,
        producerEpoch: who.producerEpoch + anything.one([0, 0, 0, 0, 0, 0, 1, -1]),
        baseSequence: anything.one([0, 0, 0, 1, 2, 3, -1]),
        isTransactional: anything.below(6) !== 0,
        isControl: anything.below(20) === 0,
      });
      builder.append(anything.below(1_000_000), null, new Uint8Array([anything.below(256)]));
      return builder.build();
    };
    return {
      transactionalId: anything.below(8) === 0 ? null : who.transactionalId,
      acks: anything.one([-1, -1, 1]),
      timeoutMs: 5000,
      topicData: [
        {
          name: anything.one(TOPICS),
          topicId: anything.one(anything.topicIds),
          partitionData: Array.from({ length: partitions }, (_, index) => ({
            index: index === 0 ? anything.below(PARTITIONS) : PARTITIONS,
            records: batch(),
          })),
        },
      ],
    };
  }
}

/**
 * What went wrong inside. A plain batch with an epoch to come keeps out the marker of the transaction before it: that counts as
 * written, and is told (ADR 38).
 */
const defectsOf = ({ logLines }: Live): readonly string[] =>
  logLines.filter(
    (line) => /failed|"level":"error"/.test(line) && !line.includes("transaction_marker_refused"),
  );

/** What there is of transactions, and in the topics, as lines. */
async function everything(client: WireClient): Promise<readonly string[]> {
  const lines: string[] = [];
  const listed = await client.ask(ListTransactions, 0, { stateFilters: [], producerIdFilters: [] });
  expect(listed.errorCode).toBe(0);
  const { transactionStates } = await client.ask(DescribeTransactions, 0, {
    transactionalIds: listed.transactionStates.map(({ transactionalId }) => transactionalId),
  });
  lines.push(...transactionStates.map((each) => JSON.stringify(each)));
  for (const { name, n } of ALL) {
    const ends: number[] = [];
    for (const isolationLevel of [0, 1]) {
      const asked = { partitionIndex: n, timestamp: -1 };
      const topics = [{ name, partitions: [asked] }];
      const offsets = await client.ask(ListOffsets, 7, { replicaId: -1, isolationLevel, topics });
      ends.push(Number(offsets.topics[0]!.partitions[0]!.offset));
      const partition = { partition: n, fetchOffset: 0, partitionMaxBytes: 1 << 20 };
      const { responses } = await client.ask(Fetch, 11, {
        ...{ maxWaitMs: 0, minBytes: 0, isolationLevel, rackId: "" },
        topics: [{ topic: name, partitions: [partition] }],
      });
      const [row] = responses[0]!.partitions;
      const { errorCode, lastStableOffset, abortedTransactions } = row!;
      const records = hexOfBytes(row!.records ?? new Uint8Array(0));
      const aborted = JSON.stringify(abortedTransactions);
      lines.push(`${name}-${n} ${errorCode} ${ends} ${lastStableOffset} ${aborted} ${records}`);
    }
    const described = await client.ask(DescribeProducers, 0, {
      topics: [{ name, partitionIndexes: [n] }],
    });
    const { activeProducers } = described.topics[0]!.partitions[0]!;
    lines.push(`${name}-${n} ${activeProducers.map((each) => JSON.stringify(each)).sort()}`);
  }
  for (const requireStable of [false, true]) {
    const groups = ["g", "h"].map((groupId) => ({
      groupId,
      topics: TOPICS.map((name) => ({ name, partitionIndexes: [0, 1, 2] })),
    }));
    const fetched = await client.ask(OffsetFetch, 8, { groups, requireStable });
    lines.push(JSON.stringify(fetched.groups));
  }
  return lines.sort();
}

for (let round = 0; round < ROUNDS; round++) {
  test(`anything is answered, seed ${round}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "millrace-transaction-random-"));
    const requests = new Requests(round);
    const { anything } = requests;
    const settings = {
      "offsets.topic.num.partitions": 3,
      "transaction.state.log.num.partitions": 3,
    };
    let live = await Live.start({ folder, settings });
    try {
      const client = await live.connect();
      const made = await client.ask(CreateTopics, 7, {
        topics: TOPICS.map((name) => ({
          ...{
            name,
            numPartitions: PARTITIONS,
            replicationFactor: 1,
            assignments: [],
            configs: [],
          },
        })),
        timeoutMs: 5000,
        validateOnly: false,
      });
      anything.topicIds = made.topics.map(({ topicId }) => topicId);
      const went = new Map<number, number>();
      for (let i = 0; i < REQUESTS; i++) {
        const key = anything.below(3) === 0 ? PRODUCES : anything.one(KEYS);
        const { api } = handlers[key]!;
        const { lowest, highestStable } = api;
        const version = lowest + anything.below(highestStable - lowest + 1);
        const request = requests.of(api, version);
        const answer = await client.ask(api, version, request as never);
        requests.learn(api, request, answer);
        if (/"(errorCode|partitionErrorCode)":0[,}]/.test(JSON.stringify(answer, asText))) {
          went.set(key, (went.get(key) ?? 0) + 1);
        }
      }
      // Not only refusals, as far as luck goes.
      if (round === 0) expect([...went.keys()].sort((a, b) => a - b)).toEqual([PRODUCES, ...KEYS]);
      const before = await everything(client);
      expect(before.some((line) => line.includes('"firstOffset"'))).toBe(true);
      client.close();
      await live.stop();
      expect(defectsOf(live)).toEqual([]);

      live = await Live.start({ folder, settings });
      const again = await live.connect();
      expect(await everything(again)).toEqual(before);
      again.close();
    } finally {
      await live.stop();
      expect(defectsOf(live)).toEqual([]);
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);
}

const asText = (_: string, value: unknown): unknown =>
  typeof value === "bigint" ? String(value) : value;
