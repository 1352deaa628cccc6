// What passes between a connection, which knows bytes and order, and the dispatcher, which knows
// requests: a job to run for each frame, and the reply it makes.

import type { Frame } from "./framing.ts";

/** The connection must close: what came cannot be served. Carries the event name that is logged. */
export class ConnectionRefusal extends Error {
  override readonly name = "ConnectionRefusal";
  /** A stable snake_case name, e.g. "request_undecodable". */
  readonly event: string;
  constructor(event: string, detail: string) {
    super(detail);
    this.event = event;
  }
}

/**
 * How a request may overlap with others of its connection.
 * "parallel": starts at once, and later ones may start beside it.
 * "serial": starts at once; later ones wait for it.
 * "exclusive": waits for all earlier ones, and later ones wait for it: it changes what they would see.
 */
export type Overlap = "parallel" | "serial" | "exclusive";

/** One decoded request, ready to run. */
export interface Job {
  readonly overlap: Overlap;
  /** Most bytes of record data the reply is expected to carry: 0 but for Fetch. */
  readonly dataBytesMax: number;
  /** Runs once. Up to the first `await` inside, it runs in the order the requests came. */
  run(): Promise<Reply | null>;
}

/** A framed response: chunks to be sent back to back. Null stands for "no response" (acks=0). */
export interface Reply {
  readonly chunks: readonly Uint8Array[];
  readonly sizeBytes: number;
  /** Called once the chunks are no longer needed: sent, or never to be sent. */
  readonly release?: () => void;
  /** Set when the connection ends behind this reply (a failed login), and why. */
  readonly closeAfter?: ConnectionRefusal;
}

/** One a connection: turns frames into jobs. */
export interface RequestDecoder {
  /**
   * Owns the frame from here on, and releases it once its bytes are no longer looked at.
   * @throws {ConnectionRefusal} when the connection must close behind the requests before this one
   */
  decode(frame: Frame): Job;
  /** Why the connection has to end although its peer may be busy; null while it has not. */
  overdue?(nowMs: number): ConnectionRefusal | null;
}
