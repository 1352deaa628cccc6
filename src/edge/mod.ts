// millrace/edge: a broker in a Durable Object, and its parts for those who put it together otherwise.
// Nothing here imports Node's modules, compiles code or opens a port.

export {
  type DurableObjectStorageLike,
  durableObjectKeyValue,
  metadataKv,
  type OpenKeyValue,
  storageKv,
} from "../../plugins/storage-kv/edge.ts";
export { type TransportHttpOptions, transportHttp } from "../../plugins/transport-http/mod.ts";
export { type EdgeRuntime, type EdgeRuntimeOptions, edgeRuntime } from "../runtime/edge_runtime.ts";
export { MillraceObject, type MillraceObjectOptions } from "./millrace_object.ts";
export {
  type DurableObjectContext,
  OBJECT_SETTINGS,
  type ObjectBrokerOptions,
  openObjectBroker,
} from "./object_broker.ts";
