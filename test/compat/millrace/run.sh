#!/usr/bin/env bash
# Our own command line against BOOTSTRAP, or a broker of its own. RUNTIME=kafka holds it to Apache Kafka.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_kafka_jars
begin millrace
export BOOTSTRAP
client=("$(tool bun)" "$compat/millrace/client.ts")
BIG=1 standard_checks "${client[@]}"

# One key, written by Java's console and by ours, lies in one partition: on our topics with the setting
# partitioner=murmur2, on Apache's always.
keys_lie_together() {
  local t=millrace-keys-$TOPIC_RUN
  "${client[@]}" create "$t" 12 partitioner=murmur2 2>/dev/null || "${client[@]}" create "$t" 12 || return 1
  seq 1 500 | awk '{print "key"$1","$1}' >"$WORK/keys.csv"
  java -cp "$KAFKA_LIBS/*" org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$BOOTSTRAP" --topic "$t" \
    --reader-property parse.key=true --reader-property key.separator=, <"$WORK/keys.csv" || return 1
  "${client[@]}" keys "$t" "$WORK/keys.csv"
}
check keys_lie_together_with_java keys_lie_together
finish
