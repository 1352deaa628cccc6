// All groups of one shard, by id. Invariant: an id has one group, of one type, at a time.

import type { Group } from "./group.ts";

export class Groups {
  readonly #byId = new Map<string, Group>();

  get size(): number {
    return this.#byId.size;
  }

  get(groupId: string): Group | undefined {
    return this.#byId.get(groupId);
  }

  /** Puts the group in place of whatever had its id. */
  set(group: Group): void {
    this.#byId.set(group.groupId, group);
  }

  delete(groupId: string): void {
    this.#byId.delete(groupId);
  }

  values(): IterableIterator<Group> {
    return this.#byId.values();
  }
}
