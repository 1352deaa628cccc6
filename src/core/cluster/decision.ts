// What a controller decides: an answer, and what has to be committed before the answer is true.
// Invariant: a decision is made from one image, without waiting; its conditions make the store refuse it
// where that image was not the latest.

import type { KafkaErrorName } from "../../protocol/errors.ts";
import type { ClusterImage, TopicImage } from "./image.ts";

/** Why Kafka says no: a row of protocol/errors.ts, and a sentence of ours for the client. */
export interface Refusal {
  readonly code: KafkaErrorName;
  readonly message: string | null;
}

/** Writes of one decision: committed together. */
export interface Change {
  readonly conditions: readonly { readonly key: string; readonly revision: number }[];
  readonly writes: readonly { readonly key: string; readonly value: Uint8Array | null }[];
  /** Beside the keys written: no two changes of one commit may share one of these. */
  readonly locks: readonly string[];
}

export type Decision<T> =
  | { readonly ok: false; readonly refusal: Refusal }
  | {
      readonly ok: true;
      readonly value: T;
      /** Null: nothing to commit (nothing changes, or the request was to validate only). */
      readonly change: Change | null;
    };

/** What one of several changes that are decided together came to: a Decision without what is committed. */
export type Verdict<T> =
  | { readonly ok: false; readonly refusal: Refusal }
  | { readonly ok: true; readonly value: T };

/** Decides from the image at hand; may be called again with a later one. Synchronous and free of effects. */
export type Decide<T> = (image: ClusterImage) => Decision<T>;

export function refused(
  code: KafkaErrorName,
  message: string | null,
): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal: { code, message } };
}

/** The outcome of a topic operation: the topic as it is after it. */
export type TopicDecision = Decision<TopicImage>;
