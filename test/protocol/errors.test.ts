import { describe, expect, test } from "bun:test";
import {
  errorByCode,
  errorByName,
  errors,
  kafkaError,
  kafkaErrors,
  NONE,
  refuse,
  wireCodeOf,
} from "../../src/protocol/errors.ts";
import { loadErrors } from "../vectors/load.ts";

describe("errors", () => {
  test("have Kafka's names, codes and retriability, and texts of their own", () => {
    const expected = loadErrors()
      .filter(({ code }) => code !== NONE)
      .map(({ code, name, retriable }) => [name.toLowerCase(), code, retriable]);
    const ours = kafkaErrors.map(({ code, wireCode, retriable }) => [code, wireCode, retriable]);
    expect(ours).toEqual(expected as typeof ours);
    expect(new Set(kafkaErrors.map((error) => error.message)).size).toBe(kafkaErrors.length);
    for (const { message } of kafkaErrors) expect(message).toMatch(/^[A-Za-z].*[^.]$/);
  });

  test("are found by code and by name", () => {
    expect(errorByCode(6)).toBe(errors.not_leader_or_follower);
    expect(errorByCode(NONE)).toBe(null);
    expect(errorByCode(9999)).toMatchObject({ wireCode: -1, message: "Unknown error code 9999" });
    expect(errorByName("not_leader_or_follower")).toBe(errors.not_leader_or_follower);
    expect(errorByName("none")).toBe(undefined);
    expect(errorByName("toString")).toBe(undefined);
    expect(wireCodeOf("unknown_server_error")).toBe(-1);
  });

  test("may say more than the table, without changing it", () => {
    const error = kafkaError("invalid_record", "Batch 3 has no records");
    expect(error).toEqual({ ...errors.invalid_record, message: "Batch 3 has no records" });
    expect(kafkaError("invalid_record")).toBe(errors.invalid_record);
    expect(Object.isFrozen(errors.invalid_record)).toBe(true);
    expect(refuse("invalid_record")).toEqual({ ok: false, error: errors.invalid_record });
  });
});
