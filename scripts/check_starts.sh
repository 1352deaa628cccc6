#!/usr/bin/env bash
# Every way a newcomer may start Millrace, on copies of the tree without node_modules; and the README's first round trip.
# Prints "ok …" and "not ok …" lines; .ci/run counts them. Needs bun and deno in node_modules/.bin of this tree.
case " $* " in *" --help "* | *" -h "*) echo "Usage: scripts/check_starts.sh"; sed -n '2,3s/^# //p' "$0"; exit ;; esac
set -uo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bun=$repo/node_modules/.bin/bun
deno=$repo/node_modules/.bin/deno
work=$(mktemp -d "${TMPDIR:-/tmp}/millrace-starts-XXXXXX")
pid=
trap '[ -n "$pid" ] && kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export CI=true NO_COLOR=1
unset "${!MILLRACE_@}" FORCE_COLOR
failed=0
ok() { echo "ok $*"; }
not_ok() { failed=1; echo "not ok $1"; sed 's/^/    /' "$work/out" "$work/err" | tail -n 20; }
check() { local name=$1; shift; if "$@"; then ok "$name"; else not_ok "$name"; fi; }

copy() { # copy NAME: a bare checkout, as git would make it, with what is not committed yet
  mkdir "$work/$1"
  (cd "$repo" && git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
    tar --null -T - -cf -) | tar -xf - -C "$work/$1"
}
start() { # start FOLDER COMMAND…: waits for the line on standard output; sets pid and BOOTSTRAP
  local folder=$1 i; shift
  : >"$work/out"
  (cd "$work/$folder" && exec "$@") >"$work/out" 2>"$work/err" </dev/null &
  pid=$!
  for i in $(seq 300); do
    BOOTSTRAP=$(sed -n 's/^ready kafka=\([^ ]*\).* in [0-9]* ms$/\1/p' "$work/out")
    [ -n "$BOOTSTRAP" ] && return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  return 1
}
stop() { # SIGTERM, and the exit code has to be 0
  local code
  kill -TERM "$pid"; wait "$pid"; code=$?; pid=
  [ "$code" = 0 ] || { echo "exit code $code" >>"$work/err"; return 1; }
}

copy deno
no_permissions() {
  (cd "$work/deno" && timeout 60 "$deno" run mod.ts --kafka 127.0.0.1:0) >"$work/out" 2>"$work/err" </dev/null
  [ $? = 1 ] && grep -q 'Type: deno run -A mod.ts --kafka 127.0.0.1:0' "$work/err" && ! grep -qE '^ +at ' "$work/err"
}
on_a_terminal() { # util-linux's script makes the terminal; three questions, each answered by y
  (for _ in 1 2 3; do sleep 1; echo y; done; for _ in $(seq 30); do grep -q ready "$work/out" && break; sleep 0.5; done; printf '\003') |
    timeout 60 script -qefc "cd $work/deno && $deno run mod.ts --kafka 127.0.0.1:0" /dev/null >"$work/out" 2>"$work/err"
  grep -q 'ready kafka=127.0.0.1:' "$work/out"
}
check deno_run_bare start deno "$deno" run -A mod.ts --kafka 127.0.0.1:0
check deno_run_bare_stops stop
check deno_run_permission_set start deno "$deno" run -P mod.ts --kafka 127.0.0.1:0
check deno_run_permission_set_stops stop
check deno_run_without_permissions_names_the_command no_permissions
check deno_run_on_a_terminal_asks on_a_terminal

copy bun
check bun_run_bare start bun "$bun" run src/main.ts --kafka 127.0.0.1:0
check bun_run_bare_stops stop
check bun_left_no_node_modules test ! -e "$work/bun/node_modules"

copy npm
install() { (cd "$work/npm" && npm ci --no-audit --no-fund) >"$work/out" 2>"$work/err" </dev/null; }
check npm_ci install
check npm_start start npm npm start -- --kafka 127.0.0.1:0
export MILLRACE_BOOTSTRAP=$BOOTSTRAP
millrace() { (cd "$work/npm" && npx millrace "$@") 2>"$work/err"; }
check topic_created millrace topic create greetings --partitions 1
produced() { echo hello | millrace produce greetings; }
check record_produced produced
consumed() { [ "$(millrace consume greetings | tee "$work/out")" = hello ]; }
check record_consumed consumed
consumed_there() { MILLRACE_BOOTSTRAP=$BOOTSTRAP consumed; }
check npm_start_stops stop
check npm_start_again start npm npm start -- --kafka 127.0.0.1:0
check record_found_again consumed_there
check npm_start_again_stops stop
check millrace_start start npm node bin/millrace.js start --kafka 127.0.0.1:0
check millrace_start_stops stop
bundle() { (cd "$work/npm" && node_modules/.bin/bun run scripts/bundle.ts) >"$work/out" 2>"$work/err" </dev/null; }
check bundle_made bundle
check bundle_starts start npm node_modules/.bin/bun dist/millrace.js --kafka 127.0.0.1:0
check bundle_finds_the_record consumed_there
check bundle_stops stop
exit $failed
