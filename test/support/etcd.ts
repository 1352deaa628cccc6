// Real etcd for tests: members of one cluster on loopback, on free ports, in a temporary folder.
// Invariant: what was started is killed and removed by `stop`. Where etcd is comes from $ETCD, or the PATH.

import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { until } from "./waiting.ts";

export interface EtcdOptions {
  /** Default 1. */
  readonly members?: number;
  /** Of every member, e.g. ["--heartbeat-interval=50"]. */
  readonly flags?: readonly string[];
  /** Files of a certificate authority and of a server that it signed: https, and clients must show a certificate. */
  readonly tls?: { readonly ca: string; readonly certificate: string; readonly key: string };
}

interface Member {
  readonly name: string;
  readonly url: string;
  readonly peerUrl: string;
  process: ChildProcess | null;
}

export class EtcdCluster {
  readonly folder: string;
  readonly #members: readonly Member[];
  readonly #options: EtcdOptions;

  private constructor(folder: string, members: readonly Member[], options: EtcdOptions) {
    this.folder = folder;
    this.#members = members;
    this.#options = options;
  }

  static async start(options: EtcdOptions = {}): Promise<EtcdCluster> {
    const count = options.members ?? 1;
    const ports = await freePorts(2 * count);
    const scheme = options.tls === undefined ? "http" : "https";
    const members = Array.from(
      { length: count },
      (_, at): Member => ({
        name: `m${at}`,
        url: `${scheme}://127.0.0.1:${ports[2 * at]}`,
        peerUrl: `http://127.0.0.1:${ports[2 * at + 1]}`,
        process: null,
      }),
    );
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "millrace-etcd-"));
    const cluster = new EtcdCluster(folder, members, options);
    try {
      for (let at = 0; at < count; at++) cluster.startMember(at);
      await cluster.ready();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get urls(): string[] {
    return this.#members.map(({ url }) => url);
  }

  startMember(at: number): void {
    const { name, url, peerUrl } = this.#members[at]!;
    const { tls, flags = [] } = this.#options;
    const log = fs.openSync(path.join(this.folder, `${name}.log`), "a");
    const child = spawn(
      process.env["ETCD"] ?? "etcd",
      [
        `--name=${name}`,
        `--data-dir=${path.join(this.folder, name)}`,
        `--listen-client-urls=${url}`,
        `--advertise-client-urls=${url}`,
        `--listen-peer-urls=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        `--initial-cluster=${this.#members.map((each) => `${each.name}=${each.peerUrl}`).join(",")}`,
        ...(tls === undefined
          ? []
          : [
              `--trusted-ca-file=${tls.ca}`,
              `--cert-file=${tls.certificate}`,
              `--key-file=${tls.key}`,
              "--client-cert-auth",
            ]),
        ...flags,
      ],
      { stdio: ["ignore", log, log] },
    );
    fs.closeSync(log);
    this.#members[at]!.process = child;
    child.on("error", () => {}); // It shows as a member that is never ready.
  }

  /** Waits until each member that runs says so in its log. */
  async ready(): Promise<void> {
    for (const { name, process: child } of this.#members) {
      if (child === null) continue;
      const file = path.join(this.folder, `${name}.log`);
      const isReady = () => {
        if (child.exitCode !== null || child.pid === undefined) {
          throw new Error(`etcd ended: ${fs.readFileSync(file, "utf8").slice(-2_000)}`);
        }
        return fs.readFileSync(file, "utf8").includes("ready to serve client requests");
      };
      await until(isReady, `etcd ${name} ready`, 20_000);
    }
  }

  /** kill -9, or another signal ("SIGSTOP", "SIGCONT"). */
  async signal(at: number, name: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const member = this.#members[at]!;
    const child = member.process;
    if (child === null || child.pid === undefined || child.exitCode !== null) return;
    if (name !== "SIGKILL") {
      process.kill(child.pid!, name);
      return;
    }
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    // Not child.kill: under Deno it does nothing after a SIGSTOP.
    process.kill(child.pid!, name);
    await ended;
    member.process = null;
  }

  /** Starts a member on what it left, in a log of its own. */
  async restart(at: number): Promise<void> {
    fs.rmSync(path.join(this.folder, `${this.#members[at]!.name}.log`));
    this.startMember(at);
    await this.ready();
  }

  /** The member that leads, by its own word; -1 while none does. */
  async leader(): Promise<number> {
    for (const [at, { process: child }] of this.#members.entries()) {
      if (child === null) continue;
      const status = (await this.call(at, "maintenance/status").catch(() => null)) as {
        leader?: string;
        header: { member_id: string };
      } | null;
      if (status?.leader === status?.header.member_id && status !== null) return at;
    }
    return -1;
  }

  /** A call of etcd's own, past the plugin. */
  async call(at: number, name: string, request: object = {}, token?: string): Promise<unknown> {
    const { tls } = this.#options;
    const url = `${this.#members[at]!.url}/v3/${name}`;
    const options: https.RequestOptions = {
      method: "POST",
      agent: false,
      headers: token === undefined ? {} : { Authorization: token },
      timeout: 5_000,
      ...(tls && {
        ca: fs.readFileSync(tls.ca),
        cert: fs.readFileSync(tls.certificate),
        key: fs.readFileSync(tls.key),
      }),
    };
    const text = await new Promise<string>((resolve, reject) => {
      const asked = (tls === undefined ? http : https).request(url, options, (answer) => {
        let body = "";
        answer.setEncoding("utf8").on("data", (chunk) => {
          body += chunk;
        });
        answer.on("end", () =>
          answer.statusCode === 200
            ? resolve(body)
            : reject(new Error(`etcd refuses ${name}: ${body}`)),
        );
        answer.on("error", reject);
      });
      asked.on("error", reject);
      asked.on("timeout", () => asked.destroy(new Error(`etcd does not answer ${name}`)));
      asked.end(JSON.stringify(request));
    });
    return JSON.parse(text);
  }

  async stop(): Promise<void> {
    for (let at = 0; at < this.#members.length; at++) await this.signal(at);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Free a moment ago: held all at once, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<net.Server>((resolve, reject) => {
          const server = net.createServer();
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
