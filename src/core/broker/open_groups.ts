// Everything that groups are made of, behind one import: lazy_groups.ts loads it when somebody first asks for a group.

import type { Caller, GroupApi } from "../../contracts/broker.ts";
import type { ApiContext } from "./api_context.ts";
import { createGroupApi } from "./group_api.ts";
import { GroupCoordinator, type GroupCoordinatorOptions } from "./group_coordinator.ts";

export interface GroupsOptions extends GroupCoordinatorOptions {
  readonly api: ApiContext;
  /** Whether the caller may see a topic. Asked where a request does not name it: by an expression. */
  readonly mayDescribe: (caller: Caller, topic: string) => boolean;
}

export interface OpenGroups {
  readonly api: GroupApi;
  readonly coordinator: GroupCoordinator;
}

export function openGroups(options: GroupsOptions): OpenGroups {
  const coordinator = new GroupCoordinator(options);
  const { api, mayDescribe } = options;
  return { api: createGroupApi({ api, groups: coordinator, mayDescribe }), coordinator };
}
