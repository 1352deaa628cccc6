// The states of a classic group, as Kafka spells them, and what follows what.
// Kafka: ClassicGroupState.

export type ClassicState =
  | "Empty"
  | "PreparingRebalance"
  | "CompletingRebalance"
  | "Stable"
  | "Dead";

const PREDECESSORS: Readonly<Record<ClassicState, readonly ClassicState[]>> = {
  Empty: ["PreparingRebalance"],
  PreparingRebalance: ["Stable", "CompletingRebalance", "Empty"],
  CompletingRebalance: ["PreparingRebalance"],
  Stable: ["CompletingRebalance"],
  Dead: ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"],
};

export function mayFollow(state: ClassicState, predecessor: ClassicState): boolean {
  return PREDECESSORS[state].includes(predecessor);
}
