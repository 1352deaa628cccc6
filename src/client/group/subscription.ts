// Which topics a member reads: those named, or those whose names match; and how many partitions they have.
// Invariant: the broker is asked anew at each look, so that topics that came or grew are seen.
// Kafka: SubscriptionState, Metadata.

import { ClientError } from "../client_error.ts";
import type { ClusterMetadata, TopicInfo } from "../metadata.ts";
import type { GroupPlan } from "./group_options.ts";

export class Subscription {
  readonly #metadata: ClusterMetadata;
  readonly #topics: readonly string[] | null;
  readonly #pattern: RegExp | string | null;
  /** The pattern, once it is matched here: what the broker matches need not be one that is known here. */
  #expression: RegExp | null = null;

  constructor(metadata: ClusterMetadata, plan: Pick<GroupPlan, "topics" | "pattern">) {
    this.#metadata = metadata;
    this.#topics = plan.topics;
    this.#pattern = plan.pattern;
  }

  /** Whether the names depend on which topics there are. */
  get isPattern(): boolean {
    return this.#pattern !== null;
  }

  /** The topics to read, by name; those named may not be there. */
  async names(signal?: AbortSignal): Promise<readonly string[]> {
    if (this.#topics !== null) return this.#topics;
    this.#expression ??= wholeName(this.#pattern!);
    const all = await this.#metadata.allTopics(signal);
    const names = all.filter(({ isInternal }) => !isInternal).map(({ name }) => name);
    return names.filter((name) => this.#matches(name)).sort();
  }

  /** Those of `names` that are there, asked for now. */
  async topics(names: Iterable<string>, signal?: AbortSignal): Promise<readonly TopicInfo[]> {
    const looking = [...new Set(names)].map(async (name) => {
      this.#metadata.invalidate(name);
      try {
        return await this.#metadata.topic(name, { signal });
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        if (error.code === "unknown_topic_or_partition") return null;
        // One that may not be seen, or has no proper name, has no partitions for us.
        if (error.code === "topic_authorization_failed") return null;
        if (error.code === "invalid_topic_exception") return null;
        throw error;
      }
    });
    return (await Promise.all(looking)).filter((each) => each !== null);
  }

  /** The names of topic ids, of all topics there are; asked for now. */
  async namesById(signal?: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const all =
      this.#topics === null
        ? await this.#metadata.allTopics(signal)
        : await this.topics(this.#topics, signal);
    const names = new Map<string, string>();
    for (const { topicId, name } of all) if (topicId !== null) names.set(topicId, name);
    return names;
  }

  #matches(name: string): boolean {
    return this.#expression!.test(name);
  }
}

/** As the broker matches: the whole name. @throws {ClientError} "invalid_regular_expression" */
function wholeName(pattern: RegExp | string): RegExp {
  if (typeof pattern !== "string") {
    return new RegExp(`^(?:${pattern.source})$`, pattern.flags.replaceAll(/[gy]/g, ""));
  }
  try {
    return new RegExp(`^(?:${pattern})$`, "u");
  } catch (cause) {
    const text = `Cannot match topics here with ${JSON.stringify(pattern)}: it is matched as a RegExp by the classic protocol, and by the broker (RE2) by the protocol "consumer"`;
    throw new ClientError("invalid_regular_expression", text, { cause });
  }
}
