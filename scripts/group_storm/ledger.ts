// What members of one group own and commit, seen from all of them at once: they live in one process, on one clock.
// Invariant: a fact is written down before the request that makes it known to others is sent, or after the answer that
// told it came; so whatever two facts contradict each other here contradict each other at the broker.

/** An owner is a member, or a static member's name, which outlives its members. */
export class Ledger {
  readonly violations: string[] = [];
  /** Highest committed offset of each partition that was acknowledged; -1: none. */
  readonly acked: number[];
  commits = 0;
  /** Partitions that were given away while their owner had not been heard for a session: the machine was too slow. */
  expired = 0;
  readonly #sessionMs: number;
  /** When each owner sent the last request that kept its session alive. */
  readonly #heardMs = new Map<string, number>();
  readonly #owners: (string | undefined)[];
  /** "epoch:partition" to its owner. */
  readonly #byEpoch = new Map<string, string>();

  constructor(partitions: number, sessionMs: number) {
    this.#sessionMs = sessionMs;
    this.acked = new Array(partitions).fill(-1);
    this.#owners = new Array(partitions).fill(undefined);
  }

  get epochs(): number {
    return new Set([...this.#byEpoch.keys()].map((key) => key.split(":")[0])).size;
  }

  ownerOf(partition: number): string | undefined {
    return this.#owners[partition];
  }

  /** A request that keeps the session of its member, and was sent then, has been answered without an error. */
  heard(owner: string, sentMs: number): void {
    this.#heardMs.set(owner, sentMs);
  }

  take(owner: string, epoch: number, partition: number, nowMs: number): void {
    const other = this.#owners[partition];
    if (other !== undefined && other !== owner) {
      // Its session may have ended before it knew, and began no earlier than it sent what was answered last.
      if (nowMs - (this.#heardMs.get(other) ?? nowMs) >= this.#sessionMs) this.expired++;
      else this.#wrong(`${owner} was given ${partition} in ${epoch} while ${other} owns it`);
    }
    const key = `${epoch}:${partition}`;
    const before = this.#byEpoch.get(key);
    if (before !== undefined && before !== owner)
      this.#wrong(`${partition} belongs to ${before} and to ${owner} in ${epoch}`);
    this.#byEpoch.set(key, owner);
    this.#owners[partition] = owner;
  }

  release(owner: string, partition: number): void {
    if (this.#owners[partition] === owner) this.#owners[partition] = undefined;
  }

  /** A member that is silent from now on: the broker may give away what it owns. */
  abandon(owner: string): void {
    for (const [partition, each] of this.#owners.entries())
      if (each === owner) this.#owners[partition] = undefined;
  }

  /** An acknowledged commit, with what was acknowledged and who owned it when it was sent. */
  committed(
    owner: string,
    partition: number,
    offset: number,
    before: { readonly acked: number; readonly owner: string | undefined },
  ): void {
    this.commits++;
    if (offset <= before.acked)
      this.#wrong(`${owner} set ${partition} to ${offset}, where ${before.acked} was committed`);
    const now = this.#owners[partition];
    if (before.owner !== undefined && before.owner === now && now !== owner)
      this.#wrong(`${owner} committed ${offset} of ${partition}, which is ${now}'s`);
    this.acked[partition] = Math.max(this.acked[partition]!, offset);
  }

  /** A committed offset that was read, with what was acknowledged when the question was sent. */
  found(by: string, partition: number, offset: number, ackedBefore: number): void {
    if (offset < ackedBefore)
      this.#wrong(`${by} found ${offset} for ${partition}, where ${ackedBefore} was acknowledged`);
  }

  #wrong(text: string): void {
    if (this.violations.length < 50) this.violations.push(text);
  }
}
