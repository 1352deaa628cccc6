// A broker on a folder that stops and starts again under one address, with a client of it by either way that stays;
// and a transactional producer in plain requests.

import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { metadataFile } from "../../../plugins/metadata-file/mod.ts";
import { storageFs } from "../../../plugins/storage-fs/mod.ts";
import { transportKafka } from "../../../plugins/transport-kafka/mod.ts";
import {
  brokerPort,
  type Client,
  ClientError,
  type ClientOptions,
  type ClientPort,
  createClient,
} from "../../../src/client/mod.ts";
import type { Runtime } from "../../../src/contracts/runtime.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { withDefaults } from "../../../src/protocol/defaults.ts";
import { Produce } from "../../../src/protocol/messages/00_produce.ts";
import { InitProducerId } from "../../../src/protocol/messages/22_init_producer_id.ts";
import { EndTxn } from "../../../src/protocol/messages/26_end_txn.ts";
import { RecordBatchBuilder } from "../../../src/record/record_builder.ts";
import { type HostRuntime, hostRuntime } from "../../../src/runtime/host_runtime.ts";
import { MemoryNetwork } from "../../../src/testing/memory_network.ts";
import type { Way } from "../ports.ts";

const PORT = 9092;
const encoder = new TextEncoder();

export class Lives {
  readonly #folder = mkdtempSync(join(tmpdir(), "millrace-table-"));
  readonly #network = new MemoryNetwork();
  /** The clients' own, which outlives the broker's. */
  readonly #host = hostRuntime({ log: { level: "off", configure: false, write: () => {} } });
  readonly #clients: Client[] = [];
  #life: { readonly broker: RunningBroker; readonly host: HostRuntime } | null = null;

  get runtime(): Runtime {
    return { ...this.#host.runtime, network: this.#network };
  }

  async start(): Promise<void> {
    const host = hostRuntime({ log: { level: "off", configure: false, write: () => {} } });
    const { scheduler } = host.runtime;
    const runtime: Runtime = {
      ...host.runtime,
      network: this.#network,
      scheduler: {
        spawn: (label, task) => scheduler.spawn(label, task),
        yieldNow: () => scheduler.yieldNow(),
        // Cleaning is looked after every second otherwise.
        after: (delayMs, label, task) =>
          scheduler.after(label === "log_maintenance" ? 5 : delayMs, label, task),
      },
    };
    const broker = await createBroker({
      broker: { id: 7 },
      runtime,
      storage: storageFs({ directory: join(this.#folder, "log") }),
      metadata: metadataFile({ directory: join(this.#folder, "metadata") }),
      transports: [
        transportKafka({
          listeners: [{ name: "kafka", host: "memory", port: PORT, advertisedHost: "memory" }],
        }),
      ],
      settings: { "log.cleaner.backoff.ms": 0 },
    });
    await broker.start();
    this.#life = { broker, host };
  }

  /** At once: nothing that is under way is waited for. */
  async end(): Promise<void> {
    const life = this.#life;
    this.#life = null;
    await life?.broker.stop(0);
    await life?.host.stop(100);
  }

  client(way: Way, options: ClientOptions = {}, runtime = this.runtime): Client {
    const common = { backoffMs: 2, backoffMsMax: 20, timeoutMs: 20_000 };
    const to =
      way === "wire"
        ? { bootstrap: [{ host: "memory", port: PORT }], requestTimeoutMs: 5_000 }
        : { port: this.port() };
    const client = createClient(runtime, { ...common, ...to, ...options });
    this.#clients.push(client);
    return client;
  }

  /** To whichever broker runs when something is sent. */
  port(): ClientPort {
    let broker: RunningBroker | null = null;
    let port: ClientPort | null = null;
    return {
      send: async (...call) => {
        const life = this.#life;
        if (life === null) throw new ClientError("network_exception", "The broker is gone");
        if (life.broker !== broker) {
          broker = life.broker;
          port = brokerPort(broker, { runtime: this.runtime });
        }
        const ended = new Promise<never>((_, reject) => {
          const look = () => {
            if (this.#life === life) return void setTimeout(look, 5).unref();
            reject(new ClientError("network_exception", "The broker has gone"));
          };
          look();
        });
        return await Promise.race([port!.send(...call), ended]);
      },
      learn() {},
      close: () => port?.close(),
    };
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.#clients.map((client) => client.close(100)));
    await this.end();
    await this.#host.stop(100);
    rmSync(this.#folder, { recursive: true });
  }
}

/** A transactional producer in plain requests: none of what is tested here. */
export async function transaction(port: ClientPort, topic: string) {
  const { producerId, producerEpoch } = await port.send(
    InitProducerId,
    withDefaults(InitProducerId.request, {
      transactionalId: "t",
      transactionTimeoutMs: 60_000,
    }),
  );
  let epoch = producerEpoch;
  let sequences: Record<number, number> = {};
  return {
    async send({
      key,
      value,
      partition = 0,
    }: {
      readonly key: string;
      readonly value: string | null;
      readonly partition?: number;
    }) {
      const builder = new RecordBatchBuilder({
        isTransactional: true,
        producerId,
        producerEpoch: epoch,
        baseSequence: sequences[partition] ?? 0,
      });
      sequences[partition] = (sequences[partition] ?? 0) + 1;
      builder.append(
        Date.now(),
        encoder.encode(key),
        value === null ? null : encoder.encode(value),
      );
      const request = {
        transactionalId: "t",
        acks: -1,
        timeoutMs: 5000,
        topicData: [
          { name: topic, partitionData: [{ index: partition, records: builder.build() }] },
        ],
      };
      // Version 12 takes the partition into the transaction by itself, and names topics still.
      const answer = await port.send(Produce, withDefaults(Produce.request, request), {
        versionMin: 12,
        versionMax: 12,
      });
      expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(0);
    },
    async end(committed: boolean) {
      const request = { transactionalId: "t", producerId, producerEpoch: epoch, committed };
      const answer = await port.send(EndTxn, request);
      expect(answer.errorCode).toBe(0);
      epoch = answer.producerEpoch;
      sequences = {};
    },
  };
}
