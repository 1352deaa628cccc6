// Decides on changing settings of topics, groups and brokers while they run. Invariant: what is stored is known,
// valid and canonical; a resource changes as a whole or not at all.
// Kafka: ConfigurationControlManager, ConfigAdminManager, DynamicBrokerConfig.

import { brokerSetting, groupConfig, topicSetting } from "../settings/definitions.ts";
import {
  checkBrokerSetting,
  checkBrokerTogether,
  checkGroupConfig,
  checkGroupTogether,
  checkTopicSetting,
  checkTopicTogether,
} from "../settings/setting_checks.ts";
import { replaceTopic } from "./controller.ts";
import { coordinatorTopicFault, keptTopicConfigs } from "./coordinator_topics.ts";
import { type Change, type Decision, refused } from "./decision.ts";
import { brokerConfigsKey, encodeConfigs, groupConfigsKey } from "./entries.ts";
import type { ClusterImage } from "./image.ts";

/** Kafka's numbers of resource types in configs. */
export const ConfigResource = {
  topic: 2,
  broker: 4,
  brokerLogger: 8,
  clientMetrics: 16,
  group: 32,
} as const;

/** Operations of IncrementalAlterConfigs. */
const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

export interface ConfigOperation {
  readonly name: string;
  readonly configOperation: number;
  readonly value: string | null;
}

export interface AlterContext {
  readonly brokerIds: readonly number[];
  /** The value in force, where a list is appended to that the resource has no value of its own for. */
  effectiveText(resourceType: number, name: string): string | null;
}

export interface AlterRequest {
  readonly resourceType: number;
  readonly resourceName: string;
  /** "replace": all that is not named is taken away (AlterConfigs). */
  readonly mode: "replace" | "incremental";
  /** For "replace", each a SET. */
  readonly operations: readonly ConfigOperation[];
}

/** Decides on one resource. The value is what the resource has set afterwards. */
export function decideAlterConfigs(
  image: ClusterImage,
  request: AlterRequest,
  context: AlterContext,
  validateOnly = false,
): Decision<ReadonlyMap<string, string>> {
  const names = new Set<string>();
  for (const { name, configOperation, value } of request.operations) {
    if (names.has(name)) {
      return refused("invalid_request", `The setting ${name} is named more than once`);
    }
    names.add(name);
    if (value === null && configOperation !== DELETE) {
      return refused("invalid_request", `Null value not supported for: ${name}`);
    }
  }
  switch (request.resourceType) {
    case ConfigResource.topic:
      return alterTopic(image, request, context, validateOnly);
    case ConfigResource.broker:
      return alterBroker(image, request, context, validateOnly);
    case ConfigResource.group:
      return alterGroup(image, request, context, validateOnly);
    case ConfigResource.brokerLogger:
      return refused(
        "invalid_request",
        "Log levels cannot be changed by this request: start with --log-level",
      );
    default:
      return refused(
        "invalid_request",
        `Settings of resource type ${request.resourceType} cannot be changed here`,
      );
  }
}

function alterTopic(
  image: ClusterImage,
  request: AlterRequest,
  context: AlterContext,
  validateOnly: boolean,
): Decision<ReadonlyMap<string, string>> {
  if (request.resourceName === "") {
    return refused("invalid_request", "A topic must be named: there are no settings of all topics");
  }
  const topic = image.topicsByName.get(request.resourceName);
  if (topic === undefined) {
    return refused(
      "unknown_topic_or_partition",
      `The topic "${request.resourceName}" does not exist`,
    );
  }
  const next = nextConfigs(topic.configs, request, context, {
    isKnown: (name) => topicSetting(name) !== undefined,
    isList: (name) => topicSetting(name)?.type === "list",
    isKept: (name) =>
      topicSetting(name)?.isFixed === true || keptTopicConfigs(topic.name).has(name),
    check: checkTopicSetting,
  });
  if (!next.ok) return next;
  const inForce = (name: string) => context.effectiveText(ConfigResource.topic, name);
  const fault =
    checkTopicTogether(next.value, inForce) ?? coordinatorTopicFault(topic.name, next.value);
  if (fault !== null) return refused("invalid_config", fault);
  for (const { name } of request.operations) {
    if (topicSetting(name)?.isFixed !== true) continue;
    const before = topic.configs.get(name) ?? topicSetting(name)!.defaultText;
    const after = next.value.get(name) ?? topicSetting(name)!.defaultText;
    if (before !== after) {
      return refused(
        "invalid_config",
        `Cannot change ${name} of topic "${topic.name}" from ${before} to ${after}: it is fixed when a topic is created`,
      );
    }
  }
  const change =
    validateOnly || isSame(topic.configs, next.value)
      ? null
      : replaceTopic(topic, { ...topic, configs: next.value });
  return { ok: true, value: next.value, change };
}

function alterBroker(
  image: ClusterImage,
  request: AlterRequest,
  context: AlterContext,
  validateOnly: boolean,
): Decision<ReadonlyMap<string, string>> {
  const broker = request.resourceName;
  if (broker !== "" && !context.brokerIds.some((id) => String(id) === broker)) {
    return refused(
      "invalid_request",
      `There is no broker "${broker}": the registered ones are ${context.brokerIds.join(", ")}`,
    );
  }
  const fixed: string[] = [];
  const perBroker: string[] = [];
  for (const { name } of request.operations) {
    const definition = brokerSetting(name);
    if (definition === undefined) continue;
    if (definition.dynamic === null) fixed.push(name);
    else if (definition.dynamic === "broker" && broker === "") perBroker.push(name);
  }
  if (fixed.length > 0) {
    return refused(
      "invalid_request",
      `Cannot update these configs dynamically: [${fixed.join(", ")}]`,
    );
  }
  if (perBroker.length > 0) {
    return refused(
      "invalid_request",
      `Cannot update these configs for all brokers, name one: [${perBroker.join(", ")}]`,
    );
  }
  const entry = image.brokerConfigs.get(broker);
  const before = entry?.configs ?? new Map<string, string>();
  const next = nextConfigs(before, request, context, {
    isKnown: (name) => brokerSetting(name) !== undefined,
    isList: (name) => brokerSetting(name)?.type === "list",
    isKept: () => false,
    check: checkBrokerSetting,
  });
  if (!next.ok) return next;
  // What is taken away falls back to what the other layer, the start or the table says: that was checked before.
  const inForce = (name: string) =>
    before.has(name) ? null : context.effectiveText(ConfigResource.broker, name);
  const fault = checkBrokerTogether(next.value, inForce);
  if (fault !== null) return refused("invalid_config", fault);
  return {
    ok: true,
    value: next.value,
    change:
      validateOnly || isSame(before, next.value)
        ? null
        : configsChange(brokerConfigsKey(broker), entry?.revision ?? 0, next.value),
  };
}

/** A group need not be there: its settings wait for it, and stay when it goes, as in Kafka. */
function alterGroup(
  image: ClusterImage,
  request: AlterRequest,
  context: AlterContext,
  validateOnly: boolean,
): Decision<ReadonlyMap<string, string>> {
  const groupId = request.resourceName;
  if (groupId === "") {
    return refused("invalid_request", "A group must be named: there are no settings of all groups");
  }
  const entry = image.groupConfigs.get(groupId);
  const before = entry?.configs ?? new Map<string, string>();
  const next = nextConfigs(before, request, context, {
    isKnown: (name) => groupConfig(name) !== undefined,
    isList: (name) => groupConfig(name)?.type === "list",
    isKept: () => false,
    check: checkGroupConfig,
  });
  if (!next.ok) return next;
  const fault = checkGroupTogether(next.value, (name) =>
    context.effectiveText(ConfigResource.broker, name),
  );
  if (fault !== null) return refused("invalid_config", fault);
  return {
    ok: true,
    value: next.value,
    change:
      validateOnly || isSame(before, next.value)
        ? null
        : configsChange(groupConfigsKey(groupId), entry?.revision ?? 0, next.value),
  };
}

function configsChange(
  key: string,
  revision: number,
  configs: ReadonlyMap<string, string>,
): Change {
  return {
    conditions: [{ key, revision }],
    writes: [{ key, value: configs.size === 0 ? null : encodeConfigs(configs) }],
    locks: [],
  };
}

interface Rules {
  isKnown(name: string): boolean;
  isList(name: string): boolean;
  /** Whether a setting stays when all are replaced and it is not named. */
  isKept(name: string): boolean;
  check(
    name: string,
    value: string,
  ):
    | { readonly ok: true; readonly text: string }
    | { readonly ok: false; readonly message: string };
}

function nextConfigs(
  before: ReadonlyMap<string, string>,
  request: AlterRequest,
  context: AlterContext,
  rules: Rules,
): Decision<ReadonlyMap<string, string>> {
  const next = new Map<string, string>();
  for (const [name, text] of before) {
    if (request.mode === "incremental" || rules.isKept(name)) next.set(name, text);
  }
  for (const { name, configOperation, value } of request.operations) {
    let wanted: string;
    switch (configOperation) {
      case SET:
        wanted = value!;
        break;
      case DELETE:
        // A name that a later release stored, and this one does not know, can still be taken away.
        if (!next.delete(name) && !rules.isKnown(name)) {
          return refused("invalid_config", `Unknown config name: ${name}`);
        }
        continue;
      case APPEND:
      case SUBTRACT: {
        if (!rules.isList(name)) {
          const word = configOperation === APPEND ? "append to" : "subtract from";
          return refused("invalid_config", `Cannot ${word} ${name} as it is not a list`);
        }
        const current = next.get(name) ?? context.effectiveText(request.resourceType, name) ?? "";
        const items = splitList(current);
        const named = splitList(value!);
        wanted = (
          configOperation === APPEND
            ? [...items, ...named.filter((item) => !items.includes(item))]
            : items.filter((item) => !named.includes(item))
        ).join(",");
        break;
      }
      default:
        return refused("unknown_server_error", null);
    }
    const checked = rules.check(name, wanted);
    if (!checked.ok) return refused("invalid_config", checked.message);
    next.set(name, checked.text);
  }
  return { ok: true, value: next, change: null };
}

function splitList(text: string): string[] {
  return text === "" ? [] : text.split(",").map((item) => item.trim());
}

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a.size !== b.size) return false;
  for (const [name, text] of a) if (b.get(name) !== text) return false;
  return true;
}
