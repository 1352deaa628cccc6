// One connection to another broker, of which the test plays the other end: the login, answers in order, and every way it fails.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../src/base/prng.ts";
import { NetworkError } from "../../../src/contracts/errors.ts";
import type { Connection, Runtime } from "../../../src/contracts/runtime.ts";
import { peerAuthenticator } from "../../../src/core/broker/peer_authenticator.ts";
import type { BrokerImage } from "../../../src/core/cluster/image.ts";
import { Peer, type PeerAddress, type PeerAnswer } from "../../../src/core/replication/peer.ts";
import { Peers } from "../../../src/core/replication/peers.ts";
import { FindCoordinator } from "../../../src/protocol/messages/10_find_coordinator.ts";
import { SaslHandshake } from "../../../src/protocol/messages/17_sasl_handshake.ts";
import { ApiVersions } from "../../../src/protocol/messages/18_api_versions.ts";
import { SaslAuthenticate } from "../../../src/protocol/messages/36_sasl_authenticate.ts";
import { type Api, decodeRequest, encodeResponse } from "../../../src/protocol/mod.ts";
import { hostCryptography } from "../../../src/runtime/cryptography.ts";
import { settle, TestRuntime } from "../../support/test_runtime.ts";

const SECRET = new Uint8Array(32).fill(7);

interface Heard {
  readonly apiKey: number;
  readonly version: number;
  readonly correlationId: number;
  readonly frame: Uint8Array;
}

/** The other end of one connection: answers versions and logins by itself, and leaves the rest to the test. */
class FarEnd {
  readonly heard: Heard[] = [];
  readonly #session;
  readonly #chunks: (Uint8Array | null)[] = [];
  #reader: ((chunk: Uint8Array | null) => void) | null = null;
  isClosed = false;
  isMute = false;

  constructor(secret = SECRET, brokerId = 2) {
    const random = SeededRandom.of(1);
    const options = { secret, crypto: hostCryptography, random, brokerId };
    const peer = { host: "127.0.0.1", listener: "kafka", tlsPeerCertificate: null };
    this.#session = peerAuthenticator(options).begin("MILLRACE-PEER", peer);
  }

  get connection(): Connection {
    return {
      remote: { host: "two", port: 9092 },
      tls: null,
      read: () =>
        new Promise((resolve) => {
          const chunk = this.#chunks.shift();
          if (chunk !== undefined) resolve(chunk);
          else this.#reader = resolve;
        }),
      write: async (chunks) => {
        if (this.isClosed) throw new NetworkError("reset", "The connection was reset");
        await this.#received(joined(chunks));
      },
      close: () => {
        this.isClosed = true;
        this.send(null);
      },
    };
  }

  /** Null: the end of the stream. */
  send(chunk: Uint8Array | null): void {
    const reader = this.#reader;
    this.#reader = null;
    if (reader === null) this.#chunks.push(chunk);
    else reader(chunk);
  }

  answer<A extends Api>(api: A, heard: Heard, body: object): void {
    this.send(joined(encodeResponse(api, heard.version, heard.correlationId, body as never)));
  }

  async #received(bytes: Uint8Array): Promise<void> {
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; ) {
      const end = at + 4 + view.getInt32(at);
      const heard = {
        apiKey: view.getInt16(at + 4),
        version: view.getInt16(at + 6),
        correlationId: view.getInt32(at + 8),
        frame: bytes.subarray(at + 4, end),
      };
      at = end;
      if (!this.isMute) await this.#greet(heard);
    }
  }

  async #greet(heard: Heard): Promise<void> {
    if (heard.apiKey === ApiVersions.apiKey) {
      const apiKeys = [
        { apiKey: FindCoordinator.apiKey, minVersion: 0, maxVersion: 4 },
        { apiKey: SaslAuthenticate.apiKey, minVersion: 0, maxVersion: 2 },
      ];
      this.answer(ApiVersions, heard, { errorCode: 0, apiKeys });
    } else if (heard.apiKey === SaslHandshake.apiKey) {
      this.answer(SaslHandshake, heard, { errorCode: 0, mechanisms: ["MILLRACE-PEER"] });
    } else if (heard.apiKey === SaslAuthenticate.apiKey) {
      const { body } = decodeRequest(SaslAuthenticate, heard.frame);
      const step = await this.#session.respond(body.authBytes);
      const errorCode = step.kind === "denied" ? 58 : 0;
      const authBytes =
        step.kind === "denied" ? new Uint8Array(0) : (step.message ?? new Uint8Array(0));
      const errorMessage = errorCode === 0 ? null : "no";
      this.answer(SaslAuthenticate, heard, {
        errorCode,
        errorMessage,
        authBytes,
        sessionLifetimeMs: 0,
      });
    } else this.heard.push(heard);
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

let time: TestRuntime;
let runtime: Runtime;
/** What connections lead to, in order; none: refused. */
let ends: FarEnd[];
let dialled: PeerAddress[];
let address: PeerAddress | null;

beforeEach(() => {
  time = new TestRuntime();
  [ends, dialled] = [[], []];
  address = { host: "two", port: 9092 };
  const connect = async (to: PeerAddress) => {
    dialled.push(to);
    const end = ends.shift();
    if (end === undefined) throw new NetworkError("refused", "Nobody listens there");
    return end.connection;
  };
  const network = { ...time.runtime.network, connect } as Runtime["network"];
  runtime = { ...time.runtime, network, crypto: hostCryptography };
});
afterEach(() => expect(time.failures).toEqual([]));

const newPeer = () =>
  new Peer({
    runtime,
    brokerId: 1,
    brokerEpoch: () => 5,
    peerId: 2,
    address: () => address,
    secret: () => SECRET,
    connectMs: () => 5_000,
  });

type Answer = PeerAnswer<typeof FindCoordinator>;

/** Asks for a group; what came back, once it has. */
function ask(peer: Peer, key: string, timeoutMs = 1_000): { answer: Answer | null } {
  const state: { answer: Answer | null } = { answer: null };
  const request = { keyType: 0, coordinatorKeys: [key] };
  void peer.call(FindCoordinator, request, { timeoutMs }).then((answer) => {
    state.answer = answer;
  });
  return state;
}

const failureOf = ({ answer }: { answer: Answer | null }) =>
  answer === null ? null : answer.ok ? "none" : answer.failure;

function found(end: FarEnd, index: number, host: string): void {
  const coordinators = [{ key: "g", nodeId: 3, host, port: 1, errorCode: 0, errorMessage: null }];
  end.answer(FindCoordinator, end.heard[index]!, { throttleTimeMs: 0, coordinators });
}

function put(end = new FarEnd()): FarEnd {
  ends.push(end);
  return end;
}

test("the first call connects and logs in; calls go out at once and are answered in order, in a version both know", async () => {
  const end = put();
  const peer = newPeer();
  const [a, b] = [ask(peer, "a"), ask(peer, "b")];
  await settle();
  expect([peer.isConnected, dialled.length]).toEqual([true, 1]);
  expect(end.heard.map(({ version }) => version)).toEqual([4, 4]);
  found(end, 0, "one");
  found(end, 1, "two");
  await settle();
  const hosts = [a, b].map(({ answer }) => answer!.ok && answer!.body.coordinators[0]!.host);
  expect(hosts).toEqual(["one", "two"]);
  peer.close();
});

describe("a login", () => {
  test("to who does not know the secret, or is another broker, is given up before anything is asked", async () => {
    for (const end of [new FarEnd(new Uint8Array(32).fill(8)), new FarEnd(SECRET, 3)]) {
      put(end);
      const state = ask(newPeer(), "a");
      await settle();
      expect([failureOf(state), end.isClosed, end.heard]).toEqual(["refused", true, []]);
    }
  });

  test("that is not answered is given up in time", async () => {
    const end = put();
    end.isMute = true;
    const state = ask(newPeer(), "a");
    await settle();
    await time.advance(4_999);
    expect(failureOf(state)).toBe(null);
    await time.advance(1);
    expect([failureOf(state), end.isClosed]).toEqual(["timed_out", true]);
  });
});

test("what the other does not serve is not sent", async () => {
  put();
  const peer = newPeer();
  const answer = await peer.call(SaslHandshake, { mechanism: "x" }, { timeoutMs: 100 });
  expect(answer).toMatchObject({ ok: false, failure: "unsupported" });
  peer.close();
});

describe("a connection", () => {
  test("that is lost fails all calls under way, and the next one opens another", async () => {
    const first = put();
    const peer = newPeer();
    const states = [ask(peer, "a"), ask(peer, "b")];
    await settle();
    first.send(null);
    await settle();
    expect(states.map(failureOf)).toEqual(["broken", "broken"]);
    const second = put();
    const state = ask(peer, "c");
    await settle();
    found(second, 0, "again");
    await settle();
    expect(failureOf(state)).toBe("none");
    peer.close();
  });

  test("of which one call has timed out is given up: its answer would be taken for another's", async () => {
    const end = put();
    const peer = newPeer();
    const [late, other] = [ask(peer, "a", 100), ask(peer, "b", 10_000)];
    await settle();
    await time.advance(100);
    expect([failureOf(late), failureOf(other), end.isClosed]).toEqual([
      "timed_out",
      "timed_out",
      true,
    ]);
  });

  test("that answers what was not asked is given up", async () => {
    const end = put();
    const state = ask(newPeer(), "a");
    await settle();
    const { version } = end.heard[0]!;
    const body = { throttleTimeMs: 0, coordinators: [] };
    end.answer(FindCoordinator, { ...end.heard[0]!, correlationId: 999, version }, body);
    await settle();
    expect([failureOf(state), end.isClosed]).toEqual(["broken", true]);
  });

  test("that cannot be opened is not tried for a while, which doubles", async () => {
    const peer = newPeer();
    const attempt = async () => {
      const state = ask(peer, "a");
      await settle();
      expect(failureOf(state)).toBe("unreachable");
      return dialled.length;
    };
    expect([await attempt(), await attempt()]).toEqual([1, 1]);
    await time.advance(20);
    expect(await attempt()).toBe(2);
    await time.advance(20);
    expect(await attempt()).toBe(2);
    await time.advance(20);
    expect(await attempt()).toBe(3);
  });
});

test("who is not registered is not called, and a peer that was closed calls nobody", async () => {
  address = null;
  const peer = newPeer();
  const state = ask(peer, "a");
  await settle();
  expect([failureOf(state), dialled]).toEqual(["unreachable", []]);
  peer.close();
  const late = ask(peer, "a");
  await settle();
  expect(failureOf(late)).toBe("closed");
});

describe("the connections of a broker", () => {
  let epochs: Map<number, number>;
  let peers: Peers;
  beforeEach(() => {
    epochs = new Map([[2, 50]]);
    peers = new Peers({
      runtime,
      brokerId: 1,
      brokerEpoch: () => 5,
      secret: () => SECRET,
      connectMs: () => 5_000,
      brokers: () =>
        new Map(
          [...epochs].map(([id, epoch]): [number, BrokerImage] => [
            id,
            { id, epoch, peer: { host: `host-${id}`, port: 9000 + epoch, isTls: false } } as never,
          ]),
        ),
    });
  });
  afterEach(() => peers.close());

  test("are one for each purpose, to where the newest registration says", async () => {
    expect(peers.peer(2, "fetch")).toBe(peers.peer(2, "fetch"));
    expect(peers.peer(2, "calls")).not.toBe(peers.peer(2, "fetch"));
    put();
    ask(peers.peer(2, "fetch"), "a");
    await settle();
    expect(dialled).toMatchObject([{ host: "host-2", port: 9050 }]);
  });

  test("end when a broker has registered anew, and open at its new address without a pause", async () => {
    const first = put();
    const peer = peers.peer(2, "fetch");
    const state = ask(peer, "a");
    await settle();
    epochs.set(2, 51);
    peers.brokersChanged();
    await settle();
    expect([failureOf(state), first.isClosed]).toEqual(["broken", true]);
    put();
    ask(peer, "b");
    await settle();
    expect([dialled.at(-1)!.port, peers.peer(2, "fetch") === peer]).toEqual([9051, true]);
    // What has not changed stays.
    peers.brokersChanged();
    expect(peer.isConnected).toBe(true);
  });

  test("to a broker that is gone are closed and forgotten", async () => {
    put();
    const peer = peers.peer(2, "fetch");
    const state = ask(peer, "a");
    await settle();
    epochs.delete(2);
    peers.brokersChanged();
    await settle();
    expect(failureOf(state)).toBe("closed");
    expect(peers.peer(2, "fetch")).not.toBe(peer);
    const late = ask(peers.peer(2, "fetch"), "a");
    await settle();
    expect(failureOf(late)).toBe("unreachable");
  });
});
