// The conversation on one connection: the hello and its token first, then requests and subscriptions.
// Invariant: nothing but a hello is looked at before one was answered; behind a token's time nothing is
// served; every request is answered once, in whatever order, unless it says that it wants no answer.

import { InvariantError } from "../../src/base/assert.ts";
import { ok } from "../../src/base/outcome.ts";
import type { Authenticator } from "../../src/contracts/auth.ts";
import type { Broker, Caller } from "../../src/contracts/broker.ts";
import type { Runtime } from "../../src/contracts/runtime.ts";
import { authenticateBearer, pauseAfterFailedLogin } from "../../src/gateway/bearer.ts";
import { resolveOffsets } from "../../src/gateway/offsets.ts";
import { readRefusal } from "../../src/gateway/read_right.ts";
import { RecordTail } from "../../src/gateway/tail.ts";
import { partitionCountOf } from "../../src/gateway/topics.ts";
import { type KafkaErrorName, kafkaError, refuse } from "../../src/protocol/errors.ts";
import { int } from "./cbor.ts";
import {
  type Answer,
  type Call,
  isolationOf,
  operations,
  type Room,
  refusal,
} from "./operations.ts";
import type { TcpBounds } from "./options.ts";
import {
  BadRequest,
  type Fields,
  intOf,
  isFields,
  optionalTextOf,
  startOf,
  startsOf,
  textOf,
  tokenOf,
} from "./shapes.ts";
import { CREDIT_BYTES_MAX, type PushWire, Subscription } from "./subscription.ts";

/** The one version of this protocol so far. */
export const PROTOCOL_VERSION = 1;
const ID_HIGHEST = 0xffff_ffff;
const CLIENT_CHARS_MAX = 255;
const PARTITIONS_MAX = 1000;
const MIB = 1024 * 1024;

/** What a session uses of its connection. */
export interface Wire extends PushWire {
  /** Sends a last answer, and closes when it has gone. */
  sendLast(value: object, event: string, detail: string): void;
  /** Somebody who waits may go on. */
  rouse(): void;
}

export interface SessionOptions {
  readonly wire: Wire;
  readonly broker: Broker;
  readonly runtime: Runtime;
  readonly authenticator: Authenticator | null;
  readonly bounds: TcpBounds;
  /** Who calls as long as nobody has said who they are. */
  readonly caller: Caller;
}

export class Session {
  /** The ops of its own, beside hello and auth, which it serves before anybody is known. */
  static readonly operations: ReadonlyMap<
    string,
    (session: Session, id: number, fields: Fields) => Answer | Promise<Answer>
  > = new Map([
    ["subscribe", (session: Session, id: number, fields: Fields) => session.#subscribe(id, fields)],
    ["credit", async (session: Session, _id: number, fields: Fields) => session.#credit(fields)],
    [
      "unsubscribe",
      (session: Session, _id: number, fields: Fields) => session.#unsubscribe(fields),
    ],
  ]);
  readonly #options: SessionOptions;
  readonly #wire: Wire;
  readonly #subscriptions = new Map<number, Subscription>();
  #call: Call;
  #isGreeted = false;
  #expiresAtMs: number | null = null;
  #inFlight = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#wire = options.wire;
    this.#call = this.#callOf(options.caller);
  }

  /** True once a hello was answered well. */
  get isGreeted(): boolean {
    return this.#isGreeted;
  }

  /** Requests begun and not yet answered. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Subscriptions that have not ended. */
  get subscriptionCount(): number {
    return this.#subscriptions.size;
  }

  /** Whether the time of the token is up. */
  isExpired(wallMs: number): boolean {
    return this.#expiresAtMs !== null && wallMs >= this.#expiresAtMs;
  }

  /** Ends all subscriptions. Idempotent. */
  end(): void {
    for (const subscription of this.#subscriptions.values()) subscription.end();
  }

  /**
   * Begins a request.
   *
   * @param release gives the request's memory back; called once
   * @returns what the requests behind this one have to wait for; null for nothing
   */
  begin(value: unknown, release: () => void): Promise<void> | null {
    const id = isFields(value) ? idOf(value) : null;
    if (!isFields(value) || id === null) {
      release();
      this.#fatal(null, "invalid_request", "A request is a map with an id from 0 to 2^32 - 1");
      return null;
    }
    const op = value["op"];
    const isHello = op === "hello";
    if (isHello !== !this.#isGreeted) {
      release();
      const text = isHello ? "A hello comes once" : "The first frame must be a hello";
      this.#fatal(id, "illegal_sasl_state", text);
      return null;
    }
    if (isHello || op === "auth") {
      return this.#answering(id, release, false, () =>
        isHello ? this.#hello(id, value) : this.#renew(id, value),
      );
    }
    if (this.isExpired(this.#options.runtime.clock.wallMs())) {
      release();
      this.#fatal(id, "sasl_authentication_failed", "The token's time is up");
      return null;
    }
    void this.#begin(id, op, value, release);
    return null;
  }

  #begin(id: number, op: unknown, fields: Fields, release: () => void): Promise<void> {
    const operation = typeof op === "string" ? operations.get(op) : undefined;
    if (operation !== undefined) {
      const { holdsFrame } = operation;
      const rooms: Room[] = [];
      const room = async (sizeBytes: number): Promise<Room | null> => {
        const one = await this.#wire.room(sizeBytes);
        if (one !== null) rooms.push(one);
        return one;
      };
      const run = () => operation.run({ ...this.#call, room }, fields);
      // What was admitted counts until it is among what waits to be sent.
      return this.#answering(id, release, holdsFrame, run).finally(() => {
        for (const one of rooms) one.release();
      });
    }
    const run = async (): Promise<Answer> => {
      const own = typeof op === "string" ? Session.operations.get(op) : undefined;
      if (own === undefined) throw new BadRequest("There is no such op");
      return await own(this, id, fields);
    };
    return this.#answering(id, release, false, run);
  }

  /** Runs a request and answers it. Never rejects. */
  async #answering(
    id: number,
    release: () => void,
    holdsFrame: boolean,
    run: () => Promise<Answer>,
  ): Promise<void> {
    this.#inFlight++;
    try {
      const running = run();
      if (!holdsFrame) release();
      const answer = await running;
      if (answer === null || this.#wire.isClosed) return;
      this.#wire.send(answer.ok ? { ...answer.value, id } : { id, ...refusal(answer.error) });
    } catch (error) {
      if (error instanceof BadRequest) {
        this.#wire.send({ id, ...refusal(kafkaError("invalid_request", error.message)) });
      } else this.#defect(id, error);
    } finally {
      if (holdsFrame) release();
      this.#inFlight--;
      this.#wire.rouse();
    }
  }

  async #hello(id: number, fields: Fields): Promise<Answer> {
    const { broker, bounds, caller } = this.#options;
    const version = intOf(fields, "version", 0, ID_HIGHEST);
    if (version !== PROTOCOL_VERSION) {
      const text = `Version ${version} is not spoken here: ${PROTOCOL_VERSION} is`;
      this.#fatal(id, "unsupported_version", text);
      return null;
    }
    const clientId = (optionalTextOf(fields, "client") ?? "").slice(0, CLIENT_CHARS_MAX);
    const found = await this.#authenticate(id, fields);
    if (found === null) return null;
    this.#call = this.#callOf({ ...caller, principal: found.principal, clientId });
    this.#expiresAtMs = found.expiresAtMs;
    this.#isGreeted = true;
    return ok({
      version: PROTOCOL_VERSION,
      broker: broker.brokerId,
      cluster: broker.clusterId,
      expiresAtMs: found.expiresAtMs === null ? null : int(found.expiresAtMs),
      frameBytesMax: bounds.frameBytesMax,
      inFlightMax: bounds.inFlightMax,
      idleMsMax: int(bounds.connectionIdleMsMax),
    });
  }

  /** A token for the time to come, of the same principal. */
  async #renew(id: number, fields: Fields): Promise<Answer> {
    const found = await this.#authenticate(id, fields);
    if (found === null) return null;
    const { type, name } = this.#call.caller.principal;
    if (found.principal.type !== type || found.principal.name !== name) {
      this.#fatal(id, "illegal_sasl_state", "The token is somebody else's");
      return null;
    }
    this.#expiresAtMs = found.expiresAtMs;
    return ok({ expiresAtMs: found.expiresAtMs === null ? null : int(found.expiresAtMs) });
  }

  async #authenticate(id: number, fields: Fields) {
    const { authenticator, broker, caller, runtime } = this.#options;
    const found = await authenticateBearer(authenticator, tokenOf(fields), caller.peer);
    if (found.ok) return found;
    // One at a time for each connection, so that the bound on connections bounds what waits.
    await pauseAfterFailedLogin(broker, runtime, caller.signal);
    this.#fatal(id, "sasl_authentication_failed", "The token is not taken", found.reason);
    return null;
  }

  async #subscribe(id: number, fields: Fields): Promise<Answer> {
    const { broker, runtime, bounds } = this.#options;
    const topic = textOf(fields, "topic");
    const at = fields["at"] === undefined ? "latest" : startOf(fields["at"]);
    const given = fields["partitions"] === undefined ? null : startsOf(fields);
    const creditBytes = intOf(fields, "credit", 0, CREDIT_BYTES_MAX, 0);
    const isolation = isolationOf(fields);
    const wantedBytes = intOf(fields, "bytesMax", 1, 0x7fffffff, MIB);
    const batch = {
      bytesMax: Math.min(wantedBytes, bounds.fetchBytesMax),
      recordsMax: intOf(fields, "recordsMax", 1, 100_000, 1000),
    };
    if (this.#subscriptions.has(id)) {
      return refuse("duplicate_resource", `Subscription ${id} is open already`);
    }
    if (this.#subscriptions.size >= bounds.subscriptionsMax) {
      return refuse("policy_violation", `There are ${bounds.subscriptionsMax} subscriptions here`);
    }
    const subscription = new Subscription(id, this.#wire);
    subscription.credit(creditBytes);
    this.#subscriptions.set(id, subscription);
    const forget = () => {
      if (this.#subscriptions.get(id) === subscription) this.#subscriptions.delete(id);
    };
    let tail: RecordTail | null = null;
    try {
      // Before its offsets: a topic that is made anew meanwhile must not be followed from those.
      const topicId = broker.log.topicIdOf(topic);
      const caller = { ...this.#call.caller, signal: subscription.signal };
      let starts = given;
      if (starts === null) {
        const count = await partitionCountOf(broker, caller, topic);
        if (!count.ok) return count;
        if (count.value > PARTITIONS_MAX) throw new BadRequest("Name the partitions: too many");
        starts = Array.from({ length: count.value }, (_, partition) => ({ partition, at }));
      }
      const partitions = [];
      for (const start of await resolveOffsets(broker, caller, topic, starts, isolation)) {
        if (!start.ok) return start;
        partitions.push(start.value);
      }
      const refused = await readRefusal(broker, caller, topic);
      if (refused !== null) return { ok: false, error: refused };
      if (subscription.signal.aborted) return refuse("request_timed_out", "It was ended before");
      tail = new RecordTail(broker, runtime, caller, { topic, topicId, partitions, isolation });
      this.#wire.send({
        id,
        positions: partitions.map(({ partition, offset }) => [partition, int(offset)]),
      });
    } finally {
      if (tail === null) forget();
    }
    void subscription
      .start(tail, batch)
      .catch((error) => this.#defect(id, error))
      .finally(() => {
        forget();
        this.#wire.rouse();
      });
    return null;
  }

  #credit(fields: Fields): null {
    const bytes = intOf(fields, "bytes", 0, CREDIT_BYTES_MAX);
    const subscription = this.#subscriptions.get(intOf(fields, "subscription", 0, ID_HIGHEST));
    // It may have ended while the credit was on its way.
    subscription?.credit(bytes);
    return null;
  }

  async #unsubscribe(fields: Fields): Promise<Answer> {
    const id = intOf(fields, "subscription", 0, ID_HIGHEST);
    const subscription = this.#subscriptions.get(id);
    if (subscription === undefined) {
      return refuse("unknown_subscription_id", `There is no subscription ${id}`);
    }
    const cancelled = subscription.cancel();
    this.#wire.rouse();
    await cancelled;
    return ok({});
  }

  #callOf(caller: Caller): Call {
    const { broker, runtime, bounds } = this.#options;
    const { fetchBytesMax } = bounds;
    const room = (sizeBytes: number) => this.#wire.room(sizeBytes);
    return { broker, runtime, caller, fetchBytesMax, room };
  }

  /** Answers, and ends the connection behind the answer. */
  #fatal(id: number | null, code: KafkaErrorName, message: string, detail = message): void {
    this.#wire.sendLast({ id, ...refusal(kafkaError(code, message)) }, code, detail);
  }

  /** An unknown error costs this connection; a broken belief about the broker's own state costs the broker. */
  #defect(id: number, error: unknown): void {
    const { log, scheduler } = this.#options.runtime;
    const stack = error instanceof Error ? error.stack : undefined;
    log.error("tcp_request_failed", { error: String(error), stack });
    if (error instanceof InvariantError) {
      scheduler.spawn("tcp_broken_invariant", () => Promise.reject(error));
    }
    this.#fatal(id, "unknown_server_error", "The request failed", "request_failed");
  }
}

/** The request's id, or null for a request that has none. */
function idOf(fields: Fields): number | null {
  const { id } = fields;
  const isId = typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= ID_HIGHEST;
  return isId ? id : null;
}
