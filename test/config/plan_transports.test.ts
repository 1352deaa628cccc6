// Which transports a start has and where they listen: defaults, flags, variables, "off", references.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addressText, endpointWords } from "../../src/config/addresses.ts";
import type { MillraceConfig } from "../../src/config/define_config.ts";
import { readEnvironment, readFlags } from "../../src/config/layers.ts";
import { listenersOf } from "../../src/config/listeners.ts";
import { planStart } from "../../src/config/start_plan.ts";

function plan(
  config: MillraceConfig | null,
  argv: readonly string[] = [],
  environment: Record<string, string> = {},
  folder = "/srv/me",
) {
  const file = config === null ? null : { path: "m.json", folder, config };
  const lookUp = (name: string) => environment[name];
  return planStart(file, readEnvironment(environment), readFlags(argv), "/srv/me", lookUp);
}
/** `kafka=127.0.0.1:9092 …`, as the ready line has it. */
const addresses = (...given: Parameters<typeof plan>) =>
  plan(...given)
    .transports.flatMap((each) =>
      listenersOf(each).map((at) => `${(each as { use: string }).use}=${addressText(at)}`),
    )
    .join(" ");

describe("the ready line", () => {
  const words = (...given: readonly [protocol: string, listener: string][]) =>
    endpointWords(
      given.map(([protocol, listener], at) => ({ protocol, listener, host: "h", port: at })),
    ).join(" ");

  test("names each address once, Kafka's first", () => {
    expect(words(["http", "http"], ["kafka", "kafka"], ["kafka", "OUT"])).toBe(
      "kafka=h:1 kafka.OUT=h:2 http=h:0",
    );
    // Two transports of one protocol: it was "http.http", and that again for a third.
    expect(words(["http", "http"], ["http", "http"], ["http", "http"])).toBe(
      "http=h:0 http.2=h:1 http.3=h:2",
    );
    expect(words(["tcp", "a"], ["tcp", "b"], ["tcp", "b"], ["tcp", "tcp"])).toBe(
      "tcp=h:0 tcp.b=h:1 tcp.3=h:2 tcp.4=h:3",
    );
  });
});

describe("where nobody says where", () => {
  test("Kafka and HTTP on loopback; TCP is for who asks", () => {
    expect(addresses(null)).toBe("kafka=127.0.0.1:9092 http=127.0.0.1:8080");
    expect(addresses({})).toBe("kafka=127.0.0.1:9092 http=127.0.0.1:8080");
    expect(addresses({ transports: ["tcp"] })).toBe("tcp=127.0.0.1:9094");
    expect(addresses({ transports: [] })).toBe("");
  });

  test("HTTP follows Kafka to any free port, and gives way where it was not asked for", () => {
    expect(addresses(null, ["--kafka", "127.0.0.1:0"])).toBe("kafka=127.0.0.1:0 http=127.0.0.1:0");
    expect(plan(null).unaskedHttp).toEqual({ host: "127.0.0.1", port: 8080 });
    expect(plan({ transports: ["kafka", "http"] }).unaskedHttp).not.toBeNull();
    expect(plan(null, ["--http", "127.0.0.1:8080"]).unaskedHttp).toBeNull();
    expect(plan(null, ["--http", "off"]).unaskedHttp).toBeNull();
    const listen = { use: "http", options: { listen: "127.0.0.1:8080" } };
    expect(plan({ transports: [listen] }).unaskedHttp).toBeNull();
    const asked = ["--kafka", "127.0.0.1:0", "--http", "127.0.0.1:81"];
    expect(addresses(null, asked)).toBe("kafka=127.0.0.1:0 http=127.0.0.1:81");
  });
});

describe("--http, --tcp and their variables", () => {
  test("move what the file has, or add it; flags win over variables", () => {
    const config: MillraceConfig = {
      transports: [{ use: "http", options: { listen: "127.0.0.1:1" } }, "kafka"],
    };
    expect(addresses(config, ["--http", "[::1]:2", "--tcp", "127.0.0.1:3"])).toBe(
      "http=[::1]:2 kafka=127.0.0.1:9092 tcp=127.0.0.1:3",
    );
    const variables = { MILLRACE_HTTP: "127.0.0.1:4", MILLRACE_TCP: "127.0.0.1:5" };
    expect(addresses(null, ["--tcp", "127.0.0.1:6"], variables)).toBe(
      "kafka=127.0.0.1:9092 http=127.0.0.1:4 tcp=127.0.0.1:6",
    );
    const { provenance } = plan(null, ["--tcp", "127.0.0.1:6"], variables);
    expect(provenance.get("transports[1].options.listen")).toEqual({
      source: "environment",
      detail: "MILLRACE_HTTP",
    });
    expect(provenance.get("transports[2]")).toEqual({ source: "flag", detail: "--tcp" });
  });

  test("off does without, whatever the file says", () => {
    expect(addresses(null, ["--http", "off"])).toBe("kafka=127.0.0.1:9092");
    expect(addresses(null, ["--kafka", "off"])).toBe("http=127.0.0.1:8080");
    expect(addresses({ transports: ["kafka", "tcp"] }, ["--tcp", "off"])).toBe(
      "kafka=127.0.0.1:9092",
    );
    expect(addresses(null, [], { MILLRACE_KAFKA: "off", MILLRACE_HTTP: "off" })).toBe("");
    const config: MillraceConfig = { settings: { listeners: "A://:1" } };
    expect(() => plan(config, ["--kafka", "off"])).toThrow("needs a Kafka transport");
  });

  test("refuse what is no address, by the name it was given under", () => {
    expect(() => plan(null, ["--http", "8080"])).toThrow(
      '--http must be HOST:PORT, e.g. 127.0.0.1:8080, or off: found "8080"',
    );
    expect(() => plan(null, [], { MILLRACE_TCP: "on" })).toThrow("MILLRACE_TCP must be HOST:PORT");
  });

  test("open doors are refused for every transport", () => {
    for (const flag of ["--kafka", "--http", "--tcp"]) {
      expect(() => plan(null, [flag, "10.0.0.1:7"])).toThrow("Refusing to listen on 10.0.0.1:7");
      expect(addresses(null, [flag, "10.0.0.1:7", "--insecure"])).toContain("=10.0.0.1:7");
    }
    const config: MillraceConfig = {
      transports: [{ use: "tcp", options: { listen: ":7" } }],
    };
    expect(() => plan(config)).toThrow("Refusing to listen on 0.0.0.0:7");
    expect(addresses({ ...config, auth: ["token"] })).toBe("tcp=0.0.0.0:7");
  });
});

test("addresses may stand in variables and in files", () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-addresses-"));
  writeFileSync(join(folder, "address"), "127.0.0.1:12\n");
  const transports = [
    { use: "kafka", options: { listen: { env: "AT" }, inFlightMax: 5 } },
    {
      use: "http",
      options: {
        listeners: [
          { name: "a", listen: { file: "address" } },
          { name: "b", listen: "127.0.0.1:13" },
        ],
      },
    },
  ];
  expect(addresses({ transports }, [], { AT: "127.0.0.1:11" }, folder)).toBe(
    "kafka=127.0.0.1:11 http=127.0.0.1:12 http=127.0.0.1:13",
  );
  expect(() => addresses({ transports }, [], {}, folder)).toThrow(
    "transports[0] refers to the variable AT, which is not set",
  );
  rmSync(folder, { recursive: true });
  expect(() => addresses({ transports }, [], { AT: ":1" }, folder)).toThrow(
    'transports[1] refers to the file "address", which does not exist',
  );
});
