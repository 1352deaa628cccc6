#!/usr/bin/env bash
# Millrace in real workerd, by miniflare: run.sh [node|bun|deno …], the programs that drive it (default all three).
# miniflare is heavy, so it lies in the cache of peers and not in package.json. Prints "ok …" and "not ok …" lines.
. "$(dirname "${BASH_SOURCE[0]}")/../../compat/lib.sh"
here=$repo/test/hosts/workerd
need_workerd
export MILLRACE_REPO=$repo
work=$(mktemp -d "${TMPDIR:-/tmp}/millrace-workerd-XXXXXX")
trap 'rm -rf "$work"' EXIT
[ $# = 0 ] && set -- node bun deno
code=0
"$(tool bun)" "$here/bundle.ts" "$work" || die "the worker could not be bundled"
for driver in "$@"; do
  case $driver in
    bun) command=("$(tool bun)" "$here/drive.ts") ;;
    deno) command=("$(tool deno)" run -A --no-check "$here/drive.ts") ;;
    node) command=(node "$work/drive.js") ;;
    *) die "drivers are bun, deno and node, not $driver" ;;
  esac
  "${command[@]}" "$work" "$WORKERD_PEERS" "$driver" || code=1
done
exit $code
