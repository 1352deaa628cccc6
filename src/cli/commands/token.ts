// `millrace token create` and `millrace token hash`: tokens for auth-token, of which the config holds hashes.

import { hostCryptography } from "../../runtime/cryptography.ts";
import { HostRandom } from "../../runtime/random.ts";
import type { Arguments } from "../arguments.ts";
import { UsageError } from "../cli_error.ts";
import type { Command } from "../command.ts";
import { type Flag, JSON_FLAG } from "../flags.ts";
import { tokenFrom } from "../login.ts";

/** So that scanners of code and logs can find one that has leaked. */
const TOKEN_PREFIX = "mr_";
const TOKEN_BYTES = 32;
/** A shorter one can be found by trying: its hash is one round of SHA-256. */
const TOKEN_CHARACTERS_MIN = 20;
const DAY_MS = 86_400_000;

const NAME_FLAG: Flag = {
  name: "name",
  value: "NAME",
  summary: "whose it is: user NAME, principal User:NAME",
};
const DAYS_FLAG: Flag = { name: "days", value: "N", summary: "refused from N days on" };

interface Entry {
  readonly principal: string;
  readonly hash: string;
  readonly expiresAt?: string;
}

export const create: Command = {
  name: "token create",
  summary: "make a token, and the lines of the config that let it in",
  about: `The token is 32 random bytes and is shown this once: the config holds its hash. Clients log in with it as
the password of SASL/PLAIN; over HTTP and TCP it is the bearer token.`,
  flags: [NAME_FLAG, DAYS_FLAG, JSON_FLAG],
  examples: [
    { command: "millrace token create --name alice", says: "a token for alice" },
    { command: "millrace token create --name ci --days 90", says: "one that ends by itself" },
  ],
  async run(args, host) {
    const name = nameOf(args) ?? "NAME";
    const bytes = new HostRandom().fill(new Uint8Array(TOKEN_BYTES));
    const token = TOKEN_PREFIX + base64Url(bytes);
    const entry = entryOf(args, name, token);
    await host.print(
      args.has("json")
        ? `${JSON.stringify({ token, entry })}\n`
        : `The token of ${entry.principal}, shown this once:

  ${token}

For the config, in "auth": [{ "use": "token", "options": { "tokens": [ … ] } }]:

  ${JSON.stringify(entry)}
`,
    );
    return 0;
  },
};

export const hash: Command = {
  name: "token hash",
  summary: "print the hash of a token, read from standard input",
  about: `For a token that something else has made. It has to be random, 20 characters or more: the hash is quick to
compute, so whoever reads the config could try passwords that people think of.`,
  flags: [NAME_FLAG, DAYS_FLAG, JSON_FLAG],
  examples: [
    { command: "millrace token hash < token.txt", says: "the hash alone" },
    { command: "millrace token hash --name alice < token.txt", says: "the entry of the config" },
  ],
  async run(args, host) {
    const token = await tokenFrom(host.input(), "Standard input");
    if (token.length < TOKEN_CHARACTERS_MIN) {
      throw new UsageError(
        `The token has to have ${TOKEN_CHARACTERS_MIN} characters or more, on standard input: \`millrace token create\` makes one`,
        "token hash",
      );
    }
    const name = nameOf(args);
    const entry = entryOf(args, name ?? "NAME", token);
    const isEntry = name !== undefined || args.has("json");
    await host.print(`${isEntry ? JSON.stringify(entry) : entry.hash}\n`);
    return 0;
  },
};

function nameOf(args: Arguments): string | undefined {
  const name = args.text("name");
  if (name !== undefined && (name === "" || name.length > 255 || name.includes("\0"))) {
    throw args.wrong("--name must have 1 to 255 characters");
  }
  return name;
}

function entryOf(args: Arguments, name: string, token: string): Entry {
  const digest = hostCryptography.digest("SHA-256", new TextEncoder().encode(token));
  const days = args.whole("days", 1, 36_500);
  return {
    principal: `User:${name}`,
    hash: `sha256:${base64Url(digest)}`,
    ...(days === undefined
      ? {}
      : { expiresAt: new Date(Date.now() + days * DAY_MS).toISOString().replace(/\.\d+/, "") }),
  };
}

function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}
