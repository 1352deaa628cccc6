// What producers and consumers share of the client that made them.

import type { Admin } from "./admin.ts";
import type { ClusterMetadata } from "./metadata.ts";
import type { ClientPort } from "./port.ts";
import type { BackoffOptions, ClientRuntime } from "./waiting.ts";

export interface ClientContext {
  readonly runtime: ClientRuntime;
  readonly port: ClientPort;
  readonly metadata: ClusterMetadata;
  readonly admin: Admin;
  readonly backoff: BackoffOptions;
  /** Until a call gives up, retries included, in ms. */
  readonly timeoutMs: number;
  /** Until one request is answered, in ms. */
  readonly requestTimeoutMs: number;
}
