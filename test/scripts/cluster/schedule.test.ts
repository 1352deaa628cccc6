// What befalls a cluster follows from the seed, leaves a broker that comes back alone, and is over before the end.

import { expect, test } from "bun:test";
import {
  BLOW_KINDS,
  type PlannedBlow,
  type ScheduleOptions,
  scheduleOf,
} from "../../../scripts/cluster/schedule.ts";

const MINUTE = 60_000;
const of = (more: Partial<ScheduleOptions>): ScheduleOptions => ({
  seed: "1",
  lengthMs: 30 * MINUTE,
  kinds: BLOW_KINDS,
  brokers: ["n1", "n2", "n3"],
  keeper: "keeper",
  clients: "clients",
  ...more,
});

test("the same seed makes the same schedule, another one another", () => {
  expect(scheduleOf(of({}))).toEqual(scheduleOf(of({})));
  expect(scheduleOf(of({ seed: "2" }))).not.toEqual(scheduleOf(of({})));
});

test("half an hour has every kind, every broker, and both alone and together", () => {
  const blows = scheduleOf(of({}));
  expect(new Set(blows.map(({ kind }) => kind))).toEqual(new Set(BLOW_KINDS));
  const places = new Set(blows.flatMap((blow) => blow.places));
  expect([...places].sort()).toEqual(["clients", "keeper", "n1", "n2", "n3"]);
  expect(new Set(blows.map(({ isAlone }) => isAlone)).size).toBe(2);
});

test("a place that comes back is left alone, and all is over before the end", () => {
  for (let seed = 0; seed < 50; seed++) {
    const blows = scheduleOf(of({ seed: String(seed), lengthMs: 5 * MINUTE }));
    expect(blows.length).toBeGreaterThan(5);
    const last = new Map<string, PlannedBlow>();
    for (const blow of blows) {
      expect(blow.atMs + blow.forMs).toBeLessThanOrEqual(5 * MINUTE - 10_000);
      for (const place of blow.places) {
        const before = last.get(place);
        if (before !== undefined && place !== "clients") {
          expect(blow.atMs).toBeGreaterThanOrEqual(before.atMs + before.forMs + 12_000);
        }
        last.set(place, blow);
      }
    }
  }
});

test("a cut is between two places, everything else at one", () => {
  for (const { kind, places } of scheduleOf(of({}))) {
    expect(new Set(places).size).toBe(kind === "cut" || kind === "cut_one_way" ? 2 : 1);
    if (kind === "keeper_kill") expect(places).toEqual(["keeper"]);
  }
});

test("only the kinds that were asked for come, and a keeper only where there is one", () => {
  const kills = scheduleOf(of({ kinds: ["kill"] }));
  expect(new Set(kills.map(({ kind }) => kind))).toEqual(new Set(["kill"]));
  const none = scheduleOf(of({ keeper: null }));
  expect(none.some(({ kind, places }) => kind === "keeper_kill" || places.includes("keeper"))).toBe(
    false,
  );
  expect(() => scheduleOf(of({ keeper: null, kinds: ["keeper_kill"] }))).toThrow("a kind of blow");
});
