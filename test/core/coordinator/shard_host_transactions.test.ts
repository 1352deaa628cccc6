// Transactions in a shard's host: when the gate is asked and what is written then, in which order, what ends them, and
// decisions that follow from others or cannot wait.

import { describe, expect, test } from "bun:test";
import type { AskAdmission } from "../../../src/core/coordinator/runtime/admissions.ts";
import {
  answer,
  type Decision,
  NO_DECISION,
  type Producer,
  type RecordSerde,
  type Reply,
  type Shard,
  type TransactionEnd,
} from "../../../src/core/coordinator/runtime/shard.ts";
import { ShardHost } from "../../../src/core/coordinator/runtime/shard_host.ts";
import { type KafkaErrorName, type Outcome, refuse } from "../../../src/protocol/errors.ts";
import { RecordBatch } from "../../../src/record/record_batch.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";
import { ScriptedLog } from "./scripted_log.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NO_VALUE = new Uint8Array(0);

const serde: RecordSerde<string> = {
  encode: (record) => ({ key: encoder.encode(record), value: NO_VALUE }),
  decode: (key) => decoder.decode(key),
};

/** Writes down what is replayed. */
class Diary implements Shard<string> {
  readonly lines: string[] = [];
  failsAtEnd = false;

  replay(record: string, offset: number, producer: Producer | null): void {
    const of = producer === null ? "" : ` of ${producer.producerId}/${producer.producerEpoch}`;
    this.lines.push(`${offset} ${record}${of}`);
  }

  replayEnd({ producerId, producerEpoch, isCommit }: TransactionEnd): void {
    if (this.failsAtEnd) throw new Error("cannot be replayed");
    this.lines.push(`${isCommit ? "commit" : "abort"} ${producerId}/${producerEpoch}`);
  }

  loaded(): Decision<string> {
    return NO_DECISION;
  }

  dropped(): void {}

  write(record: string, reply: Reply<string>): Decision<string> {
    return { records: [record], answers: [answer(reply, record)] };
  }
}

const A: Producer = { producerId: 1, producerEpoch: 0 };
const B: Producer = { producerId: 2, producerEpoch: 5 };
const YES: Outcome<null> = { ok: true, value: null };

/** A gate that says nothing until it is told to. */
class Held {
  asked = 0;
  readonly #waiting: ((outcome: Outcome<null>) => void)[] = [];

  readonly ask: AskAdmission = () => {
    this.asked++;
    return new Promise((resolve) => this.#waiting.push(resolve));
  };

  async say(outcome: Outcome<null> = YES): Promise<void> {
    this.#waiting.shift()!(outcome);
    await settle();
  }
}

class Rig {
  readonly test = new TestRuntime();
  readonly log: ScriptedLog;
  readonly gone = new AbortController();
  readonly host: ShardHost<Diary, string>;
  shard!: Diary;

  constructor(log = new ScriptedLog(), afterYield = () => {}) {
    this.log = log;
    const { runtime } = this.test;
    const yieldNow = async () => {
      await runtime.scheduler.yieldNow();
      // Comes behind whoever waits for the turn, and before what that one wakes.
      void Promise.resolve()
        .then(() => {})
        .then(afterYield);
    };
    this.host = new ShardHost({
      log,
      serde,
      runtime: { ...runtime, scheduler: { ...runtime.scheduler, yieldNow } },
      makeShard: () => {
        this.shard = new Diary();
        return this.shard;
      },
      codec: () => "none",
      pendingMax: 100,
    });
  }

  write(record: string): Promise<string> {
    return codeOf(
      this.host.run((shard, _now, reply) => shard.write(record, reply), this.gone.signal),
    );
  }

  writeIn(
    producer: Producer,
    record: string,
    admit: AskAdmission = () => YES,
    signal = this.gone.signal,
  ): Promise<string> {
    const decide = (shard: Diary, _now: unknown, reply: Reply<string>) =>
      shard.write(record, reply);
    return codeOf(this.host.runInTransaction({ producer, admit }, decide, signal));
  }

  /** @returns "none", or what it was refused with; both at once */
  end(producer: Producer, isCommit = true, transactionVersion = 1): KafkaErrorName | "none" {
    const marker = { ...producer, coordinatorEpoch: 0, isCommit, transactionVersion };
    const ended = this.host.endTransaction(marker);
    return ended.ok ? "none" : ended.error.code;
  }

  /** Each batch: how many records, and whose. */
  get written(): string[] {
    return this.log.batches.map((bytes) => {
      const batch = new RecordBatch(bytes, 0, bytes.length);
      const kind = batch.isControl ? "marker" : `${batch.recordCount}`;
      return batch.isTransactional ? `${kind} of ${batch.producerId}` : kind;
    });
  }
}

async function codeOf(outcome: Promise<Outcome<string>>): Promise<string> {
  const settled = await outcome;
  return settled.ok ? settled.value : settled.error.code;
}

describe("a decision in a transaction", () => {
  test("is a batch of its own, among those before and after it", async () => {
    const rig = new Rig();
    const answers = [
      rig.write("a"),
      rig.write("b"),
      rig.writeIn(A, "c"),
      rig.writeIn(A, "d"),
      rig.write("e"),
    ];
    expect(rig.end(A)).toBe("none");
    answers.push(rig.write("f"));
    expect(await Promise.all(answers)).toEqual(["a", "b", "c", "d", "e", "f"]);
    expect(rig.written).toEqual(["2", "1 of 1", "1 of 1", "1", "marker of 1", "1"]);
    const lines = ["0 a", "1 b", "2 c of 1/0", "3 d of 1/0", "4 e", "commit 1/0", "6 f"];
    expect(rig.shard.lines).toEqual(lines);
    const again = new Rig(rig.log);
    expect(await again.write("g")).toBe("g");
    expect(again.shard.lines).toEqual([...lines, "7 g"]);
  });

  test("is answered once it is committed, and so is whoever saw it", async () => {
    const rig = new Rig();
    await rig.write("a");
    rig.log.commitsAtOnce = false;
    const told: string[] = [];
    const tell = (answered: Promise<string>) => void answered.then((each) => told.push(each));
    tell(rig.writeIn(A, "b"));
    tell(codeOf(rig.host.run((_shard, _now, reply) => readOnly(reply), rig.gone.signal)));
    await settle();
    expect(told).toEqual([]);
    rig.log.commit();
    await settle();
    expect(told).toEqual(["b", "read"]);
    rig.end(A);
    tell(codeOf(rig.host.run((_shard, _now, reply) => readOnly(reply), rig.gone.signal)));
    await settle();
    expect(told.length).toBe(2);
    rig.log.commit();
    await settle();
    expect(told.length).toBe(3);
  });

  test("that is not committed drops the shard, and is gone", async () => {
    const rig = new Rig();
    await rig.write("a");
    rig.log.commitsAtOnce = false;
    const lost = rig.writeIn(A, "b");
    await settle();
    rig.log.fail();
    rig.log.commitsAtOnce = true;
    expect(await lost).toBe("not_coordinator");
    await settle();
    expect(rig.shard.lines).toEqual(["0 a"]);
    expect(rig.log.isOpen(A)).toBe(false);
  });

  test("that the log has no place for drops the shard", async () => {
    const rig = new Rig();
    await rig.write("a");
    rig.log.refuses = true;
    expect(await rig.writeIn(A, "b")).toBe("not_coordinator");
    expect(rig.end(A)).toBe("kafka_storage_error");
  });
});

function readOnly(reply: Reply<string>): Decision<string> {
  return { records: [], answers: [answer(reply, "read")] };
}

describe("the gate", () => {
  test("is asked for the first batch alone", async () => {
    const rig = new Rig();
    let asked = 0;
    const ask = () => {
      asked++;
      return YES;
    };
    await rig.writeIn(A, "a", ask);
    await rig.writeIn(A, "b", ask);
    expect(asked).toBe(1);
    await rig.writeIn(B, "c", ask);
    expect(asked).toBe(2);
    rig.end(A);
    await rig.writeIn(A, "d", ask);
    expect(asked).toBe(3);
    await rig.writeIn({ ...A, producerEpoch: 1 }, "e", ask);
    expect(asked).toBe(4);
  });

  test("keeps out whom it refuses, now or later", async () => {
    const rig = new Rig();
    expect(await rig.writeIn(A, "a", () => refuse("transaction_abortable"))).toBe(
      "transaction_abortable",
    );
    const held = new Held();
    const late = rig.writeIn(A, "b", held.ask);
    await settle();
    await held.say(refuse("concurrent_transactions"));
    expect(await late).toBe("concurrent_transactions");
    expect(rig.written).toEqual([]);
  });

  test("is not asked about an old epoch", async () => {
    const rig = new Rig();
    await rig.writeIn(B, "a");
    const held = new Held();
    const old = { ...B, producerEpoch: 4 };
    expect(await rig.writeIn(old, "b", held.ask)).toBe("invalid_producer_epoch");
    expect(held.asked).toBe(0);
  });

  test("holds back what its producer sends meanwhile, and nobody else", async () => {
    const rig = new Rig();
    const held = new Held();
    const first = rig.writeIn(A, "a", held.ask);
    const second = rig.writeIn(A, "b", held.ask);
    const third = rig.writeIn(A, "c", held.ask);
    expect(await rig.writeIn(B, "x")).toBe("x");
    expect(await rig.write("y")).toBe("y");
    expect(held.asked).toBe(1);
    await held.say();
    expect(await Promise.all([first, second, third])).toEqual(["a", "b", "c"]);
    expect(held.asked).toBe(1);
    expect(rig.shard.lines.map((line) => line[2])).toEqual(["x", "y", "a", "b", "c"]);
  });

  test("is asked by the next one when it refuses the first", async () => {
    const rig = new Rig();
    const held = new Held();
    const first = rig.writeIn(A, "a", held.ask);
    const second = rig.writeIn(A, "b", held.ask);
    const third = rig.writeIn(A, "c", held.ask);
    await held.say(refuse("concurrent_transactions"));
    expect(await first).toBe("concurrent_transactions");
    expect(held.asked).toBe(2);
    await held.say();
    expect(await Promise.all([second, third])).toEqual(["b", "c"]);
  });

  test("lets nobody in whose transaction has ended meanwhile", async () => {
    const rig = new Rig();
    const held = new Held();
    const late = rig.writeIn(A, "a", held.ask);
    expect(rig.end(A, false)).toBe("none");
    await held.say();
    expect(await late).toBe("invalid_txn_state");
    const older = rig.writeIn(A, "b", held.ask);
    expect(rig.end({ ...A, producerEpoch: 1 }, false, 2)).toBe("none");
    await held.say();
    expect(await older).toBe("invalid_producer_epoch");
    expect(rig.written).toEqual(["marker of 1", "marker of 1"]);
    expect(await rig.writeIn({ ...A, producerEpoch: 1 }, "c")).toBe("c");
  });

  test("lets nobody in who waited behind the question when the transaction ended", async () => {
    const rig = new Rig();
    const held = new Held();
    const first = rig.writeIn(A, "a", held.ask);
    const second = rig.writeIn(A, "b", held.ask);
    expect(rig.end(A, false)).toBe("none");
    const next = rig.writeIn(A, "c", held.ask);
    const later = rig.writeIn({ ...A, producerEpoch: 1 }, "d", held.ask);
    await held.say();
    expect(await first).toBe("invalid_txn_state");
    expect(await second).toBe("invalid_txn_state");
    await held.say();
    expect(await next).toBe("c");
    // Of a newer epoch: asked by itself.
    await held.say();
    expect(await later).toBe("d");
    expect(rig.shard.lines).toEqual(["abort 1/0", "1 c of 1/0", "2 d of 1/1"]);
  });

  test("is asked for nothing when its caller goes away, or the shard does", async () => {
    const rig = new Rig();
    const held = new Held();
    const caller = new AbortController();
    const gone = rig.writeIn(A, "a", held.ask, caller.signal);
    caller.abort();
    expect(await gone).toBe("not_coordinator");
    await held.say();
    const dropped = rig.writeIn(A, "b", held.ask);
    rig.host.close();
    expect(await dropped).toBe("not_coordinator");
    await held.say();
    expect(rig.written).toEqual([]);
    expect(rig.host.pendingCount).toBe(0);
    expect(rig.end(A)).toBe("not_leader_or_follower");
  });
});

describe("the end of a transaction", () => {
  test("is appended when it returns, and a load finds it whenever it came", async () => {
    const log = new ScriptedLog();
    const first = new Rig(log);
    await first.writeIn(A, "a");
    await first.writeIn(B, "b");
    first.host.close();
    const rig = new Rig(log);
    expect(rig.end(A)).toBe("none");
    expect(rig.written.at(-1)).toBe("marker of 1");
    log.commitsAtOnce = false;
    const answered = rig.write("c");
    expect(rig.end(B, false)).toBe("none");
    await settle();
    expect(rig.host.isActive).toBe(false);
    log.commitsAtOnce = true;
    log.commit();
    expect(await answered).toBe("c");
    expect(rig.shard.lines).toEqual(["0 a of 1/0", "1 b of 2/5", "commit 1/0", "abort 2/5", "4 c"]);
  });

  test("is found by a load that had just come to its own end", async () => {
    const log = new ScriptedLog();
    const first = new Rig(log);
    await first.writeIn(A, "a");
    first.host.close();
    let ended = 0;
    const rig: Rig = new Rig(log, () => {
      if (ended++ === 0) expect(rig.end(A)).toBe("none");
    });
    expect(await rig.write("b")).toBe("b");
    expect(ended).toBeGreaterThan(0);
    expect(rig.shard.lines).toEqual(["0 a of 1/0", "commit 1/0", "2 b"]);
    expect(rig.test.events("coordinator_loaded")[0]!.fields.records).toBe(1);
  });

  test("is waited for by a load that meets it before it is committed", async () => {
    const log = new ScriptedLog();
    const first = new Rig(log);
    await first.writeIn(A, "a");
    first.host.close();
    let ended = 0;
    const rig: Rig = new Rig(log, () => {
      if (ended++ > 0) return;
      log.commitsAtOnce = false;
      expect(rig.end(A)).toBe("none");
    });
    const answered = rig.write("b");
    await settle();
    await settle();
    expect([ended, rig.host.isActive]).toEqual([1, false]);
    log.commitsAtOnce = true;
    log.commit();
    expect(await answered).toBe("b");
    expect(rig.shard.lines).toEqual(["0 a of 1/0", "commit 1/0", "2 b"]);
  });

  test("keeps out what waited for the load, and not what came after it", async () => {
    const log = new ScriptedLog();
    const first = new Rig(log);
    await first.writeIn(A, "a");
    first.host.close();
    const rig = new Rig(log);
    const late = rig.writeIn(A, "b");
    const other = rig.writeIn(B, "c");
    expect(rig.end(A)).toBe("none");
    const next = rig.writeIn(A, "d");
    expect(await Promise.all([late, other, next])).toEqual(["invalid_txn_state", "c", "d"]);
    expect(rig.shard.lines).toEqual(["0 a of 1/0", "commit 1/0", "2 c of 2/5", "3 d of 1/0"]);
  });

  test("comes after what was decided in its turn", async () => {
    const rig = new Rig();
    await rig.writeIn(A, "a");
    void rig.write("b");
    rig.end(A);
    expect(rig.written).toEqual(["1 of 1", "1", "marker of 1"]);
  });

  test("may come again, and is refused of old epochs", async () => {
    const rig = new Rig();
    await rig.writeIn(B, "a");
    expect(rig.end(B, true, 2)).toBe("invalid_producer_epoch");
    expect(rig.end({ ...B, producerEpoch: 6 }, true, 2)).toBe("none");
    expect(rig.end({ ...B, producerEpoch: 6 }, true, 2)).toBe("none");
    expect(rig.end(B, true, 1)).toBe("invalid_producer_epoch");
    expect(rig.shard.lines).toEqual(["0 a of 2/5", "commit 2/6", "commit 2/6"]);
  });

  test("that the shard cannot replay drops it: what is right is in the log", async () => {
    const rig = new Rig();
    await rig.writeIn(A, "a");
    rig.shard.failsAtEnd = true;
    expect(rig.end(A)).toBe("none");
    expect(rig.test.events("coordinator_defect").length).toBe(1);
    expect(await rig.write("b")).toBe("b");
    expect(rig.shard.lines).toEqual(["0 a of 1/0", "commit 1/0", "2 b"]);
  });
});

describe("a decision that follows", () => {
  test("from what is appended comes in the same turn, after all that was decided before", async () => {
    const rig = new Rig();
    await rig.write("a");
    const followed: string[] = [];
    const answered = codeOf(
      rig.host.run<string>(
        (_shard, _now, reply) => ({
          records: ["b"],
          answers: [answer(reply, "b")],
          follow: {
            after: "appended",
            decide: () => {
              followed.push(rig.written.join());
              return { records: ["d"], answers: [] };
            },
          },
        }),
        rig.gone.signal,
      ),
    );
    void rig.write("c");
    expect(followed).toEqual([]);
    expect(await answered).toBe("b");
    expect(followed).toEqual(["1,2"]);
    expect(rig.shard.lines).toEqual(["0 a", "1 b", "2 c", "3 d"]);
  });

  test("from what is committed waits for that, and is gone with the shard", async () => {
    const rig = new Rig();
    await rig.write("a");
    rig.log.commitsAtOnce = false;
    const go = (record: string, next: string) =>
      codeOf(
        rig.host.run<string>(
          (_shard, _now, reply) => ({
            records: [record],
            answers: [answer(reply, record)],
            follow: { after: "committed", decide: () => ({ records: [next], answers: [] }) },
          }),
          rig.gone.signal,
        ),
      );
    const first = go("b", "c");
    await settle();
    expect(rig.shard.lines).toEqual(["0 a", "1 b"]);
    rig.log.commit();
    expect(await first).toBe("b");
    await settle();
    expect(rig.shard.lines).toEqual(["0 a", "1 b", "2 c"]);
    rig.log.commit();
    const lost = go("d", "e");
    await settle();
    rig.log.fail();
    rig.log.commitsAtOnce = true;
    expect(await lost).toBe("not_coordinator");
    await settle();
    expect(rig.shard.lines).toEqual(["0 a", "1 b", "2 c"]);
  });

  test("does not, from what the log refused, in the next life of the shard", async () => {
    const rig = new Rig();
    rig.host.start();
    const followed: string[] = [];
    rig.log.batchBytesMax = 200;
    // Of the first turn: the batch is full, and its append fails, while the decision is taken.
    const waits = rig.write("a".repeat(80));
    rig.log.refuses = true;
    const lost = codeOf(
      rig.host.run<string>(
        (_shard, _now, reply) => ({
          records: ["b".repeat(80)],
          answers: [answer(reply, "b")],
          follow: {
            after: "appended",
            decide: () => {
              followed.push("b");
              return { records: ["c"], answers: [] };
            },
          },
        }),
        rig.gone.signal,
      ),
    );
    rig.log.refuses = false;
    expect(await waits).toBe("not_coordinator");
    expect(await lost).toBe("not_coordinator");
    await settle();
    expect(followed).toEqual([]);
    expect(rig.written).toEqual([]);
    expect(await rig.write("d")).toBe("d");
    expect(rig.shard.lines).toEqual(["0 d"]);
  });

  test("that cannot wait lies in the log when it returns; nothing is decided without a shard", async () => {
    const rig = new Rig();
    await rig.write("a");
    void rig.write("b");
    const decide = () => ({ decision: { records: ["c"], answers: [] }, result: "said" });
    expect(rig.host.decideAtOnce(decide)).toBe("said");
    expect(rig.written).toEqual(["1", "2"]);
    rig.log.refuses = true;
    expect(rig.host.decideAtOnce(decide)).toBeNull();
    rig.log.refuses = false;
    const loading = new Rig(rig.log);
    expect(loading.host.decideAtOnce(decide)).toBeNull();
    await settle();
    expect(loading.host.decideAtOnce(decide)).toBe("said");
    expect(loading.shard.lines).toEqual(["0 a", "1 b", "2 c", "3 c"]);
  });
});
