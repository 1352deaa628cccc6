// Which protocols the members of a group know, and which of them it goes by.
// Kafka: ClassicGroup.selectProtocol, candidateProtocols.

import { assert } from "../../../../base/assert.ts";
import type { ClassicMember, JoinProtocol } from "./member.ts";

export class ProtocolVotes {
  readonly #counts = new Map<string, number>();

  /** Of the protocols of one member. */
  add(protocols: readonly JoinProtocol[]): void {
    for (const { name } of protocols) this.#counts.set(name, this.count(name) + 1);
  }

  remove(protocols: readonly JoinProtocol[]): void {
    for (const { name } of protocols) {
      const count = this.count(name) - 1;
      if (count === 0) this.#counts.delete(name);
      else this.#counts.set(name, count);
    }
  }

  /** Members who know the protocol. */
  count(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** Each member votes for the first of its own that all know; of those with the most votes, the first one voted for. */
  winner(members: Iterable<ClassicMember>, memberCount: number): string {
    const votes = new Map<string, number>();
    let winner: string | null = null;
    for (const { protocols } of members) {
      const choice = protocols.find(({ name }) => this.count(name) === memberCount);
      if (choice !== undefined) votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1);
    }
    for (const [name, count] of votes) {
      if (winner === null || count > votes.get(winner)!) winner = name;
    }
    assert(winner !== null, "all members know one protocol at least");
    return winner;
  }
}
