// Holds the declarations in src/protocol to what Kafka 4.3.1 reports of its own messages, field by field:
// `bun run scripts/check_messages.ts`. Exit code 1 on a difference. test/protocol/check_messages.test.ts runs it too.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { internalRecords } from "../src/protocol/all_internal_records.ts";
import { apis } from "../src/protocol/all_messages.ts";
import { requestHeaderVersion, responseHeaderVersion } from "../src/protocol/header.ts";
import {
  type AnyField,
  type AnyFields,
  type Api,
  type Message,
  versionRange,
} from "../src/protocol/schema.ts";
import type {
  Range,
  SchemaApi,
  SchemaField,
  SchemaMessage,
  Schemas,
  StoredSchemas,
} from "./schema_data.ts";
import { answerHelp } from "./usage.ts";

/** Differences between the declarations and the data, one line each; empty when they agree. */
export function messageFaults(
  schemas: Schemas,
  stored: StoredSchemas,
  declaredApis: readonly Api[] = apis,
  declaredRecords: readonly Message[] = internalRecords,
): string[] {
  const faults: string[] = [];
  const byKey = new Map(declaredApis.map((api) => [api.apiKey, api]));
  for (const expected of schemas.apis) {
    if (expected.removed === true) continue;
    const api = byKey.get(expected.key);
    byKey.delete(expected.key);
    if (api === undefined) faults.push(`${expected.name}: not declared`);
    else compareApi(api, expected, faults);
  }
  for (const api of byKey.values()) faults.push(`${api.name}: Kafka has no such API`);

  const byName = new Map(declaredRecords.map((message) => [message.name, message]));
  const groups = Object.values(stored).filter((group) => typeof group !== "string");
  const expectedMessages = [schemas.headers.request, schemas.headers.response, ...groups.flat()];
  for (const expected of expectedMessages) {
    const message = byName.get(expected.name);
    byName.delete(expected.name);
    if (message === undefined) faults.push(`${expected.name}: not declared`);
    else compareMessage(message, expected, faults);
  }
  for (const name of byName.keys()) faults.push(`${name}: Kafka has no such message`);
  return faults;
}

function compareApi(api: Api, expected: SchemaApi, faults: string[]): void {
  const say = (what: string, ours: unknown, theirs: unknown) => {
    if (ours !== theirs) faults.push(`${expected.name}: ${what} is ${ours}, not ${theirs}`);
  };
  say("name", api.name, expected.name);
  say("lowest version", api.lowest, expected.versions[0]);
  say("highest version", api.highest, expected.versions[1]);
  say("highest stable version", api.highestStable, expected.latestStable);
  const advertised = expected.advertisedByBroker;
  if (advertised !== undefined) {
    say("lowest advertised version", api.advertisedLowest, advertised[0]);
    say("highest advertised version", api.highestStable, advertised[1]);
  }
  for (let version = expected.versions[0]; version <= expected.versions[1]; version++) {
    const request = headerOf(expected.requestHeader, version);
    const response = headerOf(expected.responseHeader, version);
    say(`v${version} request header`, requestHeaderVersion(api, version), request);
    say(`v${version} response header`, responseHeaderVersion(api, version), response);
  }
  compareMessage(api.request, expected.request, faults);
  compareMessage(api.response, expected.response, faults);
}

function compareMessage(message: Message, expected: SchemaMessage, faults: string[]): void {
  const say = (what: string, ours: unknown, theirs: unknown) => {
    if (ours !== theirs) faults.push(`${expected.name}: ${what} is ${ours}, not ${theirs}`);
  };
  say("name", message.name, expected.name);
  say("lowest version", message.lowest, expected.versions[0]);
  say("highest version", message.highest, expected.versions[1]);
  const flexibleFrom = expected.flexible?.[0] ?? Number.POSITIVE_INFINITY;
  say("first flexible version", message.flexibleFrom, flexibleFrom);
  say("record type", message.recordType, expected.recordType ?? null);
  const scope = { message, name: expected.name };
  compareFields(scope, message.fields, expected.fields, expected.versions, faults);
}

interface Scope {
  readonly message: Message;
  readonly name: string;
}

function compareFields(
  scope: Scope,
  fields: AnyFields,
  expected: readonly SchemaField[],
  parent: Range,
  faults: string[],
): void {
  const ours = Object.keys(fields).join(", ");
  const theirs = expected.map((field) => field.name).join(", ");
  if (ours !== theirs) {
    faults.push(`${scope.name}: fields are ${ours}, not ${theirs}`);
    return;
  }
  for (const field of expected) compareField(scope, fields[field.name]!, field, parent, faults);
}

function compareField(
  scope: Scope,
  field: AnyField,
  expected: SchemaField,
  parent: Range,
  faults: string[],
): void {
  const where = `${scope.name}.${expected.name}`;
  const say = (what: string, ours: unknown, theirs: unknown) => {
    if (ours !== theirs) faults.push(`${where}: ${what} is ${ours}, not ${theirs}`);
  };
  const element = field.type === "array" ? field.element! : field;
  say("type", field.type === "array" ? `[]${element.type}` : field.type, expected.type);
  const versions = rangeOf(scope, field.versions, parent);
  say("versions", String(versions), String(expected.versions));
  const nullable =
    field.nullable === undefined
      ? undefined
      : rangeOf(scope, field.nullable === true ? undefined : field.nullable, versions);
  say("nullable", String(nullable), String(expected.nullable));
  say("tag", field.tag, expected.tag);
  say("default", defaultText(field.default), defaultText(expected.default));
  say("ignorable", field.ignorable === true, expected.ignorable === true);
  say("nonFlexible", field.nonFlexible === true, expected.nonFlexible === true);
  if (element.fields !== undefined || expected.fields !== undefined) {
    compareFields(scope, element.fields ?? {}, expected.fields ?? [], expected.versions, faults);
  }
}

function rangeOf(scope: Scope, text: string | undefined, parent: Range): Range {
  if (text === undefined) return parent;
  return versionRange(text, scope.message.lowest, scope.message.highest);
}

/** int64 defaults are text in the data; here they are numbers, or bigints. */
function defaultText(value: unknown): string {
  return value === undefined ? "the zero value" : String(value);
}

function headerOf(
  headers: readonly { versions: Range; header: number }[],
  version: number,
): number | undefined {
  return headers.find(({ versions: [from, to] }) => version >= from && version <= to)?.header;
}

function readGzip<T>(name: string): T {
  const url = new URL(`../test/vectors/kafka/${name}`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(fileURLToPath(url.href))).toString()) as T;
}

if (import.meta.main) {
  answerHelp(import.meta.url);
  const faults = messageFaults(readGzip("schemas.json.gz"), readGzip("schemas_other.json.gz"));
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) process.exit(1);
  console.log(
    `${apis.length} APIs and ${internalRecords.length} other messages agree with the data`,
  );
}
