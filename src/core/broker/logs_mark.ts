// Whether log and metadata are of one broker, looked at before a start, and the mark in the metadata that says
// that there is a log.
// Invariant: the mark is committed only once a journal file and its name are durable, and one is there ever after:
// no crash leaves a mark without a log.

import { StorageError } from "../../contracts/errors.ts";
import type { MetadataStore } from "../../contracts/metadata_store.ts";
import type { Logger, Scheduler } from "../../contracts/runtime.ts";
import type { SegmentStore, Storage } from "../../contracts/storage.ts";
import { type Cluster, hasCluster } from "../cluster/cluster.ts";
import { checkLogsMark, encodeLogsMark, logsKey } from "../cluster/entries.ts";
import { journalFileNumber } from "../log/journal_format.ts";

/**
 * Looks whether logs and metadata can be of one broker.
 *
 * @returns whether the metadata says that there are logs
 * @throws {StorageError} "corrupt" when one of them is there without the other
 */
export async function checkLogs(
  metadata: MetadataStore,
  storage: Storage,
  segments: SegmentStore,
  brokerId: number,
): Promise<boolean> {
  if (!(await hasCluster(metadata))) {
    await refuseForeignLogs(segments);
    return false;
  }
  const key = logsKey(brokerId);
  const { entries } = await metadata.read(key);
  const mark = entries.find((each) => each.key === key);
  if (mark === undefined) return false;
  checkLogsMark(mark);
  if (storage.isVolatile !== true) await refuseLostLogs(segments, storage.location?.path, brokerId);
  return true;
}

/**
 * Logs without the metadata that names their topics would be dropped as of topics that are gone. A store
 * that knows no cluster yet has lost it, or belongs to another folder.
 */
async function refuseForeignLogs(segments: SegmentStore): Promise<void> {
  const files = [...(await segments.list("journal/")), ...(await segments.list("segments/"))];
  if (files.every(({ sizeBytes }) => sizeBytes === 0)) return;
  throw new StorageError(
    "corrupt",
    "Cannot start a new cluster on logs of an old one, which would drop them: put back the metadata that belongs to them, or choose an empty data folder",
  );
}

/** Topics without their logs would begin anew at offset 0, as if nothing had ever been acknowledged. */
async function refuseLostLogs(
  segments: SegmentStore,
  path: string | undefined,
  brokerId: number,
): Promise<void> {
  const files = await segments.list("journal/");
  if (files.some(({ name, sizeBytes }) => sizeBytes > 0 && journalFileNumber(name) !== null))
    return;
  const where = path === undefined ? "its storage" : `"${path}"`;
  throw new StorageError(
    "corrupt",
    `Cannot start broker ${brokerId} as ${where} holds no log, and by the metadata there is one, which all topics would begin without: put the log back, or have the storage look where it lies; to begin with nothing, remove the metadata, too`,
  );
}

export interface LogsMarkOptions {
  readonly cluster: Pick<Cluster, "commit">;
  readonly scheduler: Scheduler;
  readonly log: Logger;
  readonly brokerId: number;
  /** It is there already, or the storage is one that forgets. */
  readonly isDone: boolean;
}

/** Puts the mark into the metadata. */
export class LogsMark {
  readonly #options: LogsMarkOptions;
  #isDone: boolean;
  #writing: Promise<void> | null = null;

  constructor(options: LogsMarkOptions) {
    this.#options = options;
    this.#isDone = options.isDone;
  }

  /** A journal file is durable: the mark is written in the background, once. */
  set(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    const writing = this.#write();
    this.#writing = writing;
    this.#options.scheduler.spawn("logs_mark", () => writing);
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#writing;
  }

  /** Never rejects: the next start writes what is missing. */
  async #write(): Promise<void> {
    const { cluster, brokerId, log } = this.#options;
    const key = logsKey(brokerId);
    try {
      // Where the condition does not hold, it is there.
      await cluster.commit({
        conditions: [{ key, revision: 0 }],
        writes: [{ key, value: encodeLogsMark() }],
      });
    } catch (error) {
      log.warn("logs_mark_failed", { error: String(error) });
    }
  }
}
