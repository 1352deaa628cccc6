// Asks the authorizer on behalf of the APIs: who may do what to which resource.
// Invariant: what is not asked is not done; every method of the Broker passes here, and nowhere else.
// Kafka: AuthHelper, AclEntry.supportedOperations.

import type { Authorizer, Operation, Question, Resource } from "../../contracts/auth.ts";
import type { Caller } from "../../contracts/broker.ts";

/** The one resource of type "cluster". */
const CLUSTER: Resource = { type: "cluster", name: "kafka-cluster" };

/** Operations that "authorized operations" may report, and their bits (Kafka's AclOperation codes). */
const TOPIC_BITS: readonly (readonly [operation: Operation, bit: number])[] = [
  ["read", 1 << 3],
  ["write", 1 << 4],
  ["create", 1 << 5],
  ["delete", 1 << 6],
  ["alter", 1 << 7],
  ["describe", 1 << 8],
  ["describe_configs", 1 << 10],
  ["alter_configs", 1 << 11],
];
const GROUP_BITS: readonly (readonly [operation: Operation, bit: number])[] = [
  ["read", 1 << 3],
  ["delete", 1 << 6],
  ["describe", 1 << 8],
  ["describe_configs", 1 << 10],
  ["alter_configs", 1 << 11],
];
const CLUSTER_BITS: readonly (readonly [operation: Operation, bit: number])[] = [
  ["create", 1 << 5],
  ["alter", 1 << 7],
  ["describe", 1 << 8],
  ["cluster_action", 1 << 9],
  ["describe_configs", 1 << 10],
  ["alter_configs", 1 << 11],
  ["idempotent_write", 1 << 12],
];

/** An authorizer, asked in the words of the APIs. */
export class Gate {
  readonly #authorizer: Authorizer;

  constructor(authorizer: Authorizer) {
    this.#authorizer = authorizer;
  }

  /** Of `names`, those of which the caller may do `operation`. Each is asked once. */
  allowed(
    caller: Caller,
    operation: Operation,
    type: Resource["type"],
    names: Iterable<string>,
  ): ReadonlySet<string> {
    const once = [...new Set(names)];
    const answers = this.#ask(
      caller,
      once.map((name) => ({ operation, resource: { type, name } })),
    );
    return new Set(once.filter((_, i) => answers[i] === true));
  }

  /** Whether the caller may do `operation` to the topic. */
  allowsTopic(caller: Caller, operation: Operation, name: string): boolean {
    return this.#ask(caller, [{ operation, resource: { type: "topic", name } }])[0] === true;
  }

  /** Whether the caller may do `operation` to the group. */
  allowsGroup(caller: Caller, operation: Operation, name: string): boolean {
    return this.#ask(caller, [{ operation, resource: { type: "group", name } }])[0] === true;
  }

  /** Whether the caller may do `operation` to the cluster. */
  allowsCluster(caller: Caller, operation: Operation): boolean {
    return this.#ask(caller, [{ operation, resource: CLUSTER }])[0] === true;
  }

  /** Whether the caller may do `operation` with the transactional id. */
  allowsTransactionalId(caller: Caller, operation: Operation, name: string): boolean {
    const resource: Resource = { type: "transactional_id", name };
    return this.#ask(caller, [{ operation, resource }])[0] === true;
  }

  /** The bits of all that the caller may do to the topic. */
  topicOperations(caller: Caller, name: string): number {
    return this.#bits(caller, { type: "topic", name }, TOPIC_BITS);
  }

  /** The bits of all that the caller may do to the group. */
  groupOperations(caller: Caller, name: string): number {
    return this.#bits(caller, { type: "group", name }, GROUP_BITS);
  }

  /** The bits of all that the caller may do to the cluster; 0 for one who may not describe it. */
  clusterOperations(caller: Caller): number {
    return this.allowsCluster(caller, "describe") ? this.#bits(caller, CLUSTER, CLUSTER_BITS) : 0;
  }

  #bits(caller: Caller, resource: Resource, bits: typeof TOPIC_BITS): number {
    const answers = this.#ask(
      caller,
      bits.map(([operation]) => ({ operation, resource })),
    );
    let sum = 0;
    for (let i = 0; i < bits.length; i++) if (answers[i] === true) sum |= bits[i]![1];
    return sum;
  }

  #ask(caller: Caller, questions: readonly Question[]): readonly boolean[] {
    if (questions.length === 0) return [];
    return this.#authorizer.authorize(caller.principal, caller.peer, questions);
  }
}
