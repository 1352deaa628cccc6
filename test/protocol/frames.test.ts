// Frames of real clients and of a real broker, whole: header and body, decoded, and encoded again to the same bytes.

import { describe, expect, test } from "bun:test";
import { apis } from "../../src/protocol/all_messages.ts";
import {
  apiKeyOf,
  apiVersionOf,
  correlationIdOf,
  createApiRegistry,
  decodeAnyRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from "../../src/protocol/mod.ts";
import { bytesOfHex, hexOfBytes, loadCaptures, loadProbes } from "../vectors/load.ts";

const registry = createApiRegistry(apis);
const API_VERSIONS_KEY = 18;

function hexOfFrame(parts: readonly Uint8Array[]): string {
  const hex = parts.map(hexOfBytes).join("");
  expect(Number.parseInt(hex.slice(0, 8), 16)).toBe(hex.length / 2 - 4);
  return hex.slice(8);
}

/** Decodes and encodes a request; how many bytes trail it. */
function requestRound(hex: string): number {
  const { api, header, body, trailingBytes } = decodeAnyRequest(registry, bytesOfHex(hex));
  const { apiVersion, correlationId, clientId } = header;
  const parts = encodeRequest(api, apiVersion, correlationId, clientId, body as never);
  expect(hexOfFrame(parts)).toBe(hex.slice(0, hex.length - 2 * trailingBytes));
  return trailingBytes;
}

function responseRound(apiKey: number, version: number, hex: string): void {
  const api = registry.get(apiKey)!;
  const { correlationId, body, trailingBytes } = decodeResponse(api, version, bytesOfHex(hex));
  expect(trailingBytes).toBe(0);
  expect(hexOfFrame(encodeResponse(api, version, correlationId, body as never))).toBe(hex);
}

describe("captured sessions", () => {
  const captures = loadCaptures();

  test("are those of 11 client set-ups", () => {
    expect(captures.map((capture) => capture.client)).toContain("java-4.3.1");
    expect(captures.length).toBe(11);
  });

  for (const { client, exchanges } of captures) {
    test(`${client}: every frame decodes, and encodes to the same bytes`, () => {
      expect(exchanges.length).toBeGreaterThan(20);
      for (const { key, v, q, r, client: clientId, answeredAsV0, trailingBytes } of exchanges) {
        const frame = bytesOfHex(q);
        expect(apiKeyOf(frame)).toBe(key);
        expect(apiVersionOf(frame)).toBe(v);
        // A version that nobody declares cannot be read; its answer has the v0 layout (trap 1).
        if (answeredAsV0 !== true) {
          expect(requestRound(q)).toBe(trailingBytes ?? 0);
          expect(decodeAnyRequest(registry, frame).header.clientId).toBe(clientId);
        }
        if (r === null) continue;
        responseRound(key, answeredAsV0 === true ? 0 : v, r);
        expect(bytesOfHex(r).subarray(0, 4)).toEqual(frame.subarray(4, 8));
      }
    });
  }

  test("librdkafka sends three bytes too many with Metadata v13 (trap 2)", () => {
    const trailing = captures.flatMap((capture) =>
      capture.exchanges.filter((each) => each.trailingBytes !== undefined),
    );
    expect(trailing.length).toBeGreaterThan(0);
    for (const { api, v, trailingBytes } of trailing)
      expect([api, v, trailingBytes]).toEqual(["Metadata", 13, 3]);
  });
});

describe("probes", () => {
  const probes = loadProbes();

  test("requests that a broker answered decode and encode, and so do the answers", () => {
    let requests = 0;
    let responses = 0;
    for (const probe of probes) {
      const { requestHex, responseHex, section, what } = probe;
      const answered = probe.outcome === "response" && responseHex !== undefined;
      if (!answered || requestHex === undefined || section === "framing") continue;
      const frame = bytesOfHex(requestHex);
      const key = apiKeyOf(frame);
      const version = apiVersionOf(frame);
      const api = registry.get(key);
      if (api === undefined) continue;
      const declared = version >= api.lowest && version <= api.highest;
      try {
        if (declared) {
          requestRound(requestHex);
          requests++;
        }
        const layout = probe.responseVersion ?? version;
        responseRound(key, Number(layout), responseHex);
        responses++;
      } catch (error) {
        throw new Error(`${section}: ${what}`, { cause: error });
      }
      if (!declared) expect(key).toBe(API_VERSIONS_KEY);
      expect(correlationIdOf(frame)).toBe(correlationIdOf(bytesOfHex(`00000000${responseHex}`)));
    }
    expect(requests).toBeGreaterThan(400);
    expect(responses).toBeGreaterThan(400);
  });
});
