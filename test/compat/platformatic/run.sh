#!/usr/bin/env bash
# @platformatic/kafka against BOOTSTRAP, or against a broker of its own (RUNTIME=bun|deno|kafka). It produces; kcat reads back.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
begin platformatic
export BOOTSTRAP
WRITE_RECORDS=$TEXT_RECORDS NO_CAT=1 standard_checks "$(tool bun)" "$compat/platformatic/client.ts"
finish
