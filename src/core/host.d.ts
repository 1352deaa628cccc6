// The few host globals that the core rooms (base, record, protocol, contracts, core) may name.
// They compile with lib "esnext" and this file alone, so a global that is not here is a type error there.
// Adding a name is a reviewed act with an ADR: every one must exist, and behave alike, on Bun, Deno and workerd,
// and must neither read a clock, nor draw randomness, nor wait (docs/adr/0008-determinism.md).

declare class TextEncoder {
  encode(text?: string): Uint8Array<ArrayBuffer>;
  encodeInto(text: string, target: Uint8Array): { read: number; written: number };
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: Uint8Array, options?: { stream?: boolean }): string;
}

interface AbortSignal {
  readonly aborted: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: the platform's own type of an abort reason.
  readonly reason: any;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
  throwIfAborted(): void;
}

declare class AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

/** Opaque here: `FetchHandler` passes them through, and only a transport opens them. */
interface Request {
  readonly method: string;
  readonly url: string;
}
interface Response {
  readonly status: number;
}
