// One file for everything: Kafka's protocol, HTTP and framed CBOR over the same topics, SQLite below them, and
// tokens in front. The token of User:app is not here, nor is its hash: `millrace token create --name app` prints
// both, and the hash stands in a variable.
//
//   APP_TOKEN_HASH=sha256:… bun src/main.ts --config examples/millrace.config.ts
//   APP_TOKEN_HASH=sha256:… deno run -A mod.ts config print --config examples/millrace.config.ts

import { defineConfig } from "millrace";

export default defineConfig({
  data: "./data",
  storage: "kv",
  metadata: "kv",
  transports: [
    { use: "kafka", options: { listen: "127.0.0.1:9092" } },
    { use: "http", options: { listen: "127.0.0.1:8080", cors: ["https://app.example.com"] } },
    { use: "tcp", options: { listen: "127.0.0.1:9094", frameBytesMax: 4 * 1024 * 1024 } },
  ],
  auth: [
    {
      use: "token",
      options: {
        tokens: [{ principal: "User:app", hash: { env: "APP_TOKEN_HASH" } }],
        rules: [
          { principal: "User:app", allow: ["create", "read", "write"], topics: ["orders-"] },
          { principal: "*", allow: ["describe"], topics: ["*"], cluster: true },
        ],
      },
    },
  ],
  settings: { "log.segment.bytes": 268435456 },
  topics: { defaults: { "retention.ms": 86400000 } },
  log: { format: "json" },
});
