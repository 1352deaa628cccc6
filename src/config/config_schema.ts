// The schema of the config file, in zod: what the file is checked by, and where docs/config.schema.json
// comes from. Loaded only when there is a file to check: zod costs 30 to 60 ms.
// Invariant: it accepts what define_config.ts types, once plugin objects are taken out.

import { z } from "zod";
import { parseAddress } from "./addresses.ts";

const MIB = 1024 * 1024;
const safe = Number.MAX_SAFE_INTEGER;

const settingValue = z.union([z.string(), z.number(), z.boolean()]);
const settings = z.record(z.string(), settingValue);
const address = z
  .string()
  .refine((text) => parseAddress(text) !== null, { message: "HOST:PORT" })
  .meta({
    description: "HOST:PORT, e.g. 127.0.0.1:9092; port 0 picks a free one",
    examples: ["127.0.0.1:9092"],
  });
const count = (lowest: number, highest: number) => z.int().min(lowest).max(highest);

const fsOptions = z.strictObject({
  directory: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "Data folder; `data` of the file when left out" }),
  fileHandlesMax: count(1, 1_000_000)
    .optional()
    .meta({ description: "Most file handles open at once; 512" }),
  warmReadBytes: count(0, 1024 * 1024 * MIB)
    .optional()
    .meta({ description: "Bytes at the end of a file read at once; 64 MiB" }),
  freedAtOnceBytes: count(MIB, 1024 * 1024 * MIB)
    .optional()
    .meta({ description: "Most bytes of a removed or cut file freed in one go; 8 MiB" }),
});
const historyRevisions = count(1, 100_000_000).optional().meta({
  description: "Revisions kept for watches that lag; 10,000",
});
const kvOptions = z.strictObject({
  directory: fsOptions.shape.directory,
  path: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "The SQLite file itself, instead of one in the data folder" }),
  sizeBytesMax: count(4 * MIB, Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({
      description: "Most bytes of the SQLite file, from 4 MiB on; what the disk has when left out",
    }),
});
const kvMetadataOptions = z.strictObject({
  ...kvOptions.shape,
  historyRevisionsMax: historyRevisions,
});
const pem = z.string().includes("-----BEGIN ", { message: "PEM text" });
const tls = z
  .strictObject({
    certificatePem: pem,
    privateKeyPem: pem,
    clientCaPem: pem.optional(),
  })
  .optional()
  .meta({
    description:
      'Certificate chain and key in PEM, e.g. { "file": "tls.crt" }; with clientCaPem peers must show one',
  });
const listener = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_-]+$/, { message: "letters, digits, - and _" }),
  listen: address,
  advertise: address.optional(),
  tls,
});
/** Where a built-in transport listens. */
const listening = {
  listen: address.optional(),
  advertise: address
    .optional()
    .meta({ description: "What clients are told, where it differs: containers and NAT" }),
  tls,
  listeners: z
    .array(listener)
    .min(1)
    .optional()
    .meta({ description: "Instead of `listen`, where there are several" }),
};
const kafkaOptions = z.strictObject({
  ...listening,
  peerTls: z
    .strictObject({
      caPem: pem.optional(),
      certificatePem: pem.optional(),
      privateKeyPem: pem.optional(),
      serverName: z.string().min(1).optional(),
    })
    .optional()
    .meta({
      description:
        "Who vouches for the listeners of other brokers that have TLS, and who we are to them, in PEM",
    }),
  frameBytesMax: count(1024, 0x7fffffff).optional(),
  connectionIdleMsMax: count(1, Number.MAX_SAFE_INTEGER).optional(),
  frameStallMsMax: count(1, Number.MAX_SAFE_INTEGER).optional(),
  loginMsMax: count(1, Number.MAX_SAFE_INTEGER).optional(),
  connectionsMax: count(1, 1_000_000).optional(),
  inFlightMax: count(1, 100_000).optional(),
  requestBytesMax: count(1, Number.MAX_SAFE_INTEGER).optional(),
  responseBytesMax: count(1, Number.MAX_SAFE_INTEGER).optional(),
  replyBytesMax: count(0, Number.MAX_SAFE_INTEGER).optional(),
  fetchBytesMax: count(1024, 0x7fffffff).optional(),
  sessionCacheSlots: count(0, 1_000_000).optional(),
  sessionPartitionsMax: count(0, 100_000_000).optional(),
  arrivalBytesMax: count(0, Number.MAX_SAFE_INTEGER).optional(),
  receivePoolBytesMax: count(0, Number.MAX_SAFE_INTEGER).optional(),
});

const httpOptions = z.strictObject({
  ...listening,
  cors: z
    .array(
      z
        .string()
        .refine(isOrigin, { message: 'an origin such as "https://app.example.com", or "*"' }),
    )
    .optional()
    .meta({ description: 'Origins whose pages may call; "*" for every page; none when left out' }),
  hosts: z.array(z.string().min(1)).optional().meta({
    description: 'Names that Host may have beside loopback and advertised ones; "*" for any',
  }),
  bodyBytesMax: count(1, 1024 * MIB).optional(),
  arrivalBytesMax: count(1, safe).optional(),
  bodyStallMsMax: count(10, 3_600_000).optional(),
  requestsMax: count(1, 1_000_000).optional(),
  streamsMax: count(0, 1_000_000).optional(),
  fetchBytesMax: count(1024, 128 * MIB).optional(),
  replyBytesMax: count(0, safe).optional(),
  recordsMax: count(1, 1_000_000).optional(),
  waitMsMax: count(0, 100_000).optional(),
  heartbeatMs: count(10, 60_000).optional(),
});
const tcpOptions = z.strictObject({
  ...listening,
  frameBytesMax: count(1024, 0x7fffffff).optional(),
  frameItemsMax: count(100, 100_000_000).optional(),
  connectionIdleMsMax: count(1, safe).optional(),
  helloMsMax: count(1, safe).optional(),
  frameStallMsMax: count(1, safe).optional(),
  connectionsMax: count(1, 1_000_000).optional(),
  inFlightMax: count(1, 100_000).optional(),
  subscriptionsMax: count(0, 100_000).optional(),
  responseBytesMax: count(1, safe).optional(),
  replyBytesMax: count(0, safe).optional(),
  fetchBytesMax: count(1024, 0x7fffffff).optional(),
  arrivalBytesMax: count(0, safe).optional(),
});
const OPERATIONS = [
  "all",
  "read",
  "write",
  "create",
  "delete",
  "alter",
  "describe",
  "cluster_action",
  "describe_configs",
  "alter_configs",
  "idempotent_write",
] as const;
const user = z
  .string()
  .regex(/^User:[^\0]{1,255}$/, { message: '"User:NAME"' })
  .meta({ description: "Who: User:NAME", examples: ["User:alice"] });
const names = (of: string) =>
  z
    .array(z.string())
    .optional()
    .meta({
      description: `Beginnings of ${of}: "orders-"; "=orders" is that one alone, "*" all`,
    });
const tokenOptions = z.strictObject({
  tokens: z
    .array(
      z.strictObject({
        principal: user,
        hash: z
          .string()
          .regex(/^sha256:([0-9a-fA-F]{64}|[A-Za-z0-9_-]{43}=?)$/, {
            message: '"sha256:" and 64 hex digits, or 43 of base64url',
          })
          .meta({ description: "Of the token: `millrace token hash` prints it" }),
        expiresAt: z
          .string()
          .refine(isTime, { message: 'a time with its zone, e.g. "2027-01-31T00:00:00Z"' })
          .optional()
          .meta({ description: "From then on the token is refused: 2027-01-31T00:00:00Z" }),
      }),
    )
    .min(1),
  rules: z
    .array(
      z.strictObject({
        principal: z
          .string()
          .regex(/^(\*|User:[^\0]{1,255})$/, { message: '"User:NAME" or "*"' })
          .meta({ description: 'Who: User:NAME, or "*" for everyone who is let in' }),
        allow: z.array(z.enum(OPERATIONS)).min(1),
        topics: names("topic names"),
        groups: names("group names"),
        transactionalIds: names("transactional ids"),
        cluster: z
          .boolean()
          .optional()
          .meta({ description: "The operations are allowed on the cluster, too" }),
      }),
    )
    .optional()
    .meta({ description: "What is allowed; everything else is refused" }),
  superUsers: z.array(user).optional().meta({ description: "They may do everything" }),
});

const etcdOptions = z.strictObject({
  endpoints: z
    .array(z.string().regex(/^https?:\/\/[^\s/@]+\/?$/, { message: "like http://127.0.0.1:2379" }))
    .min(1)
    .max(16)
    .meta({ description: "Client URLs of etcd's members" }),
  prefix: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .meta({ description: 'What our keys begin with; "millrace/" when left out' }),
  user: z.string().min(1).optional(),
  password: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'Of that user, e.g. { "env": "ETCD_PASSWORD" }' }),
  tls: z
    .strictObject({
      caPem: pem.optional(),
      certificatePem: pem.optional(),
      privateKeyPem: pem.optional(),
      serverName: z.string().min(1).optional(),
    })
    .optional()
    .meta({
      description: 'Who vouches for etcd, and who we are, in PEM, e.g. { "file": "ca.crt" }',
    }),
  requestTimeoutMs: count(100, 120_000)
    .optional()
    .meta({ description: "How long a read or a commit is tried over all endpoints; 10,000" }),
});

/** Options of the built-in plugins, by slot and bare word. */
export const OPTION_SCHEMAS: Readonly<Record<string, Readonly<Record<string, z.ZodType>>>> = {
  storage: { fs: fsOptions, memory: z.strictObject({}), kv: kvOptions },
  metadata: {
    file: z.strictObject({
      directory: fsOptions.shape.directory,
      historyRevisionsMax: historyRevisions,
    }),
    memory: z.strictObject({ historyRevisionsMax: historyRevisions }),
    kv: kvMetadataOptions,
    etcd: etcdOptions,
  },
  transport: { kafka: kafkaOptions, http: httpOptions, tcp: tcpOptions },
  auth: { token: tokenOptions },
};

/** A slot: the built-in names with their own options, any other module with any options. */
function slot(name: string) {
  const builtIn = Object.entries(OPTION_SCHEMAS[name]!).map(([word, options]) =>
    z.strictObject({ use: z.literal(word), options: options.optional() }),
  );
  const module = z.strictObject({
    use: z.string().regex(/[/.:]/, { message: "a built-in name, or a module with a /, . or :" }),
    options: z.record(z.string(), z.unknown()).optional(),
  });
  return z.union([z.string(), ...builtIn, module]);
}

/** The file as a whole. Slots are checked by `slotSchema` first, so that messages stay short. */
export const CONFIG_SCHEMA = z.strictObject({
  $schema: z.string().optional(),
  data: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'Folder of the data, relative to this file; "./data"' }),
  broker: z
    .strictObject({
      id: count(0, 0x7fffffff).optional().meta({ description: "1 when left out" }),
      clusterId: z.string().min(1).max(249).optional(),
      rack: z.string().min(1).optional(),
    })
    .optional(),
  storage: slot("storage").optional().meta({ description: '"fs" when left out' }),
  metadata: slot("metadata").optional().meta({ description: '"file" when left out' }),
  transports: z
    .array(slot("transport"))
    .optional()
    .meta({ description: "Kafka on 127.0.0.1:9092 and HTTP on 127.0.0.1:8080 when left out" }),
  auth: z.array(slot("auth")).optional(),
  settings: settings.optional().meta({ description: "Broker settings by Kafka's names" }),
  topics: z
    .strictObject({
      defaults: settings.optional().meta({
        description: "Topic settings by Kafka's names, for topics that do not say otherwise",
      }),
    })
    .optional(),
  log: z
    .strictObject({
      level: z.enum(["debug", "info", "warn", "error", "off"]).optional(),
      format: z.enum(["auto", "json", "text"]).optional(),
    })
    .optional(),
  insecure: z
    .boolean()
    .optional()
    .meta({ description: "Allows listening off loopback without authentication" }),
});

/** The schema of `{ use, options }` for one word of a slot; null when the word is not built in. */
export function slotSchema(slotName: string, word: string): z.ZodType | null {
  const options = OPTION_SCHEMAS[slotName]?.[word];
  return options === undefined
    ? null
    : z.strictObject({ use: z.string(), options: options.optional() });
}

/** Any module in a slot. */
export const MODULE_SCHEMA = z.strictObject({
  use: z.string(),
  options: z.record(z.string(), z.unknown()).optional(),
});

/** The JSON Schema of the file, as docs/config.schema.json has it. */
export function configJsonSchema(): object {
  const schema = z.toJSONSchema(CONFIG_SCHEMA, { io: "input" }) as JsonNode;
  for (const key of ["storage", "metadata", "transports", "auth"]) {
    const at = schema.properties![key]!;
    for (const variant of (at.items ?? at).anyOf!) {
      const options = variant.properties?.["options"];
      if (options !== undefined) allowReferences(options);
    }
  }
  return { ...schema, $defs: { reference: REFERENCE }, title: "millrace.config.json" };
}

/** As much of JSON Schema as zod prints for the file. */
interface JsonNode {
  type?: string;
  enum?: unknown;
  description?: string;
  properties?: Record<string, JsonNode>;
  items?: JsonNode;
  anyOf?: JsonNode[];
  $ref?: string;
}

const REFERENCE = {
  description: "A value that stands in a variable, or in a file beside this one",
  anyOf: ["env", "file"].map((key) => ({
    type: "object",
    properties: { [key]: { type: "string" } },
    required: [key],
    additionalProperties: false,
  })),
};

/** Wherever options take text, a reference may stand: it is replaced before the options are checked. */
function allowReferences(node: JsonNode): void {
  for (const [key, each] of Object.entries(node.properties ?? {})) {
    node.properties![key] = withReference(each);
  }
  if (node.items !== undefined) node.items = withReference(node.items);
}

function withReference(node: JsonNode): JsonNode {
  allowReferences(node);
  if (node.type !== "string" || node.enum !== undefined) return node;
  const { description, ...text } = node;
  const anyOf = [text, { $ref: "#/$defs/reference" }];
  return description === undefined ? { anyOf } : { description, anyOf };
}

/** ISO 8601 with a zone. */
function isTime(text: string): boolean {
  return (
    /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/.test(text) &&
    !Number.isNaN(Date.parse(text))
  );
}

function isOrigin(text: string): boolean {
  return text === "*" || (URL.canParse(text) && new URL(text).origin === text);
}
