// `millrace version`.

import manifest from "../../../package.json" with { type: "json" };
import { hostVersion } from "../../runtime/host.ts";
import type { Command } from "../command.ts";
import { JSON_FLAG } from "../flags.ts";

export const command: Command = {
  name: "version",
  summary: "print the version, and that of the runtime",
  flags: [JSON_FLAG],
  examples: [{ command: "millrace version", says: "for a bug report" }],
  async run(args, host) {
    const { version } = manifest;
    await host.print(
      args.has("json")
        ? `${JSON.stringify({ version, host: hostVersion() })}\n`
        : `millrace ${version} (${hostVersion()})\n`,
    );
    return 0;
  },
};
