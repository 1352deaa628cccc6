// The parent's side: one store, opened here, served to the brokers below this process on a loopback port.
// Invariant: who does not begin with the token is hung up on; a session is kept for the whole of its time to live after
// its last renewal came, also when the connection has gone, since the broker counts from before it was sent.

import { MetadataStoreError } from "../../src/contracts/errors.ts";
import type { MetadataStore, Session } from "../../src/contracts/metadata_store.ts";
import type { Connection, Listener, Runtime, Timer } from "../../src/contracts/runtime.ts";
import { type Ask, bytesOf, FrameChannel, wireEntry } from "./wire.ts";

/** Entries of a read that go in one frame, in bytes of their values. */
const PART_BYTES = 1024 * 1024;
/** Brokers of one parent, and a few connections of those that die. */
const CONNECTIONS_MAX = 1_000;
const WATCHES_MAX = 100;
const SESSION_MS_MIN = 100;
const SESSION_MS_MAX = 3_600_000;

/** A store that is served. */
export interface ServedStore {
  readonly port: number;
  /** Hangs up on everybody. The store itself stays open. */
  close(): Promise<void>;
}

/** Serves `store` on 127.0.0.1, at a port of the host's choice, to whoever knows `token`. */
export async function serveStore(
  store: MetadataStore,
  runtime: Runtime,
  token: string,
): Promise<ServedStore> {
  const server = new StoreServer(store, runtime, token);
  const listener = await runtime.network.listen({ host: "127.0.0.1", port: 0 }, (connection) =>
    server.accept(connection),
  );
  return server.started(listener);
}

interface Held {
  readonly session: Session;
  readonly ttlMs: number;
  timer: Timer;
}

class StoreServer {
  readonly #store: MetadataStore;
  readonly #runtime: Runtime;
  readonly #token: string;
  readonly #channels = new Set<FrameChannel>();
  readonly #sessions = new Map<string, Held>();

  constructor(store: MetadataStore, runtime: Runtime, token: string) {
    this.#store = store;
    this.#runtime = runtime;
    this.#token = token;
  }

  started(listener: Listener): ServedStore {
    return {
      port: listener.port,
      close: async () => {
        await listener.close();
        for (const channel of this.#channels) channel.close();
        for (const { timer } of this.#sessions.values()) timer.cancel();
        this.#sessions.clear();
      },
    };
  }

  accept(connection: Connection): void {
    if (this.#channels.size >= CONNECTIONS_MAX) {
      connection.close("too_many_connections");
      return;
    }
    const channel = new FrameChannel(connection);
    this.#channels.add(channel);
    this.#runtime.scheduler.spawn("metadata_parent", async () => {
      const watches = new Map<number, AbortController>();
      try {
        await this.#serve(channel, watches);
      } finally {
        for (const watch of watches.values()) watch.abort();
        channel.close();
        this.#channels.delete(channel);
      }
    });
  }

  async #serve(channel: FrameChannel, watches: Map<number, AbortController>): Promise<void> {
    let isIn = false;
    for await (const message of channel.frames()) {
      const ask = message as Ask;
      if (!isIn) {
        if (ask.op !== "hello" || !this.#isToken(ask.token)) return;
        isIn = true;
        void channel.send({ id: ask.id, done: null });
        continue;
      }
      if (ask.op === "watch") {
        if (watches.size >= WATCHES_MAX) return;
        const stop = new AbortController();
        watches.set(ask.id, stop);
        void this.#watch(channel, ask, stop.signal).finally(() => watches.delete(ask.id));
      } else if (ask.op === "unwatch") watches.get(ask.id)?.abort();
      else void this.#answer(channel, ask);
    }
  }

  /** Never rejects. */
  async #answer(channel: FrameChannel, ask: Ask): Promise<void> {
    const { id } = ask;
    try {
      await channel.send({ id, done: await this.#do(channel, ask) });
    } catch (error) {
      await channel.send({ id, fault: faultOf(error) });
    }
  }

  async #do(channel: FrameChannel, ask: Ask): Promise<unknown> {
    switch (ask.op) {
      case "read": {
        const { revision, entries } = await this.#store.read(ask.prefix);
        let part: ReturnType<typeof wireEntry>[] = [];
        let partBytes = 0;
        for (const entry of entries) {
          part.push(wireEntry(entry));
          partBytes += entry.key.length + entry.value.length;
          if (partBytes < PART_BYTES) continue;
          void channel.send({ id: ask.id, part });
          part = [];
          partBytes = 0;
        }
        void channel.send({ id: ask.id, part });
        return revision;
      }
      case "commit":
        return await this.#store.commit({
          conditions: ask.conditions.map(([key, revision]) => ({ key, revision })),
          writes: ask.writes.map(([key, value, session]) => ({
            key,
            value: value === null ? null : bytesOf(value),
            ...(session === null ? {} : { session: this.#held(session).session }),
          })),
        });
      case "session": {
        const ttlMs = Math.min(Math.max(ask.ttlMs, SESSION_MS_MIN), SESSION_MS_MAX);
        const session = await this.#store.session(ttlMs);
        this.#sessions.set(session.id, { session, ttlMs, timer: this.#expiry(session.id, ttlMs) });
        return [session.id, ttlMs];
      }
      case "renew": {
        const held = this.#held(ask.session);
        held.timer.cancel();
        held.timer = this.#expiry(ask.session, held.ttlMs);
        return null;
      }
      case "end":
        await this.#end(ask.session);
        return null;
      default:
        throw new MetadataStoreError("version", "Cannot do what a broker of another release asks");
    }
  }

  #held(id: string): Held {
    const held = this.#sessions.get(id);
    if (held !== undefined) return held;
    throw new MetadataStoreError("closed", `Cannot use session "${id}" as it has ended`);
  }

  #expiry(id: string, ttlMs: number): Timer {
    return this.#runtime.scheduler.after(ttlMs, "metadata_parent_session", () => {
      this.#runtime.log.info("metadata_session_expired", { session: id });
      this.#runtime.scheduler.spawn("metadata_parent_session_end", async () => {
        try {
          await this.#end(id);
        } catch (error) {
          // The store failed for good, and every commit says so; its next opening drops what is left.
          this.#runtime.log.error("metadata_session_not_ended", { error: String(error) });
        }
      });
    });
  }

  async #end(id: string): Promise<void> {
    const held = this.#sessions.get(id);
    if (held === undefined) return;
    this.#sessions.delete(id);
    held.timer.cancel();
    await held.session.end();
  }

  /** Never rejects. The next change goes when the host has taken the last one. */
  async #watch(
    channel: FrameChannel,
    { id, prefix, revision }: Extract<Ask, { op: "watch" }>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      for await (const changes of this.#store.watch(prefix, revision, signal)) {
        if (changes === "reset") await channel.send({ id, reset: true });
        else {
          const { revision: at, puts, deletes } = changes;
          await channel.send({ id, change: [at, puts.map(wireEntry), deletes] });
        }
      }
      await channel.send({ id, done: null });
    } catch (error) {
      await channel.send({ id, fault: faultOf(error) });
    }
  }

  #isToken(token: unknown): boolean {
    const encoder = new TextEncoder();
    const given = encoder.encode(String(token));
    return this.#runtime.crypto.timingSafeEqual(given, encoder.encode(this.#token));
  }
}

function faultOf(error: unknown): readonly [MetadataStoreError["code"], string] {
  if (error instanceof MetadataStoreError) return [error.code, error.message];
  return ["unavailable", error instanceof Error ? error.message : String(error)];
}
