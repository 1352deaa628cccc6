#!/usr/bin/env bash
# A rolling restart of three brokers under Java, librdkafka and franz-go clients that are never restarted: no write fails.
usage='Usage: RUNTIME=bun|deno|kafka run.sh
Each broker in turn: SIGTERM, start, wait until all is in sync and led by its first replica. Then the history is judged.
Environment: ROUNDS=2 times around, KAFKA_HEAP=512m, TABLE=FILE takes the figures, VERBOSE=1 shows complaints of clients'
case " $* " in *" --help "* | *" -h "*) echo "$usage"; exit ;; esac
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$compat/cluster/build.sh"
need_cluster_load; need_librdkafka
[ "${RUNTIME:-bun}" = kafka ] || need_etcd
need_go "$compat/rolling/franz_load"; export FRANZ_LOAD=$GO_PROGRAM VENV_PYTHON
BUN=$(tool bun); export RUNTIME=${RUNTIME:-bun} KAFKA_HEAP=${KAFKA_HEAP:-512m}
BOOTSTRAP=its-own begin rolling
drive() { "$BUN" "$compat/rolling/drive.ts" "$WORK" | tee "${TABLE:-$WORK/told}"; }
relay drive
finish
