// What the members of the two npm clients share: lines in, facts out. host.ts has the words.
import { createInterface } from "node:readline";

/** Says one fact. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Says what a member owns now. */
export function sayOwned(name: string, partitions: readonly number[]): void {
  const sorted = [...partitions].sort((a, b) => a - b);
  say(`assigned ${name} ${sorted.length === 0 ? "-" : sorted.join(",")}`);
}

/** A member that runs; `leave` ends it, its last commit included. */
export interface RunningMember {
  leave(): Promise<void>;
}

export type MemberOptions = Readonly<Record<string, string | undefined>>;

/** Starts members and ends them, as the lines on standard input say. */
export async function leadMembers(
  join: (name: string, options: MemberOptions) => Promise<RunningMember>,
): Promise<void> {
  const members = new Map<string, Promise<RunningMember>>();
  for await (const line of createInterface({ input: process.stdin })) {
    const [verb, name = "", ...pairs] = line.split(" ");
    if (verb === "join") {
      const options = Object.fromEntries(
        pairs.map((pair) => {
          const at = pair.indexOf("=");
          return [pair.slice(0, at), pair.slice(at + 1)];
        }),
      );
      const member = join(name, options);
      member.catch((error: unknown) => say(`failed ${name} ${words(error)}`));
      members.set(name, member);
    } else if (verb === "leave") {
      void members
        .get(name)
        ?.then((member) => member.leave())
        .catch((error: unknown) => say(`failed ${name} ${words(error)}`))
        .finally(() => say(`left ${name}`));
    } else throw new Error(`verb ${verb}`);
  }
}

function words(error: unknown): string {
  const inner = (error as { errors?: unknown[] }).errors ?? [];
  return [String(error), ...inner.map(words)].join(" ").replaceAll("\n", " ");
}
