// The sessions of a metadata store with one opener, which are lost by their end, the store's close, or
// another opener. Invariant: the id of a session differs from that of every other that ever wrote to the
// store, since entries are taken away by it.

import type { Session } from "../contracts/metadata_store.ts";

export class Sessions {
  readonly #prefix: string;
  readonly #drop: (id: string) => Promise<void>;
  readonly #live = new Set<LocalSession>();
  #made = 0;

  /**
   * @param prefix Differs from that of everybody who ever opened the store.
   * @param drop Takes away what was written with the session of that id.
   */
  constructor(prefix: string, drop: (id: string) => Promise<void>) {
    this.#prefix = prefix;
    this.#drop = drop;
  }

  begin(): Session {
    const session: LocalSession = new LocalSession(`${this.#prefix}-${++this.#made}`, () => {
      this.#live.delete(session);
      return this.#drop(session.id);
    });
    this.#live.add(session);
    return session;
  }

  /** Whether it began here and has not ended. */
  has(session: Session): boolean {
    return this.#live.has(session as LocalSession);
  }

  /** Ends all of them, and waits for each. @returns Why the first that failed did; null when none has. */
  async endAll(): Promise<Error | null> {
    const ended = await Promise.allSettled([...this.#live].map((session) => session.end()));
    return ended.find((end) => end.status === "rejected")?.reason ?? null;
  }

  /** Says that all of them are lost: somebody else takes away what was written with them. */
  loseAll(): void {
    for (const session of this.#live) session.lose();
  }
}

class LocalSession implements Session {
  readonly id: string;
  readonly #lost = new AbortController();
  readonly #onEnd: () => Promise<void>;
  #ending: Promise<void> | null = null;

  constructor(id: string, onEnd: () => Promise<void>) {
    this.id = id;
    this.#onEnd = onEnd;
  }

  /** Nobody else has the store open. */
  get heldUntilMs(): number {
    return this.#lost.signal.aborted ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  end(): Promise<void> {
    if (this.#ending === null) {
      this.lose();
      this.#ending = this.#onEnd();
    }
    return this.#ending;
  }

  lose(): void {
    this.#lost.abort();
  }
}
