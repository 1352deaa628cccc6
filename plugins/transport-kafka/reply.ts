// Responses as bytes: framed for the wire, and jobs whose reply is known already.

import { encodeResponse } from "../../src/protocol/mod.ts";
import type { Api } from "../../src/protocol/schema.ts";
import type { Job, Reply } from "./exchange.ts";

/** A job whose reply is known already. */
export class ReadyJob implements Job {
  readonly overlap = "parallel";
  readonly dataBytesMax = 0;
  readonly #reply: Reply;
  constructor(reply: Reply) {
    this.#reply = reply;
  }
  run(): Promise<Reply> {
    return Promise.resolve(this.#reply);
  }
}

/** A response of `version`, behind its header and its length. */
export function framedReply(
  api: Api,
  version: number,
  correlationId: number,
  response: unknown,
  release?: () => void,
): Reply {
  const chunks = encodeResponse(api, version, correlationId, response as never);
  let sizeBytes = 0;
  for (const chunk of chunks) sizeBytes += chunk.length;
  return release === undefined ? { chunks, sizeBytes } : { chunks, sizeBytes, release };
}
