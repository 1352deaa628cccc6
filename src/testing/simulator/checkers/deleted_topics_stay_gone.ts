// A deleted topic stays gone: once its deletion was acknowledged, nobody can produce to it or read from it,
// after a restart neither, and a topic made again under its name starts empty.

import type { Checker } from "../history.ts";

export const deletedTopicsStayGone: Checker = {
  name: "deleted_topics_stay_gone",

  deletedTopicServed(topic, what, fail) {
    fail(`topic ${topic.name} (${topic.id}) answered ${what} after it was deleted`);
  },
};
