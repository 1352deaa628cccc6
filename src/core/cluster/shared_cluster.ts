// What a cluster has beside one broker's: membership, in-sync sets, elections, reassignment. Loaded only where several brokers share the
// metadata store. Invariant: whatever is answered here is in the image already. Kafka: AlterPartitionManager, ControllerApis.

import { assert } from "../../base/assert.ts";
import type { CommitResult, MetadataStore, Transaction } from "../../contracts/metadata_store.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import type { KafkaErrorName } from "../../protocol/errors.ts";
import type { Settings } from "../settings/dynamic.ts";
import {
  type ContextOf,
  decideElectLeader,
  decideUnregister,
  type ElectionRequest,
  editLeader,
} from "./broker_decisions.ts";
import type { ClusterAccess, SharedAccess } from "./cluster_access.ts";
import {
  CLUSTER_SECRET_BYTES,
  CLUSTER_SECRET_KEY,
  decodeClusterSecret,
  encodeClusterSecret,
} from "./cluster_entries.ts";
import { type Decide, type Decision, refused, type Verdict } from "./decision.ts";
import { decideFinalize } from "./features.ts";
import type { ClusterImage, PartitionImage } from "./image.ts";
import type { ImageStep } from "./image_changes.ts";
import { decideAlterIsr, type IsrOutcome, type IsrProposal } from "./isr_controller.ts";
import { Membership, type Registration } from "./membership.ts";
import { decideSome } from "./partition_edits.ts";
import {
  decideAlterReassignment,
  editReassignment,
  isReassigned,
  type Reassignment,
} from "./reassignment.ts";
import { type TopicBlocks, topicBlocks } from "./topic_blocks.ts";

/** Proposals waiting at once: one for each partition that a broker may lead. */
const PROPOSALS_MAX = 100_000;
/** How often the secret is looked for while other brokers make it. */
const SECRET_TRIES_MAX = 10;

export interface SharedOptions {
  readonly metadata: MetadataStore;
  readonly runtime: Runtime;
  readonly brokerId: number;
  readonly settings: Settings;
}

interface WaitingProposal {
  readonly proposal: IsrProposal;
  readonly resolve: (outcome: IsrOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Made by `openCluster`; reached as `cluster.shared`. */
export class SharedCluster implements SharedAccess {
  readonly #cluster: ClusterAccess;
  readonly #options: SharedOptions;
  /** What brokers prove to each other that they know. 32 bytes; never logged. */
  readonly secret: Uint8Array;
  readonly blocks: TopicBlocks;
  #membership: Membership | null = null;
  #proposals: WaitingProposal[] = [];
  #isProposing = false;
  readonly #stepListeners = new Set<(step: ImageStep) => void>();

  /** @throws {MetadataStoreError} when the store cannot be read or written */
  static async open(cluster: ClusterAccess, options: SharedOptions): Promise<SharedCluster> {
    await ensureFeatures(cluster);
    return new SharedCluster(cluster, options, await ensureSecret(cluster, options));
  }

  private constructor(cluster: ClusterAccess, options: SharedOptions, secret: Uint8Array) {
    this.#cluster = cluster;
    this.#options = options;
    this.secret = secret;
    const random = options.runtime.random.fork("placement");
    // One draw a topic for all tries: deciding anew must not draw again, or a seed would not replay.
    let drawn = { topicId: "", start: 0 };
    this.blocks = topicBlocks((topicId) => {
      if (drawn.topicId !== topicId) drawn = { topicId, start: random.uint32() };
      return drawn.start;
    });
  }

  get image(): ClusterImage {
    return this.#cluster.image;
  }

  get settings(): Settings {
    return this.#options.settings;
  }

  get membership(): Membership | null {
    return this.#membership;
  }

  /**
   * Registers this broker: from here on it may be given leadership. Once, when its transports listen.
   *
   * @param sessionMs `broker.session.timeout.ms`
   * @throws {MetadataStoreError} "locked" when another process goes on being registered under this id
   */
  async join(registration: Registration, sessionMs?: number): Promise<Membership> {
    assert(this.#membership === null, "a broker joins once");
    const { metadata, runtime, brokerId } = this.#options;
    this.#membership = await Membership.join({
      shared: this,
      metadata,
      runtime,
      brokerId,
      registration,
      ...(sessionMs === undefined ? {} : { sessionMs }),
    });
    this.membershipChanged();
    return this.#membership;
  }

  /** What elections of a topic go by, in that image. */
  readonly contextOf: ContextOf = (image, topic) => ({
    isLive: (id) => image.brokers.has(id),
    isStopping: (id) => image.brokers.get(id)?.isStopping === true,
    isUncleanAllowed: this.#cluster.topicText(topic, "unclean.leader.election.enable") === "true",
    minIsr: Number(this.#cluster.topicText(topic, "min.insync.replicas") ?? 1),
  });

  /**
   * Changes the ISR of a partition that this broker leads. Proposals made while one is on its way go together in the next commit.
   * Resolves once the image has it: at the latest then `partitionsChanged` has told of it. `{ ok: false }`: it is as it was; a leader
   * looks at the image, and asks again where it still leads.
   *
   * @throws {MetadataStoreError} when the store could not tell: the change may have been made, and the image will tell
   */
  alterIsr(
    topicId: string,
    index: number,
    change: Omit<IsrProposal, "topicId" | "index">,
  ): Promise<IsrOutcome> {
    if (this.#proposals.length >= PROPOSALS_MAX) {
      return Promise.resolve({ ok: false, code: "throttling_quota_exceeded" });
    }
    return new Promise((resolve, reject) => {
      this.#proposals.push({ proposal: { topicId, index, ...change }, resolve, reject });
      if (this.#isProposing) return;
      this.#isProposing = true;
      this.#options.runtime.scheduler.spawn("alter_isr", () => this.#propose());
    });
  }

  /** Moves a partition to other brokers, or cancels that. The answer is the partition as it is then. */
  alterReassignment(
    reassignment: Reassignment,
    mayChangeFactor = true,
  ): Promise<Decision<PartitionImage>> {
    return this.submit((image) => decideAlterReassignment(image, reassignment, mayChangeFactor));
  }

  /** Several at once, in one commit: as many as it holds, from the front and at least one. A verdict on each of these. */
  alterReassignments(
    reassignments: readonly Reassignment[],
    mayChangeFactor: boolean,
  ): Promise<Decision<readonly Verdict<PartitionImage>[]>> {
    return this.submit((image) =>
      decideSome(image, reassignments, (edits, each) =>
        editReassignment(edits, image, each, mayChangeFactor),
      ),
    );
  }

  /** The partitions that are on their way to other brokers. */
  *reassignments(): Iterable<{
    readonly topicId: string;
    readonly index: number;
    readonly partition: PartitionImage;
  }> {
    for (const [topicId, partitions] of this.image.partitions) {
      for (let index = 0; index < partitions.length; index++) {
        const partition = partitions[index]!;
        if (isReassigned(partition)) yield { topicId, index, partition };
      }
    }
  }

  /** Elects a leader of one partition. The answer is the partition as it is then. */
  electLeader(
    topic: string,
    index: number,
    type: "preferred" | "unclean",
  ): Promise<Decision<PartitionImage>> {
    return this.submit((image) => decideElectLeader(image, { topic, index, type }, this.contextOf));
  }

  /** Several at once, in one commit: as many as it holds, from the front and at least one. A verdict on each of these. */
  electLeaders(
    requests: readonly ElectionRequest[],
  ): Promise<Decision<readonly Verdict<PartitionImage>[]>> {
    return this.submit((image) =>
      decideSome(image, requests, (edits, each) => editLeader(edits, image, each, this.contextOf)),
    );
  }

  /** Forgets a broker that is gone for good. The answer is its id. */
  unregister(brokerId: number): Promise<Decision<number>> {
    return this.submit((image) => decideUnregister(image, brokerId));
  }

  submit<T>(decide: Decide<T>): Promise<Decision<T>> {
    return this.#cluster.submit(decide);
  }

  commit(transaction: Transaction): Promise<CommitResult> {
    return this.#cluster.commit(transaction);
  }

  /** Tells those who follow: `isHeldAt` or the epoch is another. */
  membershipChanged(): void {
    this.#cluster.brokersChanged();
  }

  /** @returns what ends it */
  onSteps(listener: (step: ImageStep) => void): () => void {
    this.#stepListeners.add(listener);
    return () => void this.#stepListeners.delete(listener);
  }

  /** Called by the cluster, after those who follow it. */
  onStep(step: ImageStep): void {
    for (const listener of this.#stepListeners) listener(step);
  }

  /** Who has marked in the store that it has logs, least id first; null where nobody has. */
  async logKeeper(): Promise<number | null> {
    const { entries } = await this.#options.metadata.read(LOGS_PREFIX);
    const ids = entries.map(({ key }) => Number(key.slice(LOGS_PREFIX.length)));
    return ids.length === 0 ? null : Math.min(...ids);
  }

  close(): void {
    if (this.#membership !== null && !this.#membership.isStopping) {
      const membership = this.#membership;
      this.#options.runtime.scheduler.spawn("leave_cluster", () => membership.close());
    }
    this.#stepListeners.clear();
  }

  /** Never rejects: what goes wrong goes to those who wait. */
  async #propose(): Promise<void> {
    while (this.#proposals.length > 0) {
      const waiting = this.#proposals;
      this.#proposals = [];
      const again = await this.#proposeSome(waiting);
      this.#proposals = again.concat(this.#proposals);
    }
    this.#isProposing = false;
  }

  /** @returns those that did not fit into the commit */
  async #proposeSome(waiting: WaitingProposal[]): Promise<WaitingProposal[]> {
    const { brokerId } = this.#options;
    const proposals = waiting.map(({ proposal }) => proposal);
    let decision: Decision<readonly IsrOutcome[]>;
    try {
      decision = await this.submit((image) => {
        const brokerEpoch = this.#membership?.brokerEpoch ?? 0;
        if (brokerEpoch === 0)
          return refused("stale_broker_epoch", "This broker is not registered");
        return decideAlterIsr(image, brokerId, brokerEpoch, proposals, {
          minIsr: (topicId) => {
            const topic = image.topicsById.get(topicId);
            return topic === undefined ? 1 : this.contextOf(image, topic).minIsr;
          },
        });
      });
    } catch (error) {
      for (const { reject } of waiting) reject(error);
      return [];
    }
    if (!decision.ok) {
      const code: KafkaErrorName = decision.refusal.code;
      for (const { resolve } of waiting) resolve({ ok: false, code });
      return [];
    }
    const again: WaitingProposal[] = [];
    for (let i = 0; i < waiting.length; i++) {
      const outcome = decision.value[i]!;
      // The first always fits.
      if (!outcome.ok && outcome.code === "operation_not_attempted" && i > 0)
        again.push(waiting[i]!);
      else waiting[i]!.resolve(outcome);
    }
    return again;
  }
}

const LOGS_PREFIX = "logs/broker/";

async function ensureFeatures(cluster: ClusterAccess): Promise<void> {
  const done = await cluster.submit((image) => ({
    ok: true,
    value: null,
    change: decideFinalize(image),
  }));
  if (!done.ok) throw new Error(`the levels of features cannot be written: ${done.refusal.code}`);
}

async function ensureSecret(cluster: ClusterAccess, options: SharedOptions): Promise<Uint8Array> {
  const { metadata, runtime } = options;
  const secret = runtime.random.fork("cluster_secret").fill(new Uint8Array(CLUSTER_SECRET_BYTES));
  for (let tries = 0; tries < SECRET_TRIES_MAX; tries++) {
    const { entries } = await metadata.read(CLUSTER_SECRET_KEY);
    const entry = entries.find(({ key }) => key === CLUSTER_SECRET_KEY);
    if (entry !== undefined) return decodeClusterSecret(entry);
    await cluster.commit({
      conditions: [{ key: CLUSTER_SECRET_KEY, revision: 0 }],
      writes: [{ key: CLUSTER_SECRET_KEY, value: encodeClusterSecret(secret) }],
    });
  }
  throw new Error("the secret of the cluster is neither there nor can it be made");
}
