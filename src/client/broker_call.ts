// One API as the in-process port calls it: the shape its entries have.

import type { Broker, Caller } from "../contracts/broker.ts";
import type { RequestOf, ResponseInputOf } from "../protocol/infer.ts";
import type { Api, Fields } from "../protocol/schema.ts";

/** A response to encode; null where the protocol has none (acks 0). */
export interface CallAnswer<R> {
  readonly response: R | null;
  /** Gives borrowed bytes back, once they have been copied. */
  readonly release?: () => void;
}

/** One API as the Broker answers it. */
export interface BrokerCall<A extends Api = Api> {
  readonly api: A;
  /** True when int64 values beyond 2^53 are dealt with here. */
  readonly takesBigints?: true;
  /** Calls the broker before its first `await`, so that calls are made in the order of the sends. */
  handle(
    broker: Broker,
    caller: Caller,
    request: RequestOf<A>,
    version: number,
  ): Promise<CallAnswer<ResponseInputOf<A>>>;
}

/** Fixes the types of a call from its API. */
export function callOf<const A extends Api<Fields, Fields>>(call: BrokerCall<A>): BrokerCall {
  return call as unknown as BrokerCall;
}

/** An API that the Broker speaks in the protocol's own shapes. */
export function plainCall<const A extends Api<Fields, Fields>>(
  api: A,
  ask: (
    broker: Broker,
    caller: Caller,
    request: RequestOf<A>,
    version: number,
  ) => Promise<ResponseInputOf<A>>,
): BrokerCall {
  return callOf<A>({
    api,
    async handle(broker, caller, request, version) {
      return { response: await ask(broker, caller, request, version) };
    },
  });
}
