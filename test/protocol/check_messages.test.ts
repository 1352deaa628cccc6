import { describe, expect, test } from "bun:test";
import { messageFaults } from "../../scripts/check_messages.ts";
import { internalRecords } from "../../src/protocol/all_internal_records.ts";
import { apis } from "../../src/protocol/all_messages.ts";
import { api, array, int16, int32, message, string } from "../../src/protocol/schema.ts";
import { loadSchemas, loadStoredSchemas } from "../vectors/load.ts";

const schemas = loadSchemas();
const stored = loadStoredSchemas();

describe("declarations", () => {
  test("agree with what Kafka 4.3.1 reports, field by field", () => {
    expect(messageFaults(schemas, stored)).toEqual([]);
    expect(internalRecords.length).toBe(94);
  });

  test("would be found out: each kind of difference is reported", () => {
    const heartbeat = (over: object, field: object) =>
      api({
        apiKey: 12,
        name: "Heartbeat",
        versions: "0-4",
        flexible: "4+",
        request: {
          groupId: string(),
          generationId: int32(),
          memberId: string(),
          groupInstanceId: string({
            versions: "3+",
            nullable: true,
            default: null,
            ...field,
          } as object),
        },
        response: {
          throttleTimeMs: int32({ versions: "1+", ignorable: true }),
          errorCode: int16(),
        },
        ...over,
      });
    const faultsWith = (declared: ReturnType<typeof heartbeat>) =>
      messageFaults(
        schemas,
        stored,
        apis.map((each) => (each.apiKey === 12 ? declared : each)) as typeof apis,
      );
    expect(faultsWith(heartbeat({}, {}))).toEqual([]);
    const different: [object, object, RegExp][] = [
      [{ name: "Heart" }, {}, /name/],
      [{ versions: "1-4" }, {}, /lowest version/],
      [{ versions: "0-5" }, {}, /highest version/],
      [{ flexible: "3+" }, {}, /first flexible version/],
      [{ latestVersionUnstable: true }, {}, /stable/],
      [{ advertisedLowest: 1 }, {}, /advertised/],
      [{ response: { errorCode: int16() } }, {}, /fields are errorCode, not/],
      [{}, { versions: "2+" }, /versions is 2,4, not 3,4/],
      [{}, { nullable: "4+" }, /nullable/],
      [{}, { tag: 0 }, /tag/],
      [{}, { default: "" }, /default is , not null/],
      [{}, { ignorable: true }, /ignorable/],
      [{}, { nonFlexible: true }, /nonFlexible/],
      [{}, { type: "bytes" }, /type is bytes, not string/],
    ];
    for (const [over, field, expected] of different) {
      expect(faultsWith(heartbeat(over, field)).join("\n")).toMatch(expected);
    }
    expect(messageFaults(schemas, stored, apis.slice(1)).join()).toMatch(/Produce: not declared/);
    expect(messageFaults(schemas, stored, apis, internalRecords.slice(1)).join()).toMatch(
      /RequestHeader: not declared/,
    );
    const stranger = message({ name: "Stranger", versions: "0", fields: { a: array(int32()) } });
    expect(messageFaults(schemas, stored, apis, [...internalRecords, stranger])).toEqual([
      "Stranger: Kafka has no such message",
    ]);
  });
});
