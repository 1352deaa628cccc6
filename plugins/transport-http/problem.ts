// Refusals as problem details, and Kafka's errors as HTTP statuses.
// Invariant: every answer with a status of 400 or more has this form, and says nothing of our insides.
// Standard: RFC 9457. `code` is Kafka's name in snake case, or one of ours that no Kafka error has.

import type { KafkaError, KafkaErrorName } from "../../src/protocol/errors.ts";

export const PROBLEM_TYPE = "application/problem+json";
/** What whoever comes too early is told to wait. */
const RETRY_AFTER_S = 1;

/** Statuses of Kafka's errors. Others: 503 where a retry may help, 400 where it cannot. */
const STATUSES: { readonly [name in KafkaErrorName]?: number } = {
  unknown_server_error: 500,
  corrupt_message: 500,
  sasl_authentication_failed: 401,
  topic_authorization_failed: 403,
  cluster_authorization_failed: 403,
  group_authorization_failed: 403,
  transactional_id_authorization_failed: 403,
  policy_violation: 403,
  topic_deletion_disabled: 403,
  unknown_topic_or_partition: 404,
  unknown_topic_id: 404,
  resource_not_found: 404,
  topic_already_exists: 409,
  message_too_large: 413,
  record_list_too_large: 413,
  offset_out_of_range: 416,
  throttling_quota_exceeded: 429,
};

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  408: "Request Timeout",
  409: "Conflict",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  421: "Misdirected Request",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** A problem as it stands in JSON. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  /** True when the same request may succeed later. */
  readonly retriable: boolean;
  readonly [member: string]: unknown;
}

/** Thrown where a request cannot be served; becomes the response. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Further members of the problem. */
  readonly members: Readonly<Record<string, unknown>>;
  readonly isRetriable: boolean;

  constructor(
    status: number,
    code: string,
    detail: string,
    more: {
      readonly headers?: Readonly<Record<string, string>>;
      readonly members?: Readonly<Record<string, unknown>>;
      readonly isRetriable?: boolean;
    } = {},
  ) {
    super(detail);
    this.status = status;
    this.code = code;
    this.members = more.members ?? {};
    this.isRetriable = more.isRetriable ?? (status === 503 || status === 429 || status === 408);
    const isLater = status === 503 || status === 429;
    this.headers = {
      ...(isLater ? { "retry-after": String(RETRY_AFTER_S) } : {}),
      ...more.headers,
    };
  }

  get problem(): Problem {
    const { status, code, message: detail, isRetriable: retriable } = this;
    const type = `urn:millrace:${code}`;
    return {
      type,
      title: TITLES[status] ?? "Error",
      status,
      detail,
      code,
      retriable,
      ...this.members,
    };
  }
}

/** A request that says something wrong, in so many words. */
export function badRequest(
  detail: string,
  members: Readonly<Record<string, unknown>> = {},
): Refusal {
  return new Refusal(400, "invalid_request", detail, { members });
}

/** Kafka's no, in HTTP's words. */
export function refusalOf(
  error: KafkaError,
  members: Readonly<Record<string, unknown>> = {},
): Refusal {
  const status = STATUSES[error.code] ?? (error.retriable ? 503 : 400);
  // Kafka's clients retry what may appear with the next metadata; over HTTP a 404 is an answer.
  const isRetriable = error.retriable && status !== 404 && status !== 500;
  return new Refusal(status, error.code, error.message, { members, isRetriable });
}

export function problemResponse(refusal: Refusal): Response {
  return new Response(`${JSON.stringify(refusal.problem)}\n`, {
    status: refusal.status,
    headers: { "content-type": PROBLEM_TYPE, ...refusal.headers },
  });
}
