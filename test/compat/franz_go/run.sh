#!/usr/bin/env bash
# franz-go against BOOTSTRAP, or against a broker of its own (RUNTIME=bun|deno|kafka); MODE=quick|full.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_go "$compat/franz_go"
begin franz_go
export BOOTSTRAP
# the rules that scripts/kill_rounds.ts judges by have to find each kind of fault
checker_tests() { (cd "$compat/franz_go" && go test ./...); }
check checker_finds_every_fault checker_tests
BIG=1 standard_checks "$GO_PROGRAM"
finish
