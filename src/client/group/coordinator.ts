// The broker that coordinates a group.
// Kafka: AbstractCoordinator.lookupCoordinator, CoordinatorRequestManager.

import { Coordinator, type CoordinatorContext } from "../coordinator.ts";

export type { AskOptions, CoordinatorContext } from "../coordinator.ts";

export class GroupCoordinator extends Coordinator {
  constructor(context: CoordinatorContext, group: string) {
    super(context, "group", group);
  }

  get group(): string {
    return this.key;
  }
}
