import { describe, expect, test } from "bun:test";
import { ClusterMetadata } from "../../src/client/metadata.ts";
import { WirePort } from "../../src/client/wire_port.ts";
import { Metadata } from "../../src/protocol/messages/03_metadata.ts";
import { clientRuntime, failureOf, type Rig, startRig } from "./rig.ts";

const BACKOFF = { backoffMs: 2, backoffMsMax: 10 };

function metadataOf(rig: Rig, maxAgeMs = 60_000): { metadata: ClusterMetadata; port: WirePort } {
  const runtime = clientRuntime(rig.network);
  const port = new WirePort(runtime, {
    ...BACKOFF,
    bootstrap: [rig.brokers[0]!.address],
    clientId: "test",
    connectTimeoutMs: 100,
    requestTimeoutMs: 1_000,
    inFlightMax: 10,
    responseBytesMax: 1 << 20,
  });
  return {
    metadata: new ClusterMetadata(runtime, port, { ...BACKOFF, maxAgeMs, timeoutMs: 500 }),
    port,
  };
}

describe("metadata", () => {
  test("is asked for once by many who ask at once, and then known", async () => {
    const rig = await startRig({ brokers: 3 });
    rig.cluster.addTopic("t", 5);
    const { metadata, port } = metadataOf(rig);
    const infos = await Promise.all(Array.from({ length: 10 }, () => metadata.topic("t")));
    expect(rig.brokers[0]!.count(Metadata)).toBe(1);
    expect(infos[9]!.partitions.map(({ leader }) => leader)).toEqual([1, 2, 3, 1, 2]);
    expect(metadata.known("t")).toBe(infos[0]!);
    await metadata.topic("t");
    expect(rig.brokers[0]!.count(Metadata)).toBe(1);
    port.close();
    await rig.stop();
  });

  test("that was called stale, or has grown old, is asked for again", async () => {
    const rig = await startRig();
    rig.cluster.addTopic("t", 1);
    const { metadata, port } = metadataOf(rig);
    await metadata.topic("t");
    metadata.invalidate("t");
    expect(metadata.known("t")).toBeNull();
    await metadata.topic("t");
    expect(rig.brokers[0]!.count(Metadata)).toBe(2);
    const old = metadataOf(rig, -1);
    await old.metadata.topic("t");
    expect(old.metadata.known("t")).toBeNull();
    port.close();
    old.port.close();
    await rig.stop();
  });

  test("an older leader epoch does not replace a newer one", async () => {
    const rig = await startRig({ brokers: 2 });
    const topic = rig.cluster.addTopic("t", 1);
    rig.cluster.moveLeader("t", 0, 2);
    const { metadata, port } = metadataOf(rig);
    await metadata.topic("t");
    // A broker that lags behind tells what was true before.
    topic.partitions[0]!.leader = 1;
    topic.partitions[0]!.leaderEpoch = 0;
    metadata.invalidate("t");
    expect((await metadata.topic("t")).partitions[0]).toMatchObject({ leader: 2, leaderEpoch: 1 });
    port.close();
    await rig.stop();
  });

  test("a topic that is not there fails at once, or after the wait that was asked for", async () => {
    const rig = await startRig();
    const { metadata, port } = metadataOf(rig);
    const failure = await failureOf(metadata.topic("late"));
    expect(failure.code).toBe("unknown_topic_or_partition");
    expect(rig.brokers[0]!.count(Metadata)).toBe(1);
    const waiting = metadata.topic("late", { unknownWaitMs: 15_000 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    rig.cluster.addTopic("late", 2);
    expect((await waiting).partitions.length).toBe(2);
    port.close();
    await rig.stop();
  });

  test("speaks to brokers of every version, with and without topic ids", async () => {
    for (let version = 1; version <= Metadata.highestStable; version++) {
      const rig = await startRig();
      rig.brokers[0]!.offered.set(Metadata.apiKey, [0, version]);
      const { topicId } = rig.cluster.addTopic("t", 1);
      const { metadata, port } = metadataOf(rig);
      const info = await metadata.topic("t");
      expect(info.topicId).toBe(version >= 10 ? topicId : null);
      expect((await metadata.allTopics()).length).toBe(1);
      expect((await metadata.cluster()).brokers[0]!.nodeId).toBe(1);
      port.close();
      await rig.stop();
    }
  });
});
