#!/usr/bin/env bash
# Every client against every runtime: MODE=quick|full run_all.sh [RUNTIME …]        (default: bun deno)
# One broker a runtime, started here and stopped cleanly at the end. CLIENTS="kcat java" runs only those.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export MODE
clients=(${CLIENTS:-kcat franz_go kafka_go java librdkafka kafkajs platformatic millrace client matrix sasl})
runtimes=("${@:-bun}"); [ $# = 0 ] && runtimes=(bun deno)
"$compat/../../scripts/fetch_peers.sh" "${clients[@]}" || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/millrace-compat-XXXXXX")
trap 'broker_stop >/dev/null 2>&1; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
failed=0 summary=
for RUNTIME in "${runtimes[@]}"; do
  export RUNTIME
  rm -rf "$work/broker"
  broker_start "$work/broker"
  for client in "${clients[@]}"; do
    began=$(now_ms)
    BOOTSTRAP=$BOOTSTRAP "$compat/$client/run.sh" >"$work/$client.log" 2>&1 || failed=1
    grep -v '^ok ' "$work/$client.log" | sed "s/^/$RUNTIME: /"
    [ -n "${VERBOSE:-}" ] && cat "$work/$client.log"
    summary+="$RUNTIME: $(tail -n 1 "$work/$client.log") in $((($(now_ms) - began) / 1000)) s"$'\n'
  done
  code=0; broker_stop || code=$?
  if [ "$RUNTIME" != kafka ] && [ $code != 0 ]; then
    failed=1
    summary+="$RUNTIME: the broker ended with code $code after SIGTERM"$'\n'
    tail -n 5 "$work/broker/broker.log"
  fi
done
echo "--- summary"
printf '%s' "$summary"
exit $failed
