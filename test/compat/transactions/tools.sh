#!/usr/bin/env bash
# Kafka's own tools for transactions and features (kafka-tools 4.3.1) against BOOTSTRAP, or a broker of its own. What they print has
# the form that it has with Kafka, which is in tools_kafka_4.3.1.txt; RECORD=1 RUNTIME=kafka writes that anew.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_java
begin transaction_tools
export BOOTSTRAP
jvm=(java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$JAVA_CP")
tool_of() { timeout 60 "${jvm[@]}" "$@"; }
# One process for those that are not to be killed; it ends with this one.
mkfifo "$WORK/tools.in" "$WORK/tools.out"
"${jvm[@]}" Client tools <"$WORK/tools.in" >"$WORK/tools.out" 2>"$WORK/tools.err" &
exec 8>"$WORK/tools.in" 9<"$WORK/tools.out"
hosted() { # hosted CLASS ARGUMENT…
  local IFS=$'\t' line
  printf '%s\n' "$*" >&8
  while IFS= read -r -t 60 line <&9; do
    if [[ $line == $'\x04exit '* ]]; then return "${line#$'\x04exit '}"; fi
    printf '%s\n' "$line"
  done
  echo "no answer of the tools: $(tail -n 3 "$WORK/tools.err")" >&2
  return 1
}
transactions() { hosted org.apache.kafka.tools.TransactionsCommand --bootstrap-server "$BOOTSTRAP" "$@"; }
features() { hosted org.apache.kafka.tools.FeatureCommand --bootstrap-server "$BOOTSTRAP" "$@"; }
shows() { # shows PATTERN COMMAND…: what it prints has such a line
  local pattern=$1 out; shift
  out=$("$@" 2>&1); grep -qE -- "$pattern" <<<"$out" || { echo "no line $pattern in: $(tail -n 6 <<<"$out")" >&2; return 1; }
}
t=txtools-$TOPIC_RUN id=txtools-id-$TOPIC_RUN

# --- forms -----------------------------------------------------------------------------------------------------------

forms=$compat/transactions/tools_kafka_4.3.1.txt
[ -z "${RECORD:-}" ] || : >"$forms"
normalised() { # names and numbers as words, columns one space apart
  grep -vE '^(SLF4J|WARN|Option --.*deprecated)| (ERROR|WARN|INFO) \[|^[[:space:]]*$' | sed -E -e "s/$id/ID/g; s/$t/TOPIC/g" -e 's/-?\b[0-9]+\b/N/g' -e 's/[[:space:]]+/ /g; s/ $//'
}
recorded() { awk -v name="== $1" '$0 == name { on = 1; next } /^== / { on = 0 } on' "$forms"; }
form() { # form NAME COMMAND…: what it prints, and how it ends, are like Kafka's
  local name=$1 out code; shift
  out=$("$@" 2>&1); code=$?
  out=$(normalised <<<"$out"; echo "exit $code")
  if [ -n "${RECORD:-}" ]; then printf '== %s\n%s\n' "$name" "$out" >>"$forms"; return 0; fi
  [ "$out" = "$(recorded "$name")" ] || { diff <(recorded "$name") <(echo "$out") >&2; return 1; }
}
like_kafka() { local name=$1; shift; check "$name" form "$name" "$@"; }

# --- transactions ----------------------------------------------------------------------------------------------------

made() { tool_of Client create "$t" 3; }
opened() { # a transaction with one record in partition 1, open until its standard input ends
  coproc OPEN { exec 8>&- 9<&-; exec "${jvm[@]}" Client open "$t" 1 "$1"; }
  local line; read -r -t 60 line <&"${OPEN[0]}" && [ "$line" = open ] || { echo "not open: $line" >&2; return 1; }
}
left() { exec {OPEN[1]}>&-; wait "$OPEN_PID" 2>/dev/null; return 0; } # without a word: its transaction stays
committed_is() { # what a reader of committed records sees
  local got; got=$(tool_of Client show "$t" read_committed | cut -d' ' -f3 | paste -sd,)
  [ "$got" = "$1" ] || { echo "seen: $got" >&2; return 1; }
}
mine() { transactions list --transactional-id-pattern "$id.*" "$@"; }
producers() { transactions describe-producers --topic "$t" --partition "${1:-1}"; }
hanging() { transactions find-hanging --topic "$t"; }

check topic_made made
check transaction_left_open opened "$id"
check transactions_tool_list_all shows "^$id\s+1\s+[0-9]+\s+Ongoing" transactions list
like_kafka transactions_tool_list mine
like_kafka transactions_tool_list_other_pattern transactions list --transactional-id-pattern 'nobody.*'
like_kafka transactions_tool_list_bad_pattern transactions list --transactional-id-pattern '('
like_kafka transactions_tool_list_by_age mine --duration-filter 600000
like_kafka transactions_tool_describe transactions describe --transactional-id "$id"
check transactions_tool_describes_the_partition shows "^1\s+$id\s+[0-9]+\s+0\s+Ongoing\s+300000\s+[0-9]+\s+[0-9]+\s+$t-1" transactions describe --transactional-id "$id"
like_kafka transactions_tool_describe_unknown transactions describe --transactional-id "$id-nobody"
like_kafka transactions_tool_describe_producers producers
check transactions_tool_describes_the_producer shows '^[0-9]+\s+0\s+-1\s+0\s+[0-9]+\s+0\s*$' producers
like_kafka transactions_tool_describe_producers_none producers 2
like_kafka transactions_tool_find_hanging_none transactions find-hanging --broker-id 1
check last_stable_offset_waits committed_is ""
like_kafka transactions_tool_abort_nothing transactions abort --topic "$t" --partition 1 --start-offset 7
like_kafka transactions_tool_force_terminate transactions forceTerminateTransaction --transactionalId "$id"
like_kafka transactions_tool_force_terminate_unknown transactions forceTerminateTransaction --transactionalId "$id-nobody"
check transactions_tool_list_after shows "^$id\s+1\s+[0-9]+\s+(CompleteAbort|Empty)" mine
check aborted_is_not_seen committed_is ""
left
check second_transaction_left_open opened "$id-2"
left
start_of() { producers "$1" | awk '$NF ~ /^[0-9]+$/ { print $NF }' | head -1; }
aborts() { local at; at=$(start_of "$1") && [ -n "$at" ] || { producers "$1" >&2; return 1; }; transactions abort --topic "$t" --partition "$1" --start-offset "$at"; }
like_kafka transactions_tool_abort aborts 1
check transactions_tool_nothing_open shows '^[0-9]+\s.*None\s*$' producers
check aborted_by_offset_is_not_seen committed_is ""

hangs() { timeout 60 "$(tool bun)" "$compat/transactions/hang.ts" "$t" 2 "$id-3"; }
check hanging_transaction_left hangs
like_kafka transactions_tool_find_hanging hanging
check transactions_tool_finds_the_partition shows "^$t\s+2\s+[0-9]+\s+0\s+-1\s+0\s+[0-9]+\s+(29|30|31)\s*$" hanging
like_kafka transactions_tool_abort_hanging aborts 2
like_kafka transactions_tool_find_hanging_after hanging
check hanging_is_not_seen committed_is ""

# --- console ---------------------------------------------------------------------------------------------------------

perf() { # 2,000 records in transactions of 20 ms
  tool_of org.apache.kafka.tools.ProducerPerformance --topic "$t-perf" --num-records 2000 --record-size 100 --throughput 4000 \
    --bootstrap-server "$BOOTSTRAP" --transactional-id "$id-perf" --transaction-duration-ms 20 | grep '^2000 records sent'
}
console_consumer() { # console_consumer TOPIC PARTITION ISOLATION: until nothing came for two seconds
  tool_of org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$BOOTSTRAP" --topic "$1" --partition "$2" --offset earliest \
    --isolation-level "$3" --timeout-ms 2000 --formatter-property print.partition=true 2>/dev/null | grep "^Partition:$2"
}
lines_are() { local n; n=$(console_consumer "$2" "$3" "$4" | wc -l); [ "$n" = "$1" ] || { echo "$n lines, not $1" >&2; return 1; }; }
console_producer() { echo never-sent | timeout -s KILL 8 "${jvm[@]}" org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$BOOTSTRAP" --topic "$t" --command-property "transactional.id=$id-console" --command-property max.block.ms=3000; }
perf_topic() { tool_of Client create "$t-perf" 1; }
check perf_topic_made perf_topic
check producer_performance_tool_transactions perf
check console_consumer_committed lines_are 2000 "$t-perf" 0 read_committed
check console_consumer_committed_of_aborted lines_are 0 "$t" 1 read_committed
check console_consumer_uncommitted_of_aborted lines_are 2 "$t" 1 read_uncommitted
# It never calls initTransactions: with a transactional id it cannot send, whatever the broker; nor does it end by itself then.
check console_producer_cannot shows 'initTransactions' console_producer

# --- features --------------------------------------------------------------------------------------------------------

check features_tool_describe shows 'Feature: transaction.version.*SupportedMaxVersion: 2.*FinalizedVersionLevel: 2' features describe
check features_tool_downgrade shows 'transaction.version was downgraded to 1' features downgrade --feature transaction.version=1
check features_tool_describe_after shows 'Feature: transaction.version.*FinalizedVersionLevel: 1' features describe
check features_tool_dry_run shows 'transaction.version can be upgraded to 2' features upgrade --feature transaction.version=2 --dry-run
check features_tool_refuses_unknown shows 'Could not upgrade transaction.version to 3' features upgrade --feature transaction.version=3
check features_tool_refuses_metadata shows 'Could not downgrade metadata.version' features downgrade --metadata 4.0
check features_tool_upgrade shows 'transaction.version was upgraded to 2' features upgrade --feature transaction.version=2
finish
