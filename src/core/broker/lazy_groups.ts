// Groups, loaded when somebody first asks for one: thousands of lines that most starts can do without.
// Invariant: a start with no group loads none of it; once loaded, a call goes through in the same turn, and calls that came
// meanwhile keep their order.

import type { GroupApi } from "../../contracts/broker.ts";
import type { Timer } from "../../contracts/runtime.ts";
import type { Outcome } from "../../protocol/errors.ts";
import { GROUP_TOPIC } from "../cluster/topic_names.ts";
import type { AppendedToLog, EndMarker } from "../coordinator/runtime/coordinator_log.ts";
import type { GroupsOptions, OpenGroups } from "./open_groups.ts";
import { isLedHere } from "./partition_leaders.ts";

/** After a start, clients come first; then groups that nobody asked for are loaded, for the sake of their timers. */
const WARM_UP_AFTER_MS = 1000;

let code: typeof import("./open_groups.ts") | null = null;

/** Loads the code ahead: where a host's loader may not come between two turns (the simulator). */
export async function preloadGroups(): Promise<void> {
  code ??= await import("./open_groups.ts");
}

export class LazyGroups {
  readonly api: GroupApi;
  readonly #options: GroupsOptions;
  readonly #endFollowing: () => void;
  /** Topics that were deleted before there was a coordinator to hear of it. */
  #deletedTopics: string[] = [];
  #open: OpenGroups | null = null;
  #loading: Promise<OpenGroups> | null = null;
  #isClosed = false;
  #warmUpTimer: Timer | null = null;

  constructor(options: GroupsOptions) {
    this.#options = options;
    this.#endFollowing = options.cluster.follow({
      topicChanged: () => {},
      topicDeleted: (topic) => {
        const mayHaveOffsets = options.cluster.image.topicsByName.has(GROUP_TOPIC);
        if (this.#open === null && mayHaveOffsets) this.#deletedTopics.push(topic.name);
      },
      partitionsChanged: (topic, partitions) => {
        // Once it is there, the coordinator hears of it by itself. What was here before the start has its own time.
        if (this.#open !== null || this.#isClosed || topic.name !== GROUP_TOPIC) return;
        const { cluster, runtime } = options;
        if (!partitions.some((each) => isLedHere(cluster, topic, each))) return;
        runtime.scheduler.spawn("group_warm_up", async () => {
          const { coordinator } = await this.#ready();
          if (!this.#isClosed) await coordinator.warmUp();
        });
      },
    });
    this.api = {
      offsetCommit: (...call) => this.#ask((api) => api.offsetCommit(...call)),
      offsetFetch: (...call) => this.#ask((api) => api.offsetFetch(...call)),
      txnOffsetCommit: (...call) => this.#ask((api) => api.txnOffsetCommit(...call)),
      findCoordinator: (...call) => this.#ask((api) => api.findCoordinator(...call)),
      joinGroup: (...call) => this.#ask((api) => api.joinGroup(...call)),
      heartbeat: (...call) => this.#ask((api) => api.heartbeat(...call)),
      leaveGroup: (...call) => this.#ask((api) => api.leaveGroup(...call)),
      syncGroup: (...call) => this.#ask((api) => api.syncGroup(...call)),
      describeGroups: (...call) => this.#ask((api) => api.describeGroups(...call)),
      listGroups: (...call) => this.#ask((api) => api.listGroups(...call)),
      deleteGroups: (...call) => this.#ask((api) => api.deleteGroups(...call)),
      offsetDelete: (...call) => this.#ask((api) => api.offsetDelete(...call)),
      consumerGroupHeartbeat: (...call) => this.#ask((api) => api.consumerGroupHeartbeat(...call)),
      consumerGroupDescribe: (...call) => this.#ask((api) => api.consumerGroupDescribe(...call)),
    };
  }

  /** The partition of GROUP_TOPIC that a group's offsets lie in; the topic is made if need be. Null when it cannot be. */
  async partitionOf(groupId: string): Promise<number | null> {
    return (await this.#ready()).coordinator.find(groupId);
  }

  /**
   * Ends a producer's transaction in a partition of GROUP_TOPIC: appended when this returns. See ShardHost.endTransaction.
   *
   * @returns Null: no shard could know of the transaction, so that the marker is appended as to any other partition
   */
  endTransaction(partition: number, marker: EndMarker): Outcome<AppendedToLog> | null {
    return this.#open?.coordinator.endTransaction(partition, marker) ?? null;
  }

  /** Begins to load the groups there are, a while after the start: their offsets may expire. */
  warmUpLater(): void {
    const { cluster, runtime } = this.#options;
    if (!cluster.image.topicsByName.has(GROUP_TOPIC)) return;
    this.#warmUpTimer = runtime.scheduler.after(WARM_UP_AFTER_MS, "group_warm_up", () => {
      runtime.scheduler.spawn("group_warm_up", async () => {
        await (await this.#ready()).coordinator.warmUp();
      });
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#warmUpTimer?.cancel();
    this.#endFollowing();
    this.#open?.coordinator.close();
  }

  #ask<Response>(call: (api: GroupApi) => Promise<Response>): Promise<Response> {
    const open = this.#open ?? (code === null ? null : this.#make(code));
    return open === null ? this.#ready().then(({ api }) => call(api)) : call(open.api);
  }

  #ready(): Promise<OpenGroups> {
    this.#loading ??= preloadGroups().then(() => this.#make(code!));
    return this.#loading;
  }

  #make({ openGroups }: NonNullable<typeof code>): OpenGroups {
    if (this.#open !== null) return this.#open;
    const open = openGroups(this.#options);
    this.#open = open;
    if (this.#isClosed) open.coordinator.close();
    else open.coordinator.topicsDeleted(this.#deletedTopics);
    this.#deletedTopics = [];
    return open;
  }
}
