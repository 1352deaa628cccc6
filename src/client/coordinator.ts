// The broker that coordinates a group, or a transactional id: found when it is needed, and again when it is not it any more.
// Invariant: what comes back is an answer of a broker that holds itself to be the coordinator.
// Kafka: AbstractCoordinator.lookupCoordinator, CoordinatorRequestManager, TransactionManager.lookupCoordinator.

import type { ResponseOf } from "../protocol/infer.ts";
import { FindCoordinator } from "../protocol/messages/10_find_coordinator.ts";
import type { Api } from "../protocol/schema.ts";
import { ClientError, isRetriable, kafkaErrorOf, refusal } from "./client_error.ts";
import type { ClusterMetadata } from "./metadata.ts";
import type { ClientPort, RequestSource, SendOptions } from "./port.ts";
import { type BackoffOptions, type ClientRuntime, retrying } from "./waiting.ts";

/** What the search needs of the client. */
export interface CoordinatorContext {
  readonly runtime: ClientRuntime;
  readonly port: ClientPort;
  readonly metadata: ClusterMetadata;
  readonly backoff: BackoffOptions;
  /** Until a call gives up, retries included, in ms. */
  readonly timeoutMs: number;
}

/** What is coordinated, as FindCoordinator has it. */
export type CoordinatedKind = "group" | "transaction";
const KEY_TYPES: Readonly<Record<CoordinatedKind, number>> = { group: 0, transaction: 1 };
const COORDINATOR_LOAD_IN_PROGRESS = 14;
const COORDINATOR_NOT_AVAILABLE = 15;
const NOT_COORDINATOR = 16;

/** How one question is put. */
export interface AskOptions {
  readonly signal?: AbortSignal | undefined;
  /** Until the call gives up, retries included, in ms. */
  readonly timeoutMs?: number;
  /** Until one request is answered, in ms: a join may be parked for long. */
  readonly requestTimeoutMs?: number;
  /** What may be parked must not hold up the rest. */
  readonly lane?: string;
  readonly versionMin?: number;
  readonly versionMax?: number;
}

export class Coordinator {
  /** A group's name, or a transactional id. */
  readonly key: string;
  readonly #kind: CoordinatedKind;
  readonly #context: CoordinatorContext;
  #nodeId: number | null = null;
  #finding: Promise<number> | null = null;

  constructor(context: CoordinatorContext, kind: CoordinatedKind, key: string) {
    this.#context = context;
    this.#kind = kind;
    this.key = key;
  }

  /** Forgets who it is: whoever it was has gone, or denied it. */
  forget(): void {
    this.#nodeId = null;
  }

  /** Node id of the coordinator; asks when it is not known. @throws {ClientError} "group_authorization_failed", … */
  async nodeId(options: AskOptions = {}): Promise<number> {
    return retrying(this.#context.runtime, this.#bounds(options), () => this.#known(options));
  }

  /**
   * Sends a request to the coordinator until it is answered by it.
   *
   * @param errorCodeOf the code of the whole answer: those that mean "not here" or "not yet" are tried again, all others are
   *   the caller's
   * @throws {ClientError} what `ClientPort.send` throws, once it was tried again for `timeoutMs`
   */
  ask<A extends Api>(
    api: A,
    request: RequestSource<A>,
    errorCodeOf: (response: ResponseOf<A>) => number,
    options: AskOptions = {},
  ): Promise<ResponseOf<A>> {
    return retrying(this.#context.runtime, this.#bounds(options), () =>
      this.askOnce(api, request, errorCodeOf, options),
    );
  }

  /** As `ask`, but tried once. */
  async askOnce<A extends Api>(
    api: A,
    request: RequestSource<A>,
    errorCodeOf: (response: ResponseOf<A>) => number,
    options: AskOptions = {},
  ): Promise<ResponseOf<A>> {
    const to = await this.#known(options);
    const send: SendOptions = {
      to,
      ...(options.lane === undefined ? {} : { lane: options.lane }),
      ...(options.requestTimeoutMs === undefined ? {} : { timeoutMs: options.requestTimeoutMs }),
      ...(options.versionMin === undefined ? {} : { versionMin: options.versionMin }),
      ...(options.versionMax === undefined ? {} : { versionMax: options.versionMax }),
      signal: options.signal,
    };
    let response: ResponseOf<A>;
    try {
      response = await this.#context.port.send(api, request, send);
    } catch (error) {
      if (isRetriable(error)) this.#deny(to);
      throw error;
    }
    const code = errorCodeOf(response);
    if (code === NOT_COORDINATOR || code === COORDINATOR_NOT_AVAILABLE) this.#deny(to);
    else if (code !== COORDINATOR_LOAD_IN_PROGRESS) return response;
    throw refusal(kafkaErrorOf(code)!, `Cannot ask the coordinator of ${this.#name}`);
  }

  /** For messages. */
  get #name(): string {
    return `${this.#kind === "group" ? "group" : "transactional id"} "${this.key}"`;
  }

  #bounds(options: AskOptions) {
    const { backoff, timeoutMs } = this.#context;
    const { signal } = options;
    return { ...backoff, timeoutMs: options.timeoutMs ?? timeoutMs, signal };
  }

  #deny(nodeId: number): void {
    if (this.#nodeId === nodeId) this.#nodeId = null;
  }

  async #known({ signal }: AskOptions): Promise<number> {
    if (this.#nodeId !== null) return this.#nodeId;
    this.#finding ??= this.#find(signal).finally(() => {
      this.#finding = null;
    });
    this.#nodeId = await this.#finding;
    return this.#nodeId;
  }

  async #find(signal: AbortSignal | undefined): Promise<number> {
    const { port, metadata } = this.#context;
    const keyType = KEY_TYPES[this.#kind];
    const { brokers } = await metadata.cluster(signal);
    const response = await port.send(
      FindCoordinator,
      (version) =>
        version >= 4
          ? { keyType, coordinatorKeys: [this.key] }
          : { key: this.key, ...(version >= 1 ? { keyType } : {}) },
      // Version 0 knows of groups alone.
      { signal, versionMin: keyType === KEY_TYPES.group ? 0 : 1 },
    );
    const [found = response] = response.coordinators;
    const error = kafkaErrorOf(found.errorCode, found.errorMessage);
    if (error !== null) throw refusal(error, `Cannot find the coordinator of ${this.#name}`);
    if (!brokers.some(({ nodeId }) => nodeId === found.nodeId)) {
      // A broker that came after we last looked: its address comes with the metadata.
      metadata.invalidateCluster();
      throw new ClientError(
        "coordinator_not_available",
        `The coordinator of ${this.#name} is broker ${found.nodeId}, which is not known yet`,
      );
    }
    return found.nodeId;
  }
}
