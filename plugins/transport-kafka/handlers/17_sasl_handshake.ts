// SaslHandshake, API key 17, versions 0–1.
//
// Serves: nothing yet: on a listener without authentication it is answered with illegal_sasl_state.
// Limits: not listed in ApiVersions until there is an authenticator to talk to.
// Kafka: KafkaApis.handleSaslHandshakeRequest; the conversation itself is SaslServerAuthenticator.

import { wireCodeOf } from "../../../src/protocol/errors.ts";
import { SaslHandshake } from "../../../src/protocol/messages/17_sasl_handshake.ts";
import { handlerOf } from "../handler.ts";

export const saslHandshake = handlerOf<typeof SaslHandshake>({
  api: SaslHandshake,
  overlap: "exclusive",
  isUnlisted: true,
  async handle() {
    return { response: { errorCode: wireCodeOf("illegal_sasl_state"), mechanisms: [] } };
  },
});
