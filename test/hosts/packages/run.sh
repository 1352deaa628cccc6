#!/usr/bin/env bash
# The package as strangers get it: npm run pack, then its tarball in empty projects of Node, Bun, Deno, Workers, wrangler.
# Every export is imported in each, examples/quickstart.ts runs in each, and the command serves on plain Node, twice.
# Prints "ok …" and "not ok …" lines; .ci/run counts them. Dependencies come from the registry that npm is set to.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../../.." && pwd)
bun=$repo/node_modules/.bin/bun
deno=$repo/node_modules/.bin/deno
work=$(mktemp -d "${TMPDIR:-/tmp}/millrace-packages-XXXXXX")
pid=
trap '[ -n "$pid" ] && kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export CI=true NO_COLOR=1
unset "${!MILLRACE_@}" FORCE_COLOR
failed=0
touch "$work/out" "$work/err"
ok() { echo "ok $*"; }
not_ok() { failed=1; echo "not ok $1"; sed 's/^/    /' "$work/out" "$work/err" | tail -n 20; }
check() { local name=$1; shift; if "$@" >"$work/out" 2>"$work/err" </dev/null; then ok "$name"; else not_ok "$name"; fi; }
each() { # each COMMAND…: one that prints its own lines
  local printed; printed=$("$@" 2>"$work/err" </dev/null) || failed=1
  grep -E '^(not )?ok ' <<<"$printed"
  case $printed in *ok\ *) ;; *) not_ok "$* printed nothing" ;; esac
}
in_project() { local project=$1; shift; (cd "$work/$project" && exec "$@"); }
# Bun and Deno do not read all of npm's settings.
registry=$(cd "$repo" && npm config get registry 2>/dev/null)
export BUN_CONFIG_REGISTRY=$registry NPM_CONFIG_REGISTRY=$registry

check pack "$bun" "$repo/scripts/pack.ts"
cat "$work/out"
tarball=$(ls "$repo"/dist/millrace-*.tgz) || exit 1
for project in node bun deno workers; do
  mkdir -p "$work/$project"
  echo '{ "name": "stranger", "private": true, "type": "module" }' >"$work/$project/package.json"
  cp "$here"/*.js "$work/$project"
  [ -e "$repo/examples/quickstart.ts" ] && cp "$repo/examples/quickstart.ts" "$work/$project"
done
npm_install() { in_project "$1" npm install --no-audit --no-fund --prefer-offline "$tarball"; }

# --- Node ------------------------------------------------------------------------------------------------------------
check node_installs npm_install node
each in_project node node every_export.js node "$repo/package.json"
# Node 20 runs no TypeScript; the same compiler run is a stranger's strict check of the example against our types.
quickstart() { # quickstart PROJECT COMMAND…: ends well, and tells of all four records
  local project=$1; shift
  in_project "$project" timeout 60 "$@" | tee "$work/told" && [ "$(grep -c ' ordered ' "$work/told")" = 4 ]
}
types() { # types PROJECT FILE: as a stranger's tsc
  ln -sfn "$repo/node_modules/@types" "$work/types"
  in_project "$1" "$repo/node_modules/.bin/tsc" --strict --skipLibCheck false --module nodenext --target es2022 --lib es2023,dom,esnext.disposable \
    --typeRoots "$work/types" --types node --outDir out "$2"
}
check node_compiles_quickstart types node quickstart.ts
check node_runs_quickstart quickstart node node out/quickstart.js

# --- Bun -------------------------------------------------------------------------------------------------------------
check bun_installs in_project bun "$bun" add "$tarball"
each in_project bun "$bun" every_export.js bun "$repo/package.json"
says() { # says HOST PROJECT COMMAND…: the version, and the host that it runs on
  local host=$1 project=$2; shift 2
  in_project "$project" "$@" version | tee "$work/said" | grep -qE "^millrace [0-9.]+ \($host "
}
check bun_runs_the_command_on_bun says bun bun "$bun" --bun x millrace
check bun_runs_quickstart quickstart bun "$bun" quickstart.ts

# --- Deno ------------------------------------------------------------------------------------------------------------
echo '{ "nodeModulesDir": "manual" }' >"$work/deno/deno.json"
check deno_installs npm_install deno
each in_project deno "$deno" run -A --no-prompt every_export.js deno "$repo/package.json"
check deno_runs_the_command_on_deno says deno deno "$deno" run -A --no-prompt npm:millrace
check deno_runs_quickstart quickstart deno "$deno" run -A --no-prompt quickstart.ts
check deno_checks_quickstart in_project deno "$deno" check quickstart.ts

# --- Workers ---------------------------------------------------------------------------------------------------------
cp -R "$repo/examples/worker/src" "$work/workers"
check workers_installs npm_install workers
check workers_compiles_the_example types workers src/index.ts
peers() { # miniflare comes from the cache of peers, as it is heavy
  (. "$repo/test/compat/lib.sh" && need_workerd >&2 && echo "$WORKERD_PEERS")
}
if peers=$(peers 2>"$work/err"); then
  each in_project workers node every_export_workerd.js "$bun" "$peers"
  each in_project workers node quickstart_workerd.js "$bun" "$peers" src/index.ts
else
  not_ok workers_has_miniflare
fi

# --- wrangler itself -------------------------------------------------------------------------------------------------
# The last one that runs on Node 20. Its workerd is the one of test/hosts/workerd.
wrangler=4.86.0
mkdir -p "$work/wrangler"
cp -R "$repo"/examples/worker/. "$repo/examples/quickstart.ts" "$here"/{wrangler,workerd}.js "$work/wrangler"
wrangler_install() { in_project wrangler npm install --no-audit --no-fund --prefer-offline --save-exact "$tarball" "wrangler@$wrangler"; }
check wrangler_installs wrangler_install
each in_project wrangler node wrangler.js "$repo"

# --- the command, on Node alone --------------------------------------------------------------------------------------
millrace() { in_project node npx --no-install millrace "$@"; }
start() { # start COMMAND…: sets pid and MILLRACE_BOOTSTRAP
  local i; : >"$work/started"
  (cd "$work/node" && exec "$@" start --kafka 127.0.0.1:0 --http 127.0.0.1:0) >"$work/started" 2>"$work/broker.log" </dev/null &
  pid=$!
  for i in $(seq 300); do
    MILLRACE_BOOTSTRAP=$(sed -n 's/^ready .*kafka=\([^ ]*\).* in [0-9]* ms$/\1/p' "$work/started")
    http=$(sed -n 's/^ready .*http=\([^ ]*\).* in [0-9]* ms$/\1/p' "$work/started")
    [ -n "$MILLRACE_BOOTSTRAP" ] && { export MILLRACE_BOOTSTRAP; return 0; }
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/started" "$work/broker.log"; return 1
}
stop() { # stop [CODE]: SIGTERM, the exit code where one is wanted, and the broker may not be left over
  local code i
  kill -TERM "$pid"; wait "$pid"; code=$?; pid=
  for i in $(seq 100); do grep -q broker_stopped "$work/broker.log" && break; sleep 0.1; done
  cat "$work/broker.log"; echo "exit code $code"
  [ "$code" = "${1:-$code}" ] && grep -q broker_stopped "$work/broker.log"
}
produced() { printf 'hello\nworld\n' | millrace produce greetings; }
consumed() { [ "$(millrace consume greetings | sort | tr '\n' ' ')" = "hello world " ]; }
check command_runs_on_node says node node npx --no-install millrace
check command_starts_by_npx start npx --no-install millrace
check command_creates_a_topic millrace topic create greetings --partitions 2
check command_produces produced
check command_consumes consumed
no_zstd() { # as Node has none before 22.15: told so, or done
  if node -e 'process.exit(require("zlib").zstdCompressSync ? 1 : 0)'; then
    ! echo squeezed | millrace produce greetings --compression zstd 2>"$work/told"; cat "$work/told"; grep -q 'this host has no zstd' "$work/told"
  fi
}
over_http() { # a record that one face took, given by both
  curl -sSf -d 'by http' "http://$http/v1/topics/over-http/records?partition=0" &&
    [ "$(millrace consume over-http)" = "by http" ] &&
    curl -sSf "http://$http/v1/topics/over-http/partitions/0/records?offset=0" | grep -q '"value":"by http"'
}
check command_creates_over_http curl -sSf -X PUT "http://$http/v1/topics/over-http"
check command_serves_http_and_kafka over_http
no_sqlite() { # as Node has none before 22.13: told so in one line, or started
  echo '{ "storage": "kv", "metadata": "kv", "data": "./kv" }' >"$work/node/kv.json"
  if node --no-warnings -e 'process.exit(process.getBuiltinModule("node:sqlite") ? 1 : 0)'; then
    ! millrace start --config kv.json --kafka 127.0.0.1:0 --http off 2>"$work/told"
    cat "$work/told"; grep '^millrace: ' "$work/told" | grep -q 'node:sqlite'
  fi
}
check command_tells_of_a_missing_sqlite no_sqlite
check command_tells_of_a_missing_zstd no_zstd
# The shell that npx puts between itself and us dies of the signal, so its exit code is not ours.
check command_by_npx_leaves_nobody_at_sigterm stop
check command_starts_again start node_modules/.bin/millrace
check command_finds_everything_again consumed
check command_stops_with_0_at_sigterm stop 0
exit $failed
