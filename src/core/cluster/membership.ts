// This broker as a member of the cluster: its session, its registration, its leaving. Invariant: `isHeldAt` is true only while nobody
// else may have been given what this broker leads: whoever acknowledges anything asks it then, by the clock.
// Kafka: BrokerLifecycleManager, BrokerHeartbeatManager.

import { MetadataStoreError } from "../../contracts/errors.ts";
import type { MetadataStore, Session, Transaction } from "../../contracts/metadata_store.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import { decideHandOver, decideResume } from "./broker_decisions.ts";
import type { SharedAccess } from "./cluster_access.ts";
import {
  brokerKey,
  decodeBroker,
  encodeBroker,
  encodeKnownBroker,
  knownBrokerKey,
} from "./cluster_entries.ts";
import { ControllerSeat } from "./controller_seat.ts";
import { FEATURES_KEY } from "./entries.ts";
import { levelsFault } from "./features.ts";
import type { BrokerImage } from "./image.ts";

/** `broker.session.timeout.ms` where nobody says otherwise: failure is found within 3 s. */
export const SESSION_MS_DEFAULT = 2000;
/** Pause before another try when the store refused or could not be reached. */
const RETRY_MS = 200;
/** Commits that handing over takes at most: leaderships of about ten thousand partitions each. */
const HAND_OVER_COMMITS_MAX = 100;
/** Times that a registration is tried while another process is registered under the id, beyond the session's own time. */
const EXTRA_TRIES = 10;

/** What a broker says of itself. */
export type Registration = Omit<BrokerImage, "id" | "epoch" | "isStopping">;

export interface MembershipOptions {
  readonly shared: SharedAccess;
  readonly metadata: MetadataStore;
  readonly runtime: Runtime;
  readonly brokerId: number;
  readonly registration: Registration;
  /** Default SESSION_MS_DEFAULT. */
  readonly sessionMs?: number;
}

/** Made by `Cluster.join`. */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #sessionMs: number;
  readonly #seat: ControllerSeat;
  #session: Session | null = null;
  #epoch = 0;
  /** Whether what the last life led has new epochs: before, nothing is acknowledged. */
  #hasResumed = false;
  #stopping: Promise<void> | null = null;
  #isClosed = false;
  #wakePause: () => void = () => {};

  /**
   * Registers, and keeps registered until `stop` or `close`.
   *
   * @throws {MetadataStoreError} "locked" when another process goes on being registered under this id
   */
  static async join(options: MembershipOptions): Promise<Membership> {
    const membership = new Membership(options);
    await membership.#register();
    options.runtime.scheduler.spawn("cluster_membership", () => membership.#keep());
    membership.#seat.start();
    return membership;
  }

  private constructor(options: MembershipOptions) {
    this.#options = options;
    this.#sessionMs = options.sessionMs ?? SESSION_MS_DEFAULT;
    this.#seat = new ControllerSeat({ ...options, membership: this });
  }

  get brokerId(): number {
    return this.#options.brokerId;
  }

  /** The epoch of the registration in force; 0 while there is none. */
  get brokerEpoch(): number {
    return this.#hasResumed ? this.#epoch : 0;
  }

  /** The session in force, for what goes with it; null while there is none. */
  get session(): Session | null {
    return this.#hasResumed && this.#session?.lost.aborted === false ? this.#session : null;
  }

  get isStopping(): boolean {
    return this.#stopping !== null;
  }

  /** Whether it holds the controller's seat, as far as the image says. */
  get isController(): boolean {
    return this.#options.shared.image.controller?.brokerId === this.brokerId;
  }

  /** Whether, at that monotonic time, this broker is surely registered still: else it acknowledges nothing, appends nothing, serves no fetch. */
  isHeldAt(nowMs: number): boolean {
    return this.#hasResumed && this.#session !== null && nowMs < this.#session.heldUntilMs;
  }

  /** Until when `isHeldAt` holds without another renewal; -Infinity while it does not. */
  get heldUntilMs(): number {
    return this.#hasResumed && this.#session !== null
      ? this.#session.heldUntilMs
      : Number.NEGATIVE_INFINITY;
  }

  /**
   * Controlled shutdown: is given no more leadership, hands over what it leads, leaves the in-sync sets, ends its session. What nobody
   * else can lead waits for its return. Idempotent.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Ends without handing over, as a crash would, but for the session, which ends at once. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#seat.close();
    const session = this.#session;
    this.#session = null;
    this.#wakePause();
    if (session === null) return;
    try {
      await session.end();
    } catch (error) {
      // It runs out by itself.
      this.#options.runtime.log.warn("session_end_failed", { error: String(error) });
    }
  }

  async #stop(): Promise<void> {
    const { shared, runtime, brokerId } = this.#options;
    try {
      const session = this.session;
      if (session !== null) {
        const result = await this.#writeRegistration(session, this.#epoch, true);
        if (result !== null) this.#epoch = result;
      }
      for (let i = 0; i < HAND_OVER_COMMITS_MAX; i++) {
        const left = await shared.submit((image) =>
          decideHandOver(image, brokerId, shared.contextOf),
        );
        if (!left.ok || !left.value) break;
      }
    } catch (error) {
      // The store is away: the others find out by the session's time.
      runtime.log.warn("hand_over_failed", { error: String(error) });
    }
    await this.close();
  }

  /** Registers anew whenever the session is lost. */
  async #keep(): Promise<void> {
    const { runtime } = this.#options;
    while (!this.#isClosed) {
      const session = this.#session;
      if (session !== null) await lost(session.lost);
      if (this.#isClosed || this.isStopping) return;
      this.#hasResumed = false;
      this.#session = null;
      runtime.log.warn("broker_session_lost", { brokerId: this.brokerId });
      while (!this.#isClosed && !this.isStopping) {
        try {
          await this.#register();
          this.#seat.wake();
          break;
        } catch (error) {
          if (error instanceof MetadataStoreError && error.code === "closed") return;
          runtime.log.warn("broker_registration_failed", { error: String(error) });
          await this.#pause();
        }
      }
    }
  }

  async #register(): Promise<void> {
    const { shared, metadata, runtime, brokerId, registration } = this.#options;
    const session = await metadata.session(this.#sessionMs);
    const triesMax = Math.ceil(this.#sessionMs / RETRY_MS) + EXTRA_TRIES;
    try {
      for (let tries = 0; ; tries++) {
        const key = brokerKey(brokerId);
        const { entries } = await metadata.read(key);
        const found = entries.find((entry) => entry.key === key);
        const fault = levelsFault(shared.image.features, registration.features);
        if (fault !== null) {
          throw new MetadataStoreError("version", `Cannot register broker ${brokerId} as ${fault}`);
        }
        const isFree =
          found === undefined || decodeBroker(found).incarnation === registration.incarnation;
        const epoch = isFree
          ? await this.#writeRegistration(session, found?.revision ?? 0, false, [
              // Levels that are raised meanwhile are looked at anew.
              { key: FEATURES_KEY, revision: shared.image.features.revision },
            ])
          : null;
        if (epoch !== null) {
          this.#epoch = epoch;
          break;
        }
        // A process that was killed is registered until its session has run out.
        if (tries >= triesMax || this.#isClosed) {
          throw new MetadataStoreError(
            "locked",
            `Cannot register broker ${brokerId} as another process is registered under this id`,
          );
        }
        await this.#pause();
      }
      const since = new Map(shared.image.partitions);
      for (let i = 0; i < HAND_OVER_COMMITS_MAX; i++) {
        const more = await shared.submit((image) =>
          decideResume(image, brokerId, since, shared.contextOf),
        );
        if (!more.ok || !more.value) break;
      }
    } catch (error) {
      await session.end().catch((cause: unknown) => {
        runtime.log.warn("session_end_failed", { error: String(cause) });
      });
      throw error;
    }
    this.#session = session;
    this.#hasResumed = true;
    runtime.log.info("broker_registered", { brokerId, epoch: this.#epoch });
    shared.membershipChanged();
  }

  /** @returns the epoch; null where the registration found is another by now */
  async #writeRegistration(
    session: Session,
    revision: number,
    isStopping: boolean,
    besides: Transaction["conditions"] = [],
  ): Promise<number | null> {
    const { shared, brokerId, registration } = this.#options;
    const { rack, release } = registration;
    const result = await shared.commit({
      conditions: [{ key: brokerKey(brokerId), revision }, ...besides],
      writes: [
        { key: brokerKey(brokerId), value: encodeBroker({ ...registration, isStopping }), session },
        { key: knownBrokerKey(brokerId), value: encodeKnownBroker({ rack, release }) },
      ],
    });
    return result.ok ? result.revision : null;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.runtime.scheduler.after(
        RETRY_MS,
        "cluster_registration",
        resolve,
      );
      this.#wakePause = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function lost(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
