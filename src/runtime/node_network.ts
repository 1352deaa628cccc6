// Network over node:net and node:tls: for TLS on both hosts, and for hosts without sockets of their own.
// Invariant: one write is one corked burst, and resolves by the callback of its last chunk.

import * as net from "node:net";
import * as tls from "node:tls";
import type {
  ConnectAddress,
  Connection,
  ListenAddress,
  Listener,
  Network,
  TlsIdentity,
} from "../contracts/runtime.ts";
import {
  closedError,
  connectError,
  connectTimeout,
  hostAddress,
  listenError,
  plainHost,
  resetError,
} from "./network_errors.ts";
import { ReadQueue } from "./read_queue.ts";

/** How long a connection that we closed may take to send its last bytes and see the peer's end. */
const LINGER_MS = 2_000;
const DONE = Promise.resolve();

class NodeConnection implements Connection {
  readonly remote: { readonly host: string; readonly port: number };
  readonly tls: { readonly peerCertificate: Uint8Array | null } | null;
  readonly #socket: net.Socket;
  readonly #reads: ReadQueue;
  #reject: ((error: Error) => void) | null = null;
  #closed = false;
  #failure: Error | null = null;
  #linger: ReturnType<typeof setTimeout> | null = null;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    this.remote = { host: plainHost(socket.remoteAddress ?? ""), port: socket.remotePort ?? 0 };
    this.tls = socket instanceof tls.TLSSocket ? { peerCertificate: certificateOf(socket) } : null;
    this.#reads = new ReadQueue(socket);
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#reads.push(chunk));
    socket.on("end", () => this.#reads.end());
    socket.on("error", (error) => this.#broken(error));
    socket.on("close", () => this.#broken(null));
  }

  read(): Promise<Uint8Array | null> {
    return this.#reads.read();
  }

  write(chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#reject !== null) return Promise.reject(new Error("Cannot write: a write is pending"));
    if (this.#closed) return Promise.reject(closedError(this.remote.host, this.remote.port));
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (chunks.length === 0) return DONE;
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      const socket = this.#socket;
      socket.cork();
      const last = chunks.length - 1;
      for (let at = 0; at < last; at++) socket.write(chunks[at]!);
      socket.write(chunks[last]!, (error) => {
        if (this.#reject !== reject) return;
        if (error) {
          this.#broken(error);
          return;
        }
        this.#reject = null;
        resolve();
      });
      socket.uncork();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reads.close();
    this.#rejectWrite(closedError(this.remote.host, this.remote.port));
    if (this.#failure !== null) return;
    this.#socket.end();
    this.#linger = setTimeout(() => this.#socket.destroy(), LINGER_MS);
    this.#linger.unref();
    this.#socket.unref();
  }

  #broken(error: Error | null): void {
    if (this.#linger !== null) clearTimeout(this.#linger);
    if (this.#failure !== null || this.#closed) return;
    this.#failure = resetError(this.remote.host, this.remote.port, error);
    this.#reads.fail(this.#failure);
    this.#rejectWrite(this.#failure);
  }

  #rejectWrite(error: Error): void {
    const reject = this.#reject;
    this.#reject = null;
    reject?.(error);
  }
}

export function nodeNetwork(): Network {
  return {
    listen,
    connect,
    serveHttp: async (at, handle) => (await import("./node_http.ts")).serveHttp(at, handle),
  };
}

function listen(at: ListenAddress, accept: (connection: Connection) => void): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const accepted = (socket: net.Socket) => accept(new NodeConnection(socket));
    const server =
      at.tls === undefined
        ? net.createServer({ allowHalfOpen: true }, accepted)
        : tls.createServer({ allowHalfOpen: true, ...serverIdentity(at.tls) }, accepted);
    // A failed handshake is that peer's trouble alone.
    if (at.tls !== undefined) server.on("tlsClientError", (_error, socket) => socket.destroy());
    server.once("error", (error) => reject(listenError(at.host, at.port, error)));
    server.listen({ host: hostAddress(at.host), port: at.port, backlog: 4096 }, () => {
      server.on("error", () => {}); // An accept that failed (no file handles): the next one may work.
      const address = server.address() as net.AddressInfo;
      resolve({
        host: at.host,
        port: address.port,
        close: () => {
          // Open connections go on, so its callback would come only after the last of them.
          if (server.listening) server.close();
          return DONE;
        },
      });
    });
  });
}

function connect(to: ConnectAddress): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const at = { host: hostAddress(to.host), port: to.port, allowHalfOpen: true };
    const socket: net.Socket =
      to.tls === undefined
        ? net.connect(at)
        : tls.connect({
            ...at,
            ...serverIdentityOf(to.tls.serverName),
            ...(to.tls.caPem === undefined ? {} : { ca: to.tls.caPem }),
            ...(to.tls.identity === undefined
              ? {}
              : { cert: to.tls.identity.certificatePem, key: to.tls.identity.privateKeyPem }),
          });
    const timer = setTimeout(() => {
      reject(connectTimeout(to.host, to.port, to.timeoutMs));
      socket.destroy();
    }, to.timeoutMs);
    const failed = (error: Error) => {
      clearTimeout(timer);
      reject(connectError(to.host, to.port, error));
    };
    socket.once("error", failed);
    socket.once(to.tls === undefined ? "connect" : "secureConnect", () => {
      clearTimeout(timer);
      socket.off("error", failed);
      resolve(new NodeConnection(socket));
    });
  });
}

/** Whom we expect. An address is no name to ask for (RFC 6066), and Bun refuses it: the certificate alone must have it. */
function serverIdentityOf(serverName: string): tls.ConnectionOptions {
  if (net.isIP(serverName) === 0) return { servername: serverName };
  return {
    checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(serverName, certificate),
  };
}

function serverIdentity(identity: TlsIdentity): tls.TlsOptions {
  return {
    cert: identity.certificatePem,
    key: identity.privateKeyPem,
    ...(identity.clientCaPem === undefined
      ? {}
      : { ca: identity.clientCaPem, requestCert: true, rejectUnauthorized: true }),
  };
}

function certificateOf(socket: tls.TLSSocket): Uint8Array | null {
  const certificate = socket.getPeerCertificate();
  return certificate?.raw instanceof Uint8Array ? new Uint8Array(certificate.raw) : null;
}
