// What is left when nothing happens any more: nothing is pending, every partition reads the same at both isolations as the model
// says, every input has one output, and the coordinator and the partitions know of no open transaction.

import { errorByCode } from "../../../protocol/errors.ts";
import { DescribeProducers } from "../../../protocol/messages/61_describe_producers.ts";
import { DescribeTransactions } from "../../../protocol/messages/65_describe_transactions.ts";
import { ListTransactions } from "../../../protocol/messages/66_list_transactions.ts";
import type { SimClient, SimConnection } from "../sim_client.ts";
import type { FetchedBatch, FetchedRecord } from "./fetched_batches.ts";
import {
  DESCRIBED,
  FENCED,
  type ModelGroup,
  type ModelPartition,
  type ModelTopic,
  nameOf,
  ORDER,
  type TransactionModel,
  WHOLE,
} from "./model.ts";
import {
  EARLIEST,
  fetchFrom,
  type Isolation,
  LATEST,
  listOffsetOf,
  READ_COMMITTED,
  READ_UNCOMMITTED,
} from "./reads.ts";
import { offsetsOf } from "./transform.ts";

const ENDS = "transactions_come_to_an_end";
const NEWEST = "newest_committed_values";
const ONCE = "inputs_once";
const SURVIVES = "committed_records_survive";
/** After a start: the warm-up, a look at what has had its time, and some. */
const PATIENCE_US = 20_000_000;
const AT_REST = new Set(["Empty", "CompleteCommit", "CompleteAbort"]);

/** A transform loop's group, and where its records go. */
export interface Loop {
  readonly group: ModelGroup;
  readonly output: ModelTopic;
}

interface Whole {
  readonly logStartOffset: number;
  readonly batches: readonly FetchedBatch[];
  readonly shown: readonly FetchedRecord[];
}

/** @throws {ConnectionGone} */
export async function auditTransactions(
  client: SimClient,
  model: TransactionModel,
  loops: readonly Loop[],
): Promise<void> {
  const connection = await client.connected();
  const partitions = model.topics.flatMap((topic) => topic.partitions);
  const wholes = new Map<ModelPartition, { readonly all: Whole; readonly committed: Whole }>();
  for (const partition of partitions) {
    await waitUntilStable(client, connection, model, partition);
    const all = await readWhole(client, connection, model, partition, READ_UNCOMMITTED);
    const committed = await readWhole(client, connection, model, partition, READ_COMMITTED);
    if (model.world.failure !== null) return;
    wholes.set(partition, { all, committed });
  }
  // Every partition has spoken: how each transaction ended is known, unless nothing is left of it.
  const shownIn = new Map<ModelPartition, readonly FetchedRecord[]>();
  for (const [partition, { all, committed }] of wholes) {
    checkEpochs(model, partition, all.batches);
    checkRecords(model, partition, committed);
    shownIn.set(partition, committed.shown);
  }
  for (const { group, output } of loops) {
    const { input } = group;
    const offsets = await stableOffsets(client, model, group);
    checkOnce(model, group, input, output, offsets, shownIn);
  }
  await checkCoordinators(client, connection, model);
  await checkProducers(connection, model);
}

async function waitUntilStable(
  client: SimClient,
  connection: SimConnection,
  model: TransactionModel,
  partition: ModelPartition,
): Promise<void> {
  const { world } = model;
  const untilUs = world.nowUs + PATIENCE_US;
  while (world.failure === null) {
    const end = await listOffsetOf(connection, model, partition, LATEST, READ_UNCOMMITTED);
    const stable = await listOffsetOf(connection, model, partition, LATEST, READ_COMMITTED);
    if (end !== null && end === stable) return;
    if (world.nowUs > untilUs) {
      model.fail(ENDS, `${partition.label} is stable up to ${stable}, and ends at ${end}`);
    }
    await client.backOff();
  }
}

async function readWhole(
  client: SimClient,
  connection: SimConnection,
  model: TransactionModel,
  partition: ModelPartition,
  isolation: Isolation,
): Promise<Whole> {
  const batches: FetchedBatch[] = [];
  const shown: FetchedRecord[] = [];
  const earliest = await listOffsetOf(connection, model, partition, EARLIEST, READ_UNCOMMITTED);
  let logStartOffset = earliest ?? 0;
  let offset = logStartOffset;
  let refusals = 0;
  while (model.world.failure === null) {
    const [brought] = await fetchFrom(connection, model, [{ partition, offset }], {
      isolation,
      maxWaitMs: 0,
      bytesMax: 20_000,
    });
    const { code, nextOffset, highWatermark } = brought!;
    if (code === "offset_out_of_range" && partition.topic.shape.expires) {
      logStartOffset =
        (await listOffsetOf(connection, model, partition, EARLIEST, READ_UNCOMMITTED)) ?? 0;
      offset = logStartOffset;
      batches.length = 0;
      shown.length = 0;
      continue;
    }
    // The cleaner may put other segments in the place of those that are read, again and again.
    if (code === "kafka_storage_error" && partition.topic.shape.isCompacted && refusals++ < 50) {
      await client.backOff();
      continue;
    }
    if (code !== null) model.fail("audit_answers", `${partition.label} at ${offset}: ${code}`);
    batches.push(...brought!.batches);
    shown.push(...brought!.shown);
    if (nextOffset >= highWatermark) break;
    if (nextOffset === offset) {
      // The cleaner may have taken all there was.
      if (partition.topic.shape.isCompacted) break;
      model.fail("audit_answers", `${partition.label} at ${offset} of ${highWatermark}: nothing`);
    }
    offset = nextOffset;
  }
  return { logStartOffset, batches, shown };
}

/** Epochs of a producer only ascend in a partition: whoever is fenced has written nothing since. */
function checkEpochs(
  model: TransactionModel,
  partition: ModelPartition,
  batches: readonly FetchedBatch[],
): void {
  const epochs = new Map<number, number>();
  for (const { producerId, producerEpoch, baseOffset } of batches) {
    if (producerId < 0) continue;
    const newest = epochs.get(producerId) ?? -1;
    if (producerEpoch < newest) {
      model.fail(
        FENCED,
        `${partition.label} ${baseOffset}: epoch ${producerEpoch} of producer ${producerId} after ${newest}`,
      );
    }
    epochs.set(producerId, producerEpoch);
  }
}

function checkRecords(model: TransactionModel, partition: ModelPartition, committed: Whole): void {
  const { shape } = partition.topic;
  model.counts.audited += committed.shown.length;
  const there = new Set(committed.shown.map(({ recordKey }) => recordKey));
  const { logStartOffset } = committed;
  if (shape.isCompacted) checkNewest(model, partition, committed, there);
  else {
    for (const [offset, recordKey] of partition.acked) {
      if (offset < logStartOffset || there.has(recordKey)) continue;
      const transaction = model.author(Math.floor(recordKey / 0x100000000))?.transaction;
      if (transaction !== null && transaction?.end !== "committed") continue;
      model.fail(SURVIVES, `${partition.label} ${offset}: ${nameOf(recordKey)} is gone`);
    }
  }
  checkSequences(model, partition, committed, shape.isCompacted || logStartOffset > 0);
}

/** Each author's records once, in order; all of them where none may be missing. */
function checkSequences(
  model: TransactionModel,
  partition: ModelPartition,
  { shown }: Whole,
  mayLack: boolean,
): void {
  const counts = new Map<number, number>();
  const last = new Map<number, number>();
  for (const { author: number, sequence, offset } of shown) {
    const author = model.author(number)!;
    const before = last.get(number) ?? -1;
    last.set(number, sequence);
    counts.set(number, (counts.get(number) ?? 0) + 1);
    // A plain one sends what it gave up on once, whenever it arrives.
    if (!author.isIdempotent) continue;
    const isNext = mayLack ? sequence > before : sequence === before + 1;
    if (isNext) continue;
    model.fail(
      ORDER,
      `${partition.label} ${offset}: record ${sequence} of author ${number} after ${before}`,
    );
  }
  if (mayLack) return;
  for (const [number, count] of counts) {
    const { transaction, sent } = model.author(number)!;
    const due = sent.get(partition)?.length ?? 0;
    if (transaction !== null && count !== due) {
      const { label } = transaction;
      model.fail(WHOLE, `${partition.label} has ${count} of ${due} records of ${label}`);
    }
  }
}

/** Of each key a reader from the start ends with the newest record that was committed. */
function checkNewest(
  model: TransactionModel,
  partition: ModelPartition,
  { shown, logStartOffset }: Whole,
  there: ReadonlySet<number>,
): void {
  const newest = new Map<number, { offset: number; recordKey: number; isTombstone: boolean }>();
  const known = new Map([...partition.seen, ...partition.acked]);
  for (const [offset, recordKey] of known) {
    if (offset < logStartOffset) continue;
    const author = model.author(Math.floor(recordKey / 0x100000000))!;
    const { transaction } = author;
    if (transaction !== null && transaction.end !== "committed") continue;
    const { key, isTombstone } = author.sent.get(partition)![recordKey % 0x100000000]!;
    const before = newest.get(key);
    if (before === undefined || before.offset < offset) {
      newest.set(key, { offset, recordKey, isTombstone });
    }
  }
  for (const [key, { offset, recordKey, isTombstone }] of newest) {
    if (there.has(recordKey)) continue;
    // A tombstone may go, and then nothing before it may be there.
    const older = isTombstone
      ? shown.find((record) => keyOf(model, partition, record) === key)
      : undefined;
    if (isTombstone && older === undefined) continue;
    model.fail(
      NEWEST,
      `${partition.label}: ${nameOf(recordKey)} at ${offset} is the newest of key ${key}, and is gone`,
    );
  }
}

function keyOf(model: TransactionModel, partition: ModelPartition, record: FetchedRecord): number {
  return model.author(record.author)!.sent.get(partition)![record.sequence]!.key;
}

async function stableOffsets(
  client: SimClient,
  model: TransactionModel,
  group: ModelGroup,
): Promise<ReadonlyMap<number, number>> {
  const all = group.input.partitions.map(({ index }) => index);
  const { world } = model;
  const untilUs = world.nowUs + PATIENCE_US;
  for (;;) {
    const found = await offsetsOf(client, { model, group }, all, true);
    if (found.size === all.length || world.failure !== null) return found;
    if (world.nowUs > untilUs) model.fail(ENDS, `offsets of ${group.groupId} are still pending`);
    await client.backOff();
  }
}

/** What is shown of the input before the committed offset has one output that is shown, and nothing else has. */
function checkOnce(
  model: TransactionModel,
  group: ModelGroup,
  input: ModelTopic,
  output: ModelTopic,
  offsets: ReadonlyMap<number, number>,
  shownIn: ReadonlyMap<ModelPartition, readonly FetchedRecord[]>,
): void {
  const made = new Map<string, number>();
  for (const partition of output.partitions) {
    for (const { author, sequence } of shownIn.get(partition) ?? []) {
      const { source } = model.author(author)!.sent.get(partition)![sequence]!;
      if (source?.startsWith(`${group.groupId}: `)) made.set(source, (made.get(source) ?? 0) + 1);
    }
  }
  for (const partition of input.partitions) {
    const committed = Math.max(offsets.get(partition.index) ?? -1, 0);
    for (const { offset } of shownIn.get(partition) ?? []) {
      const source = `${group.groupId}: ${partition.index}/${offset}`;
      const count = made.get(source) ?? 0;
      made.delete(source);
      const due = offset < committed ? 1 : 0;
      if (count === due) continue;
      model.fail(ONCE, `input ${source} has ${count} outputs, and ${committed} is committed`);
    }
    // What a producer gave up on may arrive after the loops have ended.
    const end = partition.endOfLoops;
    if (committed < end) {
      model.fail(ONCE, `${group.groupId}: ${partition.label} was read to ${committed} of ${end}`);
    }
  }
  for (const source of made.keys()) {
    model.fail(ONCE, `an output is of input ${source}, which nobody is shown`);
  }
}

/** Nobody is in the middle of anything, and how ids ended last is how the model knows it. */
export async function checkCoordinators(
  client: Pick<SimClient, "backOff">,
  connection: Pick<SimConnection, "request">,
  model: TransactionModel,
): Promise<void> {
  const ids = [...model.ids.values()].filter(({ taken }) => taken.length > 0);
  if (ids.length === 0) return;
  const untilUs = model.world.nowUs + PATIENCE_US;
  while (model.world.failure === null) {
    const listed = await connection.request(ListTransactions, 0, {
      stateFilters: [],
      producerIdFilters: [],
    });
    const described = await connection.request(DescribeTransactions, 0, {
      transactionalIds: ids.map(({ name }) => name),
    });
    const states = new Map(
      listed.transactionStates.map((each) => [each.transactionalId, each.transactionState]),
    );
    const passes = described.transactionStates.some((each) => {
      const code = errorByCode(each.errorCode)?.code;
      // It may have expired between the two answers: then the next list is without it.
      if (code === "transactional_id_not_found") {
        return model.options.idsExpire && states.has(each.transactionalId);
      }
      return code !== undefined || !AT_REST.has(each.transactionState);
    });
    // A shard that loads now, and what it finds open, have their time.
    const ends = listed.transactionStates.some((each) => !AT_REST.has(each.transactionState));
    if ((listed.errorCode !== 0 || passes || ends) && model.world.nowUs < untilUs) {
      await client.backOff();
      continue;
    }
    for (const each of described.transactionStates) {
      checkState(model, each, states.get(each.transactionalId));
    }
    return;
  }
}

function checkState(
  model: TransactionModel,
  described: {
    readonly transactionalId: string;
    readonly transactionState: string;
    readonly errorCode: number;
  },
  listed: string | undefined,
): void {
  const { transactionalId, transactionState: state, errorCode } = described;
  if (errorCode !== 0) {
    if (model.options.idsExpire && listed === undefined) return;
    model.fail(DESCRIBED, `${transactionalId} is forgotten (listed as ${listed})`);
    return;
  }
  // Both were asked one after the other, and nothing happens any more but that ids expire.
  if (listed !== state)
    model.fail(DESCRIBED, `${transactionalId} is ${state}, listed as ${listed}`);
  if (!AT_REST.has(state)) {
    model.fail(ENDS, `${transactionalId} is ${state} when all is over`);
  }
  const id = model.ids.get(transactionalId)!;
  const last = model.transactions.filter((each) => each.id === id && each.joined.size > 0).at(-1);
  if (last === undefined || last.end === null || id.mayBeSuperseded(last.ask)) return;
  const due = last.end === "committed" ? "CompleteCommit" : "CompleteAbort";
  // By the newer protocol an abort of nothing may have followed.
  const mayBe = [due, ...(last.end === "aborted" ? ["Empty"] : [])];
  const isLater = model.transactions.some((each) => each.id === id && each.begunUs > last.begunUs);
  if (isLater || mayBe.includes(state)) return;
  model.fail(DESCRIBED, `${transactionalId} is ${state}, and ${last.label} was ${last.end}`);
}

async function checkProducers(connection: SimConnection, model: TransactionModel): Promise<void> {
  const response = await connection.request(DescribeProducers, 0, {
    topics: model.topics.map(({ shape, partitions }) => ({
      name: shape.name,
      partitionIndexes: partitions.map(({ index }) => index),
    })),
  });
  for (const { name, partitions } of response.topics) {
    for (const { partitionIndex, errorCode, activeProducers } of partitions) {
      const open = activeProducers.find((each) => each.currentTxnStartOffset >= 0);
      if (errorCode === 0 && open === undefined) continue;
      const what = errorByCode(errorCode)?.code ?? `producer ${open?.producerId} has one open`;
      model.fail(ENDS, `${name}/${partitionIndex} when all is over: ${what}`);
    }
  }
}
