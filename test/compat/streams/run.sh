#!/usr/bin/env bash
# Kafka Streams 4.3.1: a word count, exactly once, while it and its broker are killed and its state is deleted.
usage='Usage: RUNTIME=bun|deno|kafka run.sh
Environment: ROUNDS=3 (each kills the application and the broker), LINES=2500 of four words a round, SEED=N, VERBOSE=1'
case " $* " in *" --help "* | *" -h "*) echo "$usage"; exit ;; esac
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_kcat; need_streams
BUN=$(tool bun); export BUN STREAMS_CP RUNTIME=${RUNTIME:-bun} KAFKA_HEAP=${KAFKA_HEAP:-512m}
BOOTSTRAP=its-own begin streams
exec 3>&2
export PROGRESS_FD=3
relay "$BUN" "$compat/streams/drive.ts" "$WORK/broker"
finish
