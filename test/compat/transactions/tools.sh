#!/usr/bin/env bash
# Kafka's own tools for transactions and features (kafka-tools 4.3.1) against BOOTSTRAP, or a broker of its own.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_java
begin transaction_tools
export BOOTSTRAP
jvm=(java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$JAVA_CP")
transactions() { timeout 60 "${jvm[@]}" org.apache.kafka.tools.TransactionsCommand --bootstrap-server "$BOOTSTRAP" "$@"; }
features() { timeout 60 "${jvm[@]}" org.apache.kafka.tools.FeatureCommand --bootstrap-server "$BOOTSTRAP" "$@"; }
shows() { # shows PATTERN COMMAND…: what it prints has such a line
  local pattern=$1 out; shift
  out=$("$@" 2>&1); grep -qE -- "$pattern" <<<"$out" || { echo "no line $pattern in: $(tail -n 6 <<<"$out")" >&2; return 1; }
}
hides() { # hides PATTERN COMMAND…: it ends well, and prints no such line
  local pattern=$1 out; shift
  out=$("$@" 2>&1) || { echo "exit $?: $(tail -n 3 <<<"$out")" >&2; return 1; }
  ! grep -E -- "$pattern" <<<"$out" >&2
}
t=txtools-$TOPIC_RUN id=txtools-id-$TOPIC_RUN
made() { timeout 60 "${jvm[@]}" Client create "$t" 2; }
opened() { # a transaction with one record in partition 1, open until its standard input ends
  coproc OPEN { exec "${jvm[@]}" Client open "$t" 1 "$1"; }
  local line; read -r -t 60 line <&"${OPEN[0]}" && [ "$line" = open ] || { echo "not open: $line" >&2; return 1; }
}
left() { exec {OPEN[1]}>&-; wait "$OPEN_PID" 2>/dev/null; return 0; } # without a word: its transaction stays
committed_is() { # what a reader of committed records sees
  local got; got=$(timeout 60 "${jvm[@]}" Client show "$t" read_committed | cut -d' ' -f3 | paste -sd,)
  [ "$got" = "$1" ] || { echo "seen: $got" >&2; return 1; }
}
producer_line() { transactions describe-producers --topic "$t" --partition 1; }

check topic_made made
check transaction_left_open opened "$id"
check transactions_tool_list shows "^$id\s+\S+\s+[0-9]+\s+Ongoing" transactions list
check transactions_tool_list_by_pattern shows "^$id\s" transactions list --transactional-id-pattern 'txtools-id-.*'
check transactions_tool_list_other_pattern hides "$id" transactions list --transactional-id-pattern 'nobody.*'
check transactions_tool_list_by_age hides "$id" transactions list --duration-filter 600000
check transactions_tool_describe shows "$id.*Ongoing.*$t-1" transactions describe --transactional-id "$id"
check transactions_tool_describe_producers shows '^[0-9]+\s+[0-9]+\s.*\s0\s*$' producer_line
check transactions_tool_find_hanging hides "$t" transactions find-hanging --broker-id 1
check last_stable_offset_waits committed_is ""
check transactions_tool_force_terminate transactions forceTerminateTransaction --transactionalId "$id"
check transactions_tool_list_after shows "^$id\s+\S+\s+[0-9]+\s+(CompleteAbort|PrepareAbort|Empty)" transactions list
check aborted_is_not_seen committed_is ""
left
check second_transaction_left_open opened "$id-2"
left
start_of() { producer_line | awk '$NF ~ /^[0-9]+$/ { print $NF }' | head -1; }
aborts() { local at; at=$(start_of) && [ -n "$at" ] || { producer_line >&2; return 1; }; transactions abort --topic "$t" --partition 1 --start-offset "$at"; }
check transactions_tool_abort_by_offset aborts
check transactions_tool_nothing_open shows '^[0-9]+\s.*None\s*$' producer_line
check aborted_by_offset_is_not_seen committed_is ""

check features_tool_describe shows 'Feature: transaction.version.*SupportedMaxVersion: 2.*FinalizedVersionLevel: 2' features describe
check features_tool_downgrade shows 'transaction.version was downgraded to 1' features downgrade --feature transaction.version=1
check features_tool_describe_after shows 'Feature: transaction.version.*FinalizedVersionLevel: 1' features describe
check features_tool_dry_run shows 'transaction.version can be upgraded to 2' features upgrade --feature transaction.version=2 --dry-run
check features_tool_refuses_unknown shows 'Could not upgrade transaction.version to 3' features upgrade --feature transaction.version=3
check features_tool_refuses_metadata shows 'Could not downgrade metadata.version' features downgrade --metadata 4.0
check features_tool_upgrade shows 'transaction.version was upgraded to 2' features upgrade --feature transaction.version=2
finish
