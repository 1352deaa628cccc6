// auth-token: principals known by tokens, of which the config holds the hashes, and what each may do.
// Invariant: no token is kept, logged or compared but by its hash; what no rule allows is refused.

import type { Auth, AuthPlugin } from "../../src/contracts/auth.ts";
import { type AuthTokenOptions, checkOptions } from "./options.ts";
import { ruleAuthorizer } from "./rules.ts";
import { tokenAuthenticator } from "./tokens.ts";

export type {
  AllowedOperation,
  AuthTokenEntry,
  AuthTokenOptions,
  AuthTokenRule,
} from "./options.ts";

/**
 * Authentication by tokens (SASL/PLAIN, bearer), authorization by rules.
 *
 * @throws {TypeError} when the options do not hold, with a line for each problem
 */
export function authToken(options: AuthTokenOptions): AuthPlugin {
  const { tokens, rules, superUsers } = checkOptions(options);
  return {
    kind: "auth",
    name: "token",
    contract: 1,
    async open({ runtime }): Promise<Auth> {
      return {
        authenticator: tokenAuthenticator(tokens, runtime.crypto, runtime.clock),
        authorizer: ruleAuthorizer(rules, superUsers),
        async close() {},
      };
    },
  };
}
