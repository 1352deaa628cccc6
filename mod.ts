// Millrace, the public face: a broker in your own program, the types of its configuration, and the
// contracts of plugins. Run as a program it is the broker: `deno run -A mod.ts`.

export type { MillraceConfig } from "./src/config/define_config.ts";
export { defineConfig } from "./src/config/define_config.ts";
export * from "./src/contracts/mod.ts";
export {
  type BrokerOptions,
  createBroker,
  type RunningBroker,
  SettingsError,
} from "./src/core/mod.ts";

if (import.meta.main) {
  const { main } = await import("./src/main.ts");
  process.exit(await main(process.argv.slice(2)));
}
