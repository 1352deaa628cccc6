// Which machines reach which: cut pairs, one way or both, slow pairs, and machines without power. Invariant: a cut holds
// bytes back and loses none of an open connection, as TCP sends them again; what times out meanwhile is up to those who wait.

/** What the simulated network asks on each way from one machine to another. */
export class Links {
  readonly #cut = new Set<string>();
  readonly #slowUs = new Map<string, number>();
  readonly #down = new Set<string>();

  isCut(from: string, to: string): boolean {
    return this.#cut.has(wayOf(from, to));
  }

  /** Microseconds that a way takes longer than the network's latency. */
  extraUs(from: string, to: string): number {
    return this.#slowUs.get(wayOf(from, to)) ?? 0;
  }

  isDown(machine: string): boolean {
    return this.#down.has(machine);
  }

  /** One way only. */
  cut(from: string, to: string): void {
    this.#cut.add(wayOf(from, to));
  }

  /** One way only. */
  slow(from: string, to: string, extraUs: number): void {
    this.#slowUs.set(wayOf(from, to), extraUs);
  }

  /** Both ways: nothing is cut or slow any more. */
  mend(one: string, other: string): void {
    for (const way of [wayOf(one, other), wayOf(other, one)]) {
      this.#cut.delete(way);
      this.#slowUs.delete(way);
    }
  }

  mendAll(): void {
    this.#cut.clear();
    this.#slowUs.clear();
  }

  /** Its power is gone, or back: nobody answers there, not even with a refusal. */
  setDown(machine: string, isDown: boolean): void {
    if (isDown) this.#down.add(machine);
    else this.#down.delete(machine);
  }
}

function wayOf(from: string, to: string): string {
  return `${from}>${to}`;
}
