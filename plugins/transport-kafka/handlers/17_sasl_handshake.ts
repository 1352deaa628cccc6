// SaslHandshake, API key 17, versions 0–1.
//
// Serves: nothing here. Where there is an authenticator, login.ts takes the handshake before any handler is asked;
// what comes to this one is a handshake where no login is wanted (any more): illegal_sasl_state.
// Kafka: KafkaApis.handleSaslHandshakeRequest; the conversation itself is SaslServerAuthenticator.

import { wireCodeOf } from "../../../src/protocol/errors.ts";
import { SaslHandshake } from "../../../src/protocol/messages/17_sasl_handshake.ts";
import { handlerOf } from "../handler.ts";

export const saslHandshake = handlerOf<typeof SaslHandshake>({
  api: SaslHandshake,
  overlap: "exclusive",
  async handle() {
    return { response: { errorCode: wireCodeOf("illegal_sasl_state"), mechanisms: [] } };
  },
});
