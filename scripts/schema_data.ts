// The form of test/vectors/kafka/schemas.json.gz and schemas_other.json.gz: what Kafka 4.3.1 reports of its messages.

export type Range = [from: number, to: number];

export interface SchemaField {
  readonly name: string;
  /** A wire type, or "[]" and one. */
  readonly type: string;
  readonly versions: Range;
  readonly nullable?: Range;
  readonly tag?: number;
  readonly default?: unknown;
  readonly ignorable?: boolean;
  readonly nonFlexible?: boolean;
  readonly fields?: readonly SchemaField[];
}

export interface SchemaMessage {
  readonly name: string;
  readonly versions: Range;
  readonly flexible: Range | null;
  readonly fields: readonly SchemaField[];
  readonly recordType?: number;
}

export interface SchemaApi {
  readonly key: number;
  readonly name: string;
  readonly enum: string;
  readonly removed?: boolean;
  readonly versions: Range;
  readonly latestStable: number;
  readonly latestVersionUnstable: boolean;
  readonly advertisedByBroker?: Range;
  readonly requestHeader: readonly { versions: Range; header: number }[];
  readonly responseHeader: readonly { versions: Range; header: number }[];
  readonly request: SchemaMessage;
  readonly response: SchemaMessage;
}

export interface Schemas {
  readonly headers: { readonly request: SchemaMessage; readonly response: SchemaMessage };
  readonly apis: readonly SchemaApi[];
}

export type StoredSchemas = { readonly [group: string]: string | readonly SchemaMessage[] };
