// DescribeCluster, API key 60, versions 0–2.
//
// Serves: the brokers or, by endpoint type, the controllers of the cluster (KIP-700, KIP-919).
// Kafka: KafkaApis, DESCRIBE_CLUSTER.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int8, int16, int32, string } from "../schema.ts";

// v1: adds endpointType (request); adds endpointType (response).
// v2: adds includeFencedBrokers (request); adds brokers.isFenced (response).
export const DescribeCluster = api({
  apiKey: 60,
  name: "DescribeCluster",
  versions: "0-2",
  flexible: "0+",
  request: {
    includeClusterAuthorizedOperations: bool(),
    endpointType: int8({ versions: "1+", default: 1, about: "1 brokers, 2 controllers" }),
    includeFencedBrokers: bool({ versions: "2+" }),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16(),
    errorMessage: string({ nullable: true, default: null }),
    endpointType: int8({ versions: "1+", default: 1, about: "1 brokers, 2 controllers" }),
    clusterId: string(),
    controllerId: int32({ default: -1 }),
    brokers: array({
      brokerId: int32(),
      host: string(),
      port: int32(),
      rack: string({ nullable: true, default: null }),
      isFenced: bool({ versions: "2+" }),
    }),
    clusterAuthorizedOperations: int32({
      default: -2147483648,
      about: "bit field of allowed ACL operations; -2147483648 when not asked for",
    }),
  },
});
export type DescribeClusterRequest = RequestOf<typeof DescribeCluster>;
export type DescribeClusterRequestInput = RequestInputOf<typeof DescribeCluster>;
export type DescribeClusterResponse = ResponseOf<typeof DescribeCluster>;
export type DescribeClusterResponseInput = ResponseInputOf<typeof DescribeCluster>;
