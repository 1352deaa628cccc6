// metadata-parent: the metadata store of brokers that one parent process started, which keeps it: `millrace cluster start` and
// `workers`. Invariant: a session is lost by our own clock before the parent may let it go; a connection that broke means
// that the parent has died, which is final: sessions are lost at once, and every call fails from then on.

import { MetadataStoreError } from "../../src/contracts/errors.ts";
import type {
  CommitResult,
  Entry,
  MetadataStore,
  MetadataStorePlugin,
  RevisionChanges,
  Session,
  Transaction,
} from "../../src/contracts/metadata_store.ts";
import type { Runtime } from "../../src/contracts/runtime.ts";
import { checkedBytes } from "../../src/metadata/transactions.ts";
import { ParentSession } from "./parent_session.ts";
import {
  type Ask,
  base64Of,
  changesOf,
  closedError,
  entryOf,
  FrameChannel,
  type Say,
} from "./wire.ts";

export { type ServedStore, serveStore } from "./serve.ts";

/** What metadataParent takes: the parent gives both to those it starts. */
export interface ParentMetadataOptions {
  /** The loopback port that the parent serves its store on. */
  readonly port: number;
  readonly token: string;
}

const CONNECT_MS_MAX = 10_000;
/** Calls under way at once; one more fails. */
const CALLS_MAX = 10_000;
/** Changes that wait for one watch; beyond it the watch is told to read again. */
const WATCH_CHANGES_MAX = 10_000;

/** A store that the parent of this process keeps. */
export function metadataParent(options: ParentMetadataOptions): MetadataStorePlugin {
  return {
    kind: "metadata_store",
    name: "parent",
    contract: 1,
    isShared: true,
    async open({ runtime }): Promise<MetadataStore> {
      const store = new ParentMetadata(runtime);
      await store.connect(options);
      return store;
    },
  };
}

interface Call {
  readonly entries: Entry[];
  resolve(done: unknown): void;
  reject(error: Error): void;
}

/** A watch under way: what came and was not taken yet. */
interface Watch {
  readonly changes: (RevisionChanges | "reset")[];
  /** Null while it goes on. */
  end: Error | "ended" | null;
  wake: (() => void) | null;
}

type Asked = Ask extends infer Each ? (Each extends Ask ? Omit<Each, "id"> : never) : never;

class ParentMetadata implements MetadataStore {
  readonly #runtime: Runtime;
  #channel: FrameChannel | null = null;
  readonly #calls = new Map<number, Call>();
  readonly #watches = new Map<number, Watch>();
  readonly #sessions = new Set<ParentSession>();
  #lastId = 0;
  #failure: MetadataStoreError | null = null;
  #closing: Promise<void> | null = null;
  #onQuiet: () => void = () => {};

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  async connect({ port, token }: ParentMetadataOptions): Promise<void> {
    const { network, scheduler } = this.#runtime;
    try {
      const at = { host: "127.0.0.1", port, timeoutMs: CONNECT_MS_MAX };
      this.#channel = new FrameChannel(await network.connect(at));
    } catch (error) {
      throw new MetadataStoreError(
        "unavailable",
        `Cannot open the parent's metadata store at port ${port}`,
        { cause: error },
      );
    }
    const channel = this.#channel;
    scheduler.spawn("metadata_parent_reader", async () => {
      for await (const message of channel.frames()) this.#take(message as Say);
      this.#fail(new MetadataStoreError("unavailable", "The parent's metadata store has gone"));
    });
    await this.#ask({ op: "hello", token });
  }

  async read(prefix: string): Promise<{ revision: number; entries: readonly Entry[] }> {
    this.#mustBeOpen();
    const entries: Entry[] = [];
    const revision = (await this.#ask({ op: "read", prefix }, entries)) as number;
    return { revision, entries };
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    this.#mustBeOpen();
    checkedBytes(transaction, {
      has: (session) => this.#sessions.has(session as ParentSession) && !session.lost.aborted,
    });
    const result = await this.#ask({
      op: "commit",
      conditions: transaction.conditions.map(({ key, revision }) => [key, revision] as const),
      writes: transaction.writes.map(
        ({ key, value, session }) =>
          [key, value === null ? null : base64Of(value), session?.id ?? null] as const,
      ),
    });
    return result as CommitResult;
  }

  watch(
    prefix: string,
    revision: number,
    signal: AbortSignal,
  ): AsyncIterable<RevisionChanges | "reset"> {
    this.#mustBeOpen();
    return this.#follow(prefix, revision, signal);
  }

  async session(ttlMs: number): Promise<Session> {
    this.#mustBeOpen();
    const sentMs = this.#runtime.clock.monotonicMs();
    const [id, heldMs] = (await this.#ask({ op: "session", ttlMs })) as [string, number];
    const session: ParentSession = new ParentSession({
      id,
      ttlMs: heldMs,
      sentMs,
      runtime: this.#runtime,
      renew: () => this.#ask({ op: "renew", session: id }),
      end: () => this.#ask({ op: "end", session: id }),
      onGone: () => void this.#sessions.delete(session),
    });
    this.#sessions.add(session);
    return session;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const ends = await Promise.allSettled([...this.#sessions].map((session) => session.end()));
    while (this.#calls.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onQuiet = resolve;
      });
    }
    this.#fail(closedError());
    const failed = ends.find((end) => end.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  #ask(ask: Asked, entries: Entry[] = []): Promise<unknown> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#calls.size >= CALLS_MAX) {
      return Promise.reject(
        new MetadataStoreError("unavailable", `${CALLS_MAX} calls of the parent wait already`),
      );
    }
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { entries, resolve, reject });
      void this.#channel!.send({ ...ask, id } as Ask);
    });
  }

  async *#follow(
    prefix: string,
    revision: number,
    signal: AbortSignal,
  ): AsyncGenerator<RevisionChanges | "reset"> {
    if (signal.aborted) return;
    if (this.#failure !== null) throw this.#failure;
    const id = ++this.#lastId;
    const watch: Watch = { changes: [], end: null, wake: null };
    const onAbort = () => {
      watch.end ??= "ended";
      watch.wake?.();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#watches.set(id, watch);
    void this.#channel!.send({ id, op: "watch", prefix, revision });
    try {
      for (;;) {
        if (signal.aborted) return;
        const next = watch.changes.shift();
        if (next !== undefined) {
          yield next;
          if (next === "reset") return;
          continue;
        }
        if (watch.end === "ended") return;
        if (watch.end !== null) throw watch.end;
        await new Promise<void>((resolve) => {
          watch.wake = resolve;
        });
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#watches.delete(id);
      void this.#channel!.send({ id, op: "unwatch" });
    }
  }

  #take(say: Say): void {
    const { id } = say;
    const watch = this.#watches.get(id);
    if (watch !== undefined) {
      this.#takeOfWatch(watch, say);
      return;
    }
    const call = this.#calls.get(id);
    if (call === undefined) return;
    if ("part" in say) {
      for (const each of say.part) call.entries.push(entryOf(each));
      return;
    }
    this.#calls.delete(id);
    if ("fault" in say) call.reject(new MetadataStoreError(...say.fault));
    else if ("done" in say) call.resolve(say.done);
    if (this.#calls.size === 0) this.#onQuiet();
  }

  #takeOfWatch(watch: Watch, say: Say): void {
    if ("reset" in say) watch.changes.push("reset");
    else if ("fault" in say) watch.end ??= new MetadataStoreError(...say.fault);
    else if ("done" in say) watch.end ??= "ended";
    else if ("change" in say && watch.changes.at(-1) !== "reset") {
      if (watch.changes.length < WATCH_CHANGES_MAX) watch.changes.push(changesOf(say.change));
      else watch.changes.splice(0, watch.changes.length, "reset");
    }
    watch.wake?.();
  }

  #fail(failure: MetadataStoreError): void {
    if (this.#failure !== null) return;
    this.#failure = failure;
    this.#channel?.close();
    for (const session of [...this.#sessions]) session.lose("the parent has gone");
    for (const call of this.#calls.values()) call.reject(failure);
    this.#calls.clear();
    this.#onQuiet();
    for (const watch of this.#watches.values()) {
      watch.end ??= failure;
      watch.wake?.();
    }
  }

  #mustBeOpen(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#closing !== null) throw closedError();
  }
}
