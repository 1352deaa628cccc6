#!/usr/bin/env bash
# Strangers' clients in consumer groups, and Kafka's own tools for groups: RUNTIME=bun|deno|kafka run.sh [CLIENT… tools]
# ONLY=text runs the checks whose name holds it, JOBS=n so many beside each other, VERBOSE=1 shows what members say.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_kcat; need_java
need_librdkafka; export VENV_PYTHON
need_go "$compat/franz_go"; export FRANZ_GO=$GO_PROGRAM
need_go "$compat/kafka_go"; export KAFKA_GO=$GO_PROGRAM
AIOKAFKA_PYTHON=$(need_aiokafka && echo "$VENV_PYTHON"); export AIOKAFKA_PYTHON
BUN=$(tool bun); export BUN JAVA_CP
[ $# = 0 ] && set -- tools java librdkafka franz_go kafka_go kafkajs platformatic aiokafka kcat

# With groups that answer soon; everything else of groups is as it comes.
BOOTSTRAP=its-own begin groups
export KAFKA_HEAP=${KAFKA_HEAP:-512m}
broker_start "$WORK/broker" offsets.topic.num.partitions=5 group.initial.rebalance.delay.ms=100 \
  group.consumer.min.heartbeat.interval.ms=200 group.consumer.heartbeat.interval.ms=300 \
  group.consumer.min.session.timeout.ms=1000 group.consumer.session.timeout.ms=6000
OWN_BROKER=1
export BOOTSTRAP

tools=
for client in "$@"; do
  case $client in
    tools) "$compat/groups/tools.sh" >"$WORK/tools.log" 2>&1 & tools=$! ;; # they wait more than they work
    *) relay "$BUN" "$compat/groups/drive.ts" "$client" ;;
  esac
done
if [ -n "$tools" ]; then
  wait "$tools"; code=$?
  relay bash -c 'cat "$0"; exit "$1"' "$WORK/tools.log" $code
fi
finish
