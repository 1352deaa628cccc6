import { describe, expect, test } from "bun:test";
import { replayAfterEach } from "../../shard_rig.ts";
import {
  bytes,
  checkReplay,
  classicRig,
  form,
  heartbeat,
  join,
  joinError,
  leave,
  metadataFor,
  sync,
  syncError,
  text,
} from "./classic_rig.ts";

replayAfterEach();

describe("joining a classic group", () => {
  test("v4 and later: a newcomer is given an id and comes again with it", () => {
    const rig = classicRig();
    const first = join(rig, { version: 9, client: "probe" });
    expect(joinError(first)).toBe("member_id_required");
    expect(first.value).toMatchObject({
      generationId: -1,
      protocolType: null,
      protocolName: null,
      leader: "",
      members: [],
    });
    const id = first.value.memberId;
    expect(id).toMatch(
      /^probe-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    // The group is there from now on, and stored.
    expect(rig.records).toHaveLength(1);
    expect(rig.subject.group()).toMatchObject({ stateName: "Empty", protocolType: "" });
    const second = join(rig, { version: 9, member: id, client: "probe" });
    expect(second.isDone).toBe(false);
    rig.advance(0);
    expect(second.value).toEqual({
      throttleTimeMs: 0,
      errorCode: 0,
      generationId: 1,
      protocolType: "consumer",
      protocolName: "range",
      leader: id,
      skipAssignment: false,
      memberId: id,
      members: [{ memberId: id, groupInstanceId: null, metadata: metadataFor(["t"]) }],
    });
    checkReplay(rig);
  });

  test("v4 is the first that asks to come again; v3 is let in at once", () => {
    const rig = classicRig();
    expect(joinError(join(rig, { version: 4, group: "a" }))).toBe("member_id_required");
    // The name of the protocol cannot be null before v7.
    expect(join(rig, { version: 4, group: "a" }).value.protocolName).toBe("");
    expect(join(rig, { version: 7, group: "a" }).value.protocolName).toBeNull();
    const old = join(rig, { version: 3, group: "b" });
    rig.advance(0);
    expect(joinError(old)).toBeNull();
  });

  test("v0 has no rebalance timeout: the session's counts", () => {
    const rig = classicRig();
    join(rig, { version: 0, sessionMs: 7_000, rebalanceMs: -1 });
    expect(rig.subject.group().rebalanceTimeoutMs).toBe(7_000);
  });

  test("two members: one leads, one protocol, and only the leader is told of the members", () => {
    const rig = classicRig();
    const a = join(rig, { version: 3, client: "a" });
    const b = join(rig, { version: 3, client: "b" });
    rig.advance(0);
    expect(a.value.generationId).toBe(1);
    expect(b.value.generationId).toBe(1);
    expect(a.value.leader).toBe(a.value.memberId);
    expect(b.value.leader).toBe(a.value.memberId);
    expect(a.value.members.map(({ memberId }) => memberId)).toEqual([
      a.value.memberId,
      b.value.memberId,
    ]);
    expect(b.value.members).toEqual([]);
  });

  test("refusals that need no group, and make none", () => {
    const rig = classicRig();
    const noGroup = join(rig, { group: "", member: "m" });
    expect(joinError(noGroup)).toBe("invalid_group_id");
    expect(noGroup.value.memberId).toBe("m");
    expect(joinError(join(rig, { sessionMs: 5_999 }))).toBe("invalid_session_timeout");
    expect(joinError(join(rig, { sessionMs: 1_800_001 }))).toBe("invalid_session_timeout");
    expect(joinError(join(rig, { sessionMs: -1 }))).toBe("invalid_session_timeout");
    expect(joinError(join(rig, { member: "nobody" }))).toBe("unknown_member_id");
    expect(rig.subject.groups.size).toBe(0);
    expect(rig.records).toEqual([]);
    expect(joinError(join(rig, { sessionMs: 6_000 }))).toBe("member_id_required");
    expect(joinError(join(rig, { sessionMs: 1_800_000 }))).toBe("member_id_required");
  });

  test("without protocols, or of no type: inconsistent, and the group is there all the same, as with Kafka", () => {
    const rig = classicRig();
    const refused = join(rig, { protocols: {} });
    expect(joinError(refused)).toBe("inconsistent_group_protocol");
    expect(refused.value.memberId).toBe("");
    expect(joinError(join(rig, { type: "", group: "h" }))).toBe("inconsistent_group_protocol");
    expect(rig.subject.group("g").stateName).toBe("Empty");
    expect(rig.subject.group("h").stateName).toBe("Empty");
    checkReplay(rig);
  });

  test("another protocol type, or nothing in common: inconsistent, for new and for old members", () => {
    const rig = classicRig();
    const { members } = form(rig, 2, () => ({
      protocols: { range: bytes("r"), roundrobin: bytes("rr") },
    }));
    const refuse = (as: Parameters<typeof join>[1]) => joinError(join(rig, as));
    expect(refuse({ type: "connect" })).toBe("inconsistent_group_protocol");
    expect(refuse({ protocols: { sticky: bytes("s") } })).toBe("inconsistent_group_protocol");
    expect(refuse({ protocols: {} })).toBe("inconsistent_group_protocol");
    const old = join(rig, { member: members[1]!, protocols: { sticky: bytes("s") } });
    expect(joinError(old)).toBe("inconsistent_group_protocol");
    expect(old.value.memberId).toBe(members[1]!);
    expect(rig.subject.group().stateName).toBe("Stable");
  });

  test("the vote: what most prefer of what all know; of equals the first", () => {
    const rig = classicRig();
    const p = (...names: string[]) => Object.fromEntries(names.map((n) => [n, bytes(n)]));
    form(rig, 3, (i) => ({
      protocols: [p("range", "sticky", "rr"), p("sticky", "range"), p("rr", "sticky", "range")][i]!,
    }));
    // rr is not known to all, so that the third votes for sticky.
    expect(rig.subject.group().protocolName).toBe("sticky");
    form(rig, 2, (i) => ({ group: "h", protocols: [p("a", "b"), p("b", "a")][i]! }));
    expect(rig.subject.group("h").protocolName).toBe("a");
    const twice = join(rig, { version: 3, group: "i", protocols: p("x") });
    rig.advance(0);
    expect(twice.value.protocolName).toBe("x");
  });

  test("a protocol named twice counts once", () => {
    const rig = classicRig();
    const asked = rig.ask<{ errorCode: number; protocolName: string | null }>((subject, reply) =>
      subject.classic.join(
        rig.call({ version: 3 }),
        {
          groupId: "g",
          memberId: "",
          groupInstanceId: null,
          sessionTimeoutMs: 10_000,
          rebalanceTimeoutMs: 10_000,
          protocolType: "consumer",
          protocols: [
            { name: "range", metadata: metadataFor(["t"]) },
            { name: "range", metadata: metadataFor(["u"]) },
          ],
          reason: null,
        },
        reply as never,
      ),
    );
    rig.advance(0);
    expect(asked.value).toMatchObject({ errorCode: 0, protocolName: "range" });
    expect(rig.subject.group().isSubscribedTo("t")).toBe(true);
  });

  test("a member that is not of the group: unknown; with somebody else's instance id: fenced", () => {
    const rig = classicRig();
    const { members } = form(rig, 2, (i) => ({ version: 5, instance: `i${i}` }));
    expect(joinError(join(rig, { member: "nobody" }))).toBe("unknown_member_id");
    expect(joinError(join(rig, { member: members[0]!, instance: "i9" }))).toBe("unknown_member_id");
    const fenced = join(rig, { member: members[0]!, instance: "i1" });
    expect(joinError(fenced)).toBe("fenced_instance_id");
    expect(fenced.value.memberId).toBe(members[0]!);
  });

  test("an id that was given to a dynamic member is not for a static one", () => {
    const rig = classicRig();
    const { memberId } = join(rig).value;
    expect(joinError(join(rig, { member: memberId, instance: "i" }))).toBe("unknown_server_error");
    expect(rig.subject.group().pendingJoins.has(memberId)).toBe(true);
  });

  test("a follower that joins again with the same metadata is told of the generation as it stands", () => {
    const rig = classicRig();
    const { members, leader, generation } = form(rig, 2);
    const again = join(rig, { member: members[1]! });
    expect(again.value).toMatchObject({
      errorCode: 0,
      generationId: generation,
      leader,
      members: [],
      protocolType: "consumer",
      protocolName: "range",
      skipAssignment: false,
    });
    expect(rig.subject.group().stateName).toBe("Stable");
    const share = sync(rig, { member: members[1]!, generation });
    expect(text(share.value.assignment)).toBe("1.1");
  });

  test("with new metadata it begins a rebalance, and so does a leader with the same", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    const changed = join(rig, { member: members[1]!, protocols: { range: metadataFor(["u"]) } });
    expect(changed.isDone).toBe(false);
    expect(rig.subject.group().stateName).toBe("PreparingRebalance");
    const leader = join(rig, { member: members[0]! });
    expect(changed.value.generationId).toBe(2);
    expect(leader.value.members.map((m) => text(m.metadata).includes("u"))).toEqual([false, true]);
    sync(rig, { member: members[0]!, generation: 2, assigns: {} });
    expect(rig.subject.group().stateName).toBe("Stable");
    const again = join(rig, { member: members[0]!, reason: "topics changed" });
    expect(again.isDone).toBe(false);
    expect(rig.subject.group().stateName).toBe("PreparingRebalance");
    expect(rig.events("group_rebalance_started").at(-1)!["reason"]).toContain("topics changed");
    checkReplay(rig);
  });

  test("while the leader assigns: the same metadata is answered at once, new metadata begins anew", () => {
    const rig = classicRig();
    const a = join(rig, { version: 3 });
    const b = join(rig, { version: 3 });
    rig.advance(0);
    const [leader, follower] = [a.value.memberId, b.value.memberId];
    // Its answer got lost: it is told again, with all members.
    expect(join(rig, { member: leader }).value.members).toHaveLength(2);
    expect(join(rig, { member: follower }).value).toMatchObject({ generationId: 1, members: [] });
    const waiting = sync(rig, { member: follower, generation: 1 });
    const changed = join(rig, { member: leader, protocols: { range: metadataFor(["v"]) } });
    expect(syncError(waiting)).toBe("rebalance_in_progress");
    expect(changed.isDone).toBe(false);
    join(rig, { member: follower });
    expect(changed.value.generationId).toBe(2);
  });

  test("a member that asks twice: the first request is not left without an answer", () => {
    const rig = classicRig();
    const { members } = form(rig, 2);
    const first = join(rig, { member: members[0]! });
    const second = join(rig, { member: members[0]! });
    expect(joinError(first)).toBe("rebalance_in_progress");
    join(rig, { member: members[1]! });
    expect(joinError(second)).toBeNull();
    const early = sync(rig, { member: members[1]!, generation: 2 });
    const later = sync(rig, { member: members[1]!, generation: 2 });
    expect(syncError(early)).toBe("rebalance_in_progress");
    expect(later.isDone).toBe(false);
  });

  test("group.max.size: of a stable group by members, old members apart", () => {
    const rig = classicRig({ settings: { sizeMax: 2 } });
    const { members } = form(rig, 2);
    const third = join(rig, { version: 3 });
    expect(joinError(third)).toBe("group_max_size_reached");
    expect(third.value.memberId).toBe("");
    expect(joinError(join(rig, { member: members[1]! }))).toBeNull();
  });

  test("group.max.size while joining: by those who wait", () => {
    const rig = classicRig({ settings: { sizeMax: 2, initialRebalanceDelayMs: 1_000 } });
    const first = join(rig, { version: 3 });
    const second = join(rig, { version: 3 });
    expect(joinError(join(rig, { version: 3 }))).toBe("group_max_size_reached");
    expect(joinError(join(rig, { version: 9 }))).toBe("group_max_size_reached");
    rig.advance(2_000);
    expect(joinError(first)).toBeNull();
    expect(joinError(second)).toBeNull();
    expect(rig.subject.group().memberCount).toBe(2);
  });

  test("ids that were given out do not count, but whoever comes with one too late is out", () => {
    const rig = classicRig({ settings: { sizeMax: 1 } });
    const one = join(rig).value.memberId;
    const two = join(rig).value.memberId;
    const first = join(rig, { member: one });
    expect(joinError(join(rig, { member: two }))).toBe("group_max_size_reached");
    rig.advance(0);
    expect(joinError(first)).toBeNull();
    expect(rig.subject.group().pendingJoins.size).toBe(0);
  });

  test("the last to come again are out when group.max.size was lowered", () => {
    const rig = classicRig();
    const { members } = form(rig, 3);
    rig.settings.sizeMax = 2;
    rig.reload();
    expect(rig.subject.group().stateName).toBe("PreparingRebalance");
    const again = members.map((member) => join(rig, { member }));
    expect(joinError(again[2]!)).toBe("group_max_size_reached");
    expect(again[0]!.isDone).toBe(false);
    rig.advance(20_000);
    expect(again.slice(0, 2).map(joinError)).toEqual([null, null]);
    expect(rig.subject.group().memberCount).toBe(2);
    checkReplay(rig);
  });

  test("a group that became empty is joined anew, with the next generation", () => {
    const rig = classicRig();
    const { members } = form(rig, 1);
    leave(rig, [members[0]!]);
    expect(rig.subject.group()).toMatchObject({ stateName: "Empty", generation: 2 });
    expect(joinError(join(rig, { member: members[0]! }))).toBe("unknown_member_id");
    const connect = join(rig, { version: 3, type: "connect" });
    rig.advance(0);
    expect(connect.value.generationId).toBe(3);
    expect(rig.subject.group().protocolType).toBe("connect");
    expect(heartbeat(rig, connect.value.memberId, 3)).toBeNull();
  });

  test("what a member keeps is its own: a request's bytes are lent", () => {
    const rig = classicRig();
    const metadata = metadataFor(["t"]);
    const asked = join(rig, { version: 3, protocols: { range: metadata } });
    metadata.fill(0);
    rig.advance(0);
    expect(asked.value.members[0]!.metadata).toEqual(metadataFor(["t"]));
  });

  test("a group of which only offsets are known is joined like a new one", () => {
    const rig = classicRig();
    rig.apply(() => {
      rig.subject.classic.ensureSimple("g");
      return { records: [], answers: [] };
    });
    expect(rig.subject.group()).toMatchObject({ stateName: "Empty", protocolType: "" });
    const before = rig.subject.group();
    rig.subject.classic.ensureSimple("g");
    expect(rig.subject.group()).toBe(before);
    form(rig, 2);
    checkReplay(rig);
  });
});
