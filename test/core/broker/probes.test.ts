// The probes of a real broker, answered by ours: the crafted requests of the sections on topics, metadata
// and configs, in order; error codes, shapes and values are compared, texts, addresses and ids are not.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { uuidToHex, ZERO_UUID } from "../../../src/base/uuid.ts";
import { jsonOf, structOf } from "../../protocol/json_form.ts";
import { loadProbes, type Probe } from "../../vectors/load.ts";
import { type ApiBench, apiBench, call } from "./api_bench.ts";
import { apisByKey } from "./api_table.ts";

const SECTIONS = ["topics", "metadata", "configs"];
/** Where ours differs on purpose. */
const DIFFERENT: ReadonlyMap<string, string> = new Map([
  [
    "unknown name, auto creation allowed: first answer is an error",
    "ours makes the topic at once, which every client takes",
  ],
]);

type Json = Record<string, unknown>;
let bench: ApiBench;
beforeAll(async () => {
  bench = await apiBench({ "num.partitions": "3", "log.retention.hours": "24" });
});
afterAll(() => bench.close());

/** The zero uuid as the probes write it. */
const NO_ID = uuidToHex(ZERO_UUID);
/** Our topic ids, by theirs. */
const theirIds = new Map<string, string>();

function learnIds(theirs: unknown, ours: unknown): void {
  if (Array.isArray(theirs) && Array.isArray(ours)) {
    for (const their of theirs as Json[]) {
      const own = (ours as Json[]).find((each) => each?.["name"] === their?.["name"]);
      if (own !== undefined) learnIds(their, own);
    }
  } else if (typeof theirs === "object" && theirs !== null) {
    const a = theirs as Json;
    const b = (ours ?? {}) as Json;
    const id = a["topicId"];
    if (typeof id === "string" && id !== NO_ID && typeof b["topicId"] === "string") {
      theirIds.set(id, b["topicId"]);
    }
    for (const key of Object.keys(a)) learnIds(a[key], b[key]);
  }
}

/** A request of theirs with our ids in the place of theirs. */
function withOurIds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withOurIds);
  if (typeof value !== "object" || value === null) {
    return typeof value === "string" ? (theirIds.get(value) ?? value) : value;
  }
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withOurIds(each)]));
}

const UNCOMPARED = ["host", "port", "clusterId"];
/** Settings of ours; and what theirs hides: that a topic's retention comes from log.retention.hours. */
const isOurs = (row: Json) =>
  String(row["name"]).startsWith("millrace.") ||
  row["name"] === "partitioner" ||
  row["name"] === "log.retention.hours";

/** What is compared: no texts or addresses; rows in order of name; settings of ours left out. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) {
    const rows = value.filter(
      (row) => typeof row !== "object" || row === null || !isOurs(row as Json),
    );
    const named = rows.every((row) => typeof (row as Json)?.["name"] === "string");
    if (named) rows.sort((a, b) => ((a as Json)["name"]! < (b as Json)["name"]! ? -1 : 1));
    return rows.map(comparable);
  }
  if (typeof value !== "object" || value === null) return value;
  const row: Json = {};
  for (const [key, each] of Object.entries(value as Json)) {
    if (UNCOMPARED.includes(key)) row[key] = each === null ? null : "…";
    else if (key === "errorMessage") row[key] = typeof each;
    else if (key === "topicId") row[key] = each === NO_ID ? "zero" : "id";
    else row[key] = comparable(each);
  }
  // Their cluster runs with eligible leader replicas, which sets this for all brokers.
  if (row["name"] === "min.insync.replicas") row["configSource"] = 5;
  return row;
}

describe("probes of a real broker", () => {
  const probes = loadProbes().filter(
    (probe) => SECTIONS.includes(probe.section) && apisByKey.has(probe.key ?? -1),
  );

  test("there are as many as were looked at", () => {
    expect(probes.length).toBeGreaterThan(70);
  });

  for (const [index, probe] of probes.entries()) {
    test(`${index} ${probe.api} v${probe.version}: ${probe.what}`, async () => {
      await replay(probe);
    });
  }
});

async function replay(probe: Probe): Promise<void> {
  const { api } = apisByKey.get(probe.key!)!;
  const version = probe.version!;
  const request = structOf(api.request.fields, version, withOurIds(probe.request) as Json);
  const answer = await call(bench, probe.key!, version, request as Json);
  const ours = jsonOf(api.response.fields, version, answer);
  learnIds(probe.response, ours);
  if (DIFFERENT.has(probe.what)) return;
  expect(comparable(ours)).toEqual(comparable(probe.response));
}
