// The port to a broker in this process: no socket, no frame, no Kafka transport. Requests and responses pass
// through the codec of their version all the same, so that a caller gets what the wire would have given it:
// the same refusals, the same defaults, and bytes that are its own.
// Invariant: the broker is called within `send`, before anything is waited for; what it lends is copied and
// given back before the caller sees it; it never sees a caller's batches, which it would patch in place.
// Kafka: none; decision 7, ADR 24.

import { InvariantError } from "../base/assert.ts";
import { ByteReader, DecodeError } from "../base/byte_reader.ts";
import { ByteWriter, EncodeError } from "../base/byte_writer.ts";
import { ANONYMOUS, type Principal } from "../contracts/auth.ts";
import type { Broker, Caller } from "../contracts/broker.ts";
import type { Runtime } from "../contracts/runtime.ts";
import { codecOf } from "../protocol/compile.ts";
import type { MessageInputOf, MessageOf, ResponseOf } from "../protocol/infer.ts";
import type { Api, Message } from "../protocol/schema.ts";
import type { BrokerCall, CallAnswer } from "./broker_call.ts";
import { brokerCalls } from "./broker_calls.ts";
import { aborted, ClientError } from "./client_error.ts";
import type { BrokerAddress, ClientPort, RequestSource, SendOptions } from "./port.ts";
import { usableVersion } from "./version_range.ts";

/** How a program in the broker's own process presents itself. */
export interface BrokerPortOptions {
  readonly runtime: Pick<Runtime, "clock" | "scheduler">;
  /** As whom the broker's authorizer is asked. Default User:ANONYMOUS. */
  readonly principal?: Principal;
  /** Default "millrace". */
  readonly clientId?: string;
  /** Until one request is answered, in ms. Default 30,000. */
  readonly requestTimeoutMs?: number;
}

/** The listener that metadata is told of: no transport has it, so the first address there is is answered. */
const LISTENER = "in_process";
const HERE = "the broker in this process";
/** Of a large cluster's metadata: as many as a response of the wire may hold. */
const ELEMENTS_MAX = 1 << 24;
/** After so many answers in a row, or so long, timers and sockets of the program get their turn. */
const ANSWERS_MAX = 64;
const TURN_MS = 8;

/** A way to a broker in this process, for `createClient({ port })`. */
export function brokerPort(broker: Broker, options: BrokerPortOptions): ClientPort {
  return new BrokerPort(broker, options);
}

class BrokerPort implements ClientPort {
  readonly #broker: Broker;
  readonly #runtime: BrokerPortOptions["runtime"];
  readonly #requestTimeoutMs: number;
  readonly #caller: Omit<Caller, "signal">;
  /** Ends each call under way. */
  readonly #running = new Set<(error: ClientError) => void>();
  #isClosed = false;
  #answers = 0;
  #turnStartMs = 0;
  #givingWay: Promise<void> | null = null;

  constructor(broker: Broker, options: BrokerPortOptions) {
    this.#broker = broker;
    this.#runtime = options.runtime;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 30_000;
    this.#caller = {
      principal: options.principal ?? ANONYMOUS,
      peer: { host: "127.0.0.1", listener: LISTENER, tlsPeerCertificate: null },
      clientId: options.clientId ?? "millrace",
      listener: LISTENER,
    };
  }

  async send<A extends Api>(
    api: A,
    source: RequestSource<A>,
    options: SendOptions = {},
  ): Promise<ResponseOf<A>> {
    if (this.#isClosed) throw closed();
    if (options.signal?.aborted === true) throw aborted();
    const { brokerId } = this.#broker;
    if (options.to !== undefined && options.to !== brokerId) {
      const text = `Broker ${options.to} cannot be asked: in this process is broker ${brokerId}`;
      throw new ClientError("broker_not_available", text, { retriable: true });
    }
    const call = brokerCalls.get(api.apiKey);
    const served = call === undefined ? undefined : { min: api.lowest, max: api.highestStable };
    const version = usableVersion(api, served, HERE, options.versionMin, options.versionMax);
    const body = typeof source === "function" ? source(version) : source;
    const request = requestOf(call!, version, body as MessageInputOf<Message>);
    const answer = await this.#run(call!, version, request, options);
    if (this.#isTurnOver()) this.#giveWay();
    // Answers behind one that gives way wait with it: their order stays.
    if (this.#givingWay !== null) await this.#givingWay;
    return answer as ResponseOf<A>;
  }

  /** One broker is all there is. */
  learn(_brokers: readonly BrokerAddress[]): void {}

  close(): void {
    this.#isClosed = true;
    for (const end of [...this.#running]) end(closed());
  }

  #run(
    call: BrokerCall,
    version: number,
    request: unknown,
    options: SendOptions,
  ): Promise<unknown> {
    const { api } = call;
    const timeoutMs = options.timeoutMs ?? this.#requestTimeoutMs;
    const { signal } = options;
    const ending = new AbortController();
    return new Promise((resolve, reject) => {
      let isOver = false;
      const settle = (): boolean => {
        if (isOver) return false;
        isOver = true;
        timer.cancel();
        signal?.removeEventListener("abort", onAbort);
        this.#running.delete(end);
        return true;
      };
      /** What the broker has parked for us ends as well, and is not waited for. */
      const end = (error: ClientError): void => {
        if (!settle()) return;
        reject(error);
        ending.abort();
      };
      const onAbort = (): void => end(aborted());
      const timer = this.#runtime.scheduler.after(timeoutMs, "client_request", () => {
        const text = `${HERE} did not answer ${api.name} within ${timeoutMs} ms`;
        end(new ClientError("request_timed_out", text));
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#running.add(end);
      const answered = (answer: CallAnswer<unknown>): void => {
        try {
          if (!settle()) return;
          const { response } = answer;
          resolve(response === null ? null : throughCodec(api.response, version, response));
        } catch (cause) {
          reject(defect(api, cause));
        } finally {
          answer.release?.();
        }
      };
      const failed = (cause: unknown): void => {
        // Nobody may go on with a broker whose own state is wrong: whoever owns the runtime stops it.
        if (cause instanceof InvariantError) {
          const { scheduler } = this.#runtime;
          scheduler.spawn("in_process_broken_invariant", () => Promise.reject(cause));
        }
        end(defect(api, cause));
      };
      try {
        const caller = { ...this.#caller, signal: ending.signal };
        call.handle(this.#broker, caller, request as never, version).then(answered, failed);
      } catch (cause) {
        failed(cause);
      }
    });
  }

  /** Storage in memory answers without ever giving way: a loop of calls would hold up the whole program. */
  #isTurnOver(): boolean {
    const nowMs = this.#runtime.clock.monotonicMs();
    this.#answers++;
    return this.#answers >= ANSWERS_MAX || nowMs - this.#turnStartMs >= TURN_MS;
  }

  #giveWay(): void {
    this.#givingWay ??= this.#runtime.scheduler.yieldNow().then(() => {
      this.#givingWay = null;
      this.#answers = 0;
      this.#turnStartMs = this.#runtime.clock.monotonicMs();
    });
  }
}

/** The request as a broker would have decoded it, in memory of its own. @throws {ClientError} "invalid_request" */
function requestOf(call: BrokerCall, version: number, body: MessageInputOf<Message>): unknown {
  const { api } = call;
  const doing = `Cannot send ${api.name} v${version}`;
  try {
    const reader = readerOf(api.request, version, body);
    const request = codecOf(api.request, version).read(reader);
    if (reader.bigintCount > 0 && call.takesBigints !== true) {
      throw new ClientError("invalid_request", `${doing}: an integer is beyond 2^53`);
    }
    return request;
  } catch (cause) {
    if (!(cause instanceof EncodeError || cause instanceof DecodeError)) throw cause;
    throw new ClientError("invalid_request", `${doing}: ${cause.message}`, { cause });
  }
}

/** What decoding would give of a message: defaults filled in, and every byte copied once. */
function throughCodec<M extends Message>(
  message: M,
  version: number,
  value: unknown,
): MessageOf<M> {
  return codecOf(message, version).read(readerOf(message, version, value as MessageInputOf<M>));
}

function readerOf<M extends Message>(
  message: M,
  version: number,
  value: MessageInputOf<M>,
): ByteReader {
  const writer = new ByteWriter();
  codecOf(message, version).write(writer, value);
  const reader = new ByteReader(writer.toBytes());
  reader.elementsLeft = ELEMENTS_MAX;
  return reader;
}

/** A broker throws for defects alone: on the wire it would have closed the connection. */
function defect(api: Api, cause: unknown): ClientError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new ClientError("network_exception", `${HERE} failed at ${api.name}: ${text}`, { cause });
}

function closed(): ClientError {
  return new ClientError("closed", "The client is closed");
}
