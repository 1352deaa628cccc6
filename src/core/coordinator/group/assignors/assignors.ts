// The assignors that this broker has, by the names that members and group.consumer.assignors call them.

import type { Assignor } from "./assignor.ts";
import { rangeAssignor } from "./range.ts";
import { assignHeterogeneous } from "./uniform_heterogeneous.ts";
import { assignHomogeneous } from "./uniform_homogeneous.ts";

/** As many partitions for everybody, whatever their topics, and as few moved as can be. Kafka: UniformAssignor. */
export const uniformAssignor: Assignor = {
  name: "uniform",
  assign: (input) => (input.isHomogeneous ? assignHomogeneous(input) : assignHeterogeneous(input)),
};

export const ASSIGNORS: readonly Assignor[] = [uniformAssignor, rangeAssignor];

/** Undefined when this broker has none of that name. */
export function assignorNamed(name: string): Assignor | undefined {
  return ASSIGNORS.find((assignor) => assignor.name === name);
}
