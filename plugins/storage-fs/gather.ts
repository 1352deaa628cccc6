// Puts runs of small chunks together before a write: copying a few KiB is cheaper than another part of
// a writev. Large chunks are never copied.

/** Chunks below this many bytes are copied together with their small neighbours. */
export const SMALL_CHUNK_BYTES = 8 * 1024;

/** Bytes of chunks small enough to be gathered. */
export function smallBytesOf(chunks: readonly Uint8Array[]): number {
  let sizeBytes = 0;
  for (const chunk of chunks) {
    if (chunk.byteLength < SMALL_CHUNK_BYTES) sizeBytes += chunk.byteLength;
  }
  return sizeBytes;
}

/**
 * The same bytes in fewer parts, none of them empty. Runs of small chunks are copied into `staging`;
 * where it is full, chunks stay as they are.
 */
export function gather(chunks: readonly Uint8Array[], staging: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let used = 0;
  for (let i = 0; i < chunks.length; i++) {
    const chunk = chunks[i]!;
    if (chunk.byteLength === 0) continue;
    const next = chunks[i + 1];
    const startsRun = isSmall(chunk) && next !== undefined && isSmall(next) && next.byteLength > 0;
    if (!startsRun || used + chunk.byteLength > staging.byteLength) {
      parts.push(chunk);
      continue;
    }
    const from = used;
    for (; i < chunks.length; i++) {
      const small = chunks[i]!;
      if (!isSmall(small) || used + small.byteLength > staging.byteLength) break;
      staging.set(small, used);
      used += small.byteLength;
    }
    i--;
    parts.push(staging.subarray(from, used));
  }
  return parts;
}

/** What is left of `parts` after their first `writtenBytes`. */
export function partsAfter(parts: readonly Uint8Array[], writtenBytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = writtenBytes;
  for (const part of parts) {
    if (skip >= part.byteLength) {
      skip -= part.byteLength;
    } else {
      rest.push(skip === 0 ? part : part.subarray(skip));
      skip = 0;
    }
  }
  return rest;
}

function isSmall(chunk: Uint8Array): boolean {
  return chunk.byteLength < SMALL_CHUNK_BYTES;
}
