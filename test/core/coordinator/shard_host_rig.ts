// A shard of texts in a host over a scripted log: what the tests of hosts decide on and look at.

import { DecodeError } from "../../../src/base/byte_reader.ts";
import { EncodeError } from "../../../src/base/byte_writer.ts";
import {
  answer,
  type Decide,
  type Decision,
  NO_DECISION,
  type Now,
  type RecordSerde,
  type Reply,
  type Shard,
  type ShardTimers,
} from "../../../src/core/coordinator/runtime/shard.ts";
import { ShardHost } from "../../../src/core/coordinator/runtime/shard_host.ts";
import type { Outcome } from "../../../src/protocol/errors.ts";
import type { Codec } from "../../../src/record/compression.ts";
import { TestRuntime } from "../../support/test_runtime.ts";
import { ScriptedLog } from "./scripted_log.ts";

export interface Entry {
  readonly key: string;
  readonly value: string | null;
}

export const encoder = new TextEncoder();
export const decoder = new TextDecoder();

/** Keys that begin with "?" are of a type that is not known, "!" of one that cannot be read, "#" of one that cannot be written. */
export const serde: RecordSerde<Entry> = {
  encode({ key, value }) {
    if (key.startsWith("#")) throw new EncodeError("not writable");
    return {
      key: encoder.encode(key),
      value: value === null ? null : encoder.encode(value),
    };
  },
  decode(key, value) {
    const text = decoder.decode(key);
    if (text.startsWith("?")) return null;
    if (text.startsWith("!")) throw new DecodeError("not readable");
    return { key: text, value: value === null ? null : decoder.decode(value) };
  },
};

/** A map of texts, and readers who wait for a key. */
export class MapShard implements Shard<Entry> {
  readonly map = new Map<string, string>();
  readonly offsets: number[] = [];
  readonly waiting = new Map<string, Reply<string>[]>();
  readonly timers: ShardTimers<Entry>;
  isDropped = false;
  loadedAt: Now | null = null;

  constructor(timers: ShardTimers<Entry>) {
    this.timers = timers;
  }

  replay({ key, value }: Entry, offset: number): void {
    if (key === "poison") throw new Error("cannot be replayed");
    this.offsets.push(offset);
    if (value === null) this.map.delete(key);
    else this.map.set(key, value);
  }

  loaded(now: Now): Decision<Entry> {
    this.loadedAt = now;
    return NO_DECISION;
  }

  dropped(): void {
    this.isDropped = true;
  }

  put(entries: readonly Entry[], reply: Reply<string>): Decision<Entry> {
    const woken = entries.flatMap(({ key, value }) => {
      const replies = this.waiting.get(key) ?? [];
      this.waiting.delete(key);
      return replies.map((each) => answer(each, value ?? "gone"));
    });
    return { records: entries, answers: [answer(reply, "put"), ...woken] };
  }

  get(key: string, reply: Reply<string>): Decision<Entry> {
    return { records: [], answers: [answer(reply, this.map.get(key) ?? "none")] };
  }

  waitFor(key: string, reply: Reply<string>): Decision<Entry> {
    this.waiting.set(key, [...(this.waiting.get(key) ?? []), reply]);
    return NO_DECISION;
  }
}

export class Rig {
  readonly test = new TestRuntime();
  readonly log: ScriptedLog;
  readonly shards: MapShard[] = [];
  readonly host: ShardHost<MapShard, Entry>;
  readonly gone = new AbortController();
  codec: Codec = "none";

  constructor(log = new ScriptedLog(), pendingMax = 1000, loadsByItself = false) {
    this.log = log;
    this.host = new ShardHost({
      log,
      serde,
      runtime: this.test.runtime,
      makeShard: (timers) => {
        const shard = new MapShard(timers);
        this.shards.push(shard);
        return shard;
      },
      codec: () => this.codec,
      pendingMax,
      ...(loadsByItself ? { loadsByItself } : {}),
    });
  }

  get shard(): MapShard {
    return this.shards.at(-1)!;
  }

  run(decide: Decide<MapShard, Entry, string>, signal = this.gone.signal): Watched {
    return new Watched(this.host.run(decide, signal));
  }

  put(key: string, value: string | null = "v"): Watched {
    return this.run((shard, _now, reply) => shard.put([{ key, value }], reply));
  }

  get(key: string): Watched {
    return this.run((shard, _now, reply) => shard.get(key, reply));
  }

  waitFor(key: string, signal = this.gone.signal): Watched {
    return this.run((shard, _now, reply) => shard.waitFor(key, reply), signal);
  }
}

/** A promise with what it came to: the answer, or the code of a refusal; null while it waits. */
export class Watched {
  seen: string | null = null;
  readonly done: Promise<string>;

  constructor(promise: Promise<Outcome<string>>) {
    this.done = promise.then((outcome) => {
      this.seen = outcome.ok ? outcome.value : outcome.error.code;
      return this.seen;
    });
  }
}

/** A log that another life has written `entries` into, a batch for each. */
export async function written(
  entries: readonly Entry[],
  codec: Codec = "none",
  batchBytesMax = 1_048_588,
): Promise<ScriptedLog> {
  const rig = new Rig();
  rig.log.batchBytesMax = batchBytesMax;
  rig.codec = codec;
  for (const { key, value } of entries) {
    await rig.put(key, value).done;
  }
  rig.host.close();
  return rig.log;
}
