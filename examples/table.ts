// The log as a database: what each account has, kept by key, written with transfers, watched by somebody else, and
// the same after a restart of the reader, since the topic is all there is.
//
//   bun examples/table.ts        deno run -A examples/table.ts

import { jsonCodec, Millrace } from "millrace";

interface Account {
  readonly owner: string;
  readonly cents: number;
}

const millrace = await Millrace.start({ storage: "memory", metadata: "memory", transports: [] });
// Compaction keeps the newest record of every key for ever.
await millrace.admin().createTopic({
  name: "accounts",
  partitions: 3,
  configs: { "cleanup.policy": "compact" },
});

const shape = { key: "text", value: jsonCodec<Account>() } as const;
const accounts = await millrace.table("accounts", shape);

const watch = accounts.watch({ prefix: "acct/2" });
const watching = (async () => {
  for await (const change of watch) {
    if (change.type === "put") {
      console.log(`${change.key}: ${change.old?.cents ?? "none"} -> ${change.value.cents}`);
    }
    if (change.type === "delete") console.log(`${change.key} was closed`);
    if (change.type === "delete") break;
  }
})();

await accounts.put("acct/1", { owner: "Ada", cents: 1000 });
await accounts.put("acct/2", { owner: "Ben", cents: 50 });

// What was put is there at once, for whoever put it.
const ada = await accounts.get("acct/1");
if (ada !== undefined) await accounts.put("acct/1", { ...ada, cents: ada.cents - 300 });

// The same topic, read again from its start, as another process would; values stay in the log here.
const other = await millrace.table("accounts", { ...shape, keep: "offsets" });
await other.upToDate();
for await (const { key, value } of other.scan({ prefix: "acct/" })) {
  console.log(key, value.owner, value.cents);
}

await other.delete("acct/2");
await watching;
await accounts.upToDate();
console.log(`${accounts.size} account(s), acct/2 is there: ${await accounts.has("acct/2")}`);

await millrace.stop();
