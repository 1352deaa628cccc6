// A process with members of one client. Words in: "join NAME name=value …", "leave NAME". Words out, a fact a line:
//   assigned NAME 0,1 | assigned NAME -     all that it owns now, also after a part was revoked
//   r NAME PARTITION OFFSET                 a record was handed to the application
//   lost NAME | left NAME | failed NAME why | note NAME what
// Options: group, topic (or pattern), protocol=classic|consumer, assignor, session, heartbeat (ms), instance,
// commit=auto|manual. Invariant: the lines of a process are in the order of what happened in it.
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";

export interface Member {
  readonly name: string;
  /** Null until it was told what it owns. */
  owned: ReadonlySet<number> | null;
  /** How often it was told what it owns. */
  assignments: number;
  hasLeft: boolean;
  isDead: boolean;
  failure: string;
}

export interface Listener {
  record(member: Member, partition: number, offset: number): void;
  assigned(member: Member): void;
}

export type MemberOptions = Readonly<Record<string, string | number | undefined>>;

/** What the scenarios need of a client's process. */
export interface Host {
  join(name: string, options: MemberOptions, listener: Listener): Member;
  leave(member: Member): void;
  /** Ends the process at once: its members die without a word. */
  kill(): void;
}

const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(130));

/** Hands over whole lines only: a process that is killed while it writes leaves a piece of one, which says nothing. */
function eachLine(from: Readable, onLine: (line: string) => void): void {
  let rest = "";
  from.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  });
}

function start(words: readonly string[], onLine: (line: string) => void, onEnd: () => void) {
  const child = spawn(words[0]!, words.slice(1), { stdio: ["pipe", "pipe", "pipe"] });
  children.add(child);
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-2000);
    if (process.env["VERBOSE"] !== undefined) process.stderr.write(text);
  });
  child.stdin.on("error", () => {}); // it was killed
  eachLine(child.stdout, onLine);
  child.once("exit", () => {
    children.delete(child);
    onEnd();
  });
  return { child, complaint: () => complaint.replaceAll("\n", " ") };
}

const words = (options: MemberOptions): string =>
  Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");

function memberOf(name: string): Member {
  return { name, owned: null, assignments: 0, hasLeft: false, isDead: false, failure: "" };
}

/** A program that leads many members. */
export class ProgramHost implements Host {
  readonly #program: ReturnType<typeof start>;
  readonly #members = new Map<string, { member: Member; listener: Listener }>();

  constructor(command: readonly string[]) {
    this.#program = start(
      command,
      (line) => this.#line(line),
      () => {
        for (const { member } of this.#members.values()) {
          if (member.hasLeft) continue;
          member.isDead = true;
          member.failure ||= `its process ended: ${this.#program.complaint().slice(-300)}`;
        }
      },
    );
  }

  join(name: string, options: MemberOptions, listener: Listener): Member {
    const member = memberOf(name);
    this.#members.set(name, { member, listener });
    this.#program.child.stdin.write(`join ${name} ${words(options)}\n`);
    return member;
  }

  leave(member: Member): void {
    this.#program.child.stdin.write(`leave ${member.name}\n`);
  }

  kill(): void {
    this.#program.child.kill("SIGKILL");
  }

  #line(line: string): void {
    if (process.env["VERBOSE"] !== undefined && !line.startsWith("r ")) console.error(line);
    const [verb, name = "", first = "", second] = line.split(" ");
    const found = this.#members.get(name);
    if (found === undefined) return;
    const { member, listener } = found;
    if (verb === "r") listener.record(member, Number(first), Number(second));
    else if (verb === "assigned") {
      member.owned = new Set(first === "-" ? [] : first.split(",").map(Number));
      member.assignments++;
      listener.assigned(member);
    } else if (verb === "left") {
      member.hasLeft = true;
      member.owned = new Set();
    } else if (verb === "failed") member.failure ||= line.slice(line.indexOf(name) + name.length);
  }
}

/** kcat -G: a process a member. It says on standard error what it was assigned. */
export class KcatHost implements Host {
  readonly #bootstrap: string;
  readonly #running = new Map<Member, ChildProcess>();

  constructor(bootstrap: string) {
    this.#bootstrap = bootstrap;
  }

  join(name: string, options: MemberOptions, listener: Listener): Member {
    const member = memberOf(name);
    const settings = [
      `session.timeout.ms=${options["session"]}`,
      `heartbeat.interval.ms=${options["heartbeat"]}`,
      `partition.assignment.strategy=${options["assignor"]}`,
      `client.id=${name}`,
      "auto.offset.reset=earliest",
      "auto.commit.interval.ms=200",
      "fetch.wait.max.ms=100",
      "topic.metadata.refresh.interval.ms=1000",
      ...(options["instance"] === undefined ? [] : [`group.instance.id=${options["instance"]}`]),
    ];
    const command = [
      "kcat",
      ...["-b", this.#bootstrap, "-u", "-f", "r %p %o\\n"],
      ...settings.flatMap((each) => ["-X", each]),
      ...["-G", String(options["group"]), String(options["topic"])],
    ];
    const { child } = start(
      command,
      (line) => {
        const [, partition, offset] = line.split(" ");
        listener.record(member, Number(partition), Number(offset));
      },
      () => {
        member.hasLeft = true;
        member.owned = new Set();
      },
    );
    eachLine(child.stderr!, (line) => {
      const found = /^% Group .* rebalanced .*: (assigned|revoked): ?(.*)$/.exec(line);
      if (found === null) return;
      const numbers = [...found[2]!.matchAll(/\[(\d+)\]/g)].map((each) => Number(each[1]));
      member.owned = new Set(found[1] === "assigned" ? numbers : []);
      member.assignments++;
      listener.assigned(member);
    });
    this.#running.set(member, child);
    return member;
  }

  leave(member: Member): void {
    this.#running.get(member)!.kill("SIGTERM");
  }

  kill(): void {
    for (const child of this.#running.values()) child.kill("SIGKILL");
  }
}
