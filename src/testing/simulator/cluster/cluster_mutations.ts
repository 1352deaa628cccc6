// Brokers of a cluster that are wrong on purpose, by what is wrapped around their transport, their store, their settings and
// disks: the proof that the checkers can fail. Invariant: without a mutation nothing is wrapped.

import type { SeededRandom } from "../../../base/prng.ts";
import type { AppendRequest, Broker, FetchRequest, LogApi } from "../../../contracts/broker.ts";
import type {
  MetadataStore,
  MetadataStorePlugin,
  Session,
  Transaction,
} from "../../../contracts/metadata_store.ts";
import type { TransportPlugin } from "../../../contracts/transport.ts";
import { patchProducer } from "../../../record/batch_header.ts";

/** Every way of being wrong, by name. */
export const CLUSTER_MUTATIONS = [
  /** acks=all is answered once the leader has it. */
  "isr_not_waited_for",
  /** An append is answered before it is written. */
  "acks_before_sync",
  /** Followers are not told where histories part. */
  "truncation_skipped",
  /** A new leader has the epoch of the one before. */
  "leader_epoch_not_raised",
  /** A session that has run out is taken to be held. */
  "fenced_broker_stays",
  /** Followers take all that they have for committed. */
  "follower_high_watermark_too_high",
  /** Who is not in sync may lead. */
  "unclean_election",
  /** One replica in sync is enough for acks=all. */
  "min_isr_ignored",
  /** What the store's conditions refuse is done all the same. */
  "conditions_not_checked",
  /** Syncs say that they are done and have done nothing. */
  "sync_lies",
  /** Some commits of offsets are answered and not done. */
  "forgets_commits",
  /** Some fetches are told an older high watermark. */
  "high_watermark_goes_back",
  /** Some descriptions leave the leader out of the in-sync set. */
  "isr_told_wrong",
  /** Followers get batches under another leader epoch. */
  "epochs_not_copied",
  /** Idempotence is forgotten: producer ids are taken off the batches. */
  "forgets_producers",
] as const;
/** One of CLUSTER_MUTATIONS. */
export type ClusterMutation = (typeof CLUSTER_MUTATIONS)[number];

/** What a run wraps. */
export interface Wrong {
  readonly wrapTransport: (plugin: TransportPlugin, brokerId: number) => TransportPlugin;
  readonly wrapMetadata: (plugin: MetadataStorePlugin, brokerId: number) => MetadataStorePlugin;
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  readonly topicConfigs: (configs: Record<string, string>) => Record<string, string>;
  readonly lyingSyncPercent: number;
}

export function mutationOf(mutation: ClusterMutation | null, random: SeededRandom): Wrong {
  return {
    wrapTransport: (plugin) =>
      mutation === null
        ? plugin
        : {
            ...plugin,
            start: (context) =>
              plugin.start({ ...context, broker: wrongBroker(context.broker, mutation, random) }),
          },
    wrapMetadata: (plugin) =>
      mutation === null
        ? plugin
        : {
            ...plugin,
            open: async (context) => wrongStore(await plugin.open(context), mutation),
          },
    settings: {},
    topicConfigs: (configs) => {
      if (mutation === "min_isr_ignored") return { ...configs, "min.insync.replicas": "1" };
      if (mutation === "unclean_election") {
        return { ...configs, "unclean.leader.election.enable": "true" };
      }
      return configs;
    },
    lyingSyncPercent: mutation === "sync_lies" ? 100 : 0,
  };
}

function wrongBroker(broker: Broker, mutation: ClusterMutation, random: SeededRandom): Broker {
  const { log, topics, groups } = broker;
  return over(broker, {
    log: over(log, {
      append: (caller, request) => wrongAppend(log, mutation, caller, request),
      fetch: (caller, request) => wrongFetch(log, mutation, random, caller, request),
    }),
    topics: over(topics, {
      metadata: async (...args) => {
        const answer = await topics.metadata(...args);
        if (mutation !== "isr_told_wrong" || random.below(4) > 0) return answer;
        return {
          ...answer,
          topics: answer.topics.map((topic) => ({
            ...topic,
            partitions: topic.partitions.map((each) => ({
              ...each,
              isrNodes: each.isrNodes.filter((id) => id !== each.leaderId),
            })),
          })),
        };
      },
    }),
    groups: over(groups, {
      offsetCommit: async (caller, request, version) => {
        if (mutation !== "forgets_commits" || random.below(3) > 0) {
          return await groups.offsetCommit(caller, request, version);
        }
        return {
          throttleTimeMs: 0,
          topics: request.topics.map(({ name, topicId, partitions }) => ({
            name,
            topicId,
            partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: 0 })),
          })),
        };
      },
    }),
  });
}

async function wrongAppend(
  log: LogApi,
  mutation: ClusterMutation,
  caller: Parameters<LogApi["append"]>[0],
  request: AppendRequest,
): ReturnType<LogApi["append"]> {
  if (mutation === "isr_not_waited_for" && request.acks === -1) {
    return await log.append(caller, { ...request, acks: 1 });
  }
  if (mutation === "forgets_producers") {
    for (const { batches } of request.partitions) {
      patchProducer(batches, 0, batches.length, NOBODY);
    }
  }
  if (mutation === "acks_before_sync") {
    // Its own bytes: the transport takes those of the request back.
    const partitions = request.partitions.map((each) => ({
      ...each,
      batches: each.batches.slice(),
    }));
    const appended = log.append(caller, { ...request, partitions });
    // A refusal is there within a few turns.
    let refused: Awaited<typeof appended> | null = null;
    void appended.then((outcomes) => {
      refused = outcomes;
    });
    for (let turn = 0; turn < 20 && refused === null; turn++) await Promise.resolve();
    if (refused !== null) return refused;
    return partitions.map(({ batches }) => ({
      ok: true,
      value: {
        baseOffset: Number(new DataView(batches.buffer).getBigInt64(0)),
        logAppendTimeMs: -1,
        logStartOffset: 0,
      },
    }));
  }
  return await log.append(caller, request);
}

async function wrongFetch(
  log: LogApi,
  mutation: ClusterMutation,
  random: SeededRandom,
  caller: Parameters<LogApi["fetch"]>[0],
  request: FetchRequest,
): ReturnType<LogApi["fetch"]> {
  const isReplica = request.replica !== undefined;
  let asked = request;
  if (isReplica && mutation === "truncation_skipped") {
    asked = {
      ...request,
      partitions: request.partitions.map((each) =>
        each.follower === undefined
          ? each
          : { ...each, follower: { ...each.follower, lastFetchedEpoch: -1 } },
      ),
    };
  }
  const response = await log.fetch(caller, asked);
  const partitions = response.partitions.map((outcome): typeof outcome => {
    if (!outcome.ok) return outcome;
    const { value } = outcome;
    if (isReplica && mutation === "follower_high_watermark_too_high") {
      return { ok: true, value: { ...value, highWatermark: 2 ** 40 } };
    }
    if (isReplica && mutation === "epochs_not_copied" && value.batches.length > 0) {
      const batches = value.batches.map((bytes) => {
        const other = bytes.slice();
        new DataView(other.buffer).setInt32(12, 0);
        return other;
      });
      return { ok: true, value: { ...value, batches } };
    }
    if (!isReplica && mutation === "high_watermark_goes_back" && random.below(10) === 0) {
      const highWatermark = value.highWatermark >> 1;
      return { ok: true, value: { ...value, highWatermark, batches: [], sizeBytes: 0 } };
    }
    return outcome;
  });
  return { partitions, release: () => response.release() };
}

function wrongStore(store: MetadataStore, mutation: ClusterMutation): MetadataStore {
  return over(store, {
    commit: (transaction) => store.commit(wrongCommit(transaction, mutation)),
    session: async (ttlMs) => {
      const session = await store.session(ttlMs);
      return mutation === "fenced_broker_stays" ? heldForEver(session) : session;
    },
  });
}

function wrongCommit(transaction: Transaction, mutation: ClusterMutation): Transaction {
  if (mutation === "conditions_not_checked") {
    const conditions = transaction.conditions.filter(({ key }) => !key.startsWith("partitions/"));
    return { ...transaction, conditions };
  }
  if (mutation !== "leader_epoch_not_raised") return transaction;
  const writes = transaction.writes.map((write) => {
    if (!write.key.startsWith("partitions/") || write.value === null) return write;
    const block = JSON.parse(new TextDecoder().decode(write.value)) as { p: number[][] };
    for (const partition of block.p) partition[1] = Math.min(partition[1]!, 1);
    return { ...write, value: new TextEncoder().encode(JSON.stringify(block)) };
  });
  return { ...transaction, writes };
}

/** The same session to the store, which knows it by its id. */
function heldForEver(session: Session): Session {
  const never = new AbortController().signal;
  return {
    id: session.id,
    heldUntilMs: Number.POSITIVE_INFINITY,
    lost: never,
    end: () => session.end(),
  };
}

/** `target` with some members of its own replaced; what is asked of the others is asked of itself. */
function over<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(members, name)) return members[name as keyof T];
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const NOBODY = { producerId: -1, producerEpoch: -1, baseSequence: -1 };
