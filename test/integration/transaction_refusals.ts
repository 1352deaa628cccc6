// What is answered to requests of the transaction coordinator, right and wrong, as cases: what is sent, and which codes come back.
// Wanted: topics "t" and "u" of two partitions.

import { InitProducerId } from "../../src/protocol/messages/22_init_producer_id.ts";
import { AddPartitionsToTxn } from "../../src/protocol/messages/24_add_partitions_to_txn.ts";
import { DescribeTransactions } from "../../src/protocol/messages/65_describe_transactions.ts";
import { ListTransactions } from "../../src/protocol/messages/66_list_transactions.ts";
import { TransactionRig, type Transactor, topic } from "./transaction_rig.ts";

/** Epochs that are not the producer's; its own is 1 by then. */
const WRONG_EPOCHS = { "an old epoch": 0, "an epoch to come": 9, "no epoch": -1 };

export class TransactionRefusals extends TransactionRig {
  async run(): Promise<void> {
    await this.ready();
    await this.#inits();
    await this.#partitions();
    if (this.speaksNewer) await this.#batched();
    await this.#offsets();
    await this.#ends();
    await this.#descriptions();
  }

  /** One whose epoch is 1, and others that are like it and wrong. */
  async #impostors(): Promise<Readonly<Record<string, Transactor>>> {
    const first = await this.begun();
    await this.init(first.transactionalId);
    await this.settled(first.transactionalId);
    const { producerId, producerEpoch } = await this.#initWhenIdle(first.transactionalId);
    const by = { ...first, producerId, producerEpoch };
    return {
      ...Object.fromEntries(
        Object.entries(WRONG_EPOCHS).map(([what, epoch]) => [
          what,
          { ...by, producerEpoch: epoch < 0 ? -1 : epoch === 0 ? 0 : producerEpoch + epoch },
        ]),
      ),
      "another producer": { ...by, producerId: producerId + 1000 },
      "no producer": { ...by, producerId: -1 },
      "an unknown id": { ...by, transactionalId: "nobody's" },
      "no id": { ...by, transactionalId: "" },
    };
  }

  async #initWhenIdle(transactionalId: string, given: object = {}) {
    for (let n = 0; ; n++) {
      const answer = await this.init(transactionalId, given);
      if (answer.errorCode !== 51) return answer;
      if (n === 200) throw new Error(`${transactionalId} stays busy`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  async #inits(): Promise<void> {
    const init = async (what: string, id: string, given: object = {}, version = 5) => {
      const { errorCode, producerEpoch } = await this.init(id, given, version);
      this.note(`InitProducerId: ${what}`, errorCode, producerEpoch);
    };
    for (let version = 0; version <= 5; version++) {
      await init(`a new id, v${version}`, this.newId(), {}, version);
    }
    await init("no id", "");
    await init("no time", this.newId(), { transactionTimeoutMs: 0 });
    await init("less than no time", this.newId(), { transactionTimeoutMs: -1 });
    await init("the longest time", this.newId(), { transactionTimeoutMs: 900_000 });
    await init("more time than there is", this.newId(), { transactionTimeoutMs: 900_001 });
    await init("a new id, with a producer", this.newId(), { producerId: 77, producerEpoch: 3 });
    await init("a new id, as platformatic asks", this.newId(), { producerId: 0, producerEpoch: 0 });
    await init("a producer without an epoch", this.newId(), { producerId: 77 });
    await init("an epoch without a producer", this.newId(), { producerEpoch: 3 });
    const by = await this.transactor();
    const { transactionalId: id, producerId } = by;
    await init("again", id);
    await init("with its producer", id, { producerId, producerEpoch: 1 });
    await init("with its producer once more, a retry", id, { producerId, producerEpoch: 1 });
    await init("with its producer and an old epoch", id, { producerId, producerEpoch: 0 });
    await init("with its producer and an old epoch, v3", id, { producerId, producerEpoch: 0 }, 3);
    await init("with its producer and an epoch to come", id, { producerId, producerEpoch: 9 });
    await init("with another producer", id, { producerId: producerId + 999, producerEpoch: 0 });
    await init("as platformatic asks, again", id, { producerId: 0, producerEpoch: 0 });
    const open = await this.begun();
    await init("while a transaction is open", open.transactionalId);
    this.note("InitProducerId: it is aborted then", await this.settled(open.transactionalId));
    const { errorCode, producerEpoch } = await this.#initWhenIdle(open.transactionalId);
    this.note("InitProducerId: after that", errorCode, producerEpoch);
    this.note("InitProducerId: of a fenced producer: add", ...(await this.add(open)));
    const own = await this.begun();
    const mine = { producerId: own.producerId, producerEpoch: own.producerEpoch };
    await init("while a transaction is open, with its producer", own.transactionalId, mine);
    this.note("InitProducerId: it is aborted, too", await this.settled(own.transactionalId));
    const none = await this.client.ask(InitProducerId, 5, {
      transactionalId: null,
      transactionTimeoutMs: -1,
    });
    this.note("InitProducerId: without a transactional id", none.errorCode, none.producerEpoch);
  }

  async #partitions(): Promise<void> {
    const by = await this.transactor();
    const add = async (what: string, who: Transactor, topics?: object[], version = 3) =>
      this.note(`AddPartitionsToTxn: ${what}`, ...(await this.add(who, topics, version)));
    for (let version = 0; version <= 3; version++) {
      await add(`in order, v${version}`, by, [topic("t", 0)], version);
    }
    await add("two topics", by, [topic("t", 0, 1), topic("u", 1)]);
    await add("one twice", by, [topic("t", 1, 1)]);
    await add("nothing", by, []);
    await add("a topic without partitions", by, [topic("t")]);
    await add("an unknown topic", by, [topic("none", 0)]);
    await add("an unknown partition, among known ones", by, [topic("t", 0, 9, 1)]);
    await add("a partition below zero", by, [topic("t", -1)]);
    await add("no name", by, [topic("", 0)]);
    await add("an invalid name", by, [topic("a/b", 0)]);
    await add("a topic of offsets", by, [topic("__consumer_offsets", 0)]);
    await add("a topic of transactions", by, [topic("__transaction_state", 0)]);
    for (const [what, who] of Object.entries(await this.#impostors())) {
      await add(what, who);
      await add(`${what}, v1`, who, undefined, 1);
      await add(`${what}, an unknown topic`, who, [topic("none", 0)]);
    }
  }

  async #batched(): Promise<void> {
    const ask = async (what: string, transactions: object[], version = 5) => {
      const answer = await this.client.ask(AddPartitionsToTxn, version, {
        transactions: transactions as never,
      });
      const codes = answer.resultsByTransaction.flatMap(({ topicResults }) =>
        topicResults.flatMap(({ resultsByPartition }) =>
          resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode),
        ),
      );
      this.note(`AddPartitionsToTxn, batched: ${what}`, answer.errorCode, ...codes);
    };
    const one = (by: Transactor, verifyOnly: boolean, ...topics: object[]) => ({
      ...by,
      verifyOnly,
      topics: topics.length === 0 ? [topic("t", 0)] : topics,
    });
    const by = await this.begun();
    const other = await this.transactor();
    for (const version of [4, 5]) {
      await ask(`is it in, v${version}`, [one(by, true)], version);
      await ask(`is it in, which it is not, v${version}`, [one(by, true, topic("t", 1))], version);
    }
    await ask("are they in, one is not", [one(by, true, topic("t", 0, 1))]);
    await ask("is it in, with nothing open", [one(other, true)]);
    await ask("are they in, of two", [one(by, true), one(other, true)]);
    await ask("add of two", [one(by, false, topic("t", 1)), one(other, false)]);
    await ask("one twice", [one(by, true), one(by, true)]);
    // None at all is not asked: Kafka never answers that.
    await ask("add an unknown topic", [one(by, false, topic("none", 0))]);
    await ask("is an unknown topic in", [one(by, true, topic("none", 0))]);
    for (const [what, who] of Object.entries(await this.#impostors())) {
      await ask(`add, ${what}`, [one(who, false)]);
      await ask(`is it in, ${what}`, [one(who, true)]);
    }
  }

  async #offsets(): Promise<void> {
    const by = await this.transactor();
    const add = async (what: string, who: Transactor, groupId = "g", version = 3) =>
      this.note(`AddOffsetsToTxn: ${what}`, await this.addOffsets(who, groupId, version));
    for (let version = 0; version <= 4; version++) await add(`v${version}`, by, "g", version);
    await add("no group", by, "");
    const commit = async (what: string, who: Transactor, given: object = {}, version = 3) =>
      this.note(`TxnOffsetCommit: ${what}`, ...(await this.commit(who, "g", given, version)));
    for (const version of this.versions(0, 5)) await commit(`v${version}`, by, {}, version);
    this.note("TxnOffsetCommit: no group", ...(await this.commit(by, "")));
    for (const version of this.versions(5, 5)) {
      this.note("TxnOffsetCommit: no group, v5", ...(await this.commit(by, "", {}, version)));
    }
    const at = (partitionIndex: number, committedMetadata: string | null = "") => ({
      partitionIndex,
      committedOffset: 7,
      committedMetadata,
    });
    const rows = [at(0, "x".repeat(4097)), at(1, null), at(9), { ...at(0), committedOffset: -5 }];
    const several = { topics: [{ name: "t", partitions: rows }] };
    await commit("metadata too long, none, no such partition, below zero", by, several);
    await commit("no such topic", by, { topics: [{ name: "none", partitions: [at(0)] }] });
    await commit("nothing", by, { topics: [] });
    await commit("a member of no group", by, { memberId: "m", generationId: 1 });
    await commit("a generation without a member", by, { generationId: 1 });
    await commit("a member without a generation", by, { memberId: "m" });
    await commit("an instance of no group", by, { groupInstanceId: "i" });
    const idle = await this.transactor();
    for (const version of this.versions(3, 5)) {
      await commit(`not added, v${version}`, idle, {}, version);
    }
    this.note("TxnOffsetCommit: whether v5 begins one", await this.stateOf(idle.transactionalId));
    for (const [what, who] of Object.entries(await this.#impostors())) {
      await add(what, who);
      await add(`${what}, v1`, who, "g", 1);
      await commit(what, who);
      for (const version of this.versions(5, 5)) await commit(`${what}, v5`, who, {}, version);
    }
  }

  async #ends(): Promise<void> {
    const end = async (what: string, by: Transactor, commits: boolean, version = 3) =>
      this.note(`EndTxn: ${what}`, ...(await this.end(by, commits, version)));
    for (const commits of [true, false]) {
      const word = commits ? "commit" : "abort";
      for (const version of this.versions(0, 5)) {
        const by = await this.begun();
        await end(`${word}, v${version}`, by, commits, version);
        this.note(`EndTxn: ${word}, v${version}: state`, await this.settled(by.transactionalId));
        await end(`${word}, v${version}, again`, by, commits, version);
        await this.settled(by.transactionalId);
        await end(`${word}, v${version}, then the other`, by, !commits, version);
        const idle = await this.transactor();
        await end(`${word}, v${version}, with nothing open`, idle, commits, version);
        this.note(
          `EndTxn: ${word}, v${version}, with nothing open: state`,
          await this.settled(idle.transactionalId),
        );
      }
      for (const [what, who] of Object.entries(await this.#impostors())) {
        for (const version of [1, ...this.versions(3, 5)]) {
          await end(`${word}, ${what}, v${version}`, who, commits, version);
        }
      }
    }
    if (!this.speaksNewer) return;
    const old = await this.transactor();
    await this.send(old, {}, 12);
    await end("begun by the newer protocol, ended by the older", old, true, 3);
    await this.settled(old.transactionalId);
    this.note("EndTxn: goes on by the older", ...(await this.add(old)));
    await end("begun by the older, ended by the newer", old, true, 5);
    await this.settled(old.transactionalId);
    this.note("EndTxn: the epoch before the bump: add", ...(await this.add(old)));
  }

  async #descriptions(): Promise<void> {
    const by = await this.begun();
    const describe = async (what: string, ...transactionalIds: string[]) => {
      const { transactionStates } = await this.client.ask(DescribeTransactions, 0, {
        transactionalIds,
      });
      const rows = transactionStates.map(({ errorCode, transactionState, topics }) => {
        const partitions = topics.map((each) => `${each.topic}-${each.partitions}`);
        return `${errorCode} ${transactionState} ${partitions}`;
      });
      this.note(`DescribeTransactions: ${what}`, ...rows);
    };
    await describe("an open one", by.transactionalId);
    await describe("an idle one", (await this.transactor()).transactionalId);
    await describe("an unknown one", "nobody's");
    await describe("no id", "");
    await describe("none");
    const list = async (what: string, given: object = {}, version = 2) => {
      const answer = await this.client.ask(ListTransactions, version, {
        stateFilters: [],
        producerIdFilters: [by.producerId],
        ...given,
      });
      const states = answer.transactionStates.map(({ transactionState }) => transactionState);
      const unknown = answer.unknownStateFilters.map((each) => `unknown ${each}`);
      this.note(`ListTransactions: ${what}`, answer.errorCode, ...states, ...unknown);
    };
    for (let version = 0; version <= 2; version++) await list(`v${version}`, {}, version);
    await list("by a state", { stateFilters: ["Ongoing"] });
    await list("by another state", { stateFilters: ["Empty"] });
    await list("by states that are none", { stateFilters: ["ongoing", "Nonsense", ""] });
    await list("by a state and one that is none", { stateFilters: ["Ongoing", "Nonsense"] });
    await list("by another producer", { producerIdFilters: [999_999] });
    await list("older than a day", { durationFilter: 86_400_000 });
    await this.#isOlderThan(by.transactionalId, 0);
    await list("of any age", { durationFilter: 0 });
    await list("by an age below -1", { durationFilter: -5 });
    await list("by a name", { transactionalIdPattern: `^${by.transactionalId}$` });
    await list("by a part of a name", { transactionalIdPattern: "TransactionRef" });
    await list("by any name", { transactionalIdPattern: ".*" });
    await list("by no name", { transactionalIdPattern: "" });
    await list("by what is no expression", { transactionalIdPattern: "(" });
  }

  /** Until it is; the clock of the machine may be set back meanwhile. */
  async #isOlderThan(transactionalId: string, ageMs: number): Promise<void> {
    const { transactionStates } = await this.client.ask(DescribeTransactions, 0, {
      transactionalIds: [transactionalId],
    });
    const startMs = Number(transactionStates[0]!.transactionStartTimeMs);
    while (Date.now() - startMs <= ageMs) await new Promise((done) => setTimeout(done, 1));
  }
}
