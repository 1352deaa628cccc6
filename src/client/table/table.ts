// A compacted topic as a table: the newest value of every key, kept up to date by reading the log, and written
// through it.
// Invariant: reads wait until the table has been loaded once; a key's value never goes back to an older one; what
// `put` and `delete` have resolved for, every later read of this table sees.
// Kafka: GlobalKTable with its ReadOnlyKeyValueStore; goka's View.

import { ClientError, isRetriable } from "../client_error.ts";
import type { Codec } from "../codec.ts";
import type { ClientContext } from "../context.ts";
import { checkNames, checkOptions, type OptionNames } from "../option_checks.ts";
import type { Producer } from "../producer.ts";
import type { ProducerOptions } from "../producer_record.ts";
import { sleep, within } from "../waiting.ts";
import { type Decoder, KeyReader, type Stored } from "./key_reader.ts";
import { KeyStore } from "./key_store.ts";
import { RecordLookup } from "./record_lookup.ts";
import type {
  ScanOptions,
  TableEntry,
  TableOptions,
  TableStats,
  WatchOptions,
} from "./table_options.ts";
import { TableReader } from "./table_reader.ts";
import { afterPrefix, following, TableWatch } from "./table_watch.ts";

/** What a table is made with beside its options. */
export interface TableParts<K, V> {
  readonly name: string;
  readonly keys: Codec<K>;
  readonly values: Codec<V>;
  /** So long compaction keeps a tombstone, in ms. */
  readonly tombstonesMs: number;
  makeProducer(options: ProducerOptions): Producer;
  onClose(self: { close(): Promise<void> }): void;
}

const SCAN_NAMES: OptionNames<ScanOptions<unknown>> = {
  prefix: true,
  from: true,
  to: true,
  limit: true,
  reverse: true,
};
const WATCH_NAMES: OptionNames<WatchOptions<unknown>> = {
  key: true,
  prefix: true,
  from: true,
  bufferBytesMax: true,
  signal: true,
};
const WAIT_NAMES = { signal: true, timeoutMs: true } as const;
const BYTES_MAX = 128 * 1024 * 1024;
const BATCH_BYTES_MAX = 256 * 1024 * 1024;
const BUFFER_BYTES_MAX = 8 * 1024 * 1024;
/** Keys of a scan whose values are looked up together. */
const CHUNK_KEYS = 128;
const NO_BYTES = new Uint8Array(0);

/** Made by `Client.table`. */
export class Table<K = Uint8Array, V = Uint8Array> {
  /** The topic's. */
  readonly name: string;
  /** Resolves once everything was read that was decided when the table was opened. @throws {ClientError} what ended it before */
  readonly ready: Promise<void>;
  readonly #context: ClientContext;
  readonly #options: TableOptions;
  readonly #parts: TableParts<K, V>;
  readonly #store: KeyStore;
  readonly #reader: TableReader;
  readonly #values: KeyReader;
  readonly #decoder: Decoder<K, V>;
  readonly #started = deferred();
  readonly #closing = new AbortController();
  readonly #watches = new Set<TableWatch<K, V>>();
  #producer: Producer | null = null;
  #failure: unknown = null;
  #closed: Promise<void> | null = null;

  /** Made by `Client.table`. */
  constructor(context: ClientContext, options: TableOptions, parts: TableParts<K, V>) {
    const { keep = "values", bytesMax = BYTES_MAX, isolation = "read_committed" } = options;
    const { batchBytesMax = BATCH_BYTES_MAX, bufferBytesMax = BUFFER_BYTES_MAX } = options;
    this.name = parts.name;
    this.#context = context;
    this.#options = options;
    this.#parts = parts;
    this.#store = new KeyStore({ keep, bytesMax, random: context.runtime.random });
    this.#reader = new TableReader(
      context,
      {
        topic: parts.name,
        isolation,
        batchBytesMax,
        bufferBytesMax,
        tombstonesMs: parts.tombstonesMs,
        onFailed: (error) => this.#fail(error),
      },
      this.#store,
    );
    const lookup = new RecordLookup(context, {
      topic: parts.name,
      batchBytesMax,
      signal: this.#closing.signal,
    });
    this.#values = new KeyReader(context, this.#store, lookup, this.#reader);
    this.#decoder = decoderOf(parts.keys, parts.values);
    this.#store.onChange = (slot, record) => {
      for (const watch of this.#watches) watch.onChange(slot, record);
    };
    this.ready = this.#started.promise.then(() => this.#load(isolation));
    // Whoever reads is told.
    this.ready.catch(() => {});
  }

  /** Called once by whoever makes it. @throws {ClientError} when the partitions cannot be looked up */
  async start(): Promise<void> {
    const info = await this.#context.metadata.topic(this.name);
    await this.#reader.start(info);
    this.#started.resolve();
  }

  /** Keys that have a value, as far as the log was read. */
  get size(): number {
    return this.#store.size;
  }

  get stats(): TableStats {
    return {
      keys: this.#store.size,
      inLogOnly: this.#store.spilled,
      bytes: this.#store.sizeBytes,
      records: this.#reader.records,
      keyless: this.#reader.keyless,
      positions: this.#reader.positions,
    };
  }

  /**
   * The value of a key; undefined when it has none.
   *
   * @throws {ClientError} what ended the table, or what reading the log throws; and what the codec throws
   */
  async get(key: K): Promise<V | undefined> {
    const stored = await this.#read(this.#parts.keys.encode(key));
    return stored === null ? undefined : this.#decoder.value(stored.value);
  }

  /** The record of a key with where it lies; undefined when it has none. @throws as `get` */
  async entry(key: K): Promise<TableEntry<K, V> | undefined> {
    const bytes = this.#parts.keys.encode(key);
    const stored = await this.#read(bytes);
    return stored === null ? undefined : this.#decoder.entry(bytes, stored);
  }

  /** Whether a key has a value. Never reads the log. @throws as `get` */
  async has(key: K): Promise<boolean> {
    await this.#begin();
    return this.#store.find(this.#parts.keys.encode(key)) >= 0;
  }

  /**
   * Entries in the order of their keys' bytes. Each is as of when it is reached: what changes meanwhile behind the
   * place the scan has come to is seen, what changes before it is not.
   *
   * @throws {TypeError} for options that contradict each other; and as `get`
   */
  async *scan(options: ScanOptions<K> = {}): AsyncGenerator<TableEntry<K, V>, void, undefined> {
    checkNames(options, SCAN_NAMES, "a scan");
    checkOptions(options, { limit: 0 });
    const { keys } = this.#parts;
    const { prefix, from, to, reverse = false } = options;
    if (prefix !== undefined && (from !== undefined || to !== undefined)) {
      throw new TypeError("A scan has a prefix, or from and to: found both");
    }
    const first = prefix ?? from;
    let start: Uint8Array | null = first === undefined ? null : keys.encode(first);
    let end: Uint8Array | null = to === undefined ? null : keys.encode(to);
    if (prefix !== undefined) end = afterPrefix(start!);
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    await this.#begin();
    while (left > 0) {
      const slots = this.#store.order.range(start, end, Math.min(CHUNK_KEYS, left), reverse);
      if (slots.length === 0) return;
      const found = slots.map((slot) => this.#store.keyOf(slot));
      const last = found[found.length - 1]!;
      if (reverse) end = last;
      else start = following(last);
      const stored = await this.#values.readAll(found);
      for (const [i, key] of found.entries()) {
        const each = stored[i]!;
        // It was deleted on the way.
        if (each === null) continue;
        left--;
        yield this.#decoder.entry(key, each);
      }
      this.#requireOpen();
    }
  }

  /**
   * Tells of changes, from now on or beginning with what is there. Somebody slow is told of a key that changed
   * several times once, with its newest value.
   *
   * @throws {TypeError} for options that contradict each other
   */
  watch(options: WatchOptions<K> = {}): TableWatch<K, V> {
    checkNames(options, WATCH_NAMES, "a watch");
    checkOptions(options, { bufferBytesMax: 0 }, { from: ["now", "snapshot"] });
    const { key, prefix } = options;
    if (key !== undefined && prefix !== undefined) {
      throw new TypeError("A watch has a key or a prefix: found both");
    }
    this.#requireOpen();
    const which = key ?? prefix;
    const bytes = which === undefined ? NO_BYTES : this.#parts.keys.encode(which);
    const { ready } = this;
    const table = { store: this.#store, reader: this.#values, decoder: this.#decoder, ready };
    const isOneKey = key !== undefined;
    const watch = new TableWatch<K, V>(table, options, { bytes, isOneKey }, (self) => {
      this.#watches.delete(self);
    });
    if (!watch.isClosed) this.#watches.add(watch);
    return watch;
  }

  /**
   * Writes a key's value to the topic. Once it resolves, this table has it.
   *
   * @returns where the record lies
   * @throws {ClientError} what `Producer.send` throws, and what ended the table
   */
  async put(key: K, value: V): Promise<{ readonly partition: number; readonly offset: number }> {
    return this.#write(this.#parts.keys.encode(key), this.#parts.values.encode(value));
  }

  /** Writes a tombstone for a key, whether it has a value or not. Once it resolves, it has none. @throws as `put` */
  async delete(key: K): Promise<{ readonly partition: number; readonly offset: number }> {
    return this.#write(this.#parts.keys.encode(key), null);
  }

  /**
   * Resolves once the table has everything that was acknowledged, by whomever, before this was called: records of
   * transactions that are open by then, and what lies behind them, once these are decided.
   *
   * @throws {ClientError} "request_timed_out" after `timeoutMs` (the client's when left out), "aborted"
   */
  async upToDate(
    options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number } = {},
  ): Promise<void> {
    checkNames(options, WAIT_NAMES, "upToDate");
    checkOptions(options, { timeoutMs: 1 });
    const { signal, timeoutMs = this.#context.timeoutMs } = options;
    this.#requireOpen();
    await within(this.#context.runtime, { signal, timeoutMs }, (bounds) =>
      this.#reader.throughEnds("read_uncommitted", bounds),
    );
  }

  /**
   * Sends what `put` and `delete` still hold, then ends all: watches end, calls under way reject with "closed".
   * Idempotent.
   *
   * @throws {ClientError} what closing its producer throws
   */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      try {
        await this.#producer?.close();
      } finally {
        this.#end(new ClientError("closed", `Table "${this.name}" is closed`));
        for (const watch of [...this.#watches]) watch.close();
        this.#parts.onClose(this);
      }
    })();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** However long the broker is away: who does not want to wait has `upToDate`. */
  async #load(isolation: "read_uncommitted" | "read_committed"): Promise<void> {
    const { runtime, backoff } = this.#context;
    for (;;) {
      try {
        return await this.#reader.throughEnds(isolation);
      } catch (error) {
        if (!isRetriable(error)) throw error;
        await sleep(runtime, backoff.backoffMsMax, "table_load", this.#closing.signal);
      }
    }
  }

  async #read(key: Uint8Array): Promise<Stored | null> {
    await this.#begin();
    return this.#values.read(key);
  }

  async #begin(): Promise<void> {
    this.#requireOpen();
    await this.ready;
    this.#requireOpen();
  }

  async #write(
    key: Uint8Array,
    value: Uint8Array | null,
  ): Promise<{ readonly partition: number; readonly offset: number }> {
    this.#requireOpen();
    if (this.#closed !== null) throw new ClientError("closed", `Table "${this.name}" is closed`);
    this.#producer ??= this.#parts.makeProducer({
      ...this.#options.producer,
      mayCreateTopics: false,
    });
    const { partition, offset, timestampMs } = await this.#producer.send({
      topic: this.name,
      key,
      value,
    });
    // A retry of which the broker does not say where the first try lies: it is read like everybody's.
    if (offset < 0) await this.upToDate();
    else this.#reader.takeOwn({ partition, offset, timestampMs }, key, value);
    return { partition, offset };
  }

  #requireOpen(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  #fail(error: unknown): void {
    this.#end(error);
    for (const watch of [...this.#watches]) watch.fail(error);
  }

  #end(error: unknown): void {
    this.#failure ??= error;
    this.#closing.abort();
    this.#reader.close(this.#failure);
    this.#started.reject(this.#failure);
  }
}

function decoderOf<K, V>(keys: Codec<K>, values: Codec<V>): Decoder<K, V> {
  return {
    key: (bytes) => keys.decode(bytes),
    value: (bytes) => values.decode(bytes),
    entry: (key, { value, partition, offset, timestampMs }) => {
      return { key: keys.decode(key), value: values.decode(value), partition, offset, timestampMs };
    },
  };
}

function deferred(): {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
} {
  let resolve: () => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
