// The shared journal: every append of every partition goes to the end of one file, and one sync
// makes a whole group of them durable. While a sync runs the next group is gathered, and written
// early once it is large, so that receiving, writing and syncing overlap.
// Invariant: groups commit in the order in which their appends were called; after one failed write
// or sync nothing commits any more (decision 14).

import { assert } from "../../base/assert.ts";
import type { Clock, Logger, Random, Scheduler } from "../../contracts/runtime.ts";
import type { SegmentStore } from "../../contracts/storage.ts";
import { CommitGroup, type CommitMode } from "./commit_group.ts";
import { type JournalClient, JournalFile } from "./journal_file.ts";
import {
  ENTRY_HEADER_BYTES,
  type EntryKind,
  FILE_HEADER_BYTES,
  FORMAT_PLAIN,
  journalFileName,
  EntryKind as Kind,
  writeEntryHeader,
  writeFileHeader,
} from "./journal_format.ts";
import { JournalSpare, PREPARED_BYTES } from "./journal_spare.ts";

export interface JournalOptions {
  readonly store: SegmentStore;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** A file is followed by the next one when it would grow past this many bytes. */
  readonly fileBytesMax: number;
  /** A group of at least this many bytes is written while the sync of an earlier one runs. */
  readonly overlapBytesMin: number;
  /** A group is closed, and the next one begun, at this many bytes. */
  readonly groupBytesMax: number;
  /** Free space of the volume, in bytes; −1 where nobody knows. */
  readonly usableBytes?: () => Promise<number>;
  /** Called once, when a write or sync failed. */
  readonly onFailure: (error: unknown) => void;
  /** Called once, when the first sync has made a file and its name durable. */
  readonly onSynced?: () => void;
}

const HEADERS_FIRST = 8;
/** After this long without an append, an entry says that all before it is synced. */
const VOUCH_AFTER_MS = 250;
/** The client of entries that belong to no partition. */
const NOBODY: JournalClient = {
  topicIdBytes: new Uint8Array(16),
  partition: 0,
  onCommitted: () => {},
};
const NO_PAYLOAD = new Uint8Array(0);
/** After so many syncs of small groups the next file is made ready: it is they that gain by it. */
const SMALL_SYNCS = 512;
/** Of a small file, so many are too many: one for each of these bytes. */
const SMALL_SYNC_BYTES = 2048;
const SMALL_GROUPS_BYTES = 64 * 1024;

export class Journal {
  readonly files = new Map<number, JournalFile>();
  readonly #options: JournalOptions;
  #active: JournalFile;
  #open: CommitGroup | null = null;
  #newest: CommitGroup | null = null;
  /** Closed groups that wait to be written, oldest first. */
  #closed: CommitGroup[] = [];
  /** Written groups that wait for a sync, oldest first. */
  #written: CommitGroup[] = [];
  #pendingBytes = 0;
  #isWriting = false;
  #isSyncing = false;
  /** Syncs of the active file that run beside those of groups: of durability interval, and of flush(). */
  #looseSyncs = 0;
  #writerGate: (() => void) | null = null;
  #idleWaiters: (() => void)[] = [];
  #headers = new Uint8Array(0);
  #headersView = new DataView(this.#headers.buffer);
  #headersUsed = 0;
  #headersNext = HEADERS_FIRST;
  #intervalTimer: { cancel(): void } | null = null;
  #intervalDueMs = 0;
  #voucherTimer: { cancel(): void } | null = null;
  #failure: unknown = null;
  #isClosing = false;
  #hasSynced = false;
  /** Syncs of few bytes to files that grew. */
  #smallSyncs = 0;
  /** Once a spare is ready, the next append begins a file in it. */
  #isSpareDue = false;
  readonly spare: JournalSpare;
  /** Files are being given up: whole segments are copied and synced. */
  isSettling = false;

  /** @param active The file to go on with; its `file` may be null, then the first write creates it. */
  constructor(options: JournalOptions, files: readonly JournalFile[], active: JournalFile) {
    this.#options = options;
    this.spare = new JournalSpare({
      store: options.store,
      scheduler: options.scheduler,
      log: options.log,
      keptBytesMin: Math.min(options.fileBytesMax, PREPARED_BYTES) / 2,
      keptBytesMax: Math.min(options.fileBytesMax, PREPARED_BYTES) * 2,
      isBusy: () => this.isSettling,
      usableBytes: options.usableBytes ?? (async () => -1),
    });
    for (const file of files) this.files.set(file.number, file);
    this.files.set(active.number, active);
    this.#active = active;
    active.salt ??= options.random.uint32();
  }

  get log(): Logger {
    return this.#options.log;
  }

  get isFailed(): boolean {
    return this.#failure !== null;
  }

  get active(): JournalFile {
    return this.#active;
  }

  /** Bytes taken in and not yet written. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** The newest group that is not yet committed, or null: wait for it to have all earlier appends committed. */
  get newestGroup(): CommitGroup | null {
    return this.#newest === null || this.#newest.isSettled ? null : this.#newest;
  }

  /**
   * Takes an entry in. Nothing is awaited: the entry has its place in the file when this returns.
   *
   * @param payload Not copied: must stay as it is until the group has settled.
   * @param endOffset What `client.onCommitted` is told; −1 for entries that commit no offsets.
   * @param formatVersion What a file has to be to hold it: where the active one is not, the next begins.
   * @returns The group to wait for; `lastPosition` and `lastFile` say where the payload lies.
   */
  append(
    client: JournalClient,
    kind: EntryKind,
    flags: number,
    payload: Uint8Array,
    endOffset: number,
    mode: CommitMode,
    formatVersion: number = FORMAT_PLAIN,
  ): CommitGroup {
    const sizeBytes = ENTRY_HEADER_BYTES + payload.length;
    if (this.#isClosing && client !== NOBODY) return this.#refused();
    if (formatVersion > this.#active.formatVersion) this.#raiseFormat(formatVersion);
    if (this.#isSpareDue && client !== NOBODY) this.#goOnInSpare();
    const group = this.#groupFor(sizeBytes);
    const file = group.file;
    const position = file.endPosition;
    const header = this.#nextHeader();
    writeEntryHeader(
      this.#headers,
      this.#headersView,
      header.byteOffset,
      file.number,
      file.salt!,
      kind,
      flags,
      client.topicIdBytes,
      client.partition,
      file.syncedBytes,
      payload,
    );
    group.chunks.push(header, payload);
    group.sizeBytes += sizeBytes;
    this.#pendingBytes += sizeBytes;
    this.appendedBytes += sizeBytes;
    file.endPosition = position + sizeBytes;
    group.endPosition = file.endPosition;
    if (mode === "sync") group.needsSync = true;
    else if (mode < group.syncWithinMs) group.syncWithinMs = mode;
    if (endOffset >= 0) {
      group.clients.push(client);
      group.endOffsets.push(endOffset);
    }
    if (client !== NOBODY) file.logs.add(client);
    this.lastFile = file;
    this.lastPosition = position + ENTRY_HEADER_BYTES;
    if (kind === Kind.truncate) file.hasBarrier = true;
    this.#wakeWriter();
    return group;
  }

  /** Everything taken in since the start. */
  appendedBytes = 0;

  /** Where the payload of the last `append` lies. */
  lastFile!: JournalFile;
  lastPosition = 0;

  /** Resolves when everything appended so far is committed (true), or has failed (false). */
  async flush(): Promise<boolean> {
    const group = this.newestGroup;
    if (group !== null) {
      group.needsSync = true;
      await group.settled();
    }
    await this.#syncActive();
    return this.#failure === null;
  }

  /** A needed part of a file is not needed any more. */
  release(fileNumber: number, sizeBytes: number): void {
    const file = this.files.get(fileNumber);
    if (file === undefined) return;
    file.liveBytes -= sizeBytes;
    assert(file.liveBytes >= 0, "live bytes of a journal file went below 0");
  }

  /** Reads into `target`; the file cannot be removed while it is read. */
  async readInto(file: JournalFile, target: Uint8Array, position: number): Promise<number> {
    file.readers++;
    try {
      return await file.file!.readInto(target, position);
    } finally {
      file.readers--;
    }
  }

  /** Removes a sealed file in which nothing is needed. False when it still is, or is being read. */
  async remove(file: JournalFile): Promise<boolean> {
    if (!file.isSealed || file.liveBytes > 0 || file.liveStates > 0 || file.readers > 0)
      return false;
    if (file.isGone) return true;
    if (!this.#isFollowed(file)) return false;
    if (file.hasBarrier) {
      for (const other of this.files.keys()) if (other < file.number) return false;
    }
    file.isGone = true;
    this.files.delete(file.number);
    await file.file?.close();
    await this.spare.removeOrKeep(journalFileName(file.number), file.endPosition);
    return true;
  }

  /** Whether a later file is durable: a crash must never find the folder without any, as if it were another. */
  #isFollowed({ number }: JournalFile): boolean {
    for (const other of this.files.values()) {
      if (other.number > number && other.file !== null && other.syncedBytes > 0) return true;
    }
    return false;
  }

  /** Commits what is pending and closes every file. What is appended from now on fails. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#voucherTimer?.cancel();
    await this.spare.stop();
    if (await this.flush()) {
      this.#vouch();
      await this.flush();
    }
    this.#voucherTimer?.cancel();
    while (this.#isBusy) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
    this.#intervalTimer?.cancel();
    let failure: { readonly error: unknown } | null = null;
    for (const { file, endPosition, syncedBytes, isRecycled } of this.files.values()) {
      if (file === null) continue;
      try {
        if (this.#failure === null && endPosition > syncedBytes) await file.sync();
        if (this.#failure === null && isRecycled) await file.truncate(endPosition);
      } catch (error) {
        this.#fail(error);
      }
      try {
        await file.close();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== null) throw failure.error;
  }

  #refused(): CommitGroup {
    const group = new CommitGroup(this.#active);
    group.settle("failed");
    this.lastFile = this.#active;
    this.lastPosition = FILE_HEADER_BYTES;
    return group;
  }

  #groupFor(sizeBytes: number): CommitGroup {
    const isFull =
      this.#active.endPosition + sizeBytes > this.#options.fileBytesMax &&
      this.#active.endPosition > FILE_HEADER_BYTES;
    if (isFull) this.#beginNextFile();
    if (this.#open !== null && this.#open.sizeBytes + sizeBytes > this.#options.groupBytesMax) {
      this.#closeGroup();
    }
    if (this.#open === null) {
      this.#open = new CommitGroup(this.#active);
      this.#newest = this.#open;
      this.#active.unwritten.push(this.#open);
    }
    return this.#open;
  }

  /** Only ever with an append that follows: a later file vouches for a sealed one, and keeps its number from coming again. */
  #goOnInSpare(): void {
    const { readyBytes, endPosition } = this.#active;
    const isGrowing = endPosition >= readyBytes && endPosition > FILE_HEADER_BYTES;
    if (this.spare.isReady && isGrowing) this.#beginNextFile();
  }

  /** For good: every later file is of that version too. */
  #raiseFormat(formatVersion: number): void {
    const { file, endPosition } = this.#active;
    if (file !== null || endPosition > FILE_HEADER_BYTES) this.#beginNextFile();
    this.#active.formatVersion = formatVersion;
  }

  #beginNextFile(): void {
    this.#closeGroup();
    this.#isSpareDue = false;
    this.#active.isSealed = true;
    const next = new JournalFile(this.#active.number + 1, null, FILE_HEADER_BYTES);
    next.syncedBytes = 0;
    next.salt = this.#options.random.uint32();
    next.formatVersion = this.#active.formatVersion;
    this.files.set(next.number, next);
    this.#active = next;
  }

  #closeGroup(): void {
    if (this.#open === null) return;
    this.#closed.push(this.#open);
    this.#open = null;
  }

  /** A place for one entry header. Blocks of headers are fresh: the store may still be reading the old ones. */
  #nextHeader(): Uint8Array {
    if ((this.#headersUsed + 1) * ENTRY_HEADER_BYTES > this.#headers.length) {
      this.#headers = new Uint8Array(this.#headersNext * ENTRY_HEADER_BYTES);
      this.#headersView = new DataView(this.#headers.buffer);
      this.#headersUsed = 0;
      this.#headersNext = Math.min(this.#headersNext * 2, 256);
    }
    const at = this.#headersUsed++ * ENTRY_HEADER_BYTES;
    return this.#headers.subarray(at, at + ENTRY_HEADER_BYTES);
  }

  #wakeWriter(): void {
    if (this.#failure !== null) {
      this.#failPending();
      return;
    }
    if (!this.#isWriting) {
      this.#isWriting = true;
      this.#options.scheduler.spawn("journal_write", () => this.#writeGroups());
    } else if (this.#writerGate !== null && this.#isWorthOverlapping()) {
      this.#openGate();
    }
  }

  #isWorthOverlapping(): boolean {
    return this.#pendingBytes >= this.#options.overlapBytesMin;
  }

  async #writeGroups(): Promise<void> {
    // All partitions of one request, and all requests of one chunk, belong to one group.
    await Promise.resolve();
    let current: CommitGroup | null = null;
    try {
      while (this.#failure === null) {
        if (this.#isSyncing && !this.#isWorthOverlapping()) {
          await new Promise<void>((resolve) => {
            this.#writerGate = resolve;
          });
          continue;
        }
        if (this.#closed.length === 0) this.#closeGroup();
        const group = this.#closed.shift();
        if (group === undefined) break;
        current = group;
        if (group.file.file === null) await this.#createFile(group.file);
        await group.file.file!.append(group.chunks);
        this.#pendingBytes -= group.sizeBytes;
        group.file.unwritten.shift();
        group.state = "written";
        // One that needs no sync still waits for those before it: groups commit in order.
        if (group.needsSync || this.#isSyncing || this.#written.length > 0) {
          this.#written.push(group);
          this.#startSync();
        } else {
          group.settle("committed");
          this.#syncLater(group.syncWithinMs);
        }
      }
    } catch (error) {
      this.#fail(error);
      current?.settle("failed");
    }
    this.#isWriting = false;
    if (this.#failure !== null) this.#failPending();
    else if (this.#open !== null || this.#closed.length > 0) this.#wakeWriter();
    this.#tellIdle();
  }

  /** A file's entries are all synced before the next file has any: a later file vouches for the earlier. */
  async #createFile(next: JournalFile): Promise<void> {
    while (this.#isSyncing || this.#looseSyncs > 0) {
      await new Promise<void>((resolve) => {
        this.#writerGate = resolve;
      });
    }
    this.#mustBeWhole();
    const previous = this.files.get(next.number - 1);
    if (previous?.file && previous.syncedBytes < previous.endPosition) {
      await previous.file.sync();
      this.#mustBeWhole();
      previous.syncedBytes = previous.endPosition;
    }
    if (previous?.file && previous.isRecycled) {
      await previous.file.truncate(previous.endPosition);
      previous.readyBytes = 0;
    }
    const name = journalFileName(next.number);
    // A name that a crash left behind is opened, not replaced.
    const spare = next.isLeftBehind ? null : await this.spare.take(name);
    const file = spare?.file ?? (await this.#options.store.open(name, { create: true }));
    if (file.sizeBytes > 0) await file.truncate(0);
    next.readyBytes = spare?.sizeBytes ?? 0;
    const { number, salt, formatVersion } = next;
    const createdMs = this.#options.clock.wallMs();
    await file.append([writeFileHeader(number, salt!, createdMs, formatVersion)]);
    next.file = file;
  }

  /** A sync that succeeds beside one that failed says nothing: the system may have dropped the pages. */
  #mustBeWhole(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  #startSync(): void {
    if (this.#isSyncing || this.#written.length === 0) return;
    this.#isSyncing = true;
    this.#options.scheduler.spawn("journal_sync", () => this.#sync());
  }

  async #sync(): Promise<void> {
    const groups = this.#written;
    this.#written = [];
    // Groups of two files never wait together: creating a file waits for the syncs before it.
    const file = groups[0]!.file;
    const endPosition = groups.at(-1)!.endPosition;
    assert(groups.at(-1)!.file === file, "one sync covers groups of one journal file");
    try {
      await file.file!.sync();
      this.#mustBeWhole();
      const isSmall = endPosition - file.syncedBytes < SMALL_GROUPS_BYTES;
      this.#synced(file, endPosition);
      for (const group of groups) group.settle("committed");
      this.#vouchLater();
      if (isSmall) this.#smallSync();
    } catch (error) {
      this.#fail(error);
      for (const group of groups) group.settle("failed");
    }
    this.#isSyncing = false;
    if (this.#failure === null) this.#startSync();
    else this.#failPending();
    this.#openGate();
    this.#tellIdle();
  }

  #synced(file: JournalFile, endPosition: number): void {
    file.syncedBytes = Math.max(file.syncedBytes, endPosition);
    if (this.#hasSynced || this.#failure !== null) return;
    this.#hasSynced = true;
    this.#options.onSynced?.();
  }

  /** Once there are many, the journal goes on in a file made ready beside it. */
  #smallSync(): void {
    const { fileBytesMax } = this.#options;
    if (++this.#smallSyncs < Math.min(SMALL_SYNCS, fileBytesMax / SMALL_SYNC_BYTES)) return;
    this.#smallSyncs = 0;
    this.#isSpareDue = true;
    // A file that is given up meanwhile makes a spare that costs nothing.
    if (this.#active.endPosition < this.#active.readyBytes) return;
    this.spare.prepare(Math.min(fileBytesMax, PREPARED_BYTES));
  }

  /**
   * Recovery takes the unsynced end of a file for torn, and cuts it at the first damage. This entry
   * vouches for what lies before it, so that later damage there is told apart and reported.
   */
  #vouch(): void {
    const file = this.#active;
    if (file.file === null || file.syncedBytes <= FILE_HEADER_BYTES) return;
    this.append(NOBODY, Kind.synced, 0, NO_PAYLOAD, -1, Number.POSITIVE_INFINITY);
    file.vouchedBytes = file.endPosition;
  }

  #vouchLater(): void {
    if (this.#voucherTimer !== null) return;
    const { syncedBytes } = this.#active;
    this.#voucherTimer = this.#options.scheduler.after(VOUCH_AFTER_MS, "journal_vouch", () => {
      this.#voucherTimer = null;
      const active = this.#active;
      if (this.#failure !== null || active.syncedBytes <= active.vouchedBytes) return;
      if (active.syncedBytes === syncedBytes && active.endPosition === syncedBytes) this.#vouch();
      else this.#vouchLater();
    });
  }

  #openGate(): void {
    const gate = this.#writerGate;
    this.#writerGate = null;
    gate?.();
  }

  #syncLater(withinMs: number): void {
    if (withinMs === Number.POSITIVE_INFINITY) return;
    const { clock, scheduler } = this.#options;
    const dueMs = clock.monotonicMs() + withinMs;
    if (this.#intervalTimer !== null) {
      if (this.#intervalDueMs <= dueMs) return;
      this.#intervalTimer.cancel();
    }
    this.#intervalDueMs = dueMs;
    this.#intervalTimer = scheduler.after(withinMs, "journal_sync_interval", () => {
      this.#intervalTimer = null;
      scheduler.spawn("journal_interval", () => this.#syncActive());
    });
  }

  async #syncActive(): Promise<void> {
    const file = this.#active;
    if (file.file === null || this.#failure !== null) return;
    const endPosition = file.endPosition - this.#pendingBytes;
    if (endPosition <= file.syncedBytes) return;
    this.#looseSyncs++;
    try {
      await file.file.sync();
      this.#mustBeWhole();
      this.#synced(file, endPosition);
    } catch (error) {
      this.#fail(error);
      this.#failPending();
    }
    this.#looseSyncs--;
    this.#openGate();
    this.#tellIdle();
  }

  #fail(error: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = error ?? new Error("the journal failed");
    this.#options.onFailure(error);
  }

  #failPending(): void {
    this.#closeGroup();
    const groups = [...this.#written, ...this.#closed];
    this.#written = [];
    this.#closed = [];
    this.#pendingBytes = 0;
    for (const group of groups) group.settle("failed");
    this.#openGate();
  }

  get #isBusy(): boolean {
    return this.#isWriting || this.#isSyncing || this.#looseSyncs > 0;
  }

  #tellIdle(): void {
    if (this.#isBusy) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const wake of waiters) wake();
  }
}
