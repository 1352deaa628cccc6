// What must hold of a cluster whatever befell it, said of what its clients saw. Invariant: it believes clients alone, knows
// nothing of who the cluster is, and what Kafka promises to acks=all, to transactions and to groups is all that it asks.

import type { History, Partition, Sent, Session } from "./history.ts";

export type Rule =
  | "nothing_acknowledged_is_lost"
  | "one_record_an_offset"
  | "nothing_is_written_twice"
  | "order_is_kept"
  | "nothing_is_invented"
  | "aborted_is_never_seen"
  | "transactions_are_whole"
  | "what_was_read_stays"
  | "readers_skip_nothing"
  | "group_offsets_never_go_back";

export const RULES: readonly Rule[] = [
  "nothing_acknowledged_is_lost",
  "one_record_an_offset",
  "nothing_is_written_twice",
  "order_is_kept",
  "nothing_is_invented",
  "aborted_is_never_seen",
  "transactions_are_whole",
  "what_was_read_stays",
  "readers_skip_nothing",
  "group_offsets_never_go_back",
];

export interface Fault {
  readonly rule: Rule;
  readonly text: string;
}

/** All that is wrong, rule by rule. */
export function faultsOf(history: History): Fault[] {
  const faults: Fault[] = [];
  const blame = (rule: Rule, text: string): void => {
    faults.push({ rule, text });
  };
  for (const [place, partition] of history.partitions) judgeLog(place, partition, blame);
  judgeTransactions(history, blame);
  judgeReaders(history, blame);
  judgeOffsets(history, blame);
  return faults;
}

type Blame = (rule: Rule, text: string) => void;

function judgeLog(place: string, partition: Partition, blame: Blame): void {
  const { sent, log, visible } = partition;
  const offsetOf = new Map<string, number>();
  for (const [offset, name] of [...log].sort((a, b) => a[0] - b[0])) {
    const first = offsetOf.get(name);
    if (first !== undefined) {
      blame("nothing_is_written_twice", `${place}: ${name} is at ${first} and at ${offset}`);
    } else offsetOf.set(name, offset);
    if (!sent.has(name)) {
      blame("nothing_is_invented", `${place}: ${name} at ${offset} was never sent`);
    }
  }
  for (const [offset, name] of visible) {
    if (log.get(offset) !== name) {
      const other = log.get(offset) ?? "nothing";
      blame(
        "one_record_an_offset",
        `${place}: ${offset} is ${name} to one reader, ${other} to one`,
      );
    }
  }
  const acknowledged = new Map<number, string>();
  const last = new Map<string, { seq: number; offset: number; name: string }>();
  for (const [name, each] of sent) {
    if (each.ackedMs < 0) continue;
    const other = acknowledged.get(each.offset);
    if (other !== undefined && each.offset >= 0) {
      const text = `${place}: ${other} and ${name} were both acknowledged at ${each.offset}`;
      blame("one_record_an_offset", text);
    }
    acknowledged.set(each.offset, name);
    judgeAcknowledged(place, name, each, log, offsetOf, blame);
    if (each.transaction === 0 && log.get(each.offset) === name && !visible.has(each.offset)) {
      const text = `${place}: ${name} at ${each.offset} is not shown to who reads what is committed`;
      blame("nothing_acknowledged_is_lost", text);
    }
    const at = offsetOf.get(name);
    if (at === undefined) continue;
    const before = last.get(each.producer);
    if (before !== undefined && at < before.offset) {
      blame("order_is_kept", `${place}: ${name} at ${at} is before ${before.name}`);
    }
    last.set(each.producer, { seq: each.seq, offset: at, name });
  }
}

function judgeAcknowledged(
  place: string,
  name: string,
  sent: Sent,
  log: ReadonlyMap<number, string>,
  offsetOf: ReadonlyMap<string, number>,
  blame: Blame,
): void {
  // Some clients acknowledge a record that had been written before without its offset.
  if (sent.offset < 0 ? offsetOf.has(name) : log.get(sent.offset) === name) return;
  const elsewhere = offsetOf.get(name);
  const there = log.get(sent.offset);
  const found = there === undefined ? "nothing" : there;
  const where = elsewhere === undefined ? "it is nowhere" : `it is at ${elsewhere}`;
  const text = `${place}: ${name} was acknowledged at ${sent.offset}; there is ${found}; ${where}`;
  blame("nothing_acknowledged_is_lost", text);
}

function judgeTransactions(history: History, blame: Blame): void {
  const shown = new Map<string, ReadonlySet<string>>();
  for (const [place, { visible }] of history.partitions)
    shown.set(place, new Set(visible.values()));
  for (const [key, { ending, records, wasCommitAsked }] of history.transactions) {
    const seen = records.filter(({ place, name }) => shown.get(place)!.has(name));
    const first = (of: typeof records): string => `${of[0]!.name} in ${of[0]!.place}`;
    if (ending === "committed" || (wasCommitAsked && ending !== "aborted" && seen.length > 0)) {
      if (seen.length === records.length) continue;
      const missing = records.filter((each) => !seen.includes(each));
      const text = `${key} (${ending}): ${seen.length} of ${records.length} seen, not ${first(missing)}`;
      blame("transactions_are_whole", text);
    } else if (seen.length > 0) {
      const text = `${key} (${ending}): ${first(seen)} is seen, of ${seen.length}`;
      blame("aborted_is_never_seen", text);
    }
  }
}

/** Offsets that a reader of one kind has to be given, in order, and the index of each. */
interface Expected {
  readonly offsets: readonly number[];
  readonly indexOf: ReadonlyMap<number, number>;
}

function expected(of: ReadonlyMap<number, string>): Expected {
  const offsets = [...of.keys()].sort((a, b) => a - b);
  return { offsets, indexOf: new Map(offsets.map((offset, index) => [offset, index])) };
}

/** The index of the first offset that is not before `from`. */
function indexFrom(offsets: readonly number[], from: number): number {
  let low = 0;
  let high = offsets.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offsets[middle]! < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

function judgeReaders(history: History, blame: Blame): void {
  const kinds = new Map<string, { all: Expected; committed: Expected }>();
  for (const [place, { log, visible }] of history.partitions) {
    kinds.set(place, { all: expected(log), committed: expected(visible) });
  }
  const read = new Map<string, Set<number>>();
  for (const session of history.sessions) {
    const isCommittedOnly = history.isolation.get(session.group) === true;
    const partition = history.partitions.get(session.place);
    if (partition === undefined) continue; // nothing was ever sent or read there
    const kind = kinds.get(session.place)!;
    const wanted = isCommittedOnly ? kind.committed : kind.all;
    judgeSession(session, isCommittedOnly, partition, wanted, blame);
    const key = `${session.group} ${session.place}`;
    const offsets = read.get(key) ?? new Set();
    for (const { offset } of session.seen) offsets.add(offset);
    read.set(key, offsets);
  }
  // What a group has committed, somebody in it was given.
  for (const [key, end] of history.finalOffsets) {
    const [group, place] = key.split(" ") as [string, string];
    const kind = kinds.get(place);
    if (kind === undefined) continue;
    const { offsets } = history.isolation.get(group) === true ? kind.committed : kind.all;
    const missing = offsets.filter((offset) => offset < end && !read.get(key)?.has(offset));
    if (missing.length > 0) {
      const text = `${place}: ${group} is at ${end}, and nobody read ${missing.length}, as ${missing[0]}`;
      blame("readers_skip_nothing", text);
    }
  }
}

function judgeSession(
  session: Session,
  isCommittedOnly: boolean,
  { log, visible }: Partition,
  { offsets, indexOf }: Expected,
  blame: Blame,
): void {
  const who = `${session.place}: ${session.member}`;
  let next = session.position < 0 ? -1 : indexFrom(offsets, session.position);
  for (const { offset, name } of session.seen) {
    if (log.get(offset) !== name) {
      const now = log.get(offset) ?? "nothing";
      blame("what_was_read_stays", `${who} read ${name} at ${offset}, where now ${now} is`);
      continue;
    }
    if (isCommittedOnly && visible.get(offset) !== name) {
      blame("aborted_is_never_seen", `${who} read ${name} at ${offset}, which is not committed`);
      continue;
    }
    const index = indexOf.get(offset)!;
    if (next >= 0 && index > next) {
      const text = `${who} was given ${offset}, and not ${offsets[next]} before it`;
      blame("readers_skip_nothing", text);
    } else if (next >= 0 && index < next) {
      blame("order_is_kept", `${who} was given ${offset} after ${offsets[next - 1] ?? "its end"}`);
    }
    next = index + 1;
  }
}

function judgeOffsets(history: History, blame: Blame): void {
  const rule = "group_offsets_never_go_back";
  const done = new Map<string, { doneMs: number; offset: number; member: string }[]>();
  for (const commit of [...history.commits].sort((a, b) => a.doneMs - b.doneMs)) {
    const key = `${commit.group} ${commit.place}`;
    const all = done.get(key) ?? [];
    const most = all.at(-1);
    // Each entry has the most that was committed by then.
    if (most === undefined || commit.offset > most.offset) all.push(commit);
    else all.push({ ...most, doneMs: commit.doneMs });
    done.set(key, all);
  }
  const before = (key: string, ms: number) => {
    const all = done.get(key) ?? [];
    let low = 0;
    let high = all.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (all[middle]!.doneMs < ms) low = middle + 1;
      else high = middle;
    }
    return all[low - 1];
  };
  for (const commit of history.commits) {
    const key = `${commit.group} ${commit.place}`;
    const earlier = before(key, commit.askedMs);
    if (earlier !== undefined && earlier.offset > commit.offset) {
      const text = `${key}: ${commit.member} committed ${commit.offset} after ${earlier.offset}`;
      blame(rule, `${text} of ${earlier.member} was`);
    }
  }
  for (const session of history.sessions) {
    // Where it began is what it was given first, if it did not say.
    const position = session.position < 0 ? session.seen[0]?.offset : session.position;
    if (position === undefined) continue;
    const key = `${session.group} ${session.place}`;
    const earlier = before(key, session.atMs);
    if (earlier !== undefined && earlier.offset > position) {
      const text = `${key}: ${session.member} began at ${position}`;
      blame(rule, `${text}, where ${earlier.offset} of ${earlier.member} was committed`);
    }
  }
  for (const [key, offset] of history.finalOffsets) {
    const partition = history.partitions.get(key.split(" ")[1]!);
    if (partition !== undefined && partition.end >= 0 && offset > partition.end) {
      blame(rule, `${key}: ${offset} in the end, past the log's end at ${partition.end}`);
    }
  }
  for (const [key] of done) {
    const most = before(key, Number.POSITIVE_INFINITY)!;
    const end = history.finalOffsets.get(key) ?? -1;
    if (end < most.offset) {
      blame(rule, `${key}: ${end} in the end, where ${most.offset} was committed`);
    }
  }
}
