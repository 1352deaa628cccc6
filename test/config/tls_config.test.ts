// TLS from the config: certificate and key in files beside it, for each of the transports.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Millrace } from "../../mod.ts";
import { explainPlan } from "../../src/config/explain_plan.ts";
import { readEnvironment, readFlags } from "../../src/config/layers.ts";
import { loadConfig } from "../../src/config/load_config.ts";
import { planStart } from "../../src/config/start_plan.ts";
import { hostRuntime } from "../../src/runtime/host_runtime.ts";
import { TEST_CERTIFICATE_PEM, TEST_PRIVATE_KEY_PEM } from "../runtime/test_certificate.ts";

test("every transport serves TLS by the files that its options name, and none of them is printed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-tls-"));
  writeFileSync(join(folder, "tls.crt"), TEST_CERTIFICATE_PEM);
  writeFileSync(join(folder, "tls.key"), TEST_PRIVATE_KEY_PEM);
  const tlsOf = (place: string) => ({
    certificatePem: { file: join(place, "tls.crt") },
    privateKeyPem: { file: join(place, "tls.key") },
  });
  const config = (place: string) => ({
    storage: "memory",
    metadata: "memory",
    transports: ["kafka", "http", "tcp"].map((use) => ({
      use,
      options: { listen: "127.0.0.1:0", tls: tlsOf(place) },
    })),
    log: { level: "off" as const },
  });
  try {
    // Relative to the file where there is one; whole where there is none.
    writeFileSync(join(folder, "c.json"), JSON.stringify(config("")));
    const loaded = await loadConfig("c.json", folder, () => undefined);
    const plan = planStart(loaded, readEnvironment({}), readFlags([]), folder);
    const printed = JSON.stringify(explainPlan(plan));
    expect(printed).toContain("tls.key");
    expect(printed).not.toContain("BEGIN");

    await using millrace = await Millrace.start(config(folder));
    const { network } = hostRuntime({ log: { configure: false } }).runtime;
    const tls = { serverName: "localhost", caPem: TEST_CERTIFICATE_PEM };
    expect(millrace.endpoints).toHaveLength(3);
    for (const { port, protocol } of millrace.endpoints) {
      const connection = await network.connect({ host: "127.0.0.1", port, tls, timeoutMs: 5000 });
      expect(connection.tls).not.toBeNull();
      if (protocol === "http") {
        const request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        await connection.write([new TextEncoder().encode(request)]);
        expect(new TextDecoder().decode((await connection.read())!)).toStartWith("HTTP/1.1 200");
      }
      connection.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
