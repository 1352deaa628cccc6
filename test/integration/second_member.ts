// The second member of a recorded group: the recording shows what it was answered, and not what it sent.

import type { JoinGroupResponse } from "../../src/protocol/messages/11_join_group.ts";
import { JoinGroup } from "../../src/protocol/messages/11_join_group.ts";
import { SyncGroup, type SyncGroupResponse } from "../../src/protocol/messages/14_sync_group.ts";
import { DescribeGroups } from "../../src/protocol/messages/15_describe_groups.ts";
import type { Live, WireClient } from "./live.ts";

const MEMBER_ID_REQUIRED = 79;

export class SecondMember {
  readonly #live: Live;
  readonly #groupId: string;
  readonly #metadata: Uint8Array;
  #client: WireClient | null = null;
  #answer: (() => Promise<JoinGroupResponse>) | null = null;
  #joined: JoinGroupResponse | null = null;

  constructor(live: Live, groupId: string, metadata: Uint8Array) {
    this.#live = live;
    this.#groupId = groupId;
    this.#metadata = metadata;
  }

  /** Resolves once the group rebalances for its sake. */
  async join(): Promise<void> {
    const client = await this.#live.connect();
    client.clientId = "probe";
    this.#client = client;
    const given = await client.ask(JoinGroup, 9, this.#request(""));
    if (given.errorCode !== MEMBER_ID_REQUIRED) throw new Error(`no id: ${given.errorCode}`);
    this.#answer = await client.begin(JoinGroup, 9, this.#request(given.memberId));
    const watcher = await this.#live.connect();
    for (let state = ""; state !== "PreparingRebalance"; ) {
      const { groups } = await watcher.ask(DescribeGroups, 5, { groups: [this.#groupId] });
      state = groups[0]!.groupState;
    }
    watcher.close();
  }

  /** What the join was answered. */
  async joined(): Promise<JoinGroupResponse> {
    this.#joined ??= await this.#answer!();
    return this.#joined;
  }

  /** Asks for the assignment of the generation it has joined. */
  async sync(): Promise<SyncGroupResponse> {
    const { generationId, memberId } = await this.joined();
    return await this.#client!.ask(SyncGroup, 5, {
      groupId: this.#groupId,
      generationId,
      memberId,
      protocolType: "consumer",
      protocolName: "range",
      assignments: [],
    });
  }

  close(): void {
    this.#client?.close();
  }

  #request(memberId: string) {
    return {
      groupId: this.#groupId,
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 20_000,
      memberId,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: this.#metadata }],
    };
  }
}
