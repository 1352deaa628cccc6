// Whether the broker is well, and which one it is.
// Kafka: DescribeCluster.

import { Hono } from "hono";
import { kafkaError } from "../../../src/protocol/errors.ts";
import type { Env } from "../exchange.ts";
import { refusalOf } from "../problem.ts";
import { Query } from "../query.ts";

export function clusterRoutes(): Hono<Env> {
  return new Hono<Env>()
    .get("/healthz", (c) => {
      // Asked of the broker itself: who may ask nothing else may ask this.
      if (!c.env.context.broker.isOnline()) throw refusalOf(kafkaError("kafka_storage_error"));
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
