#!/usr/bin/env bash
# Strangers' transactional clients while they and the broker are killed, and Kafka's tools for transactions.
usage='Usage: RUNTIME=bun|deno|kafka run.sh [CLIENT… tools refusals record]
Clients that consume, transform and produce in transactions, all beside each other, while they and the broker are killed (-9) at
random; then the outputs are judged: each input once, nothing that was aborted. `tools`: Kafka'"'"'s own tools for transactions.
`refusals`: the answers to single requests are those recorded of Kafka (npm test asks ours); `record` records them.
  clients: java java_consumer librdkafka franz_go kafkajs platformatic (default: all, and tools)
Environment:
  ROUNDS=20             rounds; each kills the broker 0 to 2 times, and clients with KILL_PERCENT
  INPUTS=90             records a client has to take in a round
  KILL_PERCENT=60       of rounds in which a client is killed
  ROUND_SECONDS=90      a client that takes longer hangs
  SEED=N                what is drawn; said with every failure (the moments stay those of the machine)
  TRANSACTION_VERSION=  0|1|2 (2), set by the feature
  ONLY_CLIENTS=1 | ONLY_BROKER=1   kills only these
  VERBOSE=1             shows what the clients say'
case " $* " in *" --help "* | *" -h "*) echo "$usage"; exit ;; esac
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_kcat; need_java
need_librdkafka; export VENV_PYTHON
need_go "$compat/franz_go"; export FRANZ_GO=$GO_PROGRAM
BUN=$(tool bun); export BUN JAVA_CP RUNTIME=${RUNTIME:-bun} KAFKA_HEAP=${KAFKA_HEAP:-512m}
[ $# = 0 ] && set -- tools java java_consumer librdkafka franz_go kafkajs platformatic

BOOTSTRAP=its-own begin transactions
exec 3>&2
export PROGRESS_FD=3
clients=()
for client in "$@"; do
  case $client in
    tools) relay env -u BOOTSTRAP "$compat/transactions/tools.sh" ;;
    refusals) relay "$BUN" "$compat/transactions/refusals.ts" "$WORK/refusals" ;;
    record) relay "$BUN" "$compat/transactions/refusals.ts" "$WORK/refusals" --record ;;
    *) clients+=("$client") ;;
  esac
done
[ ${#clients[@]} = 0 ] || relay "$BUN" "$compat/transactions/drive.ts" "$WORK/broker" "${clients[@]}"
finish
