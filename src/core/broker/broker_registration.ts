// What a broker tells the others of itself when it joins the cluster: where clients and brokers reach it, its release, and what it
// can work under. Loaded only where several brokers share the metadata store. Kafka: BrokerRegistrationRequest.

import { randomUuid } from "../../base/uuid.ts";
import type { Runtime } from "../../contracts/runtime.ts";
import type { Endpoint } from "../../contracts/transport.ts";
import { CLUSTER_FEATURES } from "../cluster/features.ts";
import type { BrokerEndpoint } from "../cluster/image.ts";
import type { Registration } from "../cluster/membership.ts";
import type { Settings } from "../settings/dynamic.ts";

export interface RegistrationFacts {
  /** Of all started transports. */
  readonly endpoints: readonly Endpoint[];
  readonly settings: Settings;
  readonly runtime: Runtime;
  /** Of the package; null where nobody said. */
  readonly release: string | null;
}

/** `peer` is the listener of `inter.broker.listener.name`, or else the first one of Kafka's protocol. */
export function registrationOf({
  endpoints: bound,
  settings,
  runtime,
  release,
}: RegistrationFacts): Registration {
  const endpoints: BrokerEndpoint[] = bound.map((each) => ({
    protocol: each.protocol,
    listener: each.listener,
    host: each.advertisedHost,
    port: each.advertisedPort,
    isTls: each.isTls === true,
  }));
  const kafka = endpoints.filter(({ protocol }) => protocol === "kafka");
  const named = settings.text("inter.broker.listener.name");
  const peer = kafka.find(({ listener }) => listener === named) ?? kafka[0] ?? null;
  return {
    incarnation: randomUuid(runtime.random.fork("incarnation")),
    rack: settings.text("broker.rack"),
    endpoints,
    peer,
    release: release ?? "unknown",
    features: new Map(
      CLUSTER_FEATURES.map(({ name, minVersion, maxVersion }) => [
        name,
        { min: minVersion, max: maxVersion },
      ]),
    ),
  };
}
