#!/usr/bin/env bash
# segmentio/kafka-go against BOOTSTRAP, or against a broker of its own (RUNTIME=bun|deno|kafka); MODE=quick|full.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_go "$compat/kafka_go"
begin kafka_go
export BOOTSTRAP
IDEMPOTENT=0 standard_checks "$GO_PROGRAM"
finish
