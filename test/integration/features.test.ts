// Levels of features over a socket: described by ApiVersions, changed by UpdateFeatures in all its versions, kept over a
// restart, and obeyed: with group.version 0 the consumer protocol is refused.

import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiVersions } from "../../src/protocol/messages/18_api_versions.ts";
import { UpdateFeatures } from "../../src/protocol/messages/57_update_features.ts";
import { ConsumerGroupHeartbeat } from "../../src/protocol/messages/68_consumer_group_heartbeat.ts";
import { ConsumerGroupDescribe } from "../../src/protocol/messages/69_consumer_group_describe.ts";
import { Live, type WireClient } from "./live.ts";

const SOFTWARE = { clientSoftwareName: "test", clientSoftwareVersion: "1" };
const UPGRADE = 1;
const SAFE_DOWNGRADE = 2;
const INVALID_UPDATE_VERSION = 95;
const UNSUPPORTED_VERSION = 35;

const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(folder?: string): Promise<{ live: Live; client: WireClient }> {
  const live = await Live.start(folder === undefined ? {} : { folder });
  const client = await live.connect();
  return { live, client };
}

async function stopped({ live, client }: { live: Live; client: WireClient }): Promise<void> {
  client.close();
  await live.stop();
}

async function finalized(client: WireClient): Promise<{ levels: object; epoch: number }> {
  const answer = await client.ask(ApiVersions, 4, SOFTWARE);
  const levels = Object.fromEntries(
    answer.finalizedFeatures.map(({ name, maxVersionLevel }) => [name, maxVersionLevel]),
  );
  return { levels, epoch: answer.finalizedFeaturesEpoch as number };
}

const updates = (feature: string, maxVersionLevel: number, upgradeType = UPGRADE) => ({
  timeoutMs: 1000,
  validateOnly: false,
  featureUpdates: [{ feature, maxVersionLevel, upgradeType }],
});

describe("features over the wire", () => {
  test("are told with the levels that Kafka 4.3 gives them", async () => {
    const both = await start();
    ends.push(() => stopped(both));
    const { supportedFeatures } = await both.client.ask(ApiVersions, 4, SOFTWARE);
    expect(supportedFeatures).toEqual([
      { name: "metadata.version", minVersion: 7, maxVersion: 30 },
      { name: "group.version", minVersion: 0, maxVersion: 1 },
      { name: "transaction.version", minVersion: 0, maxVersion: 2 },
    ]);
    expect(await finalized(both.client)).toEqual({
      levels: { "metadata.version": 30, "group.version": 1, "transaction.version": 2 },
      epoch: 0,
    });
  });

  test("move, with an epoch that grows, and a level of 0 is not listed", async () => {
    const both = await start();
    ends.push(() => stopped(both));
    const { client } = both;
    let epoch = 0;
    for (const [level, upgradeType] of [
      [1, SAFE_DOWNGRADE],
      [0, SAFE_DOWNGRADE],
      [2, UPGRADE],
    ] as const) {
      const answer = await client.ask(
        UpdateFeatures,
        2,
        updates("transaction.version", level, upgradeType),
      );
      expect([answer.errorCode, answer.errorMessage, answer.results]).toEqual([0, null, []]);
      const now = await finalized(client);
      expect(now.levels).toEqual({
        "metadata.version": 30,
        "group.version": 1,
        ...(level === 0 ? {} : { "transaction.version": level }),
      });
      expect(now.epoch).toBeGreaterThan(epoch);
      epoch = now.epoch;
    }
  });

  test("answers have a row for each feature in v0 and v1, and none where something is wrong", async () => {
    const both = await start();
    ends.push(() => stopped(both));
    for (const version of [0, 1, 2]) {
      const done = await both.client.ask(UpdateFeatures, version, {
        ...updates("transaction.version", 2),
      });
      const row = { feature: "transaction.version", errorCode: 0, errorMessage: "NONE" };
      expect(done.results).toEqual(version <= 1 ? [row] : []);
      // Version 0 cannot say that it means to go down.
      const refused = await both.client.ask(
        UpdateFeatures,
        version,
        updates("transaction.version", 1),
      );
      expect([refused.errorCode, refused.results]).toEqual([INVALID_UPDATE_VERSION, []]);
      expect(refused.errorMessage).toContain("transaction.version");
    }
  });

  test("are kept over a restart, and a dry run changes nothing", async () => {
    const folder = mkdtempSync(join(tmpdir(), "millrace-features-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    const first = await start(folder);
    const dry = { ...updates("group.version", 0, SAFE_DOWNGRADE), validateOnly: true };
    expect((await first.client.ask(UpdateFeatures, 2, dry)).errorCode).toBe(0);
    const down = updates("transaction.version", 1, SAFE_DOWNGRADE);
    expect((await first.client.ask(UpdateFeatures, 2, down)).errorCode).toBe(0);
    const before = await finalized(first.client);
    await stopped(first);
    const second = await start(folder);
    ends.push(() => stopped(second));
    expect(await finalized(second.client)).toEqual(before);
    expect(before.levels).toMatchObject({ "group.version": 1, "transaction.version": 1 });
  });

  test("the consumer protocol is there while group.version is 1", async () => {
    const both = await start();
    ends.push(() => stopped(both));
    const { client } = both;
    const beat = async () => {
      const answer = await client.ask(ConsumerGroupHeartbeat, 1, {
        groupId: "g",
        memberId: "AAAAAAAAAAAAAAAAAAAAAQ",
        memberEpoch: 0,
        rebalanceTimeoutMs: 1000,
        subscribedTopicNames: ["t"],
        topicPartitions: [],
      });
      const { groups } = await client.ask(ConsumerGroupDescribe, 1, {
        groupIds: ["g"],
        includeAuthorizedOperations: false,
      });
      return [answer.errorCode, groups[0]!.errorCode];
    };
    expect(await beat()).toEqual([0, 0]);
    await client.ask(UpdateFeatures, 2, updates("group.version", 0, SAFE_DOWNGRADE));
    expect(await beat()).toEqual([UNSUPPORTED_VERSION, UNSUPPORTED_VERSION]);
    await client.ask(UpdateFeatures, 2, updates("group.version", 1));
    expect((await beat())[1]).toBe(0);
  });
});
