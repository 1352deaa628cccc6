// FindCoordinator's answers, of groups and of transactions alike: the broker that leads the partition of a key, as the caller's
// listener reaches it. Invariant: one that nobody leads, or that the listener does not reach, is to be asked for again.
// Kafka: KafkaApis.handleFindCoordinatorRequest.

import type { Caller } from "../../contracts/broker.ts";
import { type KafkaErrorName, NONE, wireCodeOf } from "../../protocol/errors.ts";
import type {
  FindCoordinatorRequest,
  FindCoordinatorResponse,
} from "../../protocol/messages/10_find_coordinator.ts";
import { type ApiContext, brokersFor } from "./api_context.ts";

/** First version with several keys in one request. */
const KEYS_FROM = 4;

/** Why a key has no coordinator. */
export interface NotFound {
  readonly code: KafkaErrorName;
  readonly message: string;
}

/** The broker that leads what a key falls on; -1: nobody, at the moment. */
export interface FoundCoordinator {
  readonly brokerId: number;
}

type Coordinator = FindCoordinatorResponse["coordinators"][number];

export async function findCoordinators(
  api: ApiContext,
  caller: Caller,
  request: FindCoordinatorRequest,
  version: number,
  find: (key: string) => Promise<NotFound | FoundCoordinator>,
): Promise<FindCoordinatorResponse> {
  const keys = version >= KEYS_FROM ? request.coordinatorKeys : [request.key];
  const found = await Promise.all(
    keys.map(async (key) => {
      const place = await find(key);
      return "code" in place ? nowhere(key, place) : somewhere(api, caller, key, place);
    }),
  );
  const [first] = found;
  if (version >= KEYS_FROM || first === undefined) {
    return { ...NO_COORDINATOR, coordinators: found };
  }
  const { nodeId, host, port, errorCode } = first;
  const errorMessage = errorCode === NONE ? "NONE" : first.errorMessage;
  return { throttleTimeMs: 0, errorCode, errorMessage, nodeId, host, port, coordinators: [] };
}

const NO_COORDINATOR: Omit<FindCoordinatorResponse, "coordinators"> = {
  throttleTimeMs: 0,
  errorCode: NONE,
  errorMessage: null,
  nodeId: 0,
  host: "",
  port: 0,
};

function nowhere(key: string, { code, message }: NotFound): Coordinator {
  const errorCode = wireCodeOf(code);
  return { key, nodeId: -1, host: "", port: -1, errorCode, errorMessage: message };
}

function somewhere(
  api: ApiContext,
  caller: Caller,
  key: string,
  { brokerId }: FoundCoordinator,
): Coordinator {
  const broker = brokersFor(api, caller).find(({ id }) => id === brokerId);
  if (broker === undefined) {
    const message = "The coordinator has no broker at the moment";
    return nowhere(key, { code: "coordinator_not_available", message });
  }
  const { id, host, port } = broker;
  return { key, nodeId: id, host, port, errorCode: NONE, errorMessage: "" };
}
