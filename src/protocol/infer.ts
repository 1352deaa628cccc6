// Types of messages, inferred from their declarations: one type for all versions of a message.
// Invariant: what decodes as `…Of` may be encoded as `…InputOf` without change.

import type { Api, Fields, Message, StructIn, StructOut } from "./schema.ts";

/** The keys of an intersection written out as one object type, so that editors show something readable. */
type Flat<T> = { [K in keyof T]: T[K] };

/** A decoded message: all fields of all versions, those that the version lacks with their defaults. */
export type MessageOf<M> = M extends Message<infer F> ? Flat<StructOut<F>> : never;
/** A message to encode: fields that some version lacks, or that declare a default, may be left out. */
export type MessageInputOf<M> = M extends Message<infer F> ? Flat<StructIn<F>> : never;

/** A decoded request of an API. */
export type RequestOf<A> =
  A extends Api<infer Q, infer _R extends Fields> ? Flat<StructOut<Q>> : never;
/** A request to encode. */
export type RequestInputOf<A> =
  A extends Api<infer Q, infer _R extends Fields> ? Flat<StructIn<Q>> : never;
/** A decoded response of an API. */
export type ResponseOf<A> =
  A extends Api<infer _Q extends Fields, infer R> ? Flat<StructOut<R>> : never;
/** A response to encode. */
export type ResponseInputOf<A> =
  A extends Api<infer _Q extends Fields, infer R> ? Flat<StructIn<R>> : never;
