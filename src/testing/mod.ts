// millrace/testing: what plugin authors and we hold things to. The conformance suites need a test runner and
// are imported by their files; the simulator needs none.

export { MemoryNetwork } from "./memory_network.ts";
export {
  NO_ANSWER,
  type OfferedVersions,
  RESET,
  ScriptedBroker,
  type ScriptedCall,
  type ScriptedHandler,
} from "./scripted_broker.ts";
export { type Appended, ScriptedCluster, ScriptedLog, type ScriptedTopic } from "./scripted_log.ts";
export { MUTATIONS, type Mutation } from "./simulator/mutations.ts";
export {
  runSeed,
  type SimulationOptions,
  type SimulationResult,
} from "./simulator/simulator.ts";
export type { SimFailure } from "./simulator/world.ts";
