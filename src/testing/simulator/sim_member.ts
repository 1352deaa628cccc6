// A simulated member of a group, of either protocol, over the wire: joins, owns, commits, leaves or vanishes, and joins
// again. Invariant: while it owns a partition it commits ascending offsets, one at a time; when an answer to a commit is
// lost it comes back as somebody else, since that commit may still arrive.

import type { SeededRandom } from "../../base/prng.ts";
import { ZERO_UUID } from "../../base/uuid.ts";
import { errorByCode, type KafkaErrorName } from "../../protocol/errors.ts";
import { OffsetCommit } from "../../protocol/messages/08_offset_commit.ts";
import { OffsetFetch } from "../../protocol/messages/09_offset_fetch.ts";
import { FindCoordinator } from "../../protocol/messages/10_find_coordinator.ts";
import type { GroupHistory } from "./group_history.ts";
import { ConnectionGone, type SimClient, type SimConnection } from "./sim_client.ts";

const CHECKER = "group_answers";
/** Refusals that any coordinator may give at any time: look for it again. */
const TRY_AGAIN: ReadonlySet<KafkaErrorName> = new Set([
  "coordinator_load_in_progress",
  "coordinator_not_available",
  "not_coordinator",
]);

/** What a member does with its partitions instead of committing offsets now and then. */
export interface MemberJob {
  /** Learns where to go on in partitions that the member was given; false: not now. */
  take(partitions: readonly number[]): Promise<boolean>;
  /** @param owned All that it has been given and not given up */
  work(
    owned: readonly number[],
    member: { readonly memberId: string; readonly epoch: number },
  ): Promise<void>;
}

export interface MemberOptions {
  readonly client: SimClient;
  readonly group: GroupHistory;
  readonly random: SeededRandom;
  /** From then on it stays, so that the group can settle. */
  readonly mustSettle: () => boolean;
  readonly isOver: () => boolean;
  readonly job?: MemberJob;
}

/** What became of a request: null for done; the rest is up to the protocol. */
export type Trouble = KafkaErrorName | null;

export abstract class SimMember {
  isDone = false;
  protected readonly options: MemberOptions;
  protected memberId = "";
  /** Generation or member epoch. */
  protected epoch = -1;
  /** What it owns, with the position it has come to. */
  protected readonly positions = new Map<number, number>();

  constructor(options: MemberOptions) {
    this.options = options;
  }

  async run(): Promise<void> {
    const { client, isOver } = this.options;
    while (!isOver()) {
      try {
        const connection = await client.connected();
        if (await this.#findCoordinator(connection)) await this.live(connection);
      } catch (error) {
        if (!(error instanceof ConnectionGone)) throw error;
      }
      await client.backOff();
    }
    this.lose();
    client.close();
    this.isDone = true;
  }

  /** Is a member for a while. */
  protected abstract live(connection: SimConnection): Promise<void>;
  /** What the member says of itself in commits and fetches. */
  protected abstract leave(connection: SimConnection): Promise<void>;

  /** Forgets that it was a member. */
  protected lose(): void {
    if (this.memberId !== "") this.options.group.released(this.memberId);
    this.memberId = "";
    this.epoch = -1;
    this.positions.clear();
  }

  /** Gives up what it owns, and stays a member. */
  protected giveUp(): void {
    this.options.group.released(this.memberId);
    this.positions.clear();
  }

  protected fail(what: string, code: KafkaErrorName): void {
    if (!this.options.group.isJudged) return;
    this.options.client.world.fail(CHECKER, `${this.options.client.name}: ${what}: ${code}`);
  }

  /** The name of the error; null for none. Ends the connection's life when the coordinator is to be looked for again. */
  protected troubleOf(errorCode: number): Trouble {
    const code = errorByCode(errorCode)?.code ?? null;
    if (code !== null && TRY_AGAIN.has(code)) throw new ConnectionGone(code);
    return code;
  }

  /** What a member does between two heartbeats. @returns Whether it is still to be one */
  protected async work(connection: SimConnection): Promise<boolean> {
    const { random, mustSettle, client, group } = this.options;
    await client.options.process.sleep(random.below(group.plan.heartbeatUs), "member_works");
    const dice = random.below(100);
    if (!mustSettle()) {
      if (dice < 3) {
        await this.leave(connection);
        this.lose();
        return false;
      }
      if (dice < 6) {
        // Dies without a word.
        client.close();
        this.lose();
        return false;
      }
      if (dice < 9) client.close();
    }
    if (dice >= 60 || this.positions.size === 0) return true;
    const { job } = this.options;
    if (job === undefined) return await this.#commit(connection);
    const { memberId, epoch } = this;
    await job.work([...this.positions.keys()], { memberId, epoch });
    return true;
  }

  /** Takes over partitions: where their offsets stand is asked first. False when it may not know. */
  protected async take(connection: SimConnection, partitions: readonly number[]): Promise<boolean> {
    const { group } = this.options;
    const { groupId, topic } = group.plan;
    if (partitions.length === 0) return true;
    const { job } = this.options;
    if (job !== undefined) {
      if (!(await job.take(partitions))) return false;
      for (const partition of partitions) this.positions.set(partition, 0);
      return true;
    }
    const floors = partitions.map((partition) => group.floorOf(partition));
    const version = connection.versionOf(OffsetFetch);
    const asked = [{ name: topic, topicId: group.topicId, partitionIndexes: partitions }];
    const response = await connection.request(OffsetFetch, version, {
      ...(version >= 8 ? { groups: [{ groupId, topics: asked }] } : { groupId, topics: asked }),
      requireStable: version >= 7,
    });
    const [only] = response.groups;
    const topics = version >= 8 ? only!.topics : response.topics;
    const rows = topics[0]?.partitions ?? [];
    const trouble = this.troubleOf(
      version >= 8
        ? only!.errorCode
        : version >= 2
          ? response.errorCode
          : (rows[0]?.errorCode ?? 0),
    );
    if (trouble !== null) {
      this.fail("fetching offsets", trouble);
      return false;
    }
    for (const [i, partition] of partitions.entries()) {
      const { committedOffset } = rows[i]!;
      group.fetched(partition, committedOffset, floors[i]!);
      this.positions.set(partition, Math.max(committedOffset, 0));
    }
    return true;
  }

  async #commit(connection: SimConnection): Promise<boolean> {
    const { random, group } = this.options;
    const { groupId, topic } = group.plan;
    const owned = [...this.positions.keys()];
    const partition = owned[random.below(owned.length)]!;
    const offset = this.positions.get(partition)! + 1 + random.below(5);
    this.positions.set(partition, offset);
    group.committing(partition, offset);
    const version = connection.versionOf(OffsetCommit, this.commitsFrom);
    const { memberId } = this;
    const partitions = [
      { partitionIndex: partition, committedOffset: offset, committedMetadata: "" },
    ];
    let response: Awaited<ReturnType<typeof connection.request<typeof OffsetCommit>>>;
    try {
      response = await connection.request(OffsetCommit, version, {
        groupId,
        memberId,
        generationIdOrMemberEpoch: this.epoch,
        topics: [{ name: topic, topicId: version >= 10 ? group.topicId : ZERO_UUID, partitions }],
      });
    } catch (error) {
      this.lose();
      throw error;
    }
    const { errorCode } = response.topics[0]!.partitions[0]!;
    const code = errorByCode(errorCode)?.code ?? null;
    // Whether it was written is not known, and it will not be sent again under this name.
    if (code !== null && TRY_AGAIN.has(code)) this.lose();
    const trouble = this.troubleOf(errorCode);
    if (trouble === null) {
      group.committed(partition, offset);
      return true;
    }
    return this.refused(trouble, "committing");
  }

  /** Lowest version of OffsetCommit that fits the protocol. */
  protected get commitsFrom(): number {
    return OffsetCommit.lowest;
  }

  /** What a refusal means for the membership. @returns Whether it goes on as it is */
  protected abstract refused(code: KafkaErrorName, what: string): boolean;

  async #findCoordinator(connection: SimConnection): Promise<boolean> {
    const { groupId } = this.options.group.plan;
    const version = connection.versionOf(FindCoordinator);
    const keys = version >= 4 ? { coordinatorKeys: [groupId] } : { key: groupId };
    const response = await connection.request(FindCoordinator, version, keys);
    const { errorCode } = version >= 4 ? response.coordinators[0]! : response;
    const trouble = this.troubleOf(errorCode);
    if (trouble !== null) this.fail("FindCoordinator", trouble);
    return trouble === null;
  }
}
