// Brokers that are wrong about transactions on purpose: the proof that what judges transactions can fail. Each is caught
// within a few seeds (test/simulation/transaction_mutations.test.ts). Invariant: everything else is the broker's own.

import type { SeededRandom } from "../../../base/prng.ts";
import type { Broker, GroupApi, LogApi, TransactionApi } from "../../../contracts/broker.ts";

/** Every way of being wrong about transactions, by name. */
export const TRANSACTION_MUTATIONS = [
  /** Fetches say nothing of what was aborted. */
  "hides_what_was_aborted",
  /** A read_committed reader is told, and given, all that is committed to the disk. */
  "reads_past_the_stable_offset",
  /** Aborts become commits. */
  "commits_aborts",
  /** Some commits are answered and not done. */
  "answers_commits",
  /** Offsets of open transactions are not waited for. */
  "shows_what_is_pending",
  /** Some offsets of transactions are answered and not written. */
  "forgets_offsets",
  /** InitProducerId is answered with what was answered before. */
  "gives_epochs_twice",
  /** No transaction is ever described as open. */
  "describes_none_as_open",
  /** Some transactional batches are acknowledged and thrown away. */
  "drops_transactional_batches",
  /** Nothing is ever said to be stable. */
  "says_nothing_is_stable",
] as const;
/** One of TRANSACTION_MUTATIONS. */
export type TransactionMutation = (typeof TRANSACTION_MUTATIONS)[number];

export function isTransactionMutation(name: string | null): name is TransactionMutation {
  return (TRANSACTION_MUTATIONS as readonly (string | null)[]).includes(name);
}

export function brokerWrongAbout(
  broker: Broker,
  mutation: TransactionMutation,
  random: SeededRandom,
): Broker {
  return {
    brokerId: broker.brokerId,
    clusterId: broker.clusterId,
    features: broker.features,
    featuresEpoch: broker.featuresEpoch,
    admin: broker.admin,
    topics: broker.topics,
    transactions: wrongTransactions(broker.transactions, mutation, random),
    groups: wrongGroups(broker.groups, mutation, random),
    log: wrongLog(broker.log, mutation, random),
    setting: (name) => broker.setting(name),
    isOnline: () => broker.isOnline(),
  };
}

/** The same, but for the methods that are given. */
function but<Api extends object>(api: Api, own: Partial<Api>): Api {
  const bound: Record<string, unknown> = {};
  for (let at: object = api; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) {
      const method: unknown = api[name as keyof Api];
      if (typeof method === "function") bound[name] ??= method.bind(api);
    }
  }
  return Object.assign(bound as Api, own);
}

function wrongTransactions(
  api: TransactionApi,
  mutation: TransactionMutation,
  random: SeededRandom,
): TransactionApi {
  const given = new Map<string, Awaited<ReturnType<TransactionApi["initProducerId"]>>>();
  return but(api, {
    async endTxn(caller, request, version) {
      if (mutation === "commits_aborts") {
        return await api.endTxn(caller, { ...request, committed: true }, version);
      }
      if (mutation === "answers_commits" && request.committed && random.below(3) === 0) {
        return await api.endTxn(caller, { ...request, committed: false }, version);
      }
      return await api.endTxn(caller, request, version);
    },
    async initProducerId(caller, request, version) {
      const known = given.get(request.transactionalId ?? "");
      if (mutation === "gives_epochs_twice" && known !== undefined) return known;
      const response = await api.initProducerId(caller, request, version);
      if (response.errorCode === 0) given.set(request.transactionalId ?? "", response);
      return response;
    },
    async describeTransactions(caller, request, version) {
      const response = await api.describeTransactions(caller, request, version);
      if (mutation !== "describes_none_as_open") return response;
      const transactionStates = response.transactionStates.map((each) => ({
        ...each,
        transactionState: "Empty",
      }));
      return { ...response, transactionStates };
    },
  });
}

function wrongGroups(api: GroupApi, mutation: TransactionMutation, random: SeededRandom): GroupApi {
  return but(api, {
    async offsetFetch(caller, request, version) {
      const requireStable = mutation !== "shows_what_is_pending" && request.requireStable;
      return await api.offsetFetch(caller, { ...request, requireStable }, version);
    },
    async txnOffsetCommit(caller, request, version) {
      if (mutation !== "forgets_offsets" || random.below(3) > 0) {
        return await api.txnOffsetCommit(caller, request, version);
      }
      return {
        throttleTimeMs: 0,
        topics: request.topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: 0 })),
        })),
      };
    },
  });
}

function wrongLog(log: LogApi, mutation: TransactionMutation, random: SeededRandom): LogApi {
  return but(log, {
    async append(caller, request) {
      if (
        mutation !== "drops_transactional_batches" ||
        request.transactionalId === null ||
        random.below(8) > 0
      ) {
        return await log.append(caller, request);
      }
      const ends = await log.offsetFor(
        caller,
        request.partitions.map(({ topic, partition }) => {
          return { topic, partition, at: "latest", isolation: "read_uncommitted", leaderEpoch: -1 };
        }),
      );
      return ends.map((end) =>
        end.ok
          ? {
              ok: true,
              value: { baseOffset: end.value.offset, logAppendTimeMs: -1, logStartOffset: 0 },
            }
          : end,
      );
    },
    async fetch(caller, request) {
      if (mutation === "reads_past_the_stable_offset") {
        const response = await log.fetch(caller, { ...request, isolation: "read_uncommitted" });
        const partitions = response.partitions.map((outcome) =>
          outcome.ok
            ? {
                ok: true as const,
                value: { ...outcome.value, lastStableOffset: outcome.value.highWatermark },
              }
            : outcome,
        );
        return { partitions, release: () => response.release() };
      }
      const response = await log.fetch(caller, request);
      if (mutation !== "hides_what_was_aborted") return response;
      const partitions = response.partitions.map((outcome) =>
        outcome.ok
          ? { ok: true as const, value: { ...outcome.value, abortedTransactions: [] } }
          : outcome,
      );
      return { partitions, release: () => response.release() };
    },
    async offsetFor(caller, queries) {
      const found = await log.offsetFor(caller, queries);
      if (mutation !== "says_nothing_is_stable") return found;
      return found.map((outcome, i) =>
        outcome.ok && queries[i]!.at === "latest" && queries[i]!.isolation === "read_committed"
          ? { ok: true, value: { ...outcome.value, offset: 0 } }
          : outcome,
      );
    },
  });
}
