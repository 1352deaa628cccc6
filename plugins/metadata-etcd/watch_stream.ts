// A watch on etcd that outlives its connections: it goes on after the last revision it told, at any endpoint.
// Invariant: it asks from the revision it has seen, not from the one after: etcd refuses that as compacted before
// a deletion at its compaction's own revision could be missed. One message of etcd has whole revisions.

import type { Entry, RevisionChanges } from "../../src/contracts/metadata_store.ts";
import { ANSWER_BYTES_MAX, type Stream } from "./endpoint.ts";
import { closedError, type EtcdClient } from "./etcd_client.ts";
import {
  base64OfText,
  GarbageAnswer,
  int64Of,
  type Json,
  listOf,
  objectOf,
  parsed,
  rangeEndOf,
  rowOf,
} from "./gateway_json.ts";

/** A watch that was told nothing is begun anew: a connection that nobody ended may be dead. Etcd tells its progress sooner. */
const QUIET_MS_MAX = 11 * 60_000;
/** Code of an answer that the gateway cannot hold. */
const RESOURCE_EXHAUSTED = 8;
const LF = 10;

/** What one message of etcd comes to. */
type Message =
  | { readonly kind: "changes"; readonly steps: readonly RevisionChanges[] }
  | { readonly kind: "progress"; readonly revision: number }
  | { readonly kind: "broken"; readonly why: string }
  | { readonly kind: "reset" | "begun" };

/** By the contract of `watch`; keys are told without `keyPrefix`. */
export async function* watchStream(
  client: EtcdClient,
  keyPrefix: string,
  prefix: string,
  revision: number,
  signal: AbortSignal,
): AsyncGenerator<RevisionChanges | "reset"> {
  const from = keyPrefix + prefix;
  let seen = revision;
  let isSaid = false;
  while (!signal.aborted) {
    if (client.isClosed) throw closedError();
    // 0 would mean "from now on".
    const request = {
      create_request: {
        key: base64OfText(from),
        range_end: rangeEndOf(from),
        start_revision: String(Math.max(seen, 1)),
        progress_notify: true,
      },
    };
    await client.ready(Number.POSITIVE_INFINITY, signal);
    if (signal.aborted || client.isClosed) continue;
    const stream = await client.stream("/v3/watch", request);
    if (stream === null) continue;
    const close = () => stream.close();
    signal.addEventListener("abort", close);
    let isTold = false;
    try {
      if (signal.aborted) continue;
      for await (const message of messagesOf(client, stream, keyPrefix)) {
        if (signal.aborted) break;
        if (message.kind === "reset") {
          isTold = true;
          yield "reset";
          return;
        }
        if (message.kind === "broken") {
          // Said once of a row of them: it may be a right that is missing.
          if (!isSaid) warn(client, stream, message.why);
          isSaid = true;
          break;
        }
        if (message.kind === "begun") continue;
        isTold = true;
        isSaid = false;
        if (message.kind === "progress") seen = Math.max(seen, message.revision);
        if (message.kind !== "changes") continue;
        for (const step of message.steps) {
          if (step.revision <= seen) continue;
          seen = step.revision;
          yield step;
          if (signal.aborted) return;
        }
      }
    } finally {
      signal.removeEventListener("abort", close);
      stream.close();
      // One that has told something was alive: it may be tried again at once.
      if (!isTold && !signal.aborted) client.failed(stream.endpoint);
    }
  }
}

/** Ends with the stream, however that ends. */
async function* messagesOf(
  client: EtcdClient,
  stream: Stream,
  keyPrefix: string,
): AsyncGenerator<Message> {
  const lines = linesOf(client, stream);
  for (;;) {
    let line: IteratorResult<Uint8Array | "too_long">;
    try {
      line = await lines.next();
    } catch {
      // The connection broke, or what came was no HTTP: the watch goes on over another one.
      return;
    }
    if (line.done === true) return;
    if (line.value === "too_long") {
      client.runtime.log.warn("metadata_watch_behind", { endpoint: stream.endpoint.name });
      yield { kind: "reset" };
      return;
    }
    yield messageOf(client, line.value, keyPrefix);
  }
}

async function* linesOf(
  client: EtcdClient,
  { pieces, close }: Stream,
): AsyncGenerator<Uint8Array | "too_long"> {
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for (;;) {
    const timer = client.runtime.scheduler.after(QUIET_MS_MAX, "etcd watch", close);
    let next: IteratorResult<Uint8Array>;
    try {
      next = await pieces.next();
    } finally {
      timer.cancel();
    }
    if (next.done === true) return;
    let rest: Uint8Array = next.value;
    for (let end = rest.indexOf(LF); end !== -1; end = rest.indexOf(LF)) {
      const line = joined([...parts, rest.subarray(0, end)], sizeBytes + end);
      rest = rest.subarray(end + 1);
      parts = [];
      sizeBytes = 0;
      if (line.length > 0) yield line;
    }
    if (rest.length > 0) parts.push(rest);
    sizeBytes += rest.length;
    if (sizeBytes > ANSWER_BYTES_MAX) {
      yield "too_long";
      return;
    }
  }
}

function messageOf(client: EtcdClient, line: Uint8Array, keyPrefix: string): Message {
  try {
    const json = parsed(line);
    if (json["error"] !== undefined) {
      const error = objectOf(json["error"]);
      const code = int64Of(error["grpc_code"] ?? error["code"]);
      client.forgetLogin();
      // More at once than the gateway takes: whoever is so far behind reads again.
      if (code === RESOURCE_EXHAUSTED) return { kind: "reset" };
      return { kind: "broken", why: String(error["message"] ?? code) };
    }
    const result = objectOf(json["result"]);
    if (result["canceled"] === true) {
      if (int64Of(result["compact_revision"]) > 0) return { kind: "reset" };
      // Among other reasons, the login has expired.
      client.forgetLogin();
      return { kind: "broken", why: String(result["cancel_reason"] ?? "etcd ended it") };
    }
    if (result["created"] === true) return { kind: "begun" };
    const steps = stepsOf(listOf(result["events"]), keyPrefix);
    if (steps.length > 0) return { kind: "changes", steps };
    return { kind: "progress", revision: int64Of(objectOf(result["header"])["revision"]) };
  } catch (error) {
    if (error instanceof GarbageAnswer) return { kind: "broken", why: error.message };
    throw error;
  }
}

function warn(client: EtcdClient, { endpoint }: Stream, reason: string): void {
  client.runtime.log.warn("metadata_watch_broken", { endpoint: endpoint.name, reason });
}

/** Events of one revision are one step; they come in order. */
function stepsOf(events: readonly unknown[], keyPrefix: string): RevisionChanges[] {
  const steps: { revision: number; puts: Entry[]; deletes: string[] }[] = [];
  for (const each of events) {
    const event: Json = objectOf(each);
    const { key: full, value, modRevision: revision } = rowOf(event["kv"]);
    if (!full.startsWith(keyPrefix)) throw new GarbageAnswer("a key that was not asked for");
    const key = full.slice(keyPrefix.length);
    let step = steps.at(-1);
    if (step?.revision !== revision) steps.push((step = { revision, puts: [], deletes: [] }));
    if (event["type"] === "DELETE") step.deletes.push(key);
    else step.puts.push({ key, value, revision });
  }
  return steps;
}

function joined(parts: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
