// millrace/core: a broker from plugins and capabilities, for any host. Imports no host module.

export {
  type BrokerOptions,
  createBroker,
  type RunningBroker,
  SettingsError,
} from "./broker/create_broker.ts";
export {
  readStaticSettings,
  type StaticSettings,
  settingDefaults,
} from "./settings/static_settings.ts";
