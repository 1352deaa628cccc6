// A real broker with nothing on disk behind a real HTTP listener, and the little that tests ask of it.

import { connect, type Socket } from "node:net";
import { metadataMemory } from "../../../plugins/metadata-memory/mod.ts";
import { storageMemory } from "../../../plugins/storage-memory/mod.ts";
import { type TransportHttpOptions, transportHttp } from "../../../plugins/transport-http/mod.ts";
import type { AuthPlugin } from "../../../src/contracts/auth.ts";
import type { Broker } from "../../../src/contracts/broker.ts";
import type { LogFields, Logger } from "../../../src/contracts/runtime.ts";
import type { RunningTransport } from "../../../src/contracts/transport.ts";
import { createBroker, type RunningBroker } from "../../../src/core/mod.ts";
import { type HostRuntime, hostRuntime } from "../../../src/runtime/host_runtime.ts";

export interface LiveOptions {
  readonly http?: Partial<TransportHttpOptions>;
  readonly auth?: AuthPlugin;
  readonly settings?: Record<string, string | number | boolean>;
  /** Stands between the transport and its broker. */
  readonly patch?: (broker: Broker) => Partial<Broker>;
}

export class LiveHttp {
  readonly broker: RunningBroker;
  readonly logLines: string[];
  /** Request memory that the transport holds. */
  readonly held: { sizeBytes: number };
  readonly #host: HostRuntime;
  readonly #sockets: Socket[] = [];

  private constructor(
    broker: RunningBroker,
    host: HostRuntime,
    logLines: string[],
    held: { sizeBytes: number },
  ) {
    this.broker = broker;
    this.#host = host;
    this.logLines = logLines;
    this.held = held;
  }

  static async start(options: LiveOptions = {}): Promise<LiveHttp> {
    const logLines: string[] = [];
    const held = { sizeBytes: 0 };
    const host = hostRuntime({ log: { configure: false } });
    const plugin = transportHttp({
      listeners: [{ name: "http", host: "127.0.0.1", port: 0 }],
      ...options.http,
    });
    const broker = await createBroker({
      broker: { id: 1 },
      runtime: { ...host.runtime, log: collecting(logLines) },
      storage: storageMemory(),
      metadata: metadataMemory(),
      ...(options.auth === undefined ? {} : { auth: [options.auth] }),
      transports: [
        {
          ...plugin,
          start: (context) => {
            const patched = options.patch?.(context.broker) ?? {};
            const { broker: whole, requestMemory: budget } = context;
            return plugin.start({
              ...context,
              requestMemory: {
                tryTake(sizeBytes) {
                  const isTaken = budget.tryTake(sizeBytes);
                  if (isTaken) held.sizeBytes += sizeBytes;
                  return isTaken;
                },
                async take(sizeBytes) {
                  await budget.take(sizeBytes);
                  held.sizeBytes += sizeBytes;
                },
                give(sizeBytes) {
                  budget.give(sizeBytes);
                  held.sizeBytes -= sizeBytes;
                },
              },
              broker: {
                brokerId: whole.brokerId,
                clusterId: whole.clusterId,
                features: whole.features,
                featuresEpoch: whole.featuresEpoch,
                transactions: whole.transactions,
                log: whole.log,
                topics: whole.topics,
                admin: whole.admin,
                groups: whole.groups,
                setting: (name) => whole.setting(name),
                isOnline: () => whole.isOnline(),
                ...patched,
              },
            });
          },
        },
      ],
      settings: { "auto.create.topics.enable": "false", ...options.settings },
    });
    await broker.start();
    return new LiveHttp(broker, host, logLines, held);
  }

  get port(): number {
    return this.broker.endpoints[0]!.port;
  }

  get transport(): RunningTransport {
    return this.broker.transport("transport-http");
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** An answer, with its body read as JSON where it is some. */
  async ask(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(this.url(path), init);
    const text = await response.text();
    const isJson = (response.headers.get("content-type") ?? "").includes("json");
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson && text !== "" ? JSON.parse(text) : null,
    };
  }

  post(path: string, json: unknown, type = "application/json"): Promise<Answer> {
    const body = typeof json === "string" ? json : JSON.stringify(json);
    return this.ask(path, { method: "POST", body, headers: { "content-type": type } });
  }

  async topic(name: string, partitions = 1, config: Record<string, string> = {}): Promise<void> {
    const { status, text } = await this.post("/v1/topics", { name, partitions, config });
    if (status !== 201) throw new Error(`Topic "${name}" was not made: ${status} ${text}`);
  }

  /** A bare socket that has sent `text`. */
  async raw(text: string): Promise<Socket> {
    const socket = connect(this.port, "127.0.0.1");
    this.#sockets.push(socket);
    socket.on("error", () => {});
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    socket.write(text);
    return socket;
  }

  async stop(graceMs = 2000): Promise<void> {
    for (const socket of this.#sockets.splice(0)) socket.destroy();
    await this.broker.stop(graceMs);
    await this.#host.stop(1000);
  }
}

function collecting(lines: string[]): Logger {
  const say =
    (level: string) =>
    (event: string, fields: LogFields = {}) =>
      void lines.push(JSON.stringify({ level, event, ...fields }));
  const log: Logger = {
    debug: say("debug"),
    info: say("info"),
    warn: say("warn"),
    error: say("error"),
    child: () => log,
  };
  return log;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON came.
  readonly json: any;
}

export const BATCH = "application/vnd.millrace.batch+json";

/** What comes on a socket until `isEnough`, or its end. */
export function readUntil(socket: Socket, isEnough: (text: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += String(chunk);
      if (isEnough(text)) resolve(text);
    });
    socket.on("close", () => resolve(text));
    socket.on("end", () => resolve(text));
  });
}

/** Waits until it holds; the test's own time limit ends what never does. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** One event of a stream. */
export interface StreamEvent {
  readonly event: string;
  readonly id: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON came.
  readonly data: any;
}

/** An event stream read as a browser's EventSource reads it: an id without data is remembered alone. */
export class EventReader {
  readonly response: Response;
  lastId = "";
  comments = 0;
  readonly #reader: { read(): Promise<{ done: boolean; value?: Uint8Array }> };
  readonly #decoder = new TextDecoder();
  readonly #abort: AbortController;
  #rest = "";

  private constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
    this.#reader = response.body!.getReader();
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<EventReader> {
    const abort = new AbortController();
    const response = await fetch(url, {
      headers: { accept: "text/event-stream", ...headers },
      signal: abort.signal,
    });
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    return new EventReader(response, abort);
  }

  /** Reads the first block, which is an id alone: from here on nothing is missed. */
  async begun(): Promise<this> {
    while (this.lastId === "") {
      const block = await this.#block();
      if (block === null) throw new Error("The stream ended before it began");
      this.#take(block);
    }
    return this;
  }

  /** The next event, or null at the end. */
  async next(): Promise<StreamEvent | null> {
    for (;;) {
      const block = await this.#block();
      if (block === null) return null;
      const event = this.#take(block);
      if (event !== null) return event;
    }
  }

  async take(count: number): Promise<StreamEvent[]> {
    const events: StreamEvent[] = [];
    while (events.length < count) {
      const event = await this.next();
      if (event === null) break;
      events.push(event);
    }
    return events;
  }

  close(): void {
    this.#abort.abort();
  }

  #take(block: string): StreamEvent | null {
    let event = "message";
    let data: string | null = null;
    for (const line of block.split("\n")) {
      if (line.startsWith(":")) this.comments++;
      else if (line.startsWith("id: ")) this.lastId = line.slice(4);
      else if (line.startsWith("event: ")) event = line.slice(7);
      else if (line.startsWith("data: ")) data = line.slice(6);
    }
    return data === null ? null : { event, id: this.lastId, data: JSON.parse(data) };
  }

  async #block(): Promise<string | null> {
    for (;;) {
      const end = this.#rest.indexOf("\n\n");
      if (end >= 0) {
        const block = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 2);
        return block;
      }
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#rest += this.#decoder.decode(value, { stream: true });
    }
  }
}

/** The methods of an API object, whether they stand on it or on its class. */
export function methods<T extends object>(api: T): T {
  const copy: Record<string, unknown> = {};
  for (let at: object = api; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) {
      const member = (api as Record<string, unknown>)[name];
      if (typeof member === "function") copy[name] ??= member.bind(api);
    }
  }
  return copy as T;
}
