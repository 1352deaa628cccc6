// Decides by the rules: whoever is not allowed is refused.
// Invariant: synchronous, no memory of its own but the rules by principal; an unknown principal has those of
// everyone. Kafka: StandardAuthorizerData, without rules that deny.

import type { Authorizer, Principal, Question, Resource } from "../../src/contracts/auth.ts";
import type { NamePattern, RuleRow } from "./options.ts";

/** An authorizer over the rules given. */
export function ruleAuthorizer(
  rules: readonly RuleRow[],
  superUsers: ReadonlySet<string>,
): Authorizer {
  const everyone = rules.filter(({ name }) => name === null);
  const byName = new Map<string, readonly RuleRow[]>();
  for (const { name } of rules) {
    if (name === null || byName.has(name)) continue;
    byName.set(
      name,
      rules.filter((rule) => rule.name === null || rule.name === name),
    );
  }
  const rulesOf = (principal: Principal) =>
    principal.type === "User" ? (byName.get(principal.name) ?? everyone) : everyone;

  return {
    authorize(principal, _peer, questions) {
      if (principal.type === "User" && superUsers.has(principal.name)) {
        return questions.map(() => true);
      }
      const own = rulesOf(principal);
      return questions.map((question) => own.some((rule) => allows(rule, question)));
    },
  };
}

function allows(rule: RuleRow, { operation, resource }: Question): boolean {
  return rule.operations.has(operation) && covers(rule, resource);
}

function covers(rule: RuleRow, { type, name }: Resource): boolean {
  switch (type) {
    case "topic":
      return rule.topics.some((pattern) => matches(pattern, name));
    case "group":
      return rule.groups.some((pattern) => matches(pattern, name));
    case "transactional_id":
      return rule.transactionalIds.some((pattern) => matches(pattern, name));
    case "cluster":
      return rule.cluster;
    default:
      return false;
  }
}

function matches({ text, isExact }: NamePattern, name: string): boolean {
  return isExact ? name === text : name.startsWith(text);
}
