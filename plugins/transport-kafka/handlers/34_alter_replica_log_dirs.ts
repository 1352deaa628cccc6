// AlterReplicaLogDirs, API key 34, versions 1–2.
//
// Serves: moving replicas between the folders of a broker.
// Limits: a broker has one folder: a replica is there already, or the folder is unknown.
// v2: flexible.
// Kafka: KafkaApis.handleAlterReplicaLogDirsRequest.

import { AlterReplicaLogDirs } from "../../../src/protocol/messages/34_alter_replica_log_dirs.ts";
import { handlerOf } from "../handler.ts";

export const alterReplicaLogDirs = handlerOf<typeof AlterReplicaLogDirs>({
  api: AlterReplicaLogDirs,
  overlap: "exclusive",
  async handle(context, caller, request, version) {
    return { response: await context.broker.admin.alterReplicaLogDirs(caller, request, version) };
  },
});
