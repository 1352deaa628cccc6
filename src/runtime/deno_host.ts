// The part of Deno's own API that src/runtime uses, declared here because the checker runs with
// Bun's and Node's types, which do not know it.

export interface DenoHost {
  listen(options: { hostname: string; port: number; tcpBacklog?: number }): DenoListener;
  connect(options: { hostname: string; port: number; signal?: AbortSignal }): Promise<DenoConn>;
  serve(
    options: {
      hostname: string;
      port: number;
      tcpBacklog?: number;
      cert?: string;
      key?: string;
      onListen: () => void;
      onError: (error: unknown) => Response;
    },
    handle: (
      request: Request,
      info: { readonly remoteAddr: { readonly hostname: string; readonly port: number } },
    ) => Promise<Response>,
  ): DenoHttpServer;
  unrefTimer(id: number): void;
  readonly stdin: { isTerminal(): boolean };
  readonly stderr: { writeSync(bytes: Uint8Array): number; isTerminal(): boolean };
  readonly env: { toObject(): Record<string, string> };
  readonly version: { readonly deno: string };
  readonly permissions: {
    querySync(wanted: DenoPermission): { readonly state: string };
    requestSync(wanted: DenoPermission): { readonly state: string };
  };
}

export interface DenoPermission {
  readonly name: string;
  readonly host?: string;
  readonly path?: string;
}

export interface DenoListener {
  readonly addr: { readonly hostname: string; readonly port: number };
  accept(): Promise<DenoConn>;
  close(): void;
}

export interface DenoHttpServer {
  readonly addr: { readonly port: number };
  /** Stops accepting; resolves when the last response has ended. */
  shutdown(): Promise<void>;
  unref(): void;
}

export interface DenoConn {
  readonly remoteAddr: { readonly hostname: string; readonly port: number };
  read(target: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
  setNoDelay(noDelay: boolean): void;
}
