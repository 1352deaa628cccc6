// Members that subscribe by an expression: resolved by the coordinator, for all of a group at once, and again when
// topics change.

import { describe, expect, test } from "bun:test";
import { replayAfterEach } from "../../shard_rig.ts";
import { assignedOf, ConsumerRig, expectError, settle, TestMember } from "./consumer_rig.ts";

replayAfterEach();

function rigWithTopics(...names: readonly string[]): ConsumerRig {
  const rig = new ConsumerRig();
  for (const name of names) rig.topics.create(name, 2);
  return rig;
}

function topicsOf(rig: ConsumerRig, regex: string): string[] | undefined {
  const resolved = rig.group().regexes.get(regex);
  return resolved === undefined ? undefined : [...resolved.topics].sort();
}

describe("expressions", () => {
  test("a member joins with nothing, and has its topics with the next heartbeat", () => {
    const rig = rigWithTopics("grp-1", "grp-2", "other");
    const member = new TestMember(rig, { memberId: "m1", regex: "grp.*" });
    const response = member.heartbeat();
    expect(response.memberEpoch).toBe(1);
    expect(response.heartbeatIntervalMs).toBe(500);
    expect(assignedOf(response)).toEqual([]);
    rig.advance(0);
    expect(topicsOf(rig, "grp.*")).toEqual(["grp-1", "grp-2"]);
    member.heartbeat();
    expect(member.owned.size).toBe(4);
    expect(rig.group().state).toBe("Stable");
    expect(rig.group().isSubscribedTo("grp-1")).toBe(true);
    rig.checkReplay();
  });

  test("one that RE2 would refuse is refused, and changes nothing", () => {
    const rig = rigWithTopics("t");
    for (const subscribedTopicRegex of ["(", "(?=a)", "a**"]) {
      const response = rig.join({ subscribedTopicNames: null, subscribedTopicRegex });
      expectError(response, "invalid_regular_expression");
      expect(response.errorMessage).toContain("SubscribedTopicRegex");
    }
    expect(rig.records).toEqual([]);
    const { memberEpoch } = rig.join();
    expectError(
      rig.heartbeat({ memberEpoch, subscribedTopicRegex: "[" }),
      "invalid_regular_expression",
    );
    expect(rig.group().members.get("m1")!.subscribedTopicRegex).toBe("");
    rig.checkReplay();
  });

  test("only topics that the caller may see", () => {
    const rig = rigWithTopics("grp-1", "grp-2");
    const asked: string[] = [];
    const mayDescribe = (topic: string) => {
      asked.push(topic);
      return topic !== "grp-2";
    };
    rig.join({ subscribedTopicNames: null, subscribedTopicRegex: "grp.*" }, { mayDescribe });
    rig.advance(0);
    expect(topicsOf(rig, "grp.*")).toEqual(["grp-1"]);
    expect(asked.sort()).toEqual(["grp-1", "grp-2"]);
  });

  test("a new topic is found, ten seconds after the last time at the earliest", () => {
    const rig = rigWithTopics("grp-1");
    const member = new TestMember(rig, { memberId: "m1", regex: "grp.*" });
    member.heartbeat();
    settle(rig, [member]);
    rig.topics.create("grp-2", 2);
    member.heartbeat();
    rig.advance(1_000);
    expect(topicsOf(rig, "grp.*")).toEqual(["grp-1"]);
    rig.advance(9_500);
    member.heartbeat();
    rig.advance(0);
    expect(topicsOf(rig, "grp.*")).toEqual(["grp-1", "grp-2"]);
    settle(rig, [member]);
    expect(member.owned.size).toBe(4);
    rig.checkReplay();
  });

  test("they are resolved anew after the refresh interval, and not before without need", () => {
    const rig = new ConsumerRig({ settings: { regexRefreshMs: 60_000 } });
    rig.topics.create("grp-1", 1);
    const member = new TestMember(rig, { memberId: "m1", regex: "grp.*" });
    member.heartbeat();
    settle(rig, [member]);
    const before = rig.records.length;
    for (let seconds = 0; seconds < 60; seconds += 10) {
      member.heartbeat();
      rig.advance(10_000);
    }
    expect(rig.records.length).toBe(before);
    member.heartbeat();
    rig.advance(1_000);
    expect(rig.records.slice(before).map(({ kind }) => kind)).toEqual(["consumer_regex"]);
  });

  test("a second member with the same one shares what it came to", () => {
    const rig = rigWithTopics("grp-1", "grp-2");
    const members = ["m1", "m2"].map(
      (memberId) => new TestMember(rig, { memberId, regex: "grp.*" }),
    );
    members[0]!.heartbeat();
    settle(rig, [members[0]!]);
    const before = rig.group().groupEpoch;
    expect(members[1]!.heartbeat().memberEpoch).toBe(before + 1);
    settle(rig, members);
    expect(members.map(({ owned }) => owned.size)).toEqual([2, 2]);
    members[0]!.leave();
    expect(rig.group().regexes.size).toBe(1);
    members[1]!.leave();
    expect(rig.group().regexes.size).toBe(0);
    rig.checkReplay();
  });

  test("a second one is resolved a second after the first", () => {
    const rig = rigWithTopics("grp-1", "x-1");
    const first = new TestMember(rig, { memberId: "m1", regex: "grp.*" });
    const second = new TestMember(rig, { memberId: "m2", regex: "x.*" });
    first.heartbeat();
    rig.advance(0);
    rig.advance(500);
    second.heartbeat();
    rig.advance(0);
    expect(topicsOf(rig, "x.*")).toBeUndefined();
    rig.advance(600);
    second.heartbeat();
    rig.advance(0);
    expect(topicsOf(rig, "x.*")).toEqual(["x-1"]);
    settle(rig, [first, second]);
    expect([first.owned.size, second.owned.size]).toEqual([2, 2]);
    rig.checkReplay();
  });

  test("names and an expression together", () => {
    const rig = rigWithTopics("grp-1", "u", "t");
    const both = new TestMember(rig, { memberId: "m1", topics: ["u"], regex: "grp.*" });
    const named = new TestMember(rig, { memberId: "m2", topics: ["u", "t"] });
    both.heartbeat();
    rig.advance(0);
    settle(rig, [both, named]);
    expect(both.owned.size + named.owned.size).toBe(6);
    both.subscribe(["u"]);
    settle(rig, [both, named]);
    expect(rig.group().regexes.size).toBe(0);
    expect(rig.group().isSubscribedTo("grp-1")).toBe(false);
    expect(both.owned.size + named.owned.size).toBe(4);
    rig.checkReplay();
  });

  test("a static member takes its expression along", () => {
    const rig = rigWithTopics("grp-1");
    const member = new TestMember(rig, { memberId: "m1", instanceId: "i1", regex: "grp.*" });
    member.heartbeat();
    settle(rig, [member]);
    member.leave(true);
    const back = new TestMember(rig, { memberId: "m2", instanceId: "i1", regex: "grp.*" });
    back.heartbeat();
    settle(rig, [back]);
    expect(back.owned.size).toBe(2);
    expect([...rig.group().subscriptions.regexes]).toEqual([["grp.*", 1]]);
    rig.checkReplay();
  });

  test("a group that ends while its expressions are resolved", () => {
    const rig = rigWithTopics("grp-1");
    rig.join({ subscribedTopicNames: null, subscribedTopicRegex: "grp.*" });
    rig.apply(() => ({ records: rig.group().tombstones(), answers: [] }));
    const before = rig.records.length;
    rig.advance(1_000);
    expect(rig.records.length).toBe(before);
    rig.checkReplay();
  });

  test("many topics are matched over several turns", () => {
    const rig = new ConsumerRig({ checksDecisions: false });
    for (let index = 0; index < 3_000; index++) rig.topics.create(`topic-${index}`, 0);
    rig.join({ subscribedTopicNames: null, subscribedTopicRegex: "(a?){40}(topic-|x)+\\d*7" });
    let turnCount = 0;
    while (topicsOf(rig, "(a?){40}(topic-|x)+\\d*7") === undefined) {
      rig.apply(() => rig.timers.next(rig.now.monotonicMs)!.decide(rig.now));
      turnCount++;
    }
    expect(turnCount).toBeGreaterThan(1);
    expect(rig.group().regexes.get("(a?){40}(topic-|x)+\\d*7")!.topics.size).toBe(300);
  });
});
