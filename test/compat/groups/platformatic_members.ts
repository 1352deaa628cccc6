// Members of consumer groups on @platformatic/kafka, many in one process. It has no callback that says what a member
// owns in both protocols, so what it holds is looked at.
import { Consumer, type ConsumerOptions } from "@platformatic/kafka";
import { leadMembers, say, sayOwned } from "./npm_members.ts";

type Options = ConsumerOptions<Buffer, Buffer, Buffer, Buffer>;

await leadMembers(async (name, options) => {
  const isManual = options["commit"] === "manual";
  const given: Record<string, unknown> = {
    clientId: name,
    bootstrapBrokers: [process.env["BOOTSTRAP"]!],
    groupId: options["group"]!,
    retries: 20,
    retryDelay: 50,
    timeout: 30_000,
    metadataMaxAge: 1000,
    maxWaitTime: 100,
    autocommit: isManual ? false : 100,
  };
  if (options["instance"] !== undefined) given["groupInstanceId"] = options["instance"];
  if (options["protocol"] === "consumer") {
    given["groupProtocol"] = "consumer";
    if (options["assignor"] !== undefined) given["groupRemoteAssignor"] = options["assignor"];
  } else {
    given["sessionTimeout"] = Number(options["session"]);
    given["rebalanceTimeout"] = 10_000;
    given["heartbeatInterval"] = Number(options["heartbeat"]);
  }
  const topic = options["topic"]!;
  const consumer = new Consumer(given as unknown as Options);
  let owned = "";
  const watch = setInterval(() => {
    const partitions = consumer.assignments?.find((each) => each.topic === topic)?.partitions ?? [];
    const now = consumer.assignments === null ? "" : [...partitions].sort().join(",");
    if (now === owned) return;
    owned = now;
    sayOwned(name, partitions);
  }, 10);
  const stream = await consumer.consume({
    topics: [topic],
    mode: "committed",
    fallbackMode: "earliest",
  });
  stream.on("error", (error) => say(`failed ${name} ${error}`));
  const reading = (async () => {
    for await (const message of stream) {
      say(`r ${name} ${message.partition} ${message.offset}`);
      // a refused commit is the rebalance's: the next owner reads it again
      if (isManual) await Promise.resolve(message.commit()).catch(() => {});
    }
  })();
  return {
    async leave() {
      clearInterval(watch);
      await stream.close();
      await reading;
      await consumer.close();
    },
  };
});
