// Keys and values of control records: transaction markers, and those of the metadata log. Kafka:
// ControlRecordType, ControlRecordUtils.

import type { MessageInputOf, MessageOf } from "../infer.ts";
import { array, int16, int32, int64, message, string, struct, uint16, uuid } from "../schema.ts";

export const ControlRecordTypeSchema = message({
  name: "ControlRecordTypeSchema",
  versions: "0",
  fields: {
    type: int16(),
  },
});
export type ControlRecordTypeSchema = MessageOf<typeof ControlRecordTypeSchema>;
export type ControlRecordTypeSchemaInput = MessageInputOf<typeof ControlRecordTypeSchema>;

export const EndTxnMarker = message({
  name: "EndTxnMarker",
  versions: "0",
  fields: {
    coordinatorEpoch: int32(),
  },
});
export type EndTxnMarker = MessageOf<typeof EndTxnMarker>;
export type EndTxnMarkerInput = MessageInputOf<typeof EndTxnMarker>;

// v1: adds voters.voterDirectoryId, grantingVoters.voterDirectoryId.
export const LeaderChangeMessage = message({
  name: "LeaderChangeMessage",
  versions: "0-1",
  flexible: "0+",
  fields: {
    version: int16(),
    leaderId: int32(),
    voters: array({
      voterId: int32(),
      voterDirectoryId: uuid({ versions: "1+" }),
    }),
    grantingVoters: array({
      voterId: int32(),
      voterDirectoryId: uuid({ versions: "1+" }),
    }),
  },
});
export type LeaderChangeMessage = MessageOf<typeof LeaderChangeMessage>;
export type LeaderChangeMessageInput = MessageInputOf<typeof LeaderChangeMessage>;

export const SnapshotHeaderRecord = message({
  name: "SnapshotHeaderRecord",
  versions: "0",
  flexible: "0+",
  fields: {
    version: int16(),
    lastContainedLogTimestamp: int64(),
  },
});
export type SnapshotHeaderRecord = MessageOf<typeof SnapshotHeaderRecord>;
export type SnapshotHeaderRecordInput = MessageInputOf<typeof SnapshotHeaderRecord>;

export const SnapshotFooterRecord = message({
  name: "SnapshotFooterRecord",
  versions: "0",
  flexible: "0+",
  fields: {
    version: int16(),
  },
});
export type SnapshotFooterRecord = MessageOf<typeof SnapshotFooterRecord>;
export type SnapshotFooterRecordInput = MessageInputOf<typeof SnapshotFooterRecord>;

export const KRaftVersionRecord = message({
  name: "KRaftVersionRecord",
  versions: "0",
  flexible: "0+",
  fields: {
    version: int16(),
    kRaftVersion: int16(),
  },
});
export type KRaftVersionRecord = MessageOf<typeof KRaftVersionRecord>;
export type KRaftVersionRecordInput = MessageInputOf<typeof KRaftVersionRecord>;

export const VotersRecord = message({
  name: "VotersRecord",
  versions: "0",
  flexible: "0+",
  fields: {
    version: int16(),
    voters: array({
      voterId: int32(),
      voterDirectoryId: uuid(),
      endpoints: array({
        name: string(),
        host: string(),
        port: uint16(),
      }),
      kRaftVersionFeature: struct({
        minSupportedVersion: int16(),
        maxSupportedVersion: int16(),
      }),
    }),
  },
});
export type VotersRecord = MessageOf<typeof VotersRecord>;
export type VotersRecordInput = MessageInputOf<typeof VotersRecord>;
