// A store over scripted members of one etcd, on a clock that the test turns.

import { metadataEtcd } from "../../../plugins/metadata-etcd/mod.ts";
import type { MetadataEtcdOptions } from "../../../plugins/metadata-etcd/options.ts";
import type {
  MetadataStore,
  RevisionChanges,
  Session,
} from "../../../src/contracts/metadata_store.ts";
import { MemoryNetwork } from "../../../src/testing/memory_network.ts";
import { ScriptedEtcd } from "../../support/scripted_etcd.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";

export const PORTS = [2379, 2380] as const;

export class Rig {
  readonly time = new TestRuntime();
  readonly network = new MemoryNetwork();
  readonly etcd = new ScriptedEtcd(this.time.runtime.clock);
  /** Ports whose requests are swallowed. */
  readonly silent = new Set<number>();
  readonly runtime = { ...this.time.runtime, network: this.network };

  /** Members at the ports; what they hold is one. */
  async listen(...ports: readonly number[]): Promise<this> {
    for (const port of ports) {
      await this.etcd.listen(this.network, port, () => this.silent.has(port));
    }
    return this;
  }

  open(options: Partial<MetadataEtcdOptions> = {}): Promise<MetadataStore> {
    const endpoints = PORTS.map((port) => `http://127.0.0.1:${port}`);
    const plugin = metadataEtcd({ endpoints, requestTimeoutMs: 4_000, ...options });
    return this.during(plugin.open({ runtime: this.runtime, brokerId: 1 }));
  }

  /** Turns the clock until it settles, for two minutes at most. */
  async during<T>(work: Promise<T>): Promise<T> {
    let isSettled = false;
    const note = () => {
      isSettled = true;
    };
    work.then(note, note);
    await settle();
    for (let turn = 0; turn < 4_800 && !isSettled; turn++) await this.time.advance(25);
    if (!isSettled) throw new Error("it does not settle");
    return await work;
  }

  async codeOf(work: Promise<unknown>): Promise<string> {
    try {
      await this.during(work);
    } catch (error) {
      return `${(error as { code: string }).code}: ${(error as Error).message}`;
    }
    return "none";
  }

  put(store: MetadataStore, key: string, value: string, session?: Session): Promise<number> {
    return this.during(putting(store, key, value, session));
  }

  /** Ends with the test's own check that nothing of the store is left running. */
  async close(store: MetadataStore): Promise<void> {
    await this.during(store.close());
    if (this.time.failures.length > 0) throw this.time.failures[0];
  }
}

export async function putting(
  store: MetadataStore,
  key: string,
  value: string,
  session?: Session,
): Promise<number> {
  const write = { key, value: new TextEncoder().encode(value), ...(session && { session }) };
  const result = await store.commit({ conditions: [], writes: [write] });
  if (!result.ok) throw new Error("a commit without conditions had conflicts");
  return result.revision;
}

/** The steps of a watch, each as "revision key=value …", or "reset". */
export async function* told(
  store: MetadataStore,
  revision: number,
  signal: AbortSignal,
): AsyncGenerator<string> {
  for await (const step of store.watch("", revision, signal)) yield lineOf(step);
}

function lineOf(step: RevisionChanges | "reset"): string {
  if (step === "reset") return step;
  const puts = step.puts.map(({ key, value }) => `${key}=${new TextDecoder().decode(value)}`);
  return [step.revision, ...puts, ...step.deletes.map((key) => `-${key}`)].join(" ");
}
