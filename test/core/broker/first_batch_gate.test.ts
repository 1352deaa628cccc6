// First batches of transactions and the coordinator that is asked about them: order, refusals, ends that come meanwhile.

import { describe, expect, test } from "bun:test";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { ok } from "../../../src/base/outcome.ts";
import type { TransactionGate } from "../../../src/core/coordinator/transaction/ports.ts";
import { type KafkaErrorName, type Outcome, refuse } from "../../../src/protocol/errors.ts";
import { batchOf, caller, LogRig, topic } from "../../support/log_rig.ts";
import { settle } from "../../support/test_runtime.ts";

interface Question {
  readonly asked: readonly [string, number, number, readonly string[], boolean];
  answer(outcome: Outcome<null>): void;
}

/** A coordinator that answers when the test says so; `now` answers at once. */
class ScriptedGate implements TransactionGate {
  readonly questions: Question[] = [];
  now: Outcome<null> | null = null;

  admit(...[id, producerId, epoch, list, adds]: Parameters<TransactionGate["admit"]>) {
    const partitions = list.map(({ topic: name, partition }) => `${name}/${partition}`);
    const asked = [id, producerId, epoch, partitions, adds] as const;
    if (this.now !== null) {
      this.questions.push({ asked, answer: () => {} });
      return this.now;
    }
    return new Promise<Outcome<null>>((answer) => this.questions.push({ asked, answer }));
  }
}

async function rigOf() {
  const gate = new ScriptedGate();
  const topics = [topic("t", 2)];
  const rig = await LogRig.open(storageMemory(), { topics, gate });
  const send = (
    sequence: number,
    options: {
      epoch?: number;
      producerId?: number;
      partition?: number;
      adds?: boolean;
      id?: string | null;
    } = {},
  ) => {
    const { epoch = 0, producerId = 9, partition = 0, adds = true, id = "tx" } = options;
    const batches = batchOf([`${sequence}`], {
      producerId,
      producerEpoch: epoch,
      baseSequence: sequence,
      isTransactional: true,
    });
    return rig.api
      .append(caller, {
        acks: -1,
        timeoutMs: 1000,
        transactionalId: id,
        addsToTransaction: adds,
        partitions: [{ topic: "t", partition, batches }],
      })
      .then(([outcome]) => (outcome!.ok ? outcome!.value.baseOffset : outcome!.error.code));
  };
  const log = rig.logs.logIn(rig.logs.topicNamed("t")!, 0)!;
  return { gate, rig, send, log, topics };
}

describe("the first batch of a transaction", () => {
  test("is asked about once, and those behind it keep their order", async () => {
    const { gate, rig, send, log } = await rigOf();
    const sent = [send(0), send(1), send(2)];
    await settle();
    expect(gate.questions.map(({ asked }) => asked)).toEqual([["tx", 9, 0, ["t/0"], true]]);
    expect(log.logEndOffset).toBe(0);
    // Others do not wait.
    expect(await rig.append(batchOf(["other"]))).toMatchObject({ value: { baseOffset: 0 } });
    const elsewhere = send(0, { partition: 1, adds: false });
    await settle();
    expect(gate.questions.at(-1)!.asked).toEqual(["tx", 9, 0, ["t/1"], false]);
    gate.questions[1]!.answer(ok(null));
    expect(await elsewhere).toBe(0);
    gate.questions[0]!.answer(ok(null));
    expect(await Promise.all(sent)).toEqual([1, 2, 3]);
    // It is open: nobody is asked again, and a repeated batch has its first answer.
    expect(await send(3)).toBe(4);
    expect(await send(3)).toBe(4);
    expect(gate.questions.length).toBe(2);
    expect(log.firstBatches?.size).toBe(0);
    await rig.close();
  });

  test("that is refused does not let those behind it in, which ask for themselves", async () => {
    const { gate, rig, send, log } = await rigOf();
    const sent = [send(0, { adds: false }), send(1, { adds: false })];
    await settle();
    gate.questions[0]!.answer(refuse("coordinator_load_in_progress"));
    expect(await sent[0]!).toBe("not_enough_replicas");
    await settle();
    expect(gate.questions.length).toBe(2);
    gate.questions[1]!.answer(ok(null));
    // It would begin the transaction in the middle.
    expect(await sent[1]!).toBe("out_of_order_sequence_number");
    gate.now = ok(null);
    expect(await send(0, { adds: false })).toBe(0);
    expect(await send(1, { adds: false })).toBe(1);
    expect(log.logEndOffset).toBe(2);
    await rig.close();
  });

  test("is refused as Kafka refuses it", async () => {
    const { gate, rig, send } = await rigOf();
    const cases: [KafkaErrorName, boolean, KafkaErrorName][] = [
      ["invalid_txn_state", true, "invalid_txn_state"],
      ["producer_fenced", true, "invalid_producer_epoch"],
      ["invalid_producer_id_mapping", false, "invalid_producer_id_mapping"],
      ["concurrent_transactions", false, "not_enough_replicas"],
      ["not_coordinator", true, "not_enough_replicas"],
      ["coordinator_not_available", false, "not_enough_replicas"],
    ];
    for (const [said, adds, told] of cases) {
      gate.now = refuse(said);
      expect([said, await send(0, { adds })]).toEqual([said, told]);
    }
    expect(await send(0, { id: null })).toBe("invalid_txn_state");
    expect(gate.questions.length).toBe(cases.length);
    await rig.close();
  });

  test("waits for the end of the transaction before, for a bounded time", async () => {
    const { gate, rig, send, log } = await rigOf();
    gate.now = refuse("concurrent_transactions");
    const sent = [send(0), send(1)];
    await settle();
    await rig.test.advance(19);
    expect(gate.questions.length).toBe(1);
    await rig.test.advance(1);
    expect(gate.questions.length).toBe(2);
    // The marker of the one before has the epoch that this one has: it is not this one's.
    const verdict = log.appendMarker(
      {
        producerId: 9,
        producerEpoch: 0,
        coordinatorEpoch: 0,
        isCommit: true,
        transactionVersion: 2,
      },
      rig.test.wallMs,
    );
    expect(verdict.kind).toBe("appended");
    gate.now = ok(null);
    await rig.test.advance(20);
    expect(await Promise.all(sent)).toEqual([1, 2]);
    expect(gate.questions.length).toBe(3);

    gate.now = refuse("concurrent_transactions");
    const late = [send(0, { epoch: 1 }), send(0, { epoch: 1, partition: 1 })];
    await settle();
    await rig.test.advance(99);
    expect(gate.questions.length).toBe(3 + 2 * 5);
    await rig.test.advance(1);
    expect(await Promise.all(late)).toEqual(["concurrent_transactions", "concurrent_transactions"]);
    expect(gate.questions.length).toBe(3 + 2 * 6);
    await rig.close();
  });

  test("is not let in by an answer that was on its way when a marker of its own transaction came", async () => {
    const { gate, rig, send, log } = await rigOf();
    const late = send(0, { epoch: 4 });
    await settle();
    // Of the second protocol an end has an epoch that no batch of it had.
    const marker = { producerId: 9, coordinatorEpoch: 0, isCommit: false, transactionVersion: 2 };
    expect(log.appendMarker({ ...marker, producerEpoch: 5 }, rig.test.wallMs).kind).toBe(
      "appended",
    );
    gate.questions[0]!.answer(ok(null));
    expect(await late).toBe("invalid_txn_state");
    expect(log.logEndOffset).toBe(1);
    await rig.close();
  });

  test("of an epoch that is over is refused before its partition joins", async () => {
    const { gate, rig, send } = await rigOf();
    gate.now = ok(null);
    expect(await send(0, { epoch: 2 })).toBe(0);
    expect(await send(0, { epoch: 1 })).toBe("invalid_producer_epoch");
    expect(gate.questions.length).toBe(1);
    await rig.close();
  });

  test("is not appended once its transaction has ended", async () => {
    const { gate, rig, send, log } = await rigOf();
    const late = send(0, { adds: false });
    await settle();
    const verdict = log.appendMarker(
      {
        producerId: 9,
        producerEpoch: 0,
        coordinatorEpoch: 0,
        isCommit: false,
        transactionVersion: 1,
      },
      rig.test.wallMs,
    );
    expect(verdict.kind).toBe("appended");
    gate.questions[0]!.answer(ok(null));
    expect(await late).toBe("invalid_txn_state");
    expect(log.transactions?.openCount ?? 0).toBe(0);
    expect(log.lastStableOffset).toBe(log.highWatermark);
    await rig.close();
  });

  test("under a newer epoch asks again while the old one is open, which is aborted first", async () => {
    const { gate, rig, send, log } = await rigOf();
    gate.now = ok(null);
    expect(await send(0)).toBe(0);
    // Epochs are only given once the transaction before has ended: its marker is lost, and another stands at 1.
    expect(await send(0, { epoch: 1 })).toBe(2);
    expect(gate.questions.length).toBe(2);
    expect(log.lastStableOffset).toBe(2);
    expect(log.transactions!.aborted.between(0, 9)).toMatchObject([
      { firstOffset: 0, lastOffset: 1 },
    ]);
    expect(await send(1)).toBe("invalid_producer_epoch");
    await rig.close();
  });

  test("of a topic that is deleted, or a folder that fails meanwhile, is refused", async () => {
    const { gate, rig, send, topics } = await rigOf();
    const sent = [send(0), send(1)];
    await settle();
    await rig.logs.topicDeleted(topics[0]!);
    gate.questions[0]!.answer(ok(null));
    expect(await sent[0]!).toBe("unknown_topic_or_partition");
    await settle();
    gate.questions[1]!.answer(ok(null));
    expect(await sent[1]!).toBe("unknown_topic_or_partition");
    await rig.close();
  });

  test("of the second protocol begins at sequence 0 where nothing is known of its producer", async () => {
    const { gate, rig, send } = await rigOf();
    gate.now = ok(null);
    expect(await send(5)).toBe("out_of_order_sequence_number");
    expect(await send(5, { adds: false, producerId: 10 })).toBe(0);
    await rig.close();
  });

  test("of each of many partitions join by one question, and enter or are refused together", async () => {
    const { gate, rig, send } = await rigOf();
    const sendAll = (sequence: number, adds: boolean, partitions: readonly number[]) =>
      rig.api
        .append(caller, {
          acks: -1,
          timeoutMs: 1000,
          transactionalId: "tx",
          addsToTransaction: adds,
          partitions: partitions.map((partition, i) => ({
            topic: "t",
            partition,
            batches: batchOf([`${sequence}`], {
              producerId: 9,
              producerEpoch: 0,
              baseSequence: partitions.indexOf(partition) === i ? sequence : sequence + 1,
              isTransactional: true,
            }),
          })),
        })
        .then((all) => all.map((each) => (each.ok ? each.value.baseOffset : each.error.code)));
    const waiting = sendAll(0, true, [1, 0]);
    const behind = send(1);
    await settle();
    expect(gate.questions.map(({ asked }) => asked)).toEqual([["tx", 9, 0, ["t/1", "t/0"], true]]);
    gate.questions[0]!.answer(refuse("coordinator_load_in_progress"));
    expect(await waiting).toEqual(["not_enough_replicas", "not_enough_replicas"]);
    await settle();
    gate.questions[1]!.answer(refuse("coordinator_load_in_progress"));
    await behind;
    gate.now = ok(null);
    // One of them twice: its second batch comes behind the first, and nobody is asked for it.
    expect(await sendAll(0, true, [0, 1, 0])).toEqual([0, 0, 1]);
    expect(gate.questions.length).toBe(3);
    expect(gate.questions[2]!.asked[3]).toEqual(["t/0", "t/1"]);
    // One is in it, the other is asked about.
    await send(0, { epoch: 1 });
    expect(gate.questions.length).toBe(4);
    await rig.close();
  });

  test("of the first protocol is asked about by itself: one that was not added does not keep others out", async () => {
    const { gate, rig } = await rigOf();
    const outcomes = rig.api.append(caller, {
      acks: -1,
      timeoutMs: 1000,
      transactionalId: "tx",
      partitions: [0, 1].map((partition) => ({
        topic: "t",
        partition,
        batches: batchOf(["x"], {
          producerId: 9,
          producerEpoch: 0,
          baseSequence: 0,
          isTransactional: true,
        }),
      })),
    });
    await settle();
    expect(gate.questions.map(({ asked }) => asked[3])).toEqual([["t/0"], ["t/1"]]);
    gate.questions[0]!.answer(refuse("transaction_abortable"));
    gate.questions[1]!.answer(ok(null));
    expect(await outcomes).toMatchObject([
      { ok: false, error: { code: "transaction_abortable" } },
      { ok: true, value: { baseOffset: 0 } },
    ]);
    await rig.close();
  });

  test("of two producers in one request are refused, and nothing is asked", async () => {
    const { gate, rig } = await rigOf();
    const partitions = [9, 10].map((producerId, partition) => ({
      topic: "t",
      partition,
      batches: batchOf(["x"], {
        producerId,
        producerEpoch: 0,
        baseSequence: 0,
        isTransactional: true,
      }),
    }));
    const request = { acks: -1, timeoutMs: 1000, transactionalId: "tx", partitions } as const;
    const outcomes = await rig.api.append(caller, request);
    const refused = { ok: false, error: { code: "invalid_producer_id_mapping" } };
    expect(outcomes).toMatchObject([refused, refused]);
    expect(gate.questions).toEqual([]);
    await rig.close();
  });

  test("of a producer that is not the one leaves nothing behind", async () => {
    const { gate, rig, send, log } = await rigOf();
    for (const code of ["invalid_producer_id_mapping", "producer_fenced"] as const) {
      gate.now = refuse(code);
      await send(3, { producerId: 77, epoch: 2 });
      expect([code, log.firstBatches?.size]).toEqual([code, 0]);
    }
    // Not what was noted of a newer epoch.
    gate.now = refuse("coordinator_not_available");
    await send(4, { producerId: 77, epoch: 3, adds: false });
    gate.now = refuse("producer_fenced");
    await send(3, { producerId: 77, epoch: 2, adds: false });
    expect(log.firstBatches?.get(77)).toMatchObject({ epoch: 3, lowestSequence: 4 });
    await rig.close();
  });

  test("leaves nothing behind for ever when nobody comes back for it", async () => {
    const { gate, rig, send, log } = await rigOf();
    gate.now = refuse("coordinator_not_available");
    await send(0);
    expect(log.firstBatches?.size).toBe(1);
    rig.test.wallMs += 86_400_001;
    await rig.logs.maintain(true);
    expect(log.firstBatches?.size).toBe(0);
    await rig.close();
  });
});
