// Loads what only brokers of a cluster load when they first need it, for whoever must not wait then: a simulation, in which
// nothing may depend on how long a host takes to read a file.

/** Afterwards no part of a cluster is loaded any more. */
export async function preloadCluster(): Promise<void> {
  await Promise.all([
    import("../cluster/shared_cluster.ts"),
    import("../log/partition_role.ts"),
    import("../log/replica_logs.ts"),
    import("./open_replication.ts"),
    import("./peer_authenticator.ts"),
    import("./broker_registration.ts"),
    import("./operation_answers.ts"),
  ]);
}
