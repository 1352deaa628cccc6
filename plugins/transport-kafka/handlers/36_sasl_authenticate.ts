// SaslAuthenticate, API key 36, versions 0–2.
//
// Serves: nothing yet: without a handshake before it, it is answered with illegal_sasl_state.
// Limits: not listed in ApiVersions until there is an authenticator to talk to.
// Kafka: KafkaApis.handleSaslAuthenticateRequest; the conversation itself is SaslServerAuthenticator.

import { wireCodeOf } from "../../../src/protocol/errors.ts";
import { SaslAuthenticate } from "../../../src/protocol/messages/36_sasl_authenticate.ts";
import { handlerOf } from "../handler.ts";

const noBytes = new Uint8Array(0);

export const saslAuthenticate = handlerOf<typeof SaslAuthenticate>({
  api: SaslAuthenticate,
  overlap: "exclusive",
  isUnlisted: true,
  async handle() {
    return {
      response: {
        errorCode: wireCodeOf("illegal_sasl_state"),
        errorMessage: "Cannot authenticate as this listener has no authentication",
        authBytes: noBytes,
      },
    };
  },
});
