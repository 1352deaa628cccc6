#!/usr/bin/env bash
# The metadata store over a real etcd, on RUNTIME=bun|deno: the suite that all stores pass, what it does when etcd is killed,
# stopped, left without a majority or behind a network that lies, and TLS with users. Needs no broker.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_etcd
have openssl || die "openssl is needed"
NAME=etcd WORK=$(mktemp -d "${TMPDIR:-/tmp}/millrace-compat-XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cd "$repo" || exit 1
for suite in conformance faults login; do
  file=./test/compat/etcd/$suite.ts junit=$WORK/$suite.xml
  case ${RUNTIME:-bun} in
    bun) "$(tool bun)" test --timeout 120000 --reporter=junit --reporter-outfile="$junit" "$file" >"$WORK/log" 2>&1 ;;
    deno) "$(tool deno)" test -A --no-check --frozen --junit-path="$junit" "$file" >"$WORK/log" 2>&1 ;;
    *) die "RUNTIME is bun or deno, not ${RUNTIME}" ;;
  esac
  code=$?
  cases=0
  # One case a line: its name, and whether a failure follows before it ends
  while IFS=$'\t' read -r outcome name; do
    cases=$((cases + 1))
    if [ "$outcome" = ok ]; then ok "$suite: $name"; else not_ok "$suite: $name"; fi
  done < <({ tr '\n' ' ' <"$junit"; echo; } 2>/dev/null | sed 's/<testcase /\n&/g' | sed -n 's/^<testcase name="\([^"]*\)"\(.*\)/\1\t\2/p' |
    while IFS=$'\t' read -r name rest; do
      case $rest in *"<failure"* | *"<error"* | *"<skipped"*) printf 'not_ok\t%s\n' "$name" ;; *) printf 'ok\t%s\n' "$name" ;; esac
    done)
  [ "$cases" = 0 ] && not_ok "$suite showed nothing"
  if [ "$code" != 0 ]; then not_ok "$suite ended with $code"; tail -n 40 "$WORK/log"; fi
done
finish
