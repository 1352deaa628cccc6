// DescribeLogDirs, API key 35, versions 1–5.
//
// Serves: sizes of partitions by log directory (KIP-113), and of the volume from v4 (KIP-827).
// Kafka: ReplicaManager.describeLogDirs.

import type { RequestInputOf, RequestOf, ResponseInputOf, ResponseOf } from "../infer.ts";
import { api, array, bool, int16, int32, int64, string } from "../schema.ts";

// v2: flexible.
// v3: adds errorCode (response).
// v4: adds results.totalBytes, results.usableBytes (response).
// v5: adds results.isCordoned (response).
export const DescribeLogDirs = api({
  apiKey: 35,
  name: "DescribeLogDirs",
  versions: "1-5",
  flexible: "2+",
  request: {
    topics: array(
      {
        topic: string(),
        partitions: array(int32()),
      },
      { nullable: true },
    ),
  },
  response: {
    throttleTimeMs: int32({ about: "how long the request was held back by a quota" }),
    errorCode: int16({ versions: "3+", ignorable: true }),
    results: array({
      errorCode: int16(),
      logDir: string(),
      topics: array({
        name: string(),
        partitions: array({
          partitionIndex: int32(),
          partitionSize: int64(),
          offsetLag: int64(),
          isFutureKey: bool(),
        }),
      }),
      totalBytes: int64({ versions: "4+", default: -1, ignorable: true }),
      usableBytes: int64({ versions: "4+", default: -1, ignorable: true }),
      isCordoned: bool({ versions: "5+", ignorable: true }),
    }),
  },
});
export type DescribeLogDirsRequest = RequestOf<typeof DescribeLogDirs>;
export type DescribeLogDirsRequestInput = RequestInputOf<typeof DescribeLogDirs>;
export type DescribeLogDirsResponse = ResponseOf<typeof DescribeLogDirs>;
export type DescribeLogDirsResponseInput = ResponseInputOf<typeof DescribeLogDirs>;
