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

const staticTwo = (i: number) => ({ version: 5, instance: `i${i}` });

describe("static members", () => {
  test("are let in at once, under an id that starts with their own", () => {
    const rig = classicRig();
    const first = join(rig, { instance: "i1", client: "c" });
    expect(first.isDone).toBe(false);
    rig.advance(0);
    expect(first.value.memberId).toMatch(/^i1-[0-9a-f]{8}-/);
    expect(first.value.members).toMatchObject([{ groupInstanceId: "i1" }]);
  });

  test("come back without their id: the same share, no rebalance, stored, and the old id is fenced", () => {
    const rig = classicRig();
    const { members, generation } = form(rig, 2, staticTwo);
    const back = join(rig, { instance: "i1" });
    const { memberId } = back.value;
    expect(memberId).not.toBe(members[1]!);
    expect(back.value).toMatchObject({
      errorCode: 0,
      generationId: generation,
      leader: members[0]!,
      skipAssignment: false,
      members: [],
    });
    expect(rig.subject.group().stateName).toBe("Stable");
    expect(rig.timers.byKey.size).toBe(2);
    expect(heartbeat(rig, members[1]!, generation, "i1")).toBe("fenced_instance_id");
    expect(heartbeat(rig, members[1]!, generation)).toBe("unknown_member_id");
    expect(heartbeat(rig, memberId, generation, "i1")).toBeNull();
    expect(text(sync(rig, { member: memberId, generation, instance: "i1" }).value.assignment)).toBe(
      "1.1",
    );
    checkReplay(rig);
    rig.reload();
    expect(heartbeat(rig, memberId, generation, "i1")).toBeNull();
  });

  test("a leader that comes back: v9 leads on and skips the assignment, older ones are led by their old id", () => {
    const rig = classicRig();
    const { members, generation } = form(rig, 2, staticTwo);
    const v8 = join(rig, { instance: "i0", version: 8 }).value;
    expect(v8).toMatchObject({ leader: members[0]!, skipAssignment: false, members: [] });
    expect(rig.subject.group().leaderId).toBe(v8.memberId);
    const v9 = join(rig, { instance: "i0", version: 9 }).value;
    expect(v9).toMatchObject({
      leader: v9.memberId,
      skipAssignment: true,
      generationId: generation,
    });
    expect(v9.members.map((m) => m.groupInstanceId).sort()).toEqual(["i0", "i1"]);
    const share = sync(rig, { member: v9.memberId, generation, instance: "i0" });
    expect(text(share.value.assignment)).toBe("1.0");
    checkReplay(rig);
  });

  test("come back with timeouts of their own, which are stored with them", () => {
    const rig = classicRig();
    form(rig, 1, staticTwo);
    const { memberId } = join(rig, {
      instance: "i0",
      sessionMs: 30_000,
      rebalanceMs: 50_000,
    }).value;
    expect(rig.subject.group().member(memberId)).toMatchObject({
      sessionTimeoutMs: 30_000,
      rebalanceTimeoutMs: 50_000,
    });
    checkReplay(rig);
    // Its first session is still its predecessor's, as with Kafka.
    rig.advance(9_999);
    expect(heartbeat(rig, memberId, 1, "i0")).toBeNull();
    rig.advance(29_999);
    expect(heartbeat(rig, memberId, 1, "i0")).toBeNull();
  });

  test("come back with other metadata: a rebalance only where it changes what the group goes by", () => {
    const rig = classicRig();
    const both = { a: bytes("a"), b: bytes("b") };
    const { members } = form(rig, 2, (i) => ({ ...staticTwo(i), protocols: both }));
    const same = join(rig, { instance: "i1", protocols: { a: bytes("changed"), b: bytes("b") } });
    expect(joinError(same)).toBeNull();
    expect(rig.subject.group().stateName).toBe("Stable");
    checkReplay(rig);
    const other = join(rig, { instance: "i1", protocols: { b: bytes("b") } });
    expect(other.isDone).toBe(false);
    expect(rig.subject.group().stateName).toBe("PreparingRebalance");
    const rest = join(rig, { member: members[0]!, instance: "i0", protocols: both });
    expect(rest.value).toMatchObject({ generationId: 2, protocolName: "b" });
    expect(other.value.generationId).toBe(2);
  });

  test("come back and read other topics: the group knows at once what a load would tell it", () => {
    const rig = classicRig();
    form(rig, 2, staticTwo);
    join(rig, { instance: "i1", protocols: { range: metadataFor(["u"]) } });
    const group = rig.subject.group();
    expect(group.stateName).toBe("Stable");
    expect(["t", "u", "v"].map((topic) => group.isSubscribedTo(topic))).toEqual([
      true,
      true,
      false,
    ]);
    checkReplay(rig);
  });

  test("come back while members join: who waited under the old id is fenced", () => {
    const rig = classicRig();
    const { members } = form(rig, 2, staticTwo);
    join(rig, { instance: "i2" });
    const old = join(rig, { member: members[1]!, instance: "i1" });
    const back = join(rig, { instance: "i1" });
    expect(joinError(old)).toBe("fenced_instance_id");
    expect(old.value.memberId).toBe(members[1]!);
    expect(back.isDone).toBe(false);
    join(rig, { member: members[0]!, instance: "i0" });
    expect(back.value.generationId).toBe(2);
    expect(rig.subject.group().memberCount).toBe(3);
  });

  test("come back while the leader assigns: that begins anew, for it knows the old id", () => {
    const rig = classicRig();
    const asked = [0, 1].map((i) => join(rig, staticTwo(i)));
    rig.advance(0);
    const [leader, follower] = asked.map((each) => each.value.memberId) as [string, string];
    const waits = sync(rig, { member: follower, generation: 1, instance: "i1" });
    const back = join(rig, { instance: "i1" });
    expect(syncError(waits)).toBe("fenced_instance_id");
    expect(rig.subject.group().stateName).toBe("PreparingRebalance");
    const late = sync(rig, { member: leader, generation: 1, instance: "i0" });
    expect(syncError(late)).toBe("rebalance_in_progress");
    join(rig, { member: leader, instance: "i0" });
    expect(back.value.generationId).toBe(2);
  });

  test("that are late for a generation come back into it, and nobody is late for their sake", () => {
    const rig = classicRig();
    const asked = [0, 1].map((i) => join(rig, { ...staticTwo(i), sessionMs: 60_000 }));
    rig.advance(0);
    sync(rig, { member: asked[0]!.value.memberId, generation: 1, instance: "i0" });
    expect(joinError(join(rig, { instance: "i1", sessionMs: 60_000 }))).toBeNull();
    rig.advance(30_000);
    expect(rig.subject.group().stateName).toBe("Stable");
  });

  test("whose record is too large: the old id stays, and its assignment", () => {
    const rig = classicRig({ batchBytesMax: 1_000 });
    const { members } = form(rig, 1, staticTwo);
    const large = { range: new Uint8Array(2_000) };
    const refused = join(rig, { instance: "i0", protocols: large, sessionMs: 50_000 });
    expect(joinError(refused)).toBe("unknown_server_error");
    expect(refused.value.memberId).toBe("");
    expect(heartbeat(rig, members[0]!, 1, "i0")).toBeNull();
    expect(rig.subject.group().leaderId).toBe(members[0]!);
    expect(rig.subject.group().member(members[0]!)!.sessionTimeoutMs).toBe(10_000);
    checkReplay(rig);
    rig.advance(9_999);
    expect(rig.subject.group().memberCount).toBe(1);
    rig.advance(1);
    expect(rig.subject.group().memberCount).toBe(0);
  });

  test("that leave are gone for good: the next one of that name is new", () => {
    const rig = classicRig();
    const { members } = form(rig, 2, staticTwo);
    leave(rig, [{ instance: "i1" }]);
    expect(heartbeat(rig, members[1]!, 1, "i1")).toBe("unknown_member_id");
    const next = join(rig, { instance: "i1" });
    expect(next.isDone).toBe(false);
    join(rig, { member: members[0]!, instance: "i0" });
    expect(next.value).toMatchObject({ generationId: 2, leader: members[0]! });
  });

  test("a session that ends takes the name with it", () => {
    const rig = classicRig();
    form(rig, 1, staticTwo);
    rig.advance(10_000);
    expect(rig.subject.group()).toMatchObject({ stateName: "Empty", staticMemberCount: 0 });
    const next = join(rig, { instance: "i0" });
    rig.advance(0);
    expect(next.value.generationId).toBe(3);
  });
});
