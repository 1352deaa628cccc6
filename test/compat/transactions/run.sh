#!/usr/bin/env bash
# Strangers' transactional clients while they and the broker are killed, and Kafka's tools for transactions:
# RUNTIME=bun|deno|kafka run.sh [CLIENT… tools]
# ROUNDS, KILLS, INPUTS, SEED, TRANSACTION_VERSION and more: see drive.ts. VERBOSE=1 shows what the clients say.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_kcat; need_java
need_librdkafka; export VENV_PYTHON
need_go "$compat/franz_go"; export FRANZ_GO=$GO_PROGRAM
BUN=$(tool bun); export BUN JAVA_CP RUNTIME=${RUNTIME:-bun} KAFKA_HEAP=${KAFKA_HEAP:-512m}
[ $# = 0 ] && set -- tools java librdkafka franz_go kafkajs platformatic

BOOTSTRAP=its-own begin transactions
clients=()
for client in "$@"; do
  if [ "$client" = tools ]; then relay env -u BOOTSTRAP "$compat/transactions/tools.sh"; else clients+=("$client"); fi
done
[ ${#clients[@]} = 0 ] || relay "$BUN" "$compat/transactions/drive.ts" "$WORK/broker" "${clients[@]}"
finish
