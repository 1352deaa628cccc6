// What is answered to batches of transactions, to markers, and to readers while a transaction is open, as cases: what is sent, and
// which codes come back. Wanted: topics "t" and "u" of two partitions, which need not be empty, and "lso" of one, which is.

import { Fetch } from "../../src/protocol/messages/01_fetch.ts";
import { ListOffsets } from "../../src/protocol/messages/02_list_offsets.ts";
import { WriteTxnMarkers } from "../../src/protocol/messages/27_write_txn_markers.ts";
import { DescribeProducers } from "../../src/protocol/messages/61_describe_producers.ts";
import { buildEndTransactionMarker, CONTROL_COMMIT } from "../../src/record/control_record.ts";
import { batchOf, TransactionRig, type Transactor, topic, WRITTEN_MS } from "./transaction_rig.ts";

export class TransactionProduceRefusals extends TransactionRig {
  async run(): Promise<void> {
    await this.ready();
    for (const version of [3, 8, ...this.versions(10, 12)]) await this.#batches(version);
    await this.#mixed();
    await this.#sequences();
    await this.#markers();
    await this.#readers();
    await this.#producers();
  }

  /** One with its partition in its transaction, as far as the version needs that. */
  async #writer(version: number): Promise<Transactor> {
    return version < 12 ? await this.begun() : await this.transactor();
  }

  async #batches(version: number): Promise<void> {
    const note = (what: string, codes: readonly number[]) =>
      this.note(`Produce v${version}: ${what}`, ...codes);
    const first = await this.#writer(version);
    const send = async (what: string, by: Transactor, given = {}) =>
      note(what, await this.send(by, given, version));
    await send("in order", first);
    await send("again", first);
    await send("the next", first, { baseSequence: 1 });
    await send("a gap", first, { baseSequence: 7 });
    const { producerId } = first;
    const plain = batchOf({
      producerId,
      producerEpoch: 0,
      baseSequence: 2,
      isTransactional: false,
    });
    note(
      "not transactional, amid a transaction",
      await this.produce(null, [{ records: plain }], version),
    );
    note(
      "not transactional, amid a transaction, with the id",
      await this.produce(first.transactionalId, [{ records: plain }], version),
    );
    await send("an epoch to come, amid a transaction", { ...first, producerEpoch: 5 });
    await send(
      "an epoch to come, amid a transaction, not from 0",
      { ...first, producerEpoch: 5 },
      { baseSequence: 3 },
    );
    await send("not added", await this.transactor());
    await send("does not begin at 0", await this.#writer(version), { baseSequence: 4 });
    const writer = await this.#writer(version);
    await send("another producer", { ...writer, producerId: writer.producerId + 1000 });
    await send("an epoch to come", { ...writer, producerEpoch: 4 });
    await send("an unknown id", { ...writer, transactionalId: "nobody's" });
    await send("an empty id", { ...writer, transactionalId: "" });
    const own = { producerId: writer.producerId, producerEpoch: 0 };
    note("without the id", await this.produce(null, [{ records: batchOf(own) }], version));
    const id = writer.transactionalId;
    const one = async (what: string, records: Uint8Array, transactionalId: string | null = id) =>
      note(what, await this.produce(transactionalId, [{ records }], version));
    await one("without a producer", batchOf({ baseSequence: -1 }));
    await one("without a sequence", batchOf({ ...own, baseSequence: -1 }));
    await one("without an epoch", batchOf({ ...own, producerEpoch: -1 }));
    await one("of nobody, with the id", batchOf({ baseSequence: -1, isTransactional: false }));
    const marker = {
      type: CONTROL_COMMIT,
      ...own,
      coordinatorEpoch: 0,
      timestampMs: WRITTEN_MS,
    } as const;
    await one("a marker", buildEndTransactionMarker(marker));
    await one("a marker, without the id", buildEndTransactionMarker(marker), null);
    await one("a control batch", batchOf({ ...own, isControl: true }));
    await one(
      "a control batch, not transactional",
      batchOf({ isControl: true, isTransactional: false, baseSequence: -1 }),
    );
    const where = async (what: string, topicName: string, partition: number) =>
      note(
        what,
        await this.produce(id, [{ topic: topicName, partition, records: batchOf(own) }], version),
      );
    await where("an unknown topic", "none", 0);
    await where("an unknown partition", "t", 9);
    await where("the topic of transactions", "__transaction_state", 0);
    await where("the topic of offsets", "__consumer_offsets", 0);
    note("acks 1", await this.produce(id, [{ records: batchOf(own) }], version, 1));
    const fenced = await this.#writer(version);
    await this.send(fenced, {}, version);
    await this.init(fenced.transactionalId);
    await this.settled(fenced.transactionalId);
    await send("after it was fenced", fenced, { baseSequence: 1 });
    const ended = await this.#writer(version);
    await this.send(ended, {}, version);
    await this.end(ended, true, version < 12 ? 3 : 5);
    await this.settled(ended.transactionalId);
    await send("after its end", ended, { baseSequence: 1 });
    await send("after its end, the last again", ended);
    const next = { ...ended, producerEpoch: 1 };
    await send("after its end, with the next epoch, a gap", next, { baseSequence: 6 });
    await send("after its end, with the next epoch", next);
  }

  async #mixed(): Promise<void> {
    for (const version of this.versions(11, 12)) {
      const produce = async (what: string, id: string | null, ...batches: object[]) =>
        this.note(
          `Produce v${version}, mixed: ${what}`,
          ...(await this.produce(id, batches, version)),
        );
      const by = await this.#writer(version);
      const of = ({ producerId, producerEpoch }: Transactor, given = {}) =>
        batchOf({ producerId, producerEpoch, ...given });
      const plain = batchOf({ isTransactional: false, baseSequence: -1 });
      const id = by.transactionalId;
      await produce(
        "a plain batch beside one of a transaction",
        id,
        { records: of(by) },
        { partition: 1, records: plain },
      );
      const other = await this.#writer(version);
      await produce(
        "a plain batch beside, without the id",
        null,
        { records: of(other) },
        { partition: 1, records: plain },
      );
      await produce(
        "of two producers",
        id,
        { records: of(by, { baseSequence: 1 }) },
        { partition: 1, records: of(other) },
      );
      const another = await this.#writer(version);
      const id2 = another.transactionalId;
      await produce(
        "one is not added",
        id2,
        { records: of(another) },
        { topic: "u", records: of(another) },
      );
      await produce(
        "one is nowhere",
        id2,
        { records: of(another, { baseSequence: 1 }) },
        { topic: "none", records: of(another) },
      );
      await produce("nowhere at all", id2, { topic: "none", records: of(another) });
    }
  }

  async #sequences(): Promise<void> {
    const by = await this.begun();
    const codes: number[] = [];
    for (const baseSequence of [0, 3, 6, 9, 12, 15]) {
      codes.push(...(await this.send(by, { baseSequence, records: 3 })));
    }
    this.note("Produce: six batches of three", ...codes);
    this.note(
      "Produce: the last but four again",
      ...(await this.send(by, { baseSequence: 3, records: 3 })),
    );
    this.note(
      "Produce: the last but five again",
      ...(await this.send(by, { baseSequence: 0, records: 3 })),
    );
    this.note(
      "Produce: a part of the last",
      ...(await this.send(by, { baseSequence: 16, records: 2 })),
    );
    const last = await this.begun();
    this.note(
      "Produce: the highest sequence first",
      ...(await this.send(last, { baseSequence: 2_147_483_647 })),
    );
  }

  async #markers(): Promise<void> {
    const mark = async (what: string, given: object, version = 1, ...topics: object[]) => {
      const { markers } = await this.client.ask(WriteTxnMarkers, version, {
        markers: [
          {
            ...{ producerId: 4242, producerEpoch: 0, transactionResult: true, coordinatorEpoch: 0 },
            ...{ topics: topics.length === 0 ? [{ name: "t", partitionIndexes: [0] }] : topics },
            ...given,
          } as never,
        ],
      });
      const codes = markers.flatMap((each) =>
        each.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode)),
      );
      this.note(`WriteTxnMarkers: ${what}`, ...codes);
    };
    for (const version of [1, 2]) {
      const by = await this.begun();
      await this.send(by);
      const { producerId, producerEpoch } = by;
      await mark(`an old epoch, v${version}`, { producerId, producerEpoch: -1 }, version);
      await mark(`in order, v${version}`, { producerId, producerEpoch }, version);
      await mark(`in order, again, v${version}`, { producerId, producerEpoch }, version);
      await mark(`a later epoch, v${version}`, { producerId, producerEpoch: 3 }, version);
      await mark(`an epoch before that, v${version}`, { producerId, producerEpoch: 1 }, version);
      await mark(
        `a later coordinator, v${version}`,
        { producerId, producerEpoch: 4, coordinatorEpoch: 2 },
        version,
      );
      await mark(
        `an earlier coordinator, v${version}`,
        { producerId, producerEpoch: 4, coordinatorEpoch: 1 },
        version,
      );
      await mark(`an unknown topic, v${version}`, {}, version, {
        name: "none",
        partitionIndexes: [0],
      });
      await mark(`an unknown partition, v${version}`, {}, version, {
        name: "t",
        partitionIndexes: [9, -1],
      });
      await mark(`no partitions, v${version}`, {}, version, { name: "t", partitionIndexes: [] });
    }
    const { markers } = await this.client.ask(WriteTxnMarkers, 1, { markers: [] });
    this.note("WriteTxnMarkers: none", markers.length);
    if (!this.speaksNewer) return;
    const newer = await this.transactor();
    await this.send(newer, {}, 12);
    const { producerId } = newer;
    const as = (producerEpoch: number) => ({ producerId, producerEpoch, transactionVersion: 2 });
    await mark("by the newer protocol, the epoch of the batches", as(0), 2);
    await mark("by the newer protocol, the next epoch", as(1), 2);
    await mark("by the newer protocol, the next epoch, again", as(1), 2);
  }

  async #readers(): Promise<void> {
    const read = async (
      what: string,
      fetchOffset: number,
      isolationLevel: number,
      version = 11,
    ) => {
      const { responses } = await this.client.ask(Fetch, version, {
        ...{ maxWaitMs: 0, minBytes: 0, isolationLevel, rackId: "" },
        topics: [
          { topic: "lso", partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 9999 }] },
        ],
      });
      const [row] = responses[0]!.partitions;
      const aborted = row!.abortedTransactions?.map(({ firstOffset }) => firstOffset) ?? null;
      this.note(
        `Fetch: ${what}`,
        row!.errorCode,
        `to ${row!.highWatermark}, stable to ${row!.lastStableOffset}`,
        `aborted ${aborted === null ? "none said" : `[${aborted}]`}`,
        `${row!.records === null ? "no records" : row!.records.length > 0 ? "records" : "nothing"}`,
      );
    };
    const offsets = async (
      what: string,
      timestamp: number,
      isolationLevel: number,
      version = 7,
    ) => {
      const { topics } = await this.client.ask(ListOffsets, version, {
        replicaId: -1,
        isolationLevel,
        topics: [{ name: "lso", partitions: [{ partitionIndex: 0, timestamp }] }],
      });
      const [row] = topics[0]!.partitions;
      this.note(`ListOffsets: ${what}`, row!.errorCode, `at ${row!.offset}`);
    };
    const all = async (when: string) => {
      for (const isolation of [0, 1]) {
        const how = `${when}, isolation ${isolation}`;
        await read(`from 0, ${how}`, 0, isolation);
        await read(`from 0, v4, ${how}`, 0, isolation, 4);
        await read(`from 1, ${how}`, 1, isolation);
        await read(`from 2, ${how}`, 2, isolation);
        await read(`from 9, ${how}`, 9, isolation);
        await offsets(`latest, ${how}`, -1, isolation);
        await offsets(`earliest, ${how}`, -2, isolation);
        await offsets(`of the newest record, ${how}`, -3, isolation);
        await offsets(`by time, ${how}`, WRITTEN_MS, isolation);
        await offsets(`by a time to come, ${how}`, WRITTEN_MS + 1, isolation);
      }
      await offsets(`latest, v1, ${when}`, -1, 0, 1);
    };
    const plain = batchOf({ isTransactional: false, baseSequence: -1 });
    await this.produce(null, [{ topic: "lso", records: plain }]);
    const by = await this.transactor();
    await this.add(by, [topic("lso", 0)]);
    const { producerId, producerEpoch, transactionalId } = by;
    await this.produce(transactionalId, [
      { topic: "lso", records: batchOf({ producerId, producerEpoch }) },
    ]);
    await all("open");
    await this.end(by, false);
    await this.settled(transactionalId);
    await all("aborted");
    const { transactionalId: id, ...other } = await this.transactor();
    await this.add({ transactionalId: id, ...other }, [topic("lso", 0)]);
    await this.produce(id, [{ topic: "lso", records: batchOf(other) }]);
    await this.end({ transactionalId: id, ...other }, true);
    await this.settled(id);
    await all("committed");
  }

  async #producers(): Promise<void> {
    const describe = async (what: string, name: string, ...partitionIndexes: number[]) => {
      const { topics } = await this.client.ask(DescribeProducers, 0, {
        topics: [{ name, partitionIndexes }],
      });
      const rows = topics.flatMap(({ partitions }) =>
        partitions.map(({ errorCode, activeProducers }) => {
          const epochs = activeProducers.map(
            (each) =>
              `epoch ${each.producerEpoch} to ${each.lastSequence}, coordinator ${each.coordinatorEpoch}, from ${each.currentTxnStartOffset}`,
          );
          return `${errorCode} ${epochs.sort().join("; ")}`;
        }),
      );
      this.note(`DescribeProducers: ${what}`, ...rows);
    };
    await describe("of two that ended", "lso", 0);
    const by = await this.transactor();
    await this.add(by, [topic("lso", 0)]);
    const { producerId, producerEpoch } = by;
    const records = batchOf({ producerId, producerEpoch, records: 3 });
    await this.produce(by.transactionalId, [{ topic: "lso", records }]);
    await describe("beside one that is open", "lso", 0);
    await describe("an unknown partition", "lso", 7);
    await describe("a partition below zero", "lso", -1);
    await describe("an unknown topic", "none", 0);
    await describe("no name", "", 0);
    await describe("an invalid name", "a/b", 0);
  }
}
