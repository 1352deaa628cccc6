// The metadata store over etcd: reads in pages of one revision, commits, watches, sessions.
// Invariant: etcd alone holds what is decided; nothing is kept here that a second store on the same prefix would
// not see. A revision never goes back: an etcd that was restored from a backup is refused as corrupt.

import { MetadataStoreError } from "../../src/contracts/errors.ts";
import type {
  CommitResult,
  Entry,
  MetadataStore,
  RevisionChanges,
  Session,
  Transaction,
} from "../../src/contracts/metadata_store.ts";
import type { Runtime } from "../../src/contracts/runtime.ts";
import { checkedBytes } from "../../src/metadata/transactions.ts";
import { Commits } from "./commits.ts";
import { closedError, EtcdClient, GRPC } from "./etcd_client.ts";
import {
  base64OfText,
  GarbageAnswer,
  int64Of,
  type KeyValueRow,
  listOf,
  objectOf,
  rangeEndOf,
  rowOf,
} from "./gateway_json.ts";
import { LeaseSessions } from "./lease_session.ts";
import type { CheckedOptions } from "./options.ts";
import { watchStream } from "./watch_stream.ts";

/** How the keys under the prefix are laid out, as text at PREFIX + "format". */
const FORMAT = "1";
/** Entries of one answer, where they are small. */
const PAGE_ENTRIES_MAX = 2_000;

interface Page {
  readonly revision: number;
  readonly rows: readonly KeyValueRow[];
  readonly isLast: boolean;
}

export class EtcdMetadata implements MetadataStore {
  readonly #client: EtcdClient;
  readonly #keyPrefix: string;
  readonly #commits: Commits;
  readonly #sessions: LeaseSessions;
  /** The highest revision that an answer showed. */
  #revision = 0;
  #closing: Promise<void> | null = null;

  private constructor(client: EtcdClient, prefix: string) {
    this.#client = client;
    this.#keyPrefix = `${prefix}keys/`;
    this.#commits = new Commits(client, this.#keyPrefix, `${prefix}commits/`);
    this.#sessions = new LeaseSessions(client);
  }

  /** @throws {MetadataStoreError} "unavailable"; "version" for an etcd or a layout that we do not know */
  static async open(options: CheckedOptions, runtime: Runtime): Promise<EtcdMetadata> {
    const client = new EtcdClient(options, runtime);
    try {
      await checkFormat(client, options.prefix);
      return new EtcdMetadata(client, options.prefix);
    } catch (error) {
      client.close();
      throw error;
    }
  }

  async read(prefix: string): Promise<{ revision: number; entries: readonly Entry[] }> {
    this.#mustBeOpen();
    const floor = this.#revision;
    const deadlineMs = this.#client.nowMs + this.#client.requestTimeoutMs;
    for (;;) {
      const found = await this.#readAt(this.#keyPrefix + prefix, deadlineMs);
      // Compacted between two pages: it begins again.
      if (found === null) continue;
      this.#saw(found.revision, floor);
      return found;
    }
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    this.#mustBeOpen();
    checkedBytes(transaction, this.#sessions);
    const sessions = transaction.writes.flatMap(({ session }) => session ?? []);
    const floor = this.#revision;
    const result = await this.#commits.commit(transaction, this.#sessions.of(sessions));
    if (result.ok) this.#saw(result.revision, floor);
    return result;
  }

  watch(
    prefix: string,
    revision: number,
    signal: AbortSignal,
  ): AsyncIterable<RevisionChanges | "reset"> {
    this.#mustBeOpen();
    return watchStream(this.#client, this.#keyPrefix, prefix, revision, signal);
  }

  async session(ttlMs: number): Promise<Session> {
    this.#mustBeOpen();
    return await this.#sessions.begin(ttlMs);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#commits.idle();
    const failure = await this.#sessions.endAll();
    // Their entries go when their leases run out.
    if (failure !== null) {
      this.#client.runtime.log.warn("metadata_session_not_ended", { reason: failure.message });
    }
    await this.#commits.close(this.#client.nowMs + this.#client.attemptMs);
    this.#client.close();
  }

  /** @returns Null when etcd has compacted the revision of the first page. */
  async #readAt(
    from: string,
    deadlineMs: number,
  ): Promise<{ revision: number; entries: Entry[] } | null> {
    const entries: Entry[] = [];
    let limit = PAGE_ENTRIES_MAX;
    let revision = 0;
    let after = base64OfText(from);
    for (;;) {
      const page = await this.#page(after, rangeEndOf(from), limit, revision, deadlineMs);
      if (page === "compacted") return null;
      if (page === "too_long") {
        if (limit === 1) throw this.#client.garbage("read", "one entry is too long");
        limit = Math.ceil(limit / 8);
        continue;
      }
      revision = page.revision;
      for (const { key, value, modRevision } of page.rows) {
        const name = key.slice(this.#keyPrefix.length);
        entries.push({ key: name, value, revision: modRevision });
      }
      const last = page.rows.at(-1);
      if (page.isLast || last === undefined) break;
      after = base64OfText(`${last.key}\0`);
    }
    // Etcd has the order of bytes, which is another one beyond U+FFFF.
    entries.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    return { revision, entries };
  }

  async #page(
    key: string,
    range_end: string,
    limit: number,
    revision: number,
    deadlineMs: number,
  ): Promise<Page | "compacted" | "too_long"> {
    const at = revision === 0 ? {} : { revision: String(revision) };
    const request = { key, range_end, limit: String(limit), ...at };
    const answer = await this.#client.ask("read", "/v3/kv/range", request, deadlineMs);
    if (answer.kind === "too_long") return "too_long";
    if (answer.kind === "refused") {
      if (answer.code === GRPC.outOfRange && revision > 0) return "compacted";
      throw this.#client.refusal("read", answer);
    }
    return this.#client.checked("read", () => {
      const rows = listOf(answer.body["kvs"]).map(rowOf);
      if (rows.some((row) => !row.key.startsWith(this.#keyPrefix))) {
        throw new GarbageAnswer("a key that was not asked for");
      }
      const isLast = answer.body["more"] !== true;
      const found = int64Of(objectOf(answer.body["header"])["revision"]);
      return { revision: revision === 0 ? found : revision, rows, isLast };
    });
  }

  /** @param floor What had been seen when the call was made. @throws {MetadataStoreError} "corrupt" */
  #saw(revision: number, floor: number): void {
    if (revision < floor) {
      const text = `Cannot go on as etcd is at revision ${revision} and was at ${floor}: it has lost what was committed`;
      throw new MetadataStoreError("corrupt", text);
    }
    this.#revision = Math.max(this.#revision, revision);
  }

  #mustBeOpen(): void {
    if (this.#closing !== null) throw closedError();
  }
}

/** Reads the layout's number, and writes it where there is none: whoever comes first. */
async function checkFormat(client: EtcdClient, prefix: string): Promise<void> {
  const key = base64OfText(`${prefix}format`);
  const look = { request_range: { key } };
  const request = {
    compare: [{ key, target: "MOD", mod_revision: "0" }],
    success: [{ request_put: { key, value: base64OfText(FORMAT) } }],
    failure: [look],
  };
  const answer = await client.ask("open the metadata", "/v3/kv/txn", request);
  if (answer.kind === "refused" && answer.code === GRPC.unimplemented) {
    throw new MetadataStoreError("version", `Cannot open the metadata: ${answer.why}`);
  }
  if (answer.kind !== "answered") throw client.refusal("open the metadata", answer);
  if (answer.body["succeeded"] === true) return;
  const found = client.checked("open the metadata", () => {
    const response = objectOf(listOf(answer.body["responses"])[0]);
    const [row] = listOf(objectOf(response["response_range"])["kvs"]);
    return new TextDecoder().decode(rowOf(row).value);
  });
  if (found === FORMAT) return;
  throw new MetadataStoreError(
    "version",
    `Cannot open the metadata under "${prefix}" in etcd as its format is ${JSON.stringify(found.slice(0, 20))}: this release knows ${FORMAT}`,
  );
}
