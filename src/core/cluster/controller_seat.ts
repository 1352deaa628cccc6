// The controller's seat: taken when it is free, held as long as the session, and while it is held the duties are done after every
// change that calls for them. Invariant: nothing is committed from the seat but under the condition that it is still ours.
// Kafka: QuorumController, of which the quorum is the metadata store.

import { MetadataStoreError } from "../../contracts/errors.ts";
import type { MetadataStore, Session } from "../../contracts/metadata_store.ts";
import type { Runtime, Timer } from "../../contracts/runtime.ts";
import type { Settings } from "../settings/dynamic.ts";
import type { SharedAccess } from "./cluster_access.ts";
import {
  brokerKey,
  CONTROLLER_EPOCH_KEY,
  decodeControllerEpoch,
  encodeControllerEpoch,
  encodeSeat,
  SEAT_KEY,
} from "./cluster_entries.ts";
import { decideDuties } from "./controller_duties.ts";
import { refused } from "./decision.ts";
import type { ImageStep } from "./image_changes.ts";
import { GROUP_TOPIC, TRANSACTION_TOPIC } from "./topic_names.ts";

/** Replicas of topics of the broker's own that no setting speaks of. */
const OTHER_FACTOR = 3;
/** Pause after the store failed. */
const RETRY_MS = 200;

/** The broker that runs for the seat. */
export interface SeatMember {
  /** Null while it is not registered. */
  readonly session: Session | null;
  readonly brokerEpoch: number;
  /** It takes no seat any more, and does the duties of the one it has until it leaves. */
  readonly isStopping: boolean;
}

export interface SeatOptions {
  readonly shared: SharedAccess;
  readonly metadata: MetadataStore;
  readonly runtime: Runtime;
  readonly brokerId: number;
  readonly membership: SeatMember;
}

export class ControllerSeat {
  readonly #options: SeatOptions;
  /** Metadata store revision of the seat that we took last; 0: none. */
  #seat = 0;
  #adopter: number | null = null;
  /** Topics to look at, by id; null: all. */
  #dirty: Set<string> | null = new Set();
  #isBalanceDue = false;
  #isRunning = false;
  #isClosed = false;
  #timer: Timer | null = null;
  #endSteps: () => void = () => {};

  constructor(options: SeatOptions) {
    this.#options = options;
  }

  /** Runs for the seat, from now on. */
  start(): void {
    this.#endSteps = this.#options.shared.onSteps((step) => this.#onStep(step));
    this.#tickLater();
    this.wake();
  }

  /** Looks whether there is something to do. */
  wake(): void {
    if (this.#isRunning || this.#isClosed) return;
    this.#isRunning = true;
    this.#options.runtime.scheduler.spawn("controller", () => this.#run());
  }

  /** What is under way ends by itself. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#endSteps();
    this.#timer?.cancel();
  }

  #onStep(step: ImageStep): void {
    if (step.haveBrokersChanged || step.hasControllerChanged || step.haveBrokerConfigsChanged) {
      this.#dirty = null;
    } else {
      for (const { id } of step.topicsChanged) this.#dirty?.add(id);
      for (const id of step.partitionsChanged.keys()) this.#dirty?.add(id);
    }
    if (this.#hasWork()) this.wake();
  }

  #holds(): boolean {
    return this.#seat !== 0 && this.#options.shared.image.controller?.revision === this.#seat;
  }

  #hasWork(): boolean {
    const { shared } = this.#options;
    if (shared.image.controller === null) return true;
    return this.#holds() && (this.#isBalanceDue || this.#dirty === null || this.#dirty.size > 0);
  }

  #tickLater(): void {
    const { runtime, shared } = this.#options;
    const { settings } = shared;
    const delayMs = settings.number("leader.imbalance.check.interval.seconds") * 1000;
    this.#timer = runtime.scheduler.after(delayMs, "leader_balance", () => {
      if (settings.boolean("auto.leader.rebalance.enable")) this.#isBalanceDue = true;
      this.#tickLater();
      if (this.#hasWork()) this.wake();
    });
  }

  async #run(): Promise<void> {
    const { runtime, membership, shared } = this.#options;
    try {
      while (!this.#isClosed && membership.session !== null && this.#hasWork()) {
        if (this.#holds()) await this.#work();
        else if (shared.image.controller === null && !membership.isStopping) {
          if (!(await this.#take())) {
            // Somebody was quicker, and the image will say who; or our registration is gone.
            this.#retryLater();
            break;
          }
        } else break;
      }
    } catch (error) {
      if (error instanceof MetadataStoreError && error.code === "closed") return;
      runtime.log.warn("controller_failed", { error: String(error) });
      // What was taken out of `dirty` was not done.
      this.#dirty = null;
      this.#retryLater();
    } finally {
      this.#isRunning = false;
    }
  }

  #retryLater(): void {
    this.#options.runtime.scheduler.after(RETRY_MS, "controller_retry", () => {
      if (this.#hasWork()) this.wake();
    });
  }

  /** Whether it is ours now. */
  async #take(): Promise<boolean> {
    const { shared, metadata, runtime, brokerId, membership } = this.#options;
    const { entries } = await metadata.read(CONTROLLER_EPOCH_KEY);
    const entry = entries.find(({ key }) => key === CONTROLLER_EPOCH_KEY);
    const epoch = (entry === undefined ? 0 : decodeControllerEpoch(entry)) + 1;
    this.#adopter = await shared.logKeeper();
    const { session } = membership;
    if (session === null || shared.image.controller !== null) return false;
    const result = await shared.commit({
      conditions: [
        { key: SEAT_KEY, revision: 0 },
        { key: CONTROLLER_EPOCH_KEY, revision: entry?.revision ?? 0 },
        { key: brokerKey(brokerId), revision: membership.brokerEpoch },
      ],
      writes: [
        { key: SEAT_KEY, value: encodeSeat({ brokerId, epoch }), session },
        { key: CONTROLLER_EPOCH_KEY, value: encodeControllerEpoch(epoch) },
      ],
    });
    if (!result.ok) return false;
    this.#seat = result.revision;
    this.#dirty = null;
    runtime.log.info("controller_elected", { brokerId, epoch });
    return true;
  }

  async #work(): Promise<void> {
    const { shared } = this.#options;
    const topicIds = this.#isBalanceDue ? null : this.#dirty;
    const isBalancing = this.#isBalanceDue;
    this.#dirty = new Set();
    this.#isBalanceDue = false;
    for (;;) {
      const more = await shared.submit((image) =>
        this.#seat !== 0 && image.controller?.revision === this.#seat
          ? decideDuties(image, {
              contextOf: shared.contextOf,
              factorOf: (name) => factorOf(shared.settings, name),
              topicIds,
              isBalancing,
              adopter: this.#adopter,
            })
          : refused("not_controller", null),
      );
      if (!more.ok || !more.value) return;
    }
  }
}

/** Replicas of a topic of the broker's own, as far as there are brokers. */
function factorOf(settings: Settings, name: string): number {
  switch (name) {
    case GROUP_TOPIC:
      return settings.number("offsets.topic.replication.factor");
    case TRANSACTION_TOPIC:
      return settings.number("transaction.state.log.replication.factor");
    default:
      return OTHER_FACTOR;
  }
}
