// An etcd of tests: its JSON gateway on a network inside the process, and a script of what goes wrong.
// Invariant: without a script it is etcd as the plugin sees it: conditions, leases on the test's clock, watches,
// compaction. Held to the real one by the suite of metadata stores, which both pass.

import type { Clock, Connection } from "../../src/contracts/runtime.ts";
import type { MemoryNetwork } from "../../src/testing/memory_network.ts";

type Json = Record<string, unknown>;

/** "lost": it is not carried out, and the connection breaks. "deaf": it is, and the answer is lost. "silent": nothing comes. */
export type Fault = "lost" | "deaf" | "silent" | { readonly status: number; readonly text: string };

interface Row {
  readonly key: string;
  readonly value: string;
  readonly modRevision: number;
  readonly lease: string | null;
}
interface Change extends Row {
  readonly isDelete: boolean;
}
interface Watcher {
  readonly from: string;
  readonly to: string;
  readonly connection: Connection;
}

const text = (base64: unknown): string => atob(String(base64));

export class ScriptedEtcd {
  /** Asked before each request. */
  fault: (path: string, request: Json) => Fault | null = () => null;
  readonly calls: {
    readonly path: string;
    readonly request: Json;
    readonly token: string | null;
  }[] = [];
  clusterId = "1";
  /** Demanded of every request but logins, where it is set. */
  token: string | null = null;
  logins = 0;
  revision = 1;
  compactedAt = 0;
  readonly rows = new Map<string, Row>();
  readonly leases = new Map<string, { readonly ttlMs: number; endsMs: number }>();
  readonly watchers = new Set<Watcher>();
  #history: Change[] = [];
  #leaseCount = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Answers at a port of the network; several ports are several members. */
  async listen(network: MemoryNetwork, port: number, isSilent = () => false): Promise<void> {
    await network.listen({ host: "127.0.0.1", port }, (connection) => {
      void this.#serve(connection, isSilent);
    });
  }

  compact(revision: number): void {
    this.compactedAt = revision;
    this.#history = this.#history.filter(({ modRevision }) => modRevision >= revision);
  }

  /** Takes away what leases have run out by the clock. */
  expire(): void {
    for (const [id, { endsMs }] of this.leases) {
      if (this.#clock.monotonicMs() >= endsMs) this.#revoke(id);
    }
  }

  /** Carries a request out once more, as one that lay somewhere on the way. @returns Whether its conditions held. */
  comeLate(request: Json): boolean {
    return this.#transact(request)["succeeded"] === true;
  }

  async #serve(connection: Connection, isSilent: () => boolean): Promise<void> {
    let unread = new Uint8Array(0);
    for (;;) {
      const chunk = await connection.read().catch(() => null);
      if (chunk === null) return;
      unread = new Uint8Array([...unread, ...chunk]);
      const seen = new TextDecoder("latin1").decode(unread);
      const headEnd = seen.indexOf("\r\n\r\n");
      if (headEnd === -1) continue;
      const head = seen.slice(0, headEnd);
      const length = Number(/content-length: (\d+)/i.exec(head)![1]);
      if (unread.length < headEnd + 4 + length) continue;
      const body = new TextDecoder().decode(unread.subarray(headEnd + 4, headEnd + 4 + length));
      unread = unread.slice(headEnd + 4 + length);
      const path = head.split(" ")[1]!;
      const token = /authorization: (\S+)/i.exec(head)?.[1] ?? null;
      if (!isSilent()) await this.#request(connection, path, JSON.parse(body) as Json, token);
    }
  }

  async #request(
    connection: Connection,
    path: string,
    request: Json,
    token: string | null,
  ): Promise<void> {
    this.calls.push({ path, request, token });
    const fault = this.fault(path, request);
    if (fault === "silent") return;
    if (fault === "lost") {
      connection.close();
      return;
    }
    if (typeof fault === "object" && fault !== null) {
      await send(connection, fault.status, fault.text);
      return;
    }
    if (this.token !== null && path !== "/v3/auth/authenticate" && token !== this.token) {
      await send(connection, 401, refusal(16, "etcdserver: invalid auth token"));
      return;
    }
    this.expire();
    if (path === "/v3/watch") {
      await this.#watch(connection, request["create_request"] as Json);
      return;
    }
    let status = 200;
    let answer: string;
    try {
      answer = JSON.stringify({ header: this.#header(), ...this.#carryOut(path, request) });
    } catch (error) {
      const code = (error as { code?: number }).code;
      if (code === undefined) throw error;
      status = 400;
      answer = refusal(code, (error as Error).message);
    }
    if (fault === "deaf") connection.close();
    else await send(connection, status, answer);
  }

  #header(): Json {
    return { cluster_id: this.clusterId, revision: String(this.revision) };
  }

  #carryOut(path: string, request: Json): Json {
    const lease = String(request["ID"]);
    switch (path) {
      case "/v3/kv/range":
        return this.#range(request);
      case "/v3/kv/txn":
        return this.#transact(request);
      case "/v3/lease/grant": {
        const id = String(++this.#leaseCount);
        const ttlMs = Number(request["TTL"]) * 1000;
        this.leases.set(id, { ttlMs, endsMs: this.#clock.monotonicMs() + ttlMs });
        return { ID: id, TTL: request["TTL"] };
      }
      case "/v3/lease/keepalive": {
        const found = this.leases.get(lease);
        if (found === undefined) return { result: { header: this.#header(), ID: lease } };
        found.endsMs = this.#clock.monotonicMs() + found.ttlMs;
        const TTL = String(found.ttlMs / 1000);
        return { result: { header: this.#header(), ID: lease, TTL } };
      }
      case "/v3/lease/timetolive":
        return { ID: lease, TTL: this.leases.has(lease) ? "1" : "-1" };
      case "/v3/lease/revoke":
        if (!this.leases.has(lease)) throw refused(5, "etcdserver: requested lease not found");
        this.#revoke(lease);
        return { header: this.#header() };
      case "/v3/auth/authenticate":
        this.logins++;
        if (request["password"] !== "right") throw refused(3, "authentication failed");
        return { token: this.token ?? "any" };
      default:
        throw refused(12, "Not Implemented");
    }
  }

  #range({ key, range_end, limit, revision, keys_only }: Json): Json {
    const at = Number(revision ?? 0);
    if (at > 0 && at < this.compactedAt)
      throw refused(11, "mvcc: required revision has been compacted");
    const [from, to] = [text(key), range_end === undefined ? null : text(range_end)];
    const found = [...this.rows.values()]
      .filter((row) => (to === null ? row.key === from : row.key >= from && row.key < to))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    const max = Number(limit ?? 0) || found.length;
    const kvs = found.slice(0, max).map((row) => rowJson(row, keys_only === true));
    return { kvs, ...(found.length > max ? { more: true } : {}) };
  }

  #transact(request: Json): Json {
    const holds = ((request["compare"] ?? []) as Json[]).every(({ key, target, ...wanted }) => {
      const row = this.rows.get(text(key));
      return target === "VALUE"
        ? row?.value === wanted["value"]
        : (row?.modRevision ?? 0) === Number(wanted["mod_revision"]);
    });
    const operations = ((request[holds ? "success" : "failure"] ?? []) as Json[]).map(
      (operation) => Object.entries(operation)[0]! as [string, Json],
    );
    for (const [, { lease }] of operations) {
      if (lease !== undefined && !this.leases.has(String(lease))) {
        throw refused(5, "etcdserver: requested lease not found");
      }
    }
    const next = this.revision + 1;
    const changes: Change[] = [];
    const responses = operations.map(([name, operation]) => {
      if (name === "request_range") return { response_range: this.#range(operation) };
      const key = text(operation["key"]);
      const isDelete = name === "request_delete_range";
      const lease = operation["lease"] === undefined ? null : String(operation["lease"]);
      const value = String(operation["value"] ?? "");
      if (!isDelete || this.rows.has(key)) {
        changes.push({ key, value, modRevision: next, lease, isDelete });
      }
      return {};
    });
    this.#apply(changes);
    return { header: this.#header(), responses, ...(holds ? { succeeded: true } : {}) };
  }

  #apply(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    this.revision++;
    for (const change of changes) {
      if (change.isDelete) this.rows.delete(change.key);
      else this.rows.set(change.key, change);
    }
    this.#history.push(...changes);
    for (const watcher of this.watchers) void this.#tell(watcher, changes);
  }

  #revoke(id: string): void {
    this.leases.delete(id);
    const modRevision = this.revision + 1;
    const owned = [...this.rows.values()].filter(({ lease }) => lease === id);
    this.#apply(
      owned.map(({ key }) => ({ key, value: "", modRevision, lease: null, isDelete: true })),
    );
  }

  async #watch(connection: Connection, { key, range_end, start_revision }: Json): Promise<void> {
    const head =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    await connection.write([new TextEncoder().encode(head)]);
    await sendChunk(connection, { header: this.#header(), created: true });
    const start = Number(start_revision);
    if (start < this.compactedAt) {
      const compact_revision = String(this.compactedAt);
      await sendChunk(connection, { header: this.#header(), canceled: true, compact_revision });
      return;
    }
    const watcher = { from: text(key), to: text(range_end), connection };
    this.watchers.add(watcher);
    await this.#tell(
      watcher,
      this.#history.filter(({ modRevision }) => modRevision >= start),
    );
  }

  async #tell(watcher: Watcher, changes: readonly Change[]): Promise<void> {
    const events = changes
      .filter(({ key }) => key >= watcher.from && key < watcher.to)
      .map((change) => ({
        ...(change.isDelete ? { type: "DELETE" } : {}),
        kv: rowJson(change, change.isDelete),
      }));
    if (events.length === 0) return;
    try {
      await sendChunk(watcher.connection, { header: this.#header(), events });
    } catch {
      // It was closed.
      this.watchers.delete(watcher);
    }
  }
}

function rowJson({ key, value, modRevision }: Row, isKeyOnly: boolean): Json {
  const bytes = isKeyOnly || value === "" ? {} : { value };
  return { key: btoa(key), mod_revision: String(modRevision), ...bytes };
}

function refused(code: number, message: string): Error {
  return Object.assign(new Error(message), { code });
}

function refusal(code: number, message: string): string {
  return JSON.stringify({ error: message, message, code });
}

async function send(connection: Connection, status: number, body: string): Promise<void> {
  const head = `HTTP/1.1 ${status} Said\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  await connection.write([new TextEncoder().encode(head + body)]);
}

/** One message of a stream, torn in two: what reads it may not count on whole ones. */
export async function sendChunk(connection: Connection, result: Json): Promise<void> {
  const line = `${JSON.stringify({ result })}\n`;
  const half = line.length >> 1;
  for (const part of [line.slice(0, half), line.slice(half)]) {
    await connection.write([
      new TextEncoder().encode(`${part.length.toString(16)}\r\n${part}\r\n`),
    ]);
  }
}
