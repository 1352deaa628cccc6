// What a handler is: a translation between one API's wire shape and a Broker call, nothing else.
// Invariant: a handler holds no state of its own and never looks into records; what lives longer than a
// request (fetch sessions) is handed to it.

import type { Broker, Caller } from "../../src/contracts/broker.ts";
import type { RequestOf, ResponseInputOf } from "../../src/protocol/infer.ts";
import type { Api, Fields } from "../../src/protocol/schema.ts";
import type { Overlap } from "./exchange.ts";
import type { FetchSessions } from "./fetch_sessions.ts";

/** What handlers work with: one for all connections of a transport. */
export interface HandlerContext {
  readonly broker: Broker;
  readonly fetchSessions: FetchSessions;
  /** Most bytes of batches one fetch answers with now, whatever it asked for (one batch always goes). */
  readonly fetchBytesMax: number;
  /** What ApiVersions lists. */
  readonly served: readonly ServedApi[];
}

/** A row of ApiVersions. */
export interface ServedApi {
  readonly apiKey: number;
  readonly minVersion: number;
  readonly maxVersion: number;
}

/** A response to encode, or null where the protocol has none (acks=0). */
export interface Answer<R> {
  readonly response: R | null;
  /** Called once the response has been sent, or will never be. */
  readonly release?: () => void;
}

/** The form that handlers are written in. */
export interface HandlerOf<A> {
  readonly api: A;
  readonly overlap: Overlap;
  /**
   * True when the request holds views of the frame that the broker may look at until it answers; "for_the_call" when the
   * handler has copied them by its first `await`. Otherwise the frame is gone before the handler is called.
   */
  readonly holdsFrame?: true | "for_the_call";
  /** True when int64 values beyond 2^53 are dealt with here; otherwise such requests are refused unread. */
  readonly takesBigints?: true;
  /** True when they are ids and bounds, which may be rounded: beyond 2^53 there is nothing that they could name. */
  readonly roundsBigints?: true;
  /** Most bytes of records that the response can carry; 0 when left out. */
  dataBytesMax?(context: HandlerContext, request: RequestOf<A>): number;
  /**
   * Answers a request of `version`. Calls the broker before its first `await`, so that calls are made in
   * the order of the requests.
   * @throws {ConnectionRefusal} when the only answer is to close the connection
   */
  handle(
    context: HandlerContext,
    caller: Caller,
    request: RequestOf<A>,
    version: number,
  ): Promise<Answer<ResponseInputOf<A>>>;
}

/** A handler without its types, as the dispatcher keeps it. */
// biome-ignore lint/suspicious/noExplicitAny: the table of handlers has to hold every API's types.
export type AnyHandler = HandlerOf<any> & { readonly api: Api };

/** Fixes the types of a handler from its API. */
export function handlerOf<const A extends Api<Fields, Fields>>(handler: HandlerOf<A>): AnyHandler {
  return handler as unknown as AnyHandler;
}
