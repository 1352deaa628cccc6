// What every metadata store does with a transaction before it writes: bounds, conditions, its own copy.
// Invariant: what passes `checkedBytes` keeps the contract's bounds, whatever store takes it.

import { assert } from "../base/assert.ts";
import type { RevisionWrite } from "../base/revision_table.ts";
import { MetadataStoreError } from "../contracts/errors.ts";
import {
  COMMIT_BYTES_MAX,
  COMMIT_CONDITIONS_MAX,
  COMMIT_WRITES_MAX,
  type CommitResult,
  type Transaction,
} from "../contracts/metadata_store.ts";
import type { Sessions } from "./sessions.ts";

type Conflicts = Extract<CommitResult, { ok: false }>["conflicts"];

const utf8 = new TextEncoder();

/**
 * The bytes of the keys and values that it writes.
 * @throws {MetadataStoreError} "too_large" by the contract's bounds, "closed" for a session that has ended
 */
export function checkedBytes(
  { conditions, writes }: Transaction,
  sessions: Pick<Sessions, "has">,
): number {
  let sizeBytes = 0;
  const keys = new Set<string>();
  for (const { key, value, session } of writes) {
    assert(!keys.has(key), "a commit writes a key at most once");
    keys.add(key);
    sizeBytes += utf8.encode(key).byteLength + (value?.byteLength ?? 0);
    if (session !== undefined && !sessions.has(session)) {
      throw new MetadataStoreError("closed", `Cannot write "${key}" with a session that has ended`);
    }
  }
  if (writes.length > COMMIT_WRITES_MAX || sizeBytes > COMMIT_BYTES_MAX) {
    throw new MetadataStoreError(
      "too_large",
      `Cannot commit ${writes.length} writes of ${sizeBytes} bytes: at most ${COMMIT_WRITES_MAX} writes and ${COMMIT_BYTES_MAX} bytes`,
    );
  }
  if (conditions.length > COMMIT_CONDITIONS_MAX) {
    throw new MetadataStoreError(
      "too_large",
      `Cannot commit under ${conditions.length} conditions: at most ${COMMIT_CONDITIONS_MAX}`,
    );
  }
  return sizeBytes;
}

/** Its writes with values of their own: the caller may go on with its bytes. */
export function ownWrites({ writes }: Transaction): RevisionWrite[] {
  return writes.map(({ key, value, session }) => ({
    key,
    value: value === null ? null : value.slice(),
    owner: session?.id ?? null,
  }));
}

/** The conditions that do not hold, with what is there instead. */
export function conflictsOf(
  conditions: Transaction["conditions"],
  revisionOf: (key: string) => number,
): Conflicts {
  const conflicts: { key: string; revision: number }[] = [];
  for (const condition of conditions) {
    const revision = revisionOf(condition.key);
    if (revision !== condition.revision) conflicts.push({ key: condition.key, revision });
  }
  return conflicts;
}

export function deletion(key: string): RevisionWrite {
  return { key, value: null, owner: null };
}
