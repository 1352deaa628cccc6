// What the parts of a shared cluster ask of each other: the image, decisions on it, steps from one image to the next.
// Invariant: what resolves here is in the image.

import type { CommitResult, Transaction } from "../../contracts/metadata_store.ts";
import type { Settings } from "../settings/dynamic.ts";
import type { ContextOf } from "./broker_decisions.ts";
import type { Decide, Decision } from "./decision.ts";
import type { ClusterImage, TopicImage } from "./image.ts";
import type { ImageStep } from "./image_changes.ts";

/** What `Cluster` gives to what only a shared one has. */
export interface ClusterAccess {
  /** The newest image. */
  readonly image: ClusterImage;
  /** Decides, commits, and resolves once the image has it. @throws {MetadataStoreError} when the store could not */
  submit<T>(decide: Decide<T>): Promise<Decision<T>>;
  /** Commits, and resolves once the image has passed it. @throws {MetadataStoreError} when the store could not */
  commit(transaction: Transaction): Promise<CommitResult>;
  /** The value in force of a topic's setting, as text. */
  topicText(topic: TopicImage, name: string): string | null;
  /** Tells those who follow the cluster that brokers, or this one's membership, have changed. */
  brokersChanged(): void;
}

/** What a shared cluster gives to its membership and to the controller's seat. */
export interface SharedAccess extends Pick<ClusterAccess, "image" | "submit" | "commit"> {
  readonly contextOf: ContextOf;
  /** Of this broker, with what is set on all of them. */
  readonly settings: Settings;
  /** Tells those who follow the cluster: `isHeldAt` or the epoch is another. */
  membershipChanged(): void;
  /** @returns what ends it */
  onSteps(listener: (step: ImageStep) => void): () => void;
  /** Who has marked in the store that it has logs, least id first; null where nobody has. */
  logKeeper(): Promise<number | null>;
}
