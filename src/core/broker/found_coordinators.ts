// FindCoordinator's answers, of groups and of transactions alike: every coordinator is on this broker.
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

type Coordinator = FindCoordinatorResponse["coordinators"][number];

/** @param find Null: it is on this broker. */
export async function findCoordinators(
  api: ApiContext,
  caller: Caller,
  request: FindCoordinatorRequest,
  version: number,
  find: (key: string) => Promise<NotFound | null>,
): Promise<FindCoordinatorResponse> {
  const keys = version >= KEYS_FROM ? request.coordinatorKeys : [request.key];
  const found = await Promise.all(
    keys.map(async (key) => {
      const missing = await find(key);
      return missing === null ? thisBroker(api, caller, key) : nowhere(key, missing);
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

function thisBroker(api: ApiContext, caller: Caller, key: string): Coordinator {
  const { id, host, port } = brokersFor(api, caller)[0]!;
  return { key, nodeId: id, host, port, errorCode: NONE, errorMessage: "" };
}
