// A TCP proxy on loopback that loses what a test says: all bytes, silently, or answers alone.
// Invariant: bytes that pass are unchanged and in order; nothing outlives `close`.

import net from "node:net";

/** "hole": nothing passes, nothing is closed. "deaf": requests pass, answers do not, and the asker sees a reset. */
export type ProxyMode = "pass" | "hole" | "deaf";

export class TcpProxy {
  mode: ProxyMode = "pass";
  /** Answers that were dropped by "deaf". */
  droppedCount = 0;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(port: number) {
    this.#server = net.createServer((asker) => this.#join(asker, net.connect(port, "127.0.0.1")));
  }

  /** @param url What it stands before, e.g. "http://127.0.0.1:2379". */
  static async before(url: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(Number(new URL(url).port));
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(asker: net.Socket, answerer: net.Socket): void {
    for (const socket of [asker, answerer]) {
      this.#sockets.add(socket);
      socket.on("error", () => {}); // Its close follows.
    }
    asker.on("data", (chunk) => {
      if (this.mode !== "hole") answerer.write(chunk);
    });
    answerer.on("data", (chunk) => {
      if (this.mode === "pass") asker.write(chunk);
      if (this.mode !== "deaf") return;
      this.droppedCount++;
      asker.resetAndDestroy();
    });
    const ended = () => {
      for (const socket of [asker, answerer]) {
        this.#sockets.delete(socket);
        if (this.mode !== "hole") socket.destroy();
      }
    };
    asker.on("close", ended);
    answerer.on("close", ended);
  }
}
