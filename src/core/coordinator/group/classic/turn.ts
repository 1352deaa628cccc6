// What one decision comes to while it is made: records and answers, gathered from wherever they arise.
// Kafka: CoordinatorResult, and the futures that are completed on the way to it.

import { type Answer, answer, type Decision, type Now, type Reply } from "../../runtime/shard.ts";
import type { GroupRecord } from "../group_record.ts";

export class Turn {
  readonly now: Now;
  readonly records: GroupRecord[] = [];
  readonly answers: Answer[] = [];
  /** What follows when the records are too large: soft state goes back to what it was. */
  tooLarge: ((now: Now) => Decision<GroupRecord>) | null = null;

  constructor(now: Now) {
    this.now = now;
  }

  answer<Response>(reply: Reply<Response>, response: Response): void {
    this.answers.push(answer(reply, response));
  }

  decision(): Decision<GroupRecord> {
    const { records, answers, tooLarge } = this;
    return tooLarge === null ? { records, answers } : { records, answers, tooLarge };
  }
}
