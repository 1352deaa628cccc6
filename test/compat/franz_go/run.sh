#!/usr/bin/env bash
# franz-go against BOOTSTRAP, or against a broker of its own (RUNTIME=bun|deno|kafka); MODE=quick|full.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_go "$compat/franz_go"
BIG=1
begin franz_go
export BOOTSTRAP
standard_checks "$GO_PROGRAM"
finish
