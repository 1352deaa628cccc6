// Whether tests that sample by seed try everything instead: MILLRACE_TEST_FULL=1.

import process from "node:process";

export const isFullTestRun = process.env["MILLRACE_TEST_FULL"] === "1";
