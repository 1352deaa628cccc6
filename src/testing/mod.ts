// millrace/testing: what plugin authors and we hold things to: conformance suites, power losses, the simulator.
// The suites take their test functions from bun:test: Bun has it, Deno needs it mapped, as deno.json here does;
// another runner's are given by `useTestApi`.

export {
  type MetadataStoreConformance,
  type MetadataStoreUnderTest,
  metadataStoreConformance,
} from "./conformance/metadata_store.ts";
export {
  type SegmentStoreConformance,
  type SkippedCases,
  type StorageUnderTest,
  segmentStoreConformance,
} from "./conformance/segments.ts";
export {
  type SharedStoreUnderTest,
  sharedMetadataStoreConformance,
} from "./conformance/shared_metadata_store.ts";
export { type Matchers, type TestApi, useTestApi } from "./conformance/test_api.ts";
export {
  type KeyValueFault,
  type MemoryKeyValue,
  type MemoryKeyValueOptions,
  memoryKeyValue,
  type SurvivingCommits,
} from "./memory_key_value.ts";
export { MemoryNetwork } from "./memory_network.ts";
export type { Point } from "./power_loss/disk_model.ts";
export type { Survivors } from "./power_loss/rebuild.ts";
export {
  type RecordedFiles,
  type RecordedSync,
  type Recording,
  type RecordingOptions,
  recordingFiles,
} from "./power_loss/recording_files.ts";
export {
  NO_ANSWER,
  type OfferedVersions,
  RESET,
  ScriptedBroker,
  type ScriptedCall,
  type ScriptedHandler,
} from "./scripted_broker.ts";
export { type Appended, ScriptedCluster, ScriptedLog, type ScriptedTopic } from "./scripted_log.ts";
export { CLUSTER_MUTATIONS, type ClusterMutation } from "./simulator/cluster/cluster_mutations.ts";
export {
  type ClusterSimulationOptions,
  type ClusterSimulationResult,
  runClusterSeed,
} from "./simulator/cluster/cluster_simulator.ts";
export { MUTATIONS, type Mutation } from "./simulator/mutations.ts";
export {
  runSeed,
  type SimulationOptions,
  type SimulationResult,
} from "./simulator/simulator.ts";
export type { SimFailure } from "./simulator/world.ts";
