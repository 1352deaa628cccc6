// "Did you mean", as the config and the command line ask it; the distance itself is in base, where plugins
// reach it too.

export { hint, nearestKey } from "../base/nearest_key.ts";
