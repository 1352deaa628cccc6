// The one message of SASL/PLAIN: authzid NUL authcid NUL passwd, all UTF-8 (RFC 4616).
// Invariant: bounded, and strict: what is not exactly this is refused. Kafka: PlainSaslServer.

import { NAME_CHARACTERS_MAX } from "./options.ts";

/** Longest token taken, in bytes; longer ones are not even hashed. */
export const TOKEN_BYTES_MAX = 4096;
/** Two names of up to four bytes a character, a token, and the zeros between them. */
const MESSAGE_BYTES_MAX = 2 * 4 * NAME_CHARACTERS_MAX + TOKEN_BYTES_MAX + 2;

export interface PlainLogin {
  readonly userName: string;
  readonly password: Uint8Array;
}

/** Reads the message; text says why not. The password is a view of it. */
export function parsePlain(message: Uint8Array): PlainLogin | string {
  if (message.length > MESSAGE_BYTES_MAX) return "the PLAIN message is too long";
  const first = message.indexOf(0);
  const second = first < 0 ? -1 : message.indexOf(0, first + 1);
  if (second < 0) return "the PLAIN message does not have three parts";
  const password = message.subarray(second + 1);
  if (password.includes(0)) return "the PLAIN message has more than three parts";
  const authorizeAs = textOf(message.subarray(0, first));
  const userName = textOf(message.subarray(first + 1, second));
  if (authorizeAs === null || userName === null || textOf(password) === null) {
    return "the PLAIN message is not UTF-8";
  }
  if (userName === "") return "the PLAIN message names no user";
  if (userName.length > NAME_CHARACTERS_MAX) return "the user name is too long";
  if (password.length === 0) return "the PLAIN message has no password";
  if (password.length > TOKEN_BYTES_MAX) return "the password is too long";
  if (authorizeAs !== "" && authorizeAs !== userName) {
    return "the client asks to act as another than it logs in as";
  }
  return { userName, password };
}

function textOf(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
