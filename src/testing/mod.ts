// millrace/testing: what plugin authors and we hold things to. The conformance suites need a test runner and
// are imported by their files; the simulator needs none.

export { MUTATIONS, type Mutation } from "./simulator/mutations.ts";
export {
  runSeed,
  type SimulationOptions,
  type SimulationResult,
} from "./simulator/simulator.ts";
export type { SimFailure } from "./simulator/world.ts";
