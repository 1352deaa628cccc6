// Wrote src/protocol/messages/ and src/protocol/internal_records/ once, out of the schemas under test/vectors/kafka.
// The files are owned now: edit them by hand, and let scripts/check_messages.ts hold them to the data. Run this only
// for an API key that a new Kafka brings (`bun scripts/generate_messages.ts`); a file that exists is left alone.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { aboutFields, servedApis, storedFiles } from "./generate_messages_notes.ts";
import type { Range, SchemaField, SchemaMessage, Schemas, StoredSchemas } from "./schema_data.ts";
import { answerHelp } from "./usage.ts";

answerHelp(import.meta.url);

const root = new URL("../", import.meta.url);
const vectors = new URL("test/vectors/kafka/", root);

function main(): void {
  const schemas = readGzip<Schemas>("schemas.json.gz");
  const stored = readGzip<StoredSchemas>("schemas_other.json.gz");
  const files: { file: string; names: string[] }[] = [];
  for (const declared of schemas.apis) {
    if (declared.removed === true) continue;
    const file = `${String(declared.key).padStart(2, "0")}_${snake(declared.name)}.ts`;
    files.push({ file, names: [declared.name] });
    const { request, response } = declared;
    const uses = new Set<string>(["api"]);
    const flexible = request.flexible === null ? "" : `flexible: "${request.flexible[0]}+",\n`;
    const advertised = declared.advertisedByBroker?.[0] ?? declared.versions[0];
    const body = `export const ${declared.name} = api({
      apiKey: ${declared.key},
      name: "${declared.name}",
      versions: "${span(declared.versions)}",
      ${flexible}${declared.latestVersionUnstable ? "latestVersionUnstable: true,\n" : ""}${
        advertised === declared.versions[0] ? "" : `advertisedLowest: ${advertised},\n`
      }request: ${fieldsText(request.fields, request.versions, request, uses)},
      response: ${fieldsText(response.fields, response.versions, response, uses)},
    });
    export type ${declared.name}Request = RequestOf<typeof ${declared.name}>;
    export type ${declared.name}RequestInput = RequestInputOf<typeof ${declared.name}>;
    export type ${declared.name}Response = ResponseOf<typeof ${declared.name}>;
    export type ${declared.name}ResponseInput = ResponseInputOf<typeof ${declared.name}>;
    `;
    const note = servedApis[declared.name];
    if (note === undefined) throw new Error(`No note for ${declared.name}`);
    const versions = declared.versions[0] === declared.versions[1] ? "version" : "versions";
    const head = `// ${declared.name}, API key ${declared.key}, ${versions} ${span(declared.versions, "–")}.
//
${wrap(`Serves: ${note.serves}`)}
${note.limits === undefined ? "" : `${wrap(`Limits: ${note.limits}`)}\n`}// Kafka: ${note.kafka ?? `KafkaApis, ${declared.enum}`}.
`;
    const history = historyText([
      { side: "request", message: request },
      { side: "response", message: response },
    ]);
    const types = "RequestInputOf, RequestOf, ResponseInputOf, ResponseOf";
    put(
      `src/protocol/messages/${file}`,
      `${head}
import type { ${types} } from "../infer.ts";
import { ${[...uses].sort().join(", ")} } from "../schema.ts";

${history}${body}`,
    );
  }
  put("src/protocol/all_messages.ts", indexText(files, "messages", "apis", "Api"));

  const { headers } = schemas;
  const byName = new Map<string, SchemaMessage>([
    [headers.request.name, headers.request],
    [headers.response.name, headers.response],
  ]);
  for (const group of Object.values(stored)) {
    if (Array.isArray(group)) for (const each of group) byName.set(each.name, each);
  }
  const groups: { file: string; names: readonly string[] }[] = [];
  for (const { file, head, names } of storedFiles) {
    groups.push({ file, names });
    const uses = new Set<string>(["message"]);
    let text = "";
    for (const name of names) {
      const declared = byName.get(name);
      if (declared === undefined) throw new Error(`No schema for ${name}`);
      byName.delete(name);
      const flexible = declared.flexible === null ? "" : `flexible: "${declared.flexible[0]}+",\n`;
      const { recordType } = declared;
      text += `${historyText([{ side: "", message: declared }])}export const ${name} = message({
        name: "${name}",
        versions: "${span(declared.versions)}",
        ${flexible}${recordType === undefined ? "" : `recordType: ${recordType},\n`}fields: ${fieldsText(declared.fields, declared.versions, declared, uses)},
      });
      export type ${name} = MessageOf<typeof ${name}>;
      export type ${name}Input = MessageInputOf<typeof ${name}>;

      `;
    }
    put(
      `src/protocol/internal_records/${file}`,
      `${wrap(head)}

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { ${[...uses].sort().join(", ")} } from "../schema.ts";

${text}`,
    );
  }
  if (byName.size > 0) throw new Error(`No file for ${[...byName.keys()].join(", ")}`);
  put(
    "src/protocol/all_internal_records.ts",
    indexText(groups, "internal_records", "internalRecords", "Message"),
  );
}

function fieldsText(
  fields: readonly SchemaField[],
  parent: Range,
  message: SchemaMessage,
  uses: Set<string>,
): string {
  const lines = fields.map((field) => `${field.name}: ${fieldText(field, parent, message, uses)},`);
  return `{\n${lines.join("\n")}\n}`;
}

function fieldText(
  field: SchemaField,
  parent: Range,
  message: SchemaMessage,
  uses: Set<string>,
): string {
  const isArray = field.type.startsWith("[]");
  const base = isArray ? field.type.slice(2) : field.type;
  const options: string[] = [];
  if (!same(field.versions, parent)) options.push(`versions: "${within(field.versions, message)}"`);
  if (field.nullable !== undefined) {
    const everywhere = same(field.nullable, field.versions);
    options.push(everywhere ? "nullable: true" : `nullable: "${within(field.nullable, message)}"`);
  }
  if (field.tag !== undefined) options.push(`tag: ${field.tag}`);
  if (field.default !== undefined) options.push(`default: ${defaultText(field)}`);
  if (field.ignorable === true) options.push("ignorable: true");
  if (field.nonFlexible === true) options.push("nonFlexible: true");
  const about = aboutFields[`${message.name}.${field.name}`] ?? aboutFields[field.name];
  if (about !== undefined && base !== "struct") options.push(`about: ${JSON.stringify(about)}`);
  const given = options.length === 0 ? "" : `{ ${options.join(", ")} }`;
  if (base === "struct") {
    uses.add(isArray ? "array" : "struct");
    const inner = fieldsText(field.fields ?? [], field.versions, message, uses);
    return `${isArray ? "array" : "struct"}(${inner}${given === "" ? "" : `, ${given}`})`;
  }
  uses.add(base);
  if (!isArray) return `${base}(${given})`;
  uses.add("array");
  return `array(${base}()${given === "" ? "" : `, ${given}`})`;
}

function defaultText(field: SchemaField): string {
  const { default: value, type } = field;
  if (value === null) return "null";
  if (type !== "int64") return JSON.stringify(value);
  const number = Number(value);
  return Number.isSafeInteger(number) ? String(number) : `${String(value)}n`;
}

/** What each version adds and takes away, for the comment above the declaration. */
function historyText(parts: readonly { side: string; message: SchemaMessage }[]): string {
  const first = parts[0]!.message;
  const [lowest, highest] = first.versions;
  const lines: string[] = [];
  const unchanged: number[] = [];
  for (let version = lowest + 1; version <= highest; version++) {
    const changes = parts.flatMap(({ side, message }) => changesOf(message, side, version));
    if (first.flexible?.[0] === version) changes.push("flexible");
    if (changes.length === 0) unchanged.push(version);
    else lines.push(wrap(`v${version}: ${changes.join("; ")}.`));
  }
  if (unchanged.length > 0) {
    lines.push(
      wrap(`Unchanged on the wire: ${unchanged.map((version) => `v${version}`).join(", ")}.`),
    );
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function changesOf(message: SchemaMessage, side: string, version: number): string[] {
  const added: string[] = [];
  const removed: string[] = [];
  const nullables: string[] = [];
  const walk = (fields: readonly SchemaField[], parent: string) => {
    for (const field of fields) {
      const name = `${parent}${field.name}`;
      if (field.versions[0] === version) added.push(name);
      else if (field.versions[1] === version - 1) removed.push(name);
      else if (field.versions[0] < version && field.versions[1] >= version) {
        if (field.nullable?.[0] === version) nullables.push(name);
        walk(field.fields ?? [], `${field.name}.`);
      }
    }
  };
  walk(message.fields, "");
  const to = side === "" ? "" : ` (${side})`;
  return [
    ...(added.length > 0 ? [`adds ${added.join(", ")}${to}`] : []),
    ...(removed.length > 0 ? [`drops ${removed.join(", ")}${to}`] : []),
    ...(nullables.length > 0 ? [`allows null in ${nullables.join(", ")}${to}`] : []),
  ];
}

function indexText(
  files: readonly { file: string; names: readonly string[] }[],
  folder: string,
  list: string,
  type: string,
): string {
  const imports = files.map(
    ({ file, names }) => `import { ${names.join(", ")} } from "./${folder}/${file}";`,
  );
  const what = list === "apis" ? "Every API" : "Every stored and embedded message";
  return `// ${what} that is declared, for tools, tests and clients of everything. A broker imports only what it serves, so that
// it starts without loading the rest.

${imports.join("\n")}
import type { ${type} } from "./schema.ts";

/** ${what}, ${list === "apis" ? "by ascending key" : "by file"}. */
export const ${list}: readonly ${type}[] = [${files.flatMap(({ names }) => names).join(", ")}];
`;
}

function within([from, to]: Range, message: SchemaMessage): string {
  return to === message.versions[1] ? `${from}+` : span([from, to]);
}

function span([from, to]: Range, dash = "-"): string {
  return from === to ? String(from) : `${from}${dash}${to}`;
}

function same(a: Range, b: Range): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

function snake(name: string): string {
  return name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toLowerCase();
}

function wrap(text: string): string {
  const lines: string[] = [];
  let line = "//";
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > 100) {
      lines.push(line);
      line = "//  ";
    }
    line += ` ${word}`;
  }
  lines.push(line);
  return lines.join("\n");
}

function put(path: string, text: string): void {
  const file = fileURLToPath(new URL(path, root).href);
  if (existsSync(file)) return;
  writeFileSync(file, text);
}

function readGzip<T>(name: string): T {
  return JSON.parse(
    gunzipSync(readFileSync(fileURLToPath(new URL(name, vectors).href))).toString(),
  ) as T;
}

main();
