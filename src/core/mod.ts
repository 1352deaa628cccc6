// millrace/core: a broker from plugins and capabilities, for any host. Imports no host module.

export {
  type BrokerOptions,
  createBroker,
  preloadCleaner,
  preloadCluster,
  type RunningBroker,
  SettingsError,
} from "./broker/create_broker.ts";
export { preloadGroups } from "./broker/lazy_groups.ts";
export { preloadTransactions } from "./broker/lazy_transactions.ts";
export {
  readStaticSettings,
  type StaticSettings,
  settingDefaults,
} from "./settings/static_settings.ts";
