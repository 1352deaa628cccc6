// A principal as it travels inside an Envelope. Kafka: DefaultKafkaPrincipalBuilder.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { bool, message, string } from "../schema.ts";

export const DefaultPrincipalData = message({
  name: "DefaultPrincipalData",
  versions: "0",
  flexible: "0+",
  fields: {
    type: string(),
    name: string(),
    tokenAuthenticated: bool(),
  },
});
export type DefaultPrincipalData = MessageOf<typeof DefaultPrincipalData>;
export type DefaultPrincipalDataInput = MessageInputOf<typeof DefaultPrincipalData>;
