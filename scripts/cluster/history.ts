// What clients saw of a cluster, as the lines of test/compat/cluster (and test/compat/rolling) tell it; times in milliseconds.
//   s T PRODUCER TOPIC PART SEQ TX  sent, in transaction TX (0: in none)      a T PRODUCER TOPIC PART SEQ OFFSET  acknowledged
//   x T PRODUCER TOPIC PART SEQ WHY failed     b|c|C|v|V|u T PRODUCER TX  begun, commit asked, done, abort asked, done, unknown
//   g GROUP ISOLATION     j T MEMBER GROUP TOPIC PART POSITION  given (-1: where is not known)     l …  taken      r … OFFSET NAME
//   O T0 T1 MEMBER GROUP TOPIC PART OFFSET  committed     in the end F|E TOPIC PART OFFSET NAME, Z F|E TOPIC PART END, G GROUP …

/** A record as its producer knows it. */
export interface Sent {
  readonly producer: string;
  readonly seq: number;
  /** Of the producer; 0: none. */
  readonly transaction: number;
  readonly atMs: number;
  /** -1: it was never acknowledged. */
  ackedMs: number;
  /** -1: it was never acknowledged. */
  offset: number;
  /** "" when it did not fail. */
  failure: string;
}

export type Ending = "open" | "committing" | "committed" | "aborting" | "aborted" | "unknown";

export interface Transaction {
  readonly producer: string;
  readonly serial: number;
  ending: Ending;
  /** Whether its commit was ever asked for. */
  wasCommitAsked: boolean;
  readonly records: { readonly place: string; readonly name: string }[];
}

/** One partition; its records go by the name "PRODUCER SEQ". */
export interface Partition {
  readonly sent: Map<string, Sent>;
  /** Offset to name: all that is in the log in the end. */
  readonly log: Map<number, string>;
  /** Offset to name: what of it is committed. */
  readonly visible: Map<number, string>;
  /** Exclusive; -1: nobody read it. */
  end: number;
}

/** From when a member was given a partition until it was taken. */
export interface Session {
  readonly member: string;
  readonly group: string;
  readonly place: string;
  readonly atMs: number;
  /** -1: it is not known. */
  readonly position: number;
  readonly seen: { readonly offset: number; readonly name: string }[];
}

export interface Commit {
  readonly member: string;
  readonly group: string;
  readonly place: string;
  readonly askedMs: number;
  readonly doneMs: number;
  readonly offset: number;
}

export class History {
  /** By "TOPIC/PARTITION", which is a place. */
  readonly partitions = new Map<string, Partition>();
  readonly transactions = new Map<string, Transaction>();
  readonly sessions: Session[] = [];
  readonly commits: Commit[] = [];
  /** Group to whether it reads only what is committed. */
  readonly isolation = new Map<string, boolean>();
  /** "GROUP PLACE" to where the group is in the end. */
  readonly finalOffsets = new Map<string, number>();
  readonly #open = new Map<string, Session>();

  /** Takes one line. @throws {Error} for one that is none of the above */
  line(line: string): void {
    const [kind, ...w] = line.split(" ");
    switch (kind) {
      case "s":
        this.#sent(w);
        return;
      case "a":
      case "x":
        this.#answered(kind, w);
        return;
      case "b":
      case "c":
      case "C":
      case "v":
      case "V":
      case "u":
        this.#transaction(kind, w);
        return;
      case "g":
        this.isolation.set(w[0]!, w[1] === "read_committed");
        return;
      case "j":
        this.#begin(w, number(w[5]));
        return;
      case "l":
        this.#open.delete(sessionKey(w));
        return;
      case "r": {
        const session = this.#open.get(sessionKey(w)) ?? this.#begin(w, -1);
        session.seen.push({ offset: number(w[5]), name: `${w[6]} ${w[7]}` });
        return;
      }
      case "O":
        this.commits.push({
          askedMs: number(w[0]),
          doneMs: number(w[1]),
          member: w[2]!,
          group: w[3]!,
          place: `${w[4]}/${w[5]}`,
          offset: number(w[6]),
        });
        return;
      case "F":
      case "E": {
        const { log, visible } = this.partition(`${w[0]}/${w[1]}`);
        (kind === "F" ? log : visible).set(number(w[2]), `${w[3]} ${w[4]}`);
        return;
      }
      case "Z":
        if (w[0] === "F") this.partition(`${w[1]}/${w[2]}`).end = number(w[3]);
        return;
      case "G":
        this.finalOffsets.set(`${w[0]} ${w[1]}/${w[2]}`, number(w[3]));
        return;
      default:
        throw new Error(`a history has no such line: ${line.slice(0, 100)}`);
    }
  }

  partition(place: string): Partition {
    let found = this.partitions.get(place);
    if (found === undefined) {
      found = { sent: new Map(), log: new Map(), visible: new Map(), end: -1 };
      this.partitions.set(place, found);
    }
    return found;
  }

  #sent([atMs, producer, topic, part, seq, serial]: string[]): void {
    const place = `${topic}/${part}`;
    const name = `${producer} ${seq}`;
    const sent: Sent = {
      producer: producer!,
      seq: number(seq),
      transaction: number(serial),
      atMs: number(atMs),
      ackedMs: -1,
      offset: -1,
      failure: "",
    };
    this.partition(place).sent.set(name, sent);
    if (sent.transaction === 0) return;
    const transaction = this.transactions.get(`${producer} ${serial}`);
    if (transaction === undefined) throw new Error(`${name} is sent in no transaction`);
    transaction.records.push({ place, name });
  }

  #answered(kind: "a" | "x", [atMs, producer, topic, part, seq, what]: string[]): void {
    const sent = this.partition(`${topic}/${part}`).sent.get(`${producer} ${seq}`);
    if (sent === undefined) throw new Error(`${producer} ${seq} has an answer, and was not sent`);
    if (kind === "x") sent.failure = what!;
    else {
      sent.ackedMs = number(atMs);
      sent.offset = number(what);
    }
  }

  #transaction(kind: string, [, producer, serial]: string[]): void {
    const key = `${producer} ${serial}`;
    if (kind === "b") {
      this.transactions.set(key, {
        producer: producer!,
        serial: number(serial),
        ending: "open",
        wasCommitAsked: false,
        records: [],
      });
      return;
    }
    const found = this.transactions.get(key);
    // An abort of what did not begin, because beginning it failed, is no news.
    if (found === undefined) return;
    if (kind === "c") found.wasCommitAsked = true;
    found.ending = ENDINGS[kind]!;
  }

  #begin(w: readonly string[], position: number): Session {
    const place = `${w[3]}/${w[4]}`;
    const session: Session = {
      member: w[1]!,
      group: w[2]!,
      place,
      atMs: number(w[0]),
      position,
      seen: [],
    };
    this.#open.set(sessionKey(w), session);
    this.sessions.push(session);
    return session;
  }
}

const ENDINGS: Readonly<Record<string, Ending>> = {
  c: "committing",
  C: "committed",
  v: "aborting",
  V: "aborted",
  u: "unknown",
};

/** Of the lines "KIND T MEMBER GROUP TOPIC PART …". */
const sessionKey = (w: readonly string[]): string => `${w[1]} ${w[2]} ${w[3]}/${w[4]}`;

function number(text: string | undefined): number {
  const value = Number(text);
  if (text === undefined || text === "" || !Number.isSafeInteger(value)) {
    throw new Error(`a history has a number here, not "${text}"`);
  }
  return value;
}
