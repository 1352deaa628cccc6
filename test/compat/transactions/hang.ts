// Leaves a transaction open that no coordinator knows of, as a late batch could before Kafka verified them: verification is switched
// off for one batch, which says that it is half an hour old, and on again.
//   hang.ts TOPIC PARTITION ID      BOOTSTRAP names the broker; prints the producer id

import { Produce } from "../../../src/protocol/messages/00_produce.ts";
import { InitProducerId } from "../../../src/protocol/messages/22_init_producer_id.ts";
import { IncrementalAlterConfigs } from "../../../src/protocol/messages/44_incremental_alter_configs.ts";
import { RecordBatchBuilder } from "../../../src/record/record_builder.ts";
import { openConnection } from "../groups/committed.ts";

const OF_BROKERS = 4;
const SET = 0;
const DELETE = 1;
const AGE_MS = 1_800_000;
const TRIES = 100;

const [topic = "", partition = "0", transactionalId = ""] = process.argv.slice(2);
const connection = await openConnection(process.env["BOOTSTRAP"]!);
const pause = () => new Promise((done) => setTimeout(done, 50));

async function verifies(isOn: boolean): Promise<void> {
  const name = "transaction.partition.verification.enable";
  const change = { name, configOperation: isOn ? DELETE : SET, value: isOn ? null : "false" };
  const { responses } = await connection.request(IncrementalAlterConfigs, 1, {
    resources: [{ resourceType: OF_BROKERS, resourceName: "", configs: [change] }],
    validateOnly: false,
  });
  if (responses[0]!.errorCode !== 0) throw new Error(`${name}: error ${responses[0]!.errorCode}`);
}

async function produced(): Promise<number> {
  const asked = { transactionalId, transactionTimeoutMs: 60_000 };
  const { errorCode, producerId, producerEpoch } = await connection.request(
    InitProducerId,
    4,
    asked,
  );
  if (errorCode !== 0) throw new Error(`InitProducerId: error ${errorCode}`);
  const builder = new RecordBatchBuilder({
    ...{ producerId, producerEpoch, baseSequence: 0, isTransactional: true },
  });
  builder.append(Date.now() - AGE_MS, null, new TextEncoder().encode("never-to-be-seen"));
  const records = builder.build();
  for (let n = 0; n < TRIES; n++) {
    const { responses } = await connection.request(Produce, 11, {
      ...{ transactionalId, acks: -1, timeoutMs: 5000 },
      topicData: [{ name: topic, partitionData: [{ index: Number(partition), records }] }],
    });
    const code = responses[0]!.partitionResponses[0]!.errorCode;
    if (code === 0) return producerId;
    // Until the setting has come to the broker, it still verifies.
    await pause();
  }
  throw new Error("the batch was not taken");
}

await verifies(false);
try {
  console.log(await produced());
} finally {
  await verifies(true);
  connection.close("done");
}
process.exit(0);
