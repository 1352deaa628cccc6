// Whether our answer is like the recorded one: same shape, same error codes, same values where they do not
// vary from run to run. Texts are our own, so they are not compared.

import { attributesAt, BATCH_HEADER_BYTES, CONTROL_BIT } from "../../src/record/batch_header.ts";

const CRC_AT = 17;
/** Of a batch: the first, and the largest. */
const TIMES_AT = 27;

/** Values that differ from broker to broker and from run to run. */
const IGNORED = new Set([
  "errorMessage",
  "batchIndexErrorMessage",
  "host",
  "port",
  "clusterId",
  "throttleTimeMs",
  "documentation",
  "logDir",
  "finalizedFeaturesEpoch",
]);
/** Ids: only whether there is one is compared. */
const IDS = new Set(["topicId", "sessionId"]);
/** Ids of members of groups: one stands for the same other everywhere. */
const MEMBER_IDS = new Set(["memberId", "leader"]);
/** Times and sizes of the machine, and heartbeats that come sooner here (ADR 36): only their sign is compared. */
const SIGNED = new Set([
  "logAppendTimeMs",
  "totalBytes",
  "usableBytes",
  "lastTimestamp",
  "transactionStartTimeMs",
  "heartbeatIntervalMs",
]);
const OUR_SETTINGS = /^(millrace\..*|partitioner)$/;
const ZERO_UUID = "AAAAAAAAAAAAAAAAAAAAAA";

export interface Difference {
  readonly path: string;
  readonly recorded: unknown;
  readonly ours: unknown;
}

/** Recorded ids and what stands for them here. */
export type Substitutes = Map<string | number, string | number>;

/** Every place where `ours` is unlike `recorded`; learns which of our ids stand for recorded ones. */
export function differences(
  recorded: unknown,
  ours: unknown,
  substitutes: Substitutes,
  path = "",
): Difference[] {
  if (recorded instanceof Uint8Array || ours instanceof Uint8Array) {
    // Kafka fills a fetch up with the beginning of a batch; we send whole ones.
    if (path.endsWith(".records")) {
      recorded = withoutMarkerTimes(wholeBatches(recorded as Uint8Array));
      ours = withoutMarkerTimes(ours as Uint8Array);
    }
    const same = textOf(recorded) === textOf(ours);
    return same ? [] : [{ path, recorded: textOf(recorded), ours: textOf(ours) }];
  }
  if (Array.isArray(recorded) && Array.isArray(ours)) {
    const left = ordered(among(recorded, ours, path));
    const right = asMembers(left, ordered(kafkas(ours, path)), substitutes);
    if (left.length !== right.length) {
      return [{ path: `${path}.length`, recorded: namesOf(left), ours: namesOf(right) }];
    }
    return left.flatMap((each, index) =>
      differences(each, right[index], substitutes, `${path}[${nameOf(each) ?? index}]`),
    );
  }
  if (isStruct(recorded) && isStruct(ours)) {
    const hasError = typeof recorded["errorCode"] === "number" && recorded["errorCode"] !== 0;
    return Object.keys(recorded).flatMap((name) => {
      if (IGNORED.has(name)) return [];
      // What a refusal says of the start of the log depends on how far validation came.
      if (hasError && name === "logStartOffset") return [];
      const [was, is] = [recorded[name], ours[name]];
      const at = path === "" ? name : `${path}.${name}`;
      if (IDS.has(name)) return ofIds(was, is, substitutes, at);
      if (MEMBER_IDS.has(name)) return ofMembers(was, is, substitutes, at);
      if (SIGNED.has(name)) {
        const same = Math.sign(was as number) === Math.sign(is as number);
        return same ? [] : [{ path: at, recorded: was, ours: is }];
      }
      return differences(was, is, substitutes, at);
    });
  }
  return Object.is(recorded, ours) ? [] : [{ path, recorded, ours }];
}

/** `value` with every recorded id replaced by ours. */
export function substituted(value: unknown, substitutes: Substitutes, name = ""): unknown {
  if (value instanceof Uint8Array || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => substituted(each, substitutes, name));
  if (isStruct(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, substituted(each, substitutes, key)]),
    );
  }
  const isId = IDS.has(name) || MEMBER_IDS.has(name);
  return isId ? (substitutes.get(value as string | number) ?? value) : value;
}

function ofIds(was: unknown, is: unknown, substitutes: Substitutes, path: string): Difference[] {
  const isNone = (id: unknown) => id === 0 || id === ZERO_UUID || id === undefined;
  const key = was as string | number;
  // An id in an answer that repeats the request's is one we were given, and not the recorded one.
  if (isNone(was) !== isNone(is)) return [{ path, recorded: was, ours: is }];
  if (!isNone(was) && was !== is && !substitutes.has(key)) {
    substitutes.set(key, is as string | number);
  }
  return [];
}

function ofMembers(
  was: unknown,
  is: unknown,
  substitutes: Substitutes,
  path: string,
): Difference[] {
  const key = was as string;
  if (was === "" || was === null) return was === is ? [] : [{ path, recorded: was, ours: is }];
  const known = substitutes.get(key);
  if (known === undefined && typeof is === "string" && is !== "") {
    substitutes.set(key, is);
    return [];
  }
  return known === is ? [] : [{ path, recorded: was, ours: is }];
}

/** Members come in any order: ours in the place of the recorded ones that they stand for. */
function asMembers(
  recorded: readonly unknown[],
  ours: readonly unknown[],
  substitutes: Substitutes,
): readonly unknown[] {
  const idOf = (each: unknown) => (isStruct(each) ? each["memberId"] : undefined);
  if (recorded.length !== ours.length || !recorded.every((each) => idOf(each))) return ours;
  const known = new Set(recorded.map((each) => substitutes.get(idOf(each) as string)));
  const others = ours.filter((each) => !known.has(idOf(each) as string)).values();
  return recorded.map((each) => {
    const id = substitutes.get(idOf(each) as string);
    return ours.find((our) => id !== undefined && idOf(our) === id) ?? others.next().value;
  });
}

/** Of what Kafka lists in ApiVersions, only what we serve is compared. */
function among(recorded: readonly unknown[], ours: readonly unknown[], path: string): unknown[] {
  const key = path === "apiKeys" ? "apiKey" : path.endsWith("Features") ? "name" : null;
  if (key === null) return [...recorded];
  const listed = new Set(ours.map((each) => (each as Record<string, unknown>)[key]));
  return recorded.filter((each) => listed.has((each as Record<string, unknown>)[key]));
}

/** Settings that Kafka does not have are left out. */
function kafkas(ours: readonly unknown[], path: string): readonly unknown[] {
  if (!path.endsWith("configs")) return ours;
  return ours.filter((each) => !OUR_SETTINGS.test(String((each as { name: string }).name)));
}

/** The batches of a fetch that are there to the end. */
function wholeBatches(records: Uint8Array): Uint8Array {
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  let end = 0;
  while (end + 12 <= records.length) {
    const next = end + 12 + view.getInt32(end + 8);
    if (next > records.length) break;
    end = next;
  }
  return records.subarray(0, end);
}

/** The batches with no time in markers of transactions: the broker's clock wrote them. */
function withoutMarkerTimes(records: Uint8Array): Uint8Array {
  const own = records.slice();
  const view = new DataView(own.buffer);
  for (let at = 0; at + BATCH_HEADER_BYTES <= own.length; at += 12 + view.getInt32(at + 8)) {
    if ((attributesAt(own, at) & CONTROL_BIT) === 0) continue;
    own.fill(0, at + CRC_AT, at + CRC_AT + 4);
    own.fill(0, at + TIMES_AT, at + TIMES_AT + 16);
  }
  return own;
}

/** Lists of named things come in any order. */
function ordered(list: readonly unknown[]): readonly unknown[] {
  if (list.some((each) => nameOf(each) === null)) return list;
  return [...list].sort((a, b) => (nameOf(a)! < nameOf(b)! ? -1 : nameOf(a)! > nameOf(b)! ? 1 : 0));
}

function nameOf(each: unknown): string | null {
  const name = isStruct(each) ? (each["name"] ?? each["groupId"]) : null;
  return typeof name === "string" && name !== "" ? name : null;
}

function namesOf(list: readonly unknown[]): string {
  return list.map((each) => (isStruct(each) ? (nameOf(each) ?? "{}") : String(each))).join(" ");
}

function isStruct(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  if (!(value instanceof Uint8Array)) return String(value);
  return [...value].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
