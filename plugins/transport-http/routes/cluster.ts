// Whether the broker is well, and which one it is.
// Kafka: DescribeCluster, DescribeLogDirs.

import { Hono } from "hono";
import type { Broker, Caller } from "../../../src/contracts/broker.ts";
import { errorByCode } from "../../../src/protocol/errors.ts";
import type { Env } from "../exchange.ts";
import { refusalOf } from "../problem.ts";
import { Query } from "../query.ts";

const LOG_DIRS_VERSION = 4;

export function clusterRoutes(): Hono<Env> {
  return new Hono<Env>()
    .get("/healthz", async (c) => {
      const { context, caller } = c.env;
      const error = await logError(context.broker, caller);
      if (error !== null) throw refusalOf(error);
      return c.json({ status: "ok" });
    })
    .get("/v1/cluster", (c) => {
      new Query(c.req.url, []);
      const { clusterId, brokerId, features } = c.env.context.broker;
      return c.json({
        clusterId,
        brokerId,
        features: features.map(({ name, finalizedVersion: level }) => ({ name, level })),
      });
    });
}

/** Why the log is offline; null when it is not, or the caller may not know. */
async function logError(broker: Broker, caller: Caller) {
  const response = await broker.admin.describeLogDirs(caller, { topics: [] }, LOG_DIRS_VERSION);
  for (const { errorCode } of response.results) {
    const error = errorByCode(errorCode);
    if (error !== null) return error;
  }
  return null;
}
