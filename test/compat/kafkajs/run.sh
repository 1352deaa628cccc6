#!/usr/bin/env bash
# kafkajs against BOOTSTRAP, or against a broker of its own (RUNTIME=bun|deno|kafka). It produces; kcat reads back.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
begin kafkajs
export BOOTSTRAP
# pure JavaScript lz4 and snappy are slow, hence gzip for the file
WRITE_RECORDS=$TEXT_RECORDS NO_CAT=1 IDEMPOTENT_CODEC=gzip standard_checks "$(tool bun)" "$compat/kafkajs/client.ts"
finish
