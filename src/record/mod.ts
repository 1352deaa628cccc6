// The public face of record/: batches, records, control records, and the names of the codecs.
// Between rooms of this repository, import the file that defines the thing instead.

export * from "./batch_header.ts";
export * from "./compression.ts";
export * from "./control_record.ts";
export * from "./record_batch.ts";
export * from "./record_block.ts";
export * from "./record_builder.ts";
export * from "./record_reader.ts";
export { type RecordWalkFindings, recordWalkFindings, walkRecords } from "./record_walk.ts";
