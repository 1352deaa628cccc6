// A group shares the work: three members of one process read a topic together, one of them leaves in the middle, and
// nothing is lost or done twice. In life they are processes on several machines; the code is the same.
//
//   bun examples/group.ts        deno run -A examples/group.ts

import { Millrace } from "millrace";

const millrace = await Millrace.start({
  storage: "memory",
  metadata: "memory",
  transports: [],
  settings: { "group.initial.rebalance.delay.ms": 0 },
});
await millrace.admin().createTopic({ name: "orders", partitions: 6 });

const done = new Map<string, string>();
const leaving = new AbortController();
let adas = 0;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function work(name: string, signal?: AbortSignal): Promise<void> {
  const consumer = millrace.consumer({
    group: "kitchen",
    topics: ["orders"],
    // Called before a partition is another's: what this member does with its own files or caches ends here.
    onRevoked: (partitions) => console.log(`${name} gives up ${partitions.length} partition(s)`),
    ...(signal === undefined ? {} : { signal }),
  });
  // A record is done with when the next one is asked for. It is committed every five seconds, when partitions
  // move, and at the end.
  for await (const record of consumer) {
    const order = new TextDecoder().decode(record.value ?? undefined);
    if (done.has(order)) console.log(`${order} was done before`);
    done.set(order, name);
    if (name === "Ada" && ++adas === 50) leaving.abort();
  }
}

const producer = millrace.producer();
const order = (number: number) => ({
  topic: "orders",
  key: `table ${number % 40}`,
  value: `order ${number}`,
});
const all = Promise.all([work("Ada", leaving.signal), work("Ben"), work("Cleo")]);
let sent = 0;
// Ada leaves after fifty orders; three hundred more come in for the two others.
for (let more = 300; more > 0; ) {
  await producer.send(order(++sent));
  await pause(1);
  if (leaving.signal.aborted) more--;
}

while (done.size < sent) await pause(10);
console.log(`${done.size} orders of ${sent} are done`);

const { state, members } = await millrace.admin().describeGroup("kitchen");
console.log(`the group is ${state} with ${members.length} member(s)`);

// Leaves the group for all members that are left, with what they are done with committed.
await millrace.stop();
await all;
