// A client for the length of one command, and errors as people need them: what failed, and what to do.
// Invariant: the first contact is tried once, so that a wrong address shows at once instead of after retries.

import {
  type Client,
  ClientError,
  type ClientOptions,
  clientOptionsOf,
  createClient,
} from "../client/mod.ts";
import { nearestKey } from "../config/nearest_key.ts";
import type { Arguments } from "./arguments.ts";
import { CommandError, UsageError } from "./cli_error.ts";
import type { CliHost } from "./host.ts";
import { loginOf } from "./login.ts";

const DEFAULT_BOOTSTRAP = "127.0.0.1:9092";
const TIMEOUT_S = 30;

/** The brokers a command talks to. */
export function bootstrapOf(args: Arguments, host: CliHost): string {
  return args.text("bootstrap") ?? host.environment["MILLRACE_BOOTSTRAP"] ?? DEFAULT_BOOTSTRAP;
}

/** Runs `work` with a client that has reached the cluster, and closes it whatever happens. */
export async function withClient<T>(
  args: Arguments,
  host: CliHost,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const bootstrap = bootstrapOf(args, host);
  const timeoutS = args.whole("timeout", 1, 86_400);
  const sasl = await loginOf(args, host);
  const { hostRuntime } = await import("../runtime/host_runtime.ts");
  const runtime = hostRuntime({ log: { level: "error" } });
  let client: Client;
  try {
    const said = addressOptions(bootstrap, args);
    const timeoutMs =
      timeoutS === undefined ? (said.timeoutMs ?? 1000 * TIMEOUT_S) : 1000 * timeoutS;
    const options: ClientOptions = {
      clientId: "millrace-cli",
      connectTimeoutMs: Math.min(timeoutMs, 10_000),
      ...said,
      timeoutMs,
      ...(sasl === undefined ? {} : { sasl }),
    };
    client = createClient(runtime.runtime, options);
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
  try {
    await client.connect();
    const result = await work(client);
    await client.close();
    return result;
  } catch (error) {
    throw await explained(error, bootstrap, client, args.text("topic"), sasl !== undefined);
  } finally {
    // What it says of records has been thrown above, or is less than what was.
    await client.close().catch(() => {});
    await runtime.stop(1_000);
  }
}

/** HOST:PORT,… or an address as connect() takes it, but for a login. @throws {TypeError} {UsageError} */
function addressOptions(bootstrap: string, args: Arguments): ClientOptions {
  if (!bootstrap.includes("://")) return { bootstrap };
  const options = clientOptionsOf(bootstrap);
  if (options.sasl !== undefined) {
    // It is not repeated: it holds a token.
    throw args.wrong(
      "An address holds no login here: give --user NAME --token-file PATH, or set MILLRACE_USER and MILLRACE_TOKEN",
    );
  }
  return options;
}

/** The same failure with the way out of it. */
async function explained(
  error: unknown,
  bootstrap: string,
  client: Client,
  topic: string | undefined,
  isLoggedIn: boolean,
): Promise<unknown> {
  if (!(error instanceof ClientError)) return error;
  const fix = await fixOf(error, bootstrap, client, topic, isLoggedIn);
  const message = fix === "" ? error.message : `${error.message.replace(/\.$/, "")}: ${fix}`;
  return new CommandError(error.code, message, { cause: error });
}

async function fixOf(
  error: ClientError,
  bootstrap: string,
  client: Client,
  topic: string | undefined,
  isLoggedIn: boolean,
): Promise<string> {
  switch (error.code) {
    case "network_exception": {
      const { code } = (error.cause ?? {}) as { code?: unknown };
      if (code === "refused") {
        return "is the broker running? Start one with `millrace start`, or name another with --bootstrap HOST:PORT";
      }
      if (code === "unreachable" || code === "timeout") {
        return `check the address ${bootstrap} (--bootstrap HOST:PORT), and what stands between here and there`;
      }
      // Whoever has not logged in is shown the door without a word.
      if (code === undefined && !isLoggedIn) {
        return "does the broker ask for a login? --user NAME --token-file PATH";
      }
      return "";
    }
    case "sasl_authentication_failed":
      return "is this the user's token, and has it expired? --user NAME --token-file PATH";
    case "illegal_sasl_state":
      return "leave out --user and --token-file, and MILLRACE_USER and MILLRACE_TOKEN";
    case "topic_authorization_failed":
    case "group_authorization_failed":
    case "cluster_authorization_failed":
    case "transactional_id_authorization_failed":
      return isLoggedIn
        ? "a rule under auth in the broker's config has to allow it"
        : "log in with --user NAME --token-file PATH";
    case "unknown_topic_or_partition":
      return topic === undefined ? "" : await topicFix(topic, client);
    case "invalid_topic_exception":
      return "a name has at most 249 characters of a-z, A-Z, 0-9, dot, dash and underscore";
    case "message_too_large":
      return "raise the topic's limit, e.g. `millrace topic alter TOPIC --config max.message.bytes=10485760`";
    case "request_timed_out":
      return "is the broker overloaded, or a replica missing? --timeout SECONDS gives it longer";
    case "group_max_size_reached":
      return "raise group.max.size (or group.consumer.max.size) of the broker, or stop a member";
    case "inconsistent_group_protocol":
      return "its members speak another protocol: --protocol classic or consumer, or another group";
    case "fenced_instance_id":
    case "unreleased_instance_id":
      return "another member has this --instance-id";
    case "offset_out_of_range":
      return "--from beginning starts at the first record that is there";
    case "unsupported_version":
      return "this broker is too old, or too new, for the command";
    default:
      return "";
  }
}

/** What to do about a topic that is not there. */
export async function topicFix(topic: string, client: Client): Promise<string> {
  try {
    const names = (await client.admin.listTopics()).map(({ name }) => name);
    // The topic is there: it is the partition that is not.
    if (names.includes(topic)) return `see \`millrace topic describe ${topic}\``;
    const nearest = nearestKey(topic, names);
    if (nearest !== null) return `did you mean "${nearest}"? \`millrace topic list\` shows all`;
  } catch {
    // The fix is only advice: the failure itself is reported all the same.
  }
  return `create it with \`millrace topic create ${topic}\``;
}
