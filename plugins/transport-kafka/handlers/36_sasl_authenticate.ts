// SaslAuthenticate, API key 36, versions 0–2.
//
// Serves: nothing here. Where there is an authenticator, login.ts takes what follows a handshake before any handler
// is asked; what comes to this one has no handshake before it: illegal_sasl_state.
// Kafka: KafkaApis.handleSaslAuthenticateRequest; the conversation itself is SaslServerAuthenticator.

import { wireCodeOf } from "../../../src/protocol/errors.ts";
import { SaslAuthenticate } from "../../../src/protocol/messages/36_sasl_authenticate.ts";
import { handlerOf } from "../handler.ts";

const noBytes = new Uint8Array(0);

export const saslAuthenticate = handlerOf<typeof SaslAuthenticate>({
  api: SaslAuthenticate,
  overlap: "exclusive",
  async handle() {
    return {
      response: {
        errorCode: wireCodeOf("illegal_sasl_state"),
        errorMessage: "Cannot authenticate as no handshake came before",
        authBytes: noBytes,
      },
    };
  },
});
