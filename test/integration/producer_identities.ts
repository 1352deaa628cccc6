// Producer ids and epochs of a recorded session, and those that our broker gave in their place: in requests, and in the headers
// of batches. Invariant: what nobody was given stays as it was recorded.

import type { Api } from "../../src/protocol/schema.ts";
import {
  BATCH_HEADER_BYTES,
  patchCrc,
  producerEpochAt,
  producerIdAt,
} from "../../src/record/batch_header.ts";

const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;

interface Struct {
  readonly [name: string]: unknown;
}

interface Identity {
  readonly id: number;
  readonly epoch: number;
}

export class ProducerIdentities {
  readonly #ours = new Map<string, Identity>();

  /** Notes what an answer gave: InitProducerId, and EndTxn with its next epoch. */
  learn(api: Api, recorded: Struct, ours: Struct): void {
    if (api.name !== "InitProducerId" && api.name !== "EndTxn") return;
    const theirs = identityOf(recorded);
    const own = identityOf(ours);
    if (theirs !== null && own !== null) this.#ours.set(`${theirs.id}/${theirs.epoch}`, own);
  }

  /** A request, or a part of one, with our ids and epochs in it. */
  substituted<T>(value: T): T {
    return this.#changed(value, "") as T;
  }

  #changed(value: unknown, name: string): unknown {
    if (value instanceof Uint8Array) return name === "records" ? this.#batches(value) : value;
    if (Array.isArray(value)) return value.map((each) => this.#changed(each, name));
    if (typeof value !== "object" || value === null) return value;
    const found: Record<string, unknown> = {};
    for (const [key, each] of Object.entries(value)) found[key] = this.#changed(each, key);
    for (const prefix of ["producer", "v3AndBelowProducer"]) {
      const id = found[`${prefix}Id`];
      const own = this.#ours.get(`${id}/${found[`${prefix}Epoch`]}`);
      if (own === undefined) continue;
      found[`${prefix}Id`] = own.id;
      found[`${prefix}Epoch`] = own.epoch;
    }
    return found;
  }

  #batches(records: Uint8Array): Uint8Array {
    if (records.length < BATCH_HEADER_BYTES) return records;
    const own = this.#ours.get(`${producerIdAt(records, 0)}/${producerEpochAt(records, 0)}`);
    if (own === undefined) return records;
    const changed = records.slice();
    const view = new DataView(changed.buffer);
    view.setBigInt64(PRODUCER_ID_AT, BigInt(own.id));
    view.setInt16(PRODUCER_EPOCH_AT, own.epoch);
    patchCrc(changed, 0, changed.length);
    return changed;
  }
}

function identityOf({ errorCode, producerId, producerEpoch }: Struct): Identity | null {
  if (errorCode !== 0 || typeof producerId !== "number" || producerId < 0) return null;
  return { id: producerId, epoch: producerEpoch as number };
}
