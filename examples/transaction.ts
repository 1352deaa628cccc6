// Exactly once: orders are read, billed and written on in transactions, while one worker in three transactions fails. Each order
// is billed once, and readers of what is committed never see a bill that was taken back.
//
//   bun examples/transaction.ts        deno run -A examples/transaction.ts

import { Millrace } from "millrace";

const millrace = await Millrace.start({
  storage: "memory",
  metadata: "memory",
  transports: [],
  settings: { "group.initial.rebalance.delay.ms": 0 },
});
for (const name of ["orders", "bills"]) {
  await millrace.admin().createTopic({ name, partitions: 1 });
}
const text = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes ?? undefined);

// All of them or none: an order of several lines is one transaction.
await millrace.transaction(async (tx) => {
  for (let number = 1; number <= 9; number++) {
    void tx.send({ topic: "orders", key: `table ${number % 3}`, value: `order ${number}` });
  }
});

const orders = millrace.consumer({
  group: "billing",
  topics: ["orders"],
  // The transaction commits how far it has read, and nobody else does.
  autoCommit: false,
  isolation: "read_committed",
  untilEnd: true,
});
let attempts = 0;
for await (const { key, value } of orders) {
  attempts++;
  try {
    await millrace.transaction(
      async (tx) => {
        tx.commitOffsets(orders);
        await tx.send({ topic: "bills", key, value: `bill of ${text(value)}` });
        if (attempts % 3 === 0) throw new Error("the printer is out of paper");
      },
      { transactionalId: "billing-1" },
    );
  } catch (error) {
    // The bill is taken back, and the order comes again.
    console.log(`${text(value)}: ${(error as Error).message}`);
  }
}

const bills = { topics: ["bills"], untilEnd: true } as const;
let written = 0;
for await (const _ of millrace.consumer(bills)) written++;
let billed = 0;
for await (const { value } of millrace.consumer({ ...bills, isolation: "read_committed" })) {
  console.log(text(value));
  billed++;
}
console.log(`${attempts} attempts, ${written} bills written, ${billed} that count`);

await millrace.stop();
