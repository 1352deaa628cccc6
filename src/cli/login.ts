// Who a command logs in as: a name, and a token from a file or a variable.
// Invariant: a token never stands among the words of a command, which every user of the machine can list and
// the shell writes into its history.

import type { SaslOptions } from "../client/mod.ts";
import type { Arguments } from "./arguments.ts";
import { CommandError } from "./cli_error.ts";
import type { CliHost } from "./host.ts";

/** A token is far shorter. */
const TOKEN_BYTES_MAX = 64 * 1024;

/** The login that flags and variables ask for; undefined when they ask for none. @throws {UsageError} when one half is missing */
export async function loginOf(args: Arguments, host: CliHost): Promise<SaslOptions | undefined> {
  const { environment } = host;
  const username = args.text("user") ?? environment["MILLRACE_USER"] ?? "";
  const file = args.text("token-file");
  const password =
    file === undefined ? (environment["MILLRACE_TOKEN"] ?? "") : await tokenIn(file, host);
  if (username === "" && password === "") return undefined;
  if (username === "") {
    throw args.wrong("There is a token but no name: give --user NAME, or set MILLRACE_USER");
  }
  if (password === "") {
    throw args.wrong(
      `There is no token for user "${username}": give --token-file PATH, or set MILLRACE_TOKEN`,
    );
  }
  return { mechanism: "PLAIN", username, password };
}

async function tokenIn(path: string, host: CliHost): Promise<string> {
  const { sizeBytes, chunks } = await host.readFile(path);
  // A pipe, as <(command) makes one, has no size before it is read.
  if (sizeBytes > TOKEN_BYTES_MAX) throw tooLong(`File "${path}"`);
  const token = await tokenFrom(chunks(), `File "${path}"`);
  if (token === "") throw new CommandError("file", `File "${path}" holds no token`);
  return token;
}

/** The token that a stream holds, without the line end behind it. @throws {CommandError} */
export async function tokenFrom(chunks: AsyncIterable<Uint8Array>, what: string): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let sizeBytes = 0;
  try {
    for await (const chunk of chunks) {
      sizeBytes += chunk.length;
      if (sizeBytes > TOKEN_BYTES_MAX) throw tooLong(what);
      text += decoder.decode(chunk, { stream: true });
    }
    text += decoder.decode();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new CommandError("file", `${what} is not UTF-8 text`, { cause: error });
  }
  return text.replace(/\r?\n$/, "");
}

function tooLong(what: string): CommandError {
  return new CommandError("file", `${what} is too long to be a token`);
}
