// Brokers and disks that are wrong on purpose: the proof that the checkers can fail. Each mutation must be
// caught within a few seeds (test/simulation/mutations.test.ts).
// Invariant: without a mutation nothing is wrapped.

import type { SeededRandom } from "../../base/prng.ts";
import type { AppendRequest, Broker, LogApi, Outcome } from "../../contracts/broker.ts";
import type { TransportPlugin } from "../../contracts/transport.ts";
import {
  baseOffsetAt,
  patchBaseOffset,
  patchProducer,
  recordCountAt,
} from "../../record/batch_header.ts";
import {
  brokerWrongAbout,
  isTransactionMutation,
  type TransactionMutation,
} from "./transactions/mutations.ts";

/** Every way of being wrong, by name. */
export const MUTATIONS = [
  /** Syncs say that they are done and have done nothing. */
  "sync_lies",
  /** Produce is acknowledged before anything was written. */
  "acks_before_sync",
  /** Some batches are acknowledged and thrown away. */
  "drops_batches",
  /** Some appends wait until the next one has passed them. */
  "reorders_appends",
  /** Some plain batches are appended twice. */
  "appends_twice",
  /** Idempotence is forgotten: producer ids are taken off the batches. */
  "forgets_producers",
  /** Some fetches claim an older high watermark. */
  "high_watermark_goes_back",
  /** DeleteRecords is answered and not done. */
  "ignores_delete_records",
  /** A byte of some fetched batches is changed. */
  "changes_bytes",
  /** Some fetches leave out their first batch. */
  "skips_batches",
  /** Some fetches bring an older batch of the partition under the offset asked for. */
  "serves_an_older_batch",
  /** Some calls are never answered. */
  "never_answers",
  /** DeleteTopics is answered and not done. */
  "ignores_delete_topics",
  /** Offsets by timestamp are one too high. */
  "offsets_by_timestamp_off_by_one",
  /** Every producer gets the same id. */
  "gives_producer_ids_twice",
  /** Bits of what was synced flip before the last start, and nobody is told. */
  "disk_rots",
  /** The cut of a recycled file at its end does nothing: what the file held before stays there. */
  "leaves_old_bytes",
  /** The broker looks at the host's clock. */
  "reads_the_host_clock",
  /** A promise rejects and nobody listens. */
  "leaves_a_rejection",
] as const;
/** One of MUTATIONS. */
export type Mutation = (typeof MUTATIONS)[number];
export type AnyMutation = Mutation | TransactionMutation;

/** How many of 100 syncs lie. */
export function lyingSyncPercent(mutation: AnyMutation | null): number {
  return mutation === "sync_lies" ? 60 : 0;
}

/** Those that are the disk's alone: the broker is as it should be. */
const OF_THE_DISK: readonly (AnyMutation | null)[] = ["sync_lies", "disk_rots", "leaves_old_bytes"];

/** A transport that is handed the broker as the mutation leaves it. */
export function mutatedTransport(
  plugin: TransportPlugin,
  mutation: AnyMutation | null,
  random: SeededRandom,
): TransportPlugin {
  if (mutation === null || OF_THE_DISK.includes(mutation)) return plugin;
  return {
    ...plugin,
    start: (context) =>
      plugin.start({
        ...context,
        broker: isTransactionMutation(mutation)
          ? brokerWrongAbout(context.broker, mutation, random)
          : mutatedBroker(context.broker, mutation, random),
      }),
  };
}

function mutatedBroker(broker: Broker, mutation: Mutation, random: SeededRandom): Broker {
  const log = mutatedLog(broker.log, mutation, random);
  const topics: Broker["topics"] = {
    metadata: (...args) => broker.topics.metadata(...args),
    createTopics: (...args) => broker.topics.createTopics(...args),
    createPartitions: (...args) => broker.topics.createPartitions(...args),
    describeTopicPartitions: (...args) => broker.topics.describeTopicPartitions(...args),
    deleteTopics: async (caller, request, version) => {
      if (mutation !== "ignores_delete_topics") {
        return await broker.topics.deleteTopics(caller, request, version);
      }
      const asked =
        version >= 6 ? request.topics : request.topicNames.map((name) => ({ name, topicId: "" }));
      return {
        throttleTimeMs: 0,
        responses: asked.map(({ name, topicId }) => ({
          name,
          topicId,
          errorCode: 0,
          errorMessage: null,
        })),
      } as never;
    },
    deleteRecords: async (caller, request, version) => {
      if (mutation !== "ignores_delete_records") {
        return await broker.topics.deleteRecords(caller, request, version);
      }
      return {
        throttleTimeMs: 0,
        topics: request.topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex, offset }) => ({
            partitionIndex,
            lowWatermark: offset,
            errorCode: 0,
          })),
        })),
      } as never;
    },
  };
  return {
    brokerId: broker.brokerId,
    clusterId: broker.clusterId,
    features: broker.features,
    featuresEpoch: broker.featuresEpoch,
    transactions: broker.transactions,
    admin: mutation === "gives_producer_ids_twice" ? withOneProducerId(broker.admin) : broker.admin,
    groups: broker.groups,
    setting: (name) => broker.setting(name),
    isOnline: () => broker.isOnline(),
    log,
    topics,
  };
}

function withOneProducerId(admin: Broker["admin"]): Broker["admin"] {
  // Methods live on the prototype, and only one of them is replaced.
  return Object.assign(Object.create(admin) as Broker["admin"], {
    initProducerId: async () => ({
      throttleTimeMs: 0,
      errorCode: 0,
      producerId: 7,
      producerEpoch: 0,
      ongoingTxnProducerId: -1,
      ongoingTxnProducerEpoch: -1,
    }),
  });
}

function mutatedLog(log: LogApi, mutation: Mutation, random: SeededRandom): LogApi {
  const happens = (percent: number): boolean => random.below(100) < percent;
  let heldBack: (() => void) | null = null;
  /** A batch by topic, partition and record count. */
  const older = new Map<string, Uint8Array>();
  return {
    partitionFor: (...args) => log.partitionFor(...args),
    endOffsetForEpoch: (...args) => log.endOffsetForEpoch(...args),
    topicNameOf: (id) => log.topicNameOf(id),
    topicIdOf: (name) => log.topicIdOf(name),

    async offsetFor(caller, queries) {
      const found = await log.offsetFor(caller, queries);
      if (mutation !== "offsets_by_timestamp_off_by_one") return found;
      return found.map((outcome, i) =>
        outcome.ok && typeof queries[i]!.at === "object" && outcome.value.offset >= 0
          ? { ok: true, value: { ...outcome.value, offset: outcome.value.offset + 1 } }
          : outcome,
      );
    },

    async append(caller, request) {
      if (mutation === "reads_the_host_clock") Date.now();
      if (mutation === "leaves_a_rejection") void Promise.reject(new Error("a mutation"));
      if (mutation === "never_answers" && happens(3)) await new Promise<never>(() => {});
      if (mutation === "drops_batches" && happens(10)) {
        const real = await log.append(caller, { ...request, partitions: [] });
        void real;
        return request.partitions.map(() => accepted(random.below(100)));
      }
      if (mutation === "reorders_appends") {
        const held = heldBack;
        heldBack = null;
        if (held === null && happens(30)) {
          await new Promise<void>((resolve) => {
            heldBack = resolve;
          });
        } else if (held !== null) {
          const mine = log.append(caller, request);
          held();
          return await mine;
        }
      }
      if (mutation === "forgets_producers") {
        return await log.append(caller, withoutProducers(request));
      }
      if (mutation === "appends_twice" && happens(20)) {
        const copies = request.partitions.map((each) => ({
          ...each,
          batches: each.batches.slice(),
        }));
        void log.append(caller, { ...request, partitions: copies });
      }
      if (mutation === "acks_before_sync") {
        const ends = request.partitions.map(({ topic, partition, batches }) => ({
          topic,
          partition,
          batches,
        }));
        void log.append(caller, request);
        // The base offsets have been patched into the batches before the call returned.
        return ends.map(({ batches }) => accepted(Number(viewOf(batches).getBigInt64(0))));
      }
      return await log.append(caller, request);
    },

    async fetch(caller, request) {
      if (mutation === "never_answers" && happens(2)) await new Promise<never>(() => {});
      const response = await log.fetch(caller, request);
      const partitions = response.partitions.map((outcome, i): typeof outcome => {
        if (!outcome.ok) return outcome;
        const { value } = outcome;
        if (mutation === "high_watermark_goes_back" && happens(10)) {
          return {
            ok: true,
            value: { ...value, highWatermark: value.highWatermark >> 1, batches: [] },
          };
        }
        if (value.sizeBytes > 0 && mutation === "serves_an_older_batch") {
          const { topic, partition } = request.partitions[i]!;
          const first = value.batches[0]!;
          const bytes = first.slice(0, 12 + viewOf(first).getInt32(8));
          const key = `${topic}/${partition}/${recordCountAt(bytes, 0)}`;
          const before = older.get(key) ?? bytes;
          older.set(key, bytes);
          const served = before.slice();
          patchBaseOffset(served, 0, baseOffsetAt(bytes, 0));
          return { ok: true, value: { ...value, batches: [served], sizeBytes: served.length } };
        }
        if (value.sizeBytes === 0 || !happens(10)) return outcome;
        if (mutation === "changes_bytes") {
          const bytes = value.batches[0]!.slice();
          bytes[random.below(bytes.length)]! ^= 4;
          return { ok: true, value: { ...value, batches: [bytes, ...value.batches.slice(1)] } };
        }
        if (mutation === "skips_batches") {
          const first = value.batches[0]!;
          const sizeBytes = 12 + viewOf(first).getInt32(8);
          if (sizeBytes >= first.length) return outcome;
          const rest = first.subarray(sizeBytes);
          return { ok: true, value: { ...value, batches: [rest], sizeBytes: rest.length } };
        }
        return outcome;
      });
      return { partitions, release: () => response.release() };
    },
  };
}

function accepted(baseOffset: number): Outcome<{
  readonly baseOffset: number;
  readonly logAppendTimeMs: number;
  readonly logStartOffset: number;
}> {
  return { ok: true, value: { baseOffset, logAppendTimeMs: -1, logStartOffset: 0 } };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const NOBODY = { producerId: -1, producerEpoch: -1, baseSequence: -1 };

function withoutProducers(request: AppendRequest): AppendRequest {
  for (const { batches } of request.partitions) {
    patchProducer(batches, 0, batches.length, NOBODY);
  }
  return request;
}
