// The options of auth-token, and what is made of them: a table of token hashes and a list of rules.
// Invariant: what leaves here is checked; every problem is told at once, by the place it stands at.
// Kafka: the users of sasl.jaas.config, and the ACLs of StandardAuthorizer.

import { hint } from "../../src/base/nearest_key.ts";
import type { Operation } from "../../src/contracts/auth.ts";

/** Who may come in, and who may do what. Whatever is not allowed is refused. */
export interface AuthTokenOptions {
  /** At least one. A principal may have several, so that a token can be replaced without a gap. */
  readonly tokens: readonly AuthTokenEntry[];
  /** Left out: nobody but the super users may do anything. */
  readonly rules?: readonly AuthTokenRule[];
  /** Principals that may do everything, e.g. ["User:admin"]. */
  readonly superUsers?: readonly string[];
}

/** A token, by its hash: the token itself stands nowhere. */
export interface AuthTokenEntry {
  /** Whose it is: "User:alice". With SASL/PLAIN the user name is "alice". */
  readonly principal: string;
  /** "sha256:" and the SHA-256 of the token's UTF-8 bytes, in hex or base64url; `millrace token create` prints it. */
  readonly hash: string;
  /** ISO 8601 with a zone, e.g. "2027-01-31T00:00:00Z". From then on the token is refused, and its sessions end. */
  readonly expiresAt?: string;
}

/** Allows; there are no rules that deny. */
export interface AuthTokenRule {
  /** "User:alice", or "*" for everyone who is let in. */
  readonly principal: string;
  /**
   * read, write, delete and alter allow describe as well, and alter_configs describe_configs, as in Kafka.
   * "all" is every operation.
   */
  readonly allow: readonly AllowedOperation[];
  /** Beginnings of topic names: "orders-" or "orders-*"; "=orders" is that one name, "*" (or "") all. */
  readonly topics?: readonly string[];
  /** Beginnings of group names, in the same form. */
  readonly groups?: readonly string[];
  /** Beginnings of transactional ids, in the same form. */
  readonly transactionalIds?: readonly string[];
  /** True: the operations are allowed on the cluster too, e.g. "create" for topics of any name. */
  readonly cluster?: boolean;
}

/** An operation of Kafka's ACLs, or all of them. */
export type AllowedOperation = Operation | "all";

/** A token, ready to be compared. */
export interface TokenRow {
  readonly name: string;
  readonly hash: Uint8Array;
  /** Wall time; null: never. */
  readonly expiresAtMs: number | null;
}

/** A rule, ready to be asked. */
export interface RuleRow {
  /** Name of a principal of type User, or null for everyone. */
  readonly name: string | null;
  readonly operations: ReadonlySet<Operation>;
  readonly topics: readonly NamePattern[];
  readonly groups: readonly NamePattern[];
  readonly transactionalIds: readonly NamePattern[];
  readonly cluster: boolean;
}

/** A name, or the beginning of names. */
export interface NamePattern {
  readonly text: string;
  readonly isExact: boolean;
}

export interface CheckedOptions {
  readonly tokens: readonly TokenRow[];
  readonly rules: readonly RuleRow[];
  readonly superUsers: ReadonlySet<string>;
}

/** What each operation is, and what it allows besides (Kafka's Authorizer). */
const ALSO_ALLOWS: Readonly<Record<Operation, readonly Operation[]>> = {
  read: ["describe"],
  write: ["describe"],
  create: [],
  delete: ["describe"],
  alter: ["describe"],
  describe: [],
  cluster_action: [],
  describe_configs: [],
  alter_configs: ["describe_configs"],
  idempotent_write: [],
};
const OPERATIONS = Object.keys(ALSO_ALLOWS) as readonly Operation[];

/** Longer names are refused at a login too (RFC 4616 leaves the bound to us). */
export const NAME_CHARACTERS_MAX = 255;
const HASH = /^sha256:(?:([0-9a-fA-F]{64})|([A-Za-z0-9_-]{43})=?)$/;
const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})$/;

/** Checks and reads the options. @throws {TypeError} with one line for each problem */
export function checkOptions(options: AuthTokenOptions): CheckedOptions {
  const check = new Check();
  check.keys("auth-token", options, ["tokens", "rules", "superUsers"]);
  const tokens = check.list("tokens", options.tokens, (at, entry: AuthTokenEntry) =>
    check.token(at, entry),
  );
  if (options.tokens === undefined || tokens.length + check.problems.length === 0) {
    check.problems.push("tokens is empty: nobody could log in");
  }
  const rules = check.list("rules", options.rules ?? [], (at, rule: AuthTokenRule) =>
    check.rule(at, rule),
  );
  const superUsers = check.list("superUsers", options.superUsers ?? [], (at, text: string) =>
    check.principal(at, text),
  );
  if (check.problems.length > 0) throw new TypeError(check.problems.join("\n"));
  return { tokens, rules, superUsers: new Set(superUsers) };
}

/** Collects problems, so that one start shows them all. */
class Check {
  readonly problems: string[] = [];
  /** Where each hash stands. */
  readonly #places = new Map<string, string>();

  list<In, Out>(at: string, items: readonly In[] | undefined, read: (at: string, item: In) => Out) {
    if (items === undefined) return [];
    if (!Array.isArray(items)) {
      this.problems.push(`${at} must be a list: found ${shown(items)}`);
      return [];
    }
    return (items as readonly In[]).map((item, i) => read(`${at}[${i}]`, item));
  }

  /** Names that nobody knows would otherwise be taken for rules that hold. */
  keys(at: string, value: object, known: readonly string[]): boolean {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.problems.push(`${at} must be an object: found ${shown(value)}`);
      return false;
    }
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue;
      this.problems.push(`${at} does not know "${key}"${hint(key, known)}`);
    }
    return true;
  }

  token(at: string, entry: AuthTokenEntry): TokenRow {
    const none = { name: "", hash: new Uint8Array(0), expiresAtMs: null };
    if (!this.keys(at, entry, ["principal", "hash", "expiresAt"])) return none;
    const name = this.principal(`${at}.principal`, entry.principal);
    const hash = this.#hash(`${at}.hash`, entry.hash);
    const expiresAtMs =
      entry.expiresAt === undefined ? null : this.#time(`${at}.expiresAt`, entry.expiresAt);
    return { name, hash, expiresAtMs };
  }

  rule(at: string, rule: AuthTokenRule): RuleRow {
    const known = ["principal", "allow", "topics", "groups", "transactionalIds", "cluster"];
    const isObject = this.keys(at, rule, known);
    const { principal, allow, topics, groups, transactionalIds, cluster } = isObject
      ? rule
      : ({ principal: "*", allow: ["all"], cluster: true } as AuthTokenRule);
    if (allow === undefined || (Array.isArray(allow) && allow.length === 0)) {
      this.problems.push(`${at}.allow names no operation`);
    }
    if (cluster !== undefined && typeof cluster !== "boolean") {
      this.problems.push(`${at}.cluster must be true or false: found ${shown(cluster)}`);
    }
    const lists = [topics, groups, transactionalIds];
    if (cluster !== true && lists.every((list) => list === undefined || list.length === 0)) {
      this.problems.push(
        `${at} is for nothing: give it topics, groups, transactionalIds or cluster`,
      );
    }
    const operations = new Set<Operation>();
    for (const group of this.list(`${at}.allow`, allow, (where, word: string) =>
      this.#operations(where, word),
    )) {
      for (const operation of group) operations.add(operation);
    }
    return {
      name: principal === "*" ? null : this.principal(`${at}.principal`, principal),
      operations,
      topics: this.#patterns(`${at}.topics`, topics),
      groups: this.#patterns(`${at}.groups`, groups),
      transactionalIds: this.#patterns(`${at}.transactionalIds`, transactionalIds),
      cluster: cluster === true,
    };
  }

  /** The name behind "User:". */
  principal(at: string, text: string): string {
    const name = typeof text === "string" && text.startsWith("User:") ? text.slice(5) : "";
    if (name === "*") {
      // Kafka's form of everyone; taken as a name, it would be nobody.
      this.problems.push(`${at} must be one user: "*" alone, in a rule, is everyone`);
    } else if (name === "" || name.length > NAME_CHARACTERS_MAX || name.includes("\0")) {
      this.problems.push(`${at} must be "User:NAME": found ${shown(text)}`);
    }
    return name;
  }

  #operations(at: string, word: string): readonly Operation[] {
    if (word === "all") return OPERATIONS;
    const operation = OPERATIONS.find((each) => each === word);
    if (operation !== undefined) return [operation, ...ALSO_ALLOWS[operation]];
    const names = ["all", ...OPERATIONS];
    const nearest = typeof word === "string" ? hint(word, names) : "";
    const way = nearest === "" ? `: known are ${names.join(", ")}` : nearest;
    this.problems.push(`${at} is no operation: found ${shown(word)}${way}`);
    return [];
  }

  #patterns(at: string, texts: readonly string[] | undefined): readonly NamePattern[] {
    return this.list(at, texts, (where, text: string): NamePattern => {
      if (typeof text !== "string") {
        this.problems.push(`${where} must be text: found ${shown(text)}`);
        return { text: "", isExact: true };
      }
      if (text.startsWith("=")) return { text: text.slice(1), isExact: true };
      return { text: text.endsWith("*") ? text.slice(0, -1) : text, isExact: false };
    });
  }

  #hash(at: string, text: string): Uint8Array {
    const [whole, hex, base64url] = typeof text === "string" ? (HASH.exec(text) ?? []) : [];
    if (whole === undefined) {
      // What was found is not shown: it may be the token itself.
      this.problems.push(
        `${at} must be "sha256:" and 64 hex digits, or 43 of base64url: \`millrace token hash\` prints it`,
      );
      return new Uint8Array(0);
    }
    const bytes = hex === undefined ? bytesOfBase64Url(base64url!) : bytesOfHex(hex);
    const place = this.#places.get(hexOf(bytes));
    if (place !== undefined) this.problems.push(`${at} is the hash of ${place} again`);
    this.#places.set(hexOf(bytes), at);
    return bytes;
  }

  #time(at: string, text: string): number {
    const atMs = typeof text === "string" && ISO_TIME.test(text) ? Date.parse(text) : Number.NaN;
    if (Number.isNaN(atMs)) {
      this.problems.push(
        `${at} must be a time with its zone, e.g. "2027-01-31T00:00:00Z": found ${shown(text)}`,
      );
    }
    return atMs;
  }
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 80);
}

function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  );
}

function bytesOfBase64Url(text: string): Uint8Array {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** Lower-case hex, the key of the token table. */
export function hexOf(bytes: Uint8Array): string {
  let hex = "";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return hex;
}
