// A request of a member that is refused: thrown from wherever it shows, caught where requests come in.

import { errorText, type KafkaErrorName } from "../../../../protocol/errors.ts";

export class Refused extends Error {
  override readonly name = "Refused";
  readonly error: KafkaErrorName;

  constructor(error: KafkaErrorName, message: string) {
    super(errorText(message));
    this.error = error;
  }
}
