// A producer id is given once, over restarts too.

import type { Checker } from "../history.ts";

/** Each run needs its own. */
export function producerIdsUnique(): Checker {
  const given = new Set<number>();
  return {
    name: "producer_ids_unique",

    producerIdGiven(producerId, epoch, fail) {
      if (given.has(producerId)) fail(`producer id ${producerId} (epoch ${epoch}) was given twice`);
      given.add(producerId);
    },
  };
}
