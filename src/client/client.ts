// The client: one port, one metadata cache, and the producers, consumers and admin over them.
// Invariant: `close` ends everything that was made here; nothing of it runs on afterwards.

import { Admin } from "./admin.ts";
import { ClientError } from "./client_error.ts";
import type { CodecChoice, Decoded } from "./codec.ts";
import { Consumer, type ConsumerOptions } from "./consumer.ts";
import type { ClientContext } from "./context.ts";
import type { GroupConsumerOptions } from "./group/group_options.ts";
import { GroupConsumer } from "./group_consumer.ts";
import { checkSasl, type SaslOptions } from "./login.ts";
import { type ClusterInfo, ClusterMetadata } from "./metadata.ts";
import { checkOptions, requireObject } from "./option_checks.ts";
import type { ClientPort } from "./port.ts";
import { Producer } from "./producer.ts";
import type { ProducerOptions } from "./producer_record.ts";
import type { Table } from "./table/table.ts";
import type { TableOptions } from "./table/table_options.ts";
import type { TransactionPool } from "./transaction/transaction_run.ts";
import type { TransactionOptions, TransactionScope } from "./transaction.ts";
import {
  TransactionalProducer,
  type TransactionalProducerOptions,
} from "./transactional_producer.ts";
import type { ClientRuntime } from "./waiting.ts";
import { type BootstrapAddress, type ClientTls, WirePort } from "./wire_port.ts";

/** How to reach a cluster and how patient to be. All but the way there may be left out. */
export interface ClientOptions {
  /** "host:port", several with commas, or addresses. Not used when `port` is given. */
  readonly bootstrap?: string | readonly BootstrapAddress[];
  /** Another way to the cluster than the Kafka wire, e.g. a broker in this process. */
  readonly port?: ClientPort;
  /** Shows in the brokers' logs and quotas. Default "millrace". */
  readonly clientId?: string;
  /** Default 10,000 ms. */
  readonly connectTimeoutMs?: number;
  /** Until one request is answered. Default 30,000 ms. */
  readonly requestTimeoutMs?: number;
  /** Until a call gives up, retries included. Default 60,000 ms. */
  readonly timeoutMs?: number;
  /** First wait between attempts; doubles. Default 50 ms. */
  readonly backoffMs?: number;
  /** Longest wait between attempts. Default 1,000 ms. */
  readonly backoffMsMax?: number;
  /** After so long a topic is asked for again. Default 300,000 ms. */
  readonly metadataMaxAgeMs?: number;
  /** Unanswered requests on a connection. Default 64. */
  readonly inFlightMax?: number;
  /** A longer response closes its connection. Default 256 MiB. */
  readonly responseBytesMax?: number;
  /** Speaks TLS to every broker; `{}` trusts the host's authorities. Default: none. */
  readonly tls?: ClientTls;
  /** Who to log in as. Left out: as nobody, which brokers that ask for a login do not serve. */
  readonly sasl?: SaslOptions;
}

/** A client of one cluster. */
export interface Client {
  readonly admin: Admin;
  /** One attempt to reach the cluster, so that a wrong address shows at once. @throws {ClientError} */
  connect(): Promise<ClusterInfo>;
  /** A producer of transactions, under a transactional id. @throws {TypeError} */
  producer(options: TransactionalProducerOptions): TransactionalProducer;
  /** @throws {TypeError} */
  producer(options?: ProducerOptions): Producer;
  /**
   * Runs `body` in a transaction, and resolves with what it gave once all that was sent in it, and the offsets of consumers that
   * it was told of, is committed. When `body` throws, or something cannot be delivered, all of it is aborted, those consumers go
   * back to what was committed, and the promise rejects.
   *
   * @throws what `body` throws, once it is aborted; {ClientError} with `remedy`. "abort" and "close": it was aborted, or will be by
   *   its time-out, unless the message says that an attempt to commit may have been done. "retry": no broker said within
   *   `timeoutMs` whether it is committed; the next transaction under its id begins by finding out
   */
  transaction<T>(
    body: (tx: TransactionScope) => T | Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>;
  /** A member of a group, which shares the partitions with its other members. @throws {TypeError} */
  consumer(options: GroupConsumerOptions): GroupConsumer;
  /** A consumer of the partitions that it is told. @throws {TypeError} */
  consumer(options: ConsumerOptions): Consumer;
  /**
   * A compacted topic as a table: the newest value of every key. It is being loaded when this resolves; its reads wait.
   *
   * @throws {ClientError} "unknown_topic_or_partition", "invalid_config" for a topic that is not compacted, …
   * @throws {TypeError} for options that are none
   */
  table<const K extends CodecChoice = "bytes", const V extends CodecChoice = "bytes">(
    topic: string,
    options?: TableOptions<K, V>,
  ): Promise<Table<Decoded<K>, Decoded<V>>>;
  /**
   * Sends what producers still hold, then ends everything. Idempotent. All has ended when the promise is settled,
   * whether it resolves or not.
   *
   * @param graceMs so long producers may take, in ms; until their delivery timeout when left out
   * @throws {ClientError} what closing a producer throws: enqueued records that were not delivered and of which no
   *   flush has told, or "request_timed_out" after `graceMs`; of several producers the first, with all as its cause
   */
  close(graceMs?: number): Promise<void>;
}

type OpenTable = { close(): Promise<void> };

const DEFAULT_PORT = 9092;
const LOWEST = {
  connectTimeoutMs: 1,
  requestTimeoutMs: 1,
  timeoutMs: 1,
  backoffMs: 0,
  backoffMsMax: 0,
  metadataMaxAgeMs: 0,
  inFlightMax: 1,
  responseBytesMax: 1,
};

/** A client over the runtime given: the host's, or a simulation's. Nothing is sent before it is used. */
export function createClient(runtime: ClientRuntime, options: ClientOptions): Client {
  checkOptions(options, LOWEST);
  const backoff = {
    backoffMs: options.backoffMs ?? 50,
    backoffMsMax: options.backoffMsMax ?? 1_000,
  };
  const timeoutMs = options.timeoutMs ?? 60_000;
  const requestTimeoutMs = options.requestTimeoutMs ?? 30_000;
  const port =
    options.port ??
    new WirePort(runtime, {
      ...backoff,
      bootstrap: bootstrapAddresses(options.bootstrap ?? "127.0.0.1"),
      clientId: options.clientId ?? "millrace",
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      requestTimeoutMs,
      inFlightMax: options.inFlightMax ?? 64,
      responseBytesMax: options.responseBytesMax ?? 256 * 1024 * 1024,
      tls: options.tls,
      sasl: options.sasl === undefined ? undefined : checkSasl(options.sasl),
    });
  const metadata = new ClusterMetadata(runtime, port, {
    ...backoff,
    timeoutMs,
    maxAgeMs: options.metadataMaxAgeMs ?? 300_000,
  });
  const admin = new Admin(runtime, port, metadata, { ...backoff, timeoutMs });
  const context: ClientContext = {
    runtime,
    port,
    metadata,
    admin,
    backoff,
    timeoutMs,
    requestTimeoutMs,
  };
  const producers = new Set<Producer>();
  const consumers = new Set<Consumer | GroupConsumer>();
  const consumer = (own: ConsumerOptions | GroupConsumerOptions): Consumer | GroupConsumer => {
    requireObject(own, "The options of a consumer");
    const onClose = (self: Consumer | GroupConsumer) => consumers.delete(self);
    const made =
      "group" in own
        ? new GroupConsumer(context, own, onClose)
        : new Consumer(context, own, onClose);
    if (!made.isClosed) consumers.add(made);
    return made;
  };
  const producer = (own: ProducerOptions | TransactionalProducerOptions = {}): Producer => {
    requireObject(own, "The options of a producer");
    const onClose = () => producers.delete(made);
    const made: Producer =
      "transactionalId" in own
        ? new TransactionalProducer(context, own, onClose)
        : new Producer(context, own, onClose);
    producers.add(made);
    return made;
  };
  const tables = new Set<OpenTable>();
  const owner = {
    makeProducer: producer,
    onOpen: (table: OpenTable) => tables.add(table),
    onClose: (table: OpenTable) => tables.delete(table),
  };
  let pool: Promise<TransactionPool> | null = null;
  let closing: Promise<void> | null = null;
  return {
    admin,
    connect: () => metadata.connect(),
    producer: producer as Client["producer"],
    async transaction(body, own) {
      pool ??= import("./transaction/transaction_run.ts").then(({ TransactionPool }) => {
        return new TransactionPool(context, producer as Client["producer"]);
      });
      const { run } = await pool;
      if (closing !== null) throw new ClientError("closed", "The client is closed");
      return run(body, own);
    },
    consumer: consumer as Client["consumer"],
    async table(topic, own = {}) {
      const { openTable } = await import("./table/open_table.ts");
      if (closing !== null) throw new ClientError("closed", "The client is closed");
      return openTable(context, owner, topic, own);
    },
    close(graceMs) {
      closing ??= (async () => {
        // Members commit and leave before the way to the cluster is closed.
        await Promise.allSettled([...consumers].map((consumer) => consumer.close()));
        const open = [...producers];
        const closed = await Promise.allSettled(open.map((producer) => producer.close(graceMs)));
        // Their producers have been told of above.
        await Promise.allSettled([...tables].map((table) => table.close()));
        port.close();
        throwFirst(closed);
      })();
      return closing;
    },
  };
}

/** What closing came to, once all is closed. */
function throwFirst(closed: readonly PromiseSettledResult<void>[]): void {
  const reasons = closed.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
  if (reasons.length === 0) return;
  const first: unknown = reasons[0];
  if (reasons.length === 1 || !(first instanceof ClientError)) throw first;
  const text = `${reasons.length} producers could not deliver everything, the first: ${first.message}`;
  const cause = new AggregateError(reasons, text);
  throw new ClientError(first.code, text, { cause, retriable: first.retriable });
}

/** Reads "host:port,host:port"; the port is 9092 when left out, and IPv6 hosts stand in brackets. */
export function bootstrapAddresses(
  bootstrap: string | readonly BootstrapAddress[],
): readonly BootstrapAddress[] {
  if (typeof bootstrap !== "string") return bootstrap;
  return bootstrap.split(",").map((part) => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/.exec(part.trim());
    const port = match?.[3] === undefined ? DEFAULT_PORT : Number(match[3]);
    if (match === null || port < 1 || port > 65_535) {
      // What follows a colon and is no port may be a password: it is not repeated.
      const shown = JSON.stringify(part.replace(/:(?!\d*$).*$/s, ":…"));
      throw new TypeError(`A bootstrap address must be HOST:PORT: found ${shown}`);
    }
    return { host: match[1] ?? match[2]!, port };
  });
}
