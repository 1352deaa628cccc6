// The clients of this rig: how their members are started, which protocols and assignors they have, and how far each goes.
import { type Host, KcatHost, ProgramHost } from "./host.ts";

export interface Scenario {
  readonly protocol: "classic" | "consumer";
  readonly assignor?: string;
  /** The sizes that the group takes in turn. */
  readonly sizes: readonly number[];
  readonly commit: "auto" | "manual";
}

export interface GroupClient {
  readonly name: string;
  readonly scenarios: readonly Scenario[];
  /** Protocols in which it has static members. */
  readonly statics: readonly ("classic" | "consumer")[];
  /** Its members go over from one protocol to the other while the group lives. */
  readonly migrates?: boolean;
  readonly infersOwners?: boolean;
  readonly isStrict?: boolean;
  readonly leavesQuietly?: boolean;
  start(bootstrap: string): Host;
}

/** run.sh says where the programs are. */
const given = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run this by run.sh`);
  return value;
};
const here = import.meta.dirname;
const program = (words: () => readonly string[]) => () => new ProgramHost(words());

/** One, three, six, twelve, and back: the arithmetic of the issue. */
const FULL = [1, 3, 6, 12, 3, 1];
const SHORT = [1, 2, 3, 1];

const classic = (
  assignor: string,
  sizes = SHORT,
  commit: Scenario["commit"] = "auto",
): Scenario => ({
  protocol: "classic",
  assignor,
  sizes,
  commit,
});
const consumer = (
  assignor: string | undefined,
  sizes = SHORT,
  commit: Scenario["commit"] = "auto",
): Scenario => ({
  protocol: "consumer",
  ...(assignor === undefined ? {} : { assignor }),
  sizes,
  commit,
});

export const CLIENTS: readonly GroupClient[] = [
  {
    name: "java",
    scenarios: [
      classic("range", FULL),
      classic("roundrobin", FULL, "manual"),
      classic("sticky", FULL),
      classic("cooperative-sticky", FULL, "manual"),
      consumer("uniform", FULL),
      consumer("range", FULL, "manual"),
    ],
    statics: ["classic", "consumer"],
    migrates: true,
    isStrict: true,
    start: program(() => [
      ...["java", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
      ...["-cp", given("JAVA_CP"), "Client", "members"],
    ]),
  },
  {
    name: "librdkafka",
    scenarios: [
      classic("range", FULL),
      classic("roundrobin", SHORT, "manual"),
      classic("cooperative-sticky", SHORT, "manual"),
      consumer("uniform", FULL),
      consumer("range", SHORT, "manual"),
    ],
    statics: ["classic", "consumer"],
    migrates: true,
    isStrict: true,
    start: program(() => [given("VENV_PYTHON"), `${here}/confluent_members.py`]),
  },
  {
    name: "kafkajs",
    scenarios: [classic("roundrobin"), classic("roundrobin", SHORT, "manual")],
    statics: [],
    start: program(() => [given("BUN"), `${here}/kafkajs_members.ts`]),
  },
  {
    name: "platformatic",
    scenarios: [classic("roundrobin"), consumer(undefined, SHORT, "manual")],
    statics: [],
    start: program(() => [given("BUN"), `${here}/platformatic_members.ts`]),
  },
  {
    name: "aiokafka",
    scenarios: [
      classic("roundrobin", FULL),
      classic("range", SHORT, "manual"),
      classic("sticky", SHORT, "manual"),
    ],
    statics: [],
    start: program(() => [given("AIOKAFKA_PYTHON"), `${here}/aiokafka_members.py`]),
  },
  {
    name: "kcat",
    leavesQuietly: true,
    scenarios: [classic("range"), classic("roundrobin")],
    statics: [],
    start: (bootstrap) => new KcatHost(bootstrap),
  },
  {
    name: "franz_go",
    scenarios: [
      classic("range", SHORT, "manual"),
      classic("sticky", SHORT),
      classic("cooperative-sticky", FULL),
      consumer("uniform", FULL, "manual"),
      consumer("range", SHORT),
    ],
    // its static members of the newer protocol leave with epoch -2 but without their instance id, which Kafka refuses
    statics: ["classic"],
    migrates: true,
    isStrict: true,
    start: program(() => [given("FRANZ_GO"), "members"]),
  },
  {
    name: "kafka_go",
    scenarios: [classic("range"), classic("roundrobin", SHORT, "manual")],
    statics: [],
    infersOwners: true,
    start: program(() => [given("KAFKA_GO"), "members"]),
  },
];
