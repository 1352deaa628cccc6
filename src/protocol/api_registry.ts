// Key → API, for whoever decodes without knowing beforehand what comes. Built from the APIs it is given, so that a
// broker loads the messages it serves and no others; all_messages.ts has all of them, for tests and tools.
// Invariant: one API a key.
// Kafka: ApiKeys, ApiMessageType.

import { assert } from "../base/assert.ts";
import type { Api } from "./schema.ts";

/** The APIs that somebody serves or speaks. */
export interface ApiRegistry {
  /** By ascending key: what ApiVersions lists. */
  readonly apis: readonly Api[];
  /** Undefined for a key that is not among them. */
  get(apiKey: number): Api | undefined;
  /** Whether the version is declared and stable. */
  serves(apiKey: number, version: number): boolean;
}

/** A registry of `apis`, in any order. */
export function createApiRegistry(apis: readonly Api[]): ApiRegistry {
  const byKey = new Map<number, Api>();
  for (const api of apis) {
    assert(!byKey.has(api.apiKey), "An API key is registered twice");
    byKey.set(api.apiKey, api);
  }
  return {
    apis: [...apis].sort((a, b) => a.apiKey - b.apiKey),
    get: (apiKey) => byKey.get(apiKey),
    serves(apiKey, version) {
      const api = byKey.get(apiKey);
      return api !== undefined && version >= api.lowest && version <= api.highestStable;
    },
  };
}
