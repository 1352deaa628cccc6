#!/usr/bin/env bash
# Kafka's own tools for groups (kafka-tools 4.3.1) against BOOTSTRAP; run.sh runs it beside the clients.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_kcat; need_java
[ -n "${BOOTSTRAP:-}" ] || die "BOOTSTRAP is needed: run this by run.sh"
begin tools
jvm=(java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$JAVA_CP")
groups_tool() { timeout 60 "${jvm[@]}" org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$BOOTSTRAP" "$@"; }
console() { timeout 60 "${jvm[@]}" org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$BOOTSTRAP" "$@"; }
shows() { # shows PATTERN COMMAND…: what it prints has such a line
  local pattern=$1 out; shift
  out=$("$@" 2>&1); grep -qE -- "$pattern" <<<"$out" || { echo "no line $pattern in: $(tail -n 6 <<<"$out")" >&2; return 1; }
}
t=tools-$TOPIC_RUN g=tools-group-$TOPIC_RUN
seq 1000 1059 >"$WORK/tools.txt"
made() { timeout 60 "${jvm[@]}" Client create "$t" 3; }
filled() { # twenty lines to each partition
  local p
  for p in 0 1 2; do sed -n "$((p * 20 + 1)),$((p * 20 + 20))p" "$WORK/tools.txt" | kcat -P -b "$BOOTSTRAP" -t "$t" -p $p || return 1; done
}
consumes() { # consumes GROUP PROTOCOL: the whole topic, once
  console --topic "$t" --group "$1" --from-beginning --max-messages 60 --timeout-ms 20000 --command-property "group.protocol=$2" >"$WORK/tools.got" 2>"$WORK/tools.err"
  sort "$WORK/tools.got" | cmp -s - "$WORK/tools.txt" || { echo "$(wc -l <"$WORK/tools.got") of 60 lines; $(tail -n 2 "$WORK/tools.err")" >&2; return 1; }
}
consumes_no_more() { # the offsets were committed: nothing is left for the same group
  console --topic "$t" --group "$1" --from-beginning --timeout-ms 4000 --command-property "group.protocol=$2" >"$WORK/tools.got" 2>/dev/null
  ! grep -xE '[0-9]{4}' "$WORK/tools.got" >&2
}
lag() { # lag GROUP LAG: of each partition
  [ "$(groups_tool --describe --group "$1" | awk -v t="$t" '$2 == t { print $6 }' | sort -u)" = "$2" ] || { groups_tool --describe --group "$1" >&2; return 1; }
}
member_joins() { # a member that stays until it is told to go
  kcat -b "$BOOTSTRAP" -X session.timeout.ms=6000 -X heartbeat.interval.ms=300 -X client.id=tools-member -G "$g" "$t" >/dev/null 2>"$WORK/member.err" & member=$!
  local i
  for i in $(seq 200); do grep -q assigned "$WORK/member.err" && return 0; sleep 0.05; done
  cat "$WORK/member.err" >&2; return 1
}
member_leaves() { kill "$member"; wait "$member" 2>/dev/null; return 0; }
formatted() { # formatted FORMATTER PATTERN: a line of __consumer_offsets as Kafka's own formatter reads it
  console --topic __consumer_offsets --from-beginning --timeout-ms 6000 --formatter "org.apache.kafka.tools.consumer.$1" >"$WORK/formatted" 2>"$WORK/formatted.err"
  grep -qE "$2" "$WORK/formatted" || { echo "no $2 in $(wc -l <"$WORK/formatted") lines: $(tail -n 2 "$WORK/formatted" "$WORK/formatted.err")" >&2; return 1; }
}

check tools_topic made
check tools_filled filled
check console_consumer_group_classic consumes "$g" classic
check console_consumer_group_goes_on consumes_no_more "$g" classic
check console_consumer_group_consumer consumes "$g-new" consumer
check console_consumer_group_consumer_goes_on consumes_no_more "$g-new" consumer
check groups_tool_list shows "^$g\$" groups_tool --list
check groups_tool_list_types shows "^$g-new +Consumer" groups_tool --list --type
check groups_tool_list_states shows "^$g +Empty" groups_tool --list --state
check groups_tool_list_by_state shows "^$g +Empty" groups_tool --list --state Empty
check groups_tool_describe lag "$g" 0
check groups_tool_describe_consumer lag "$g-new" 0
check groups_tool_describe_state_empty shows "^$g .* Empty +0" groups_tool --describe --group "$g" --state
check groups_tool_describe_all shows "^$g-new +$t +0 +20 +20 +0" groups_tool --describe --all-groups
check groups_tool_member_joins member_joins
check groups_tool_members shows "^$g .*tools-member +3" groups_tool --describe --group "$g" --members
check groups_tool_members_verbose shows "^$g .*tools-member +3 .*0,1,2" groups_tool --describe --group "$g" --members --verbose
check groups_tool_state_stable shows "^$g .* range +Stable +1" groups_tool --describe --group "$g" --state
check groups_tool_delete_refused_while_in_use shows 'is not empty|not empty|GroupNotEmpty' groups_tool --delete --group "$g"
check groups_tool_reset_refused_while_in_use shows 'only possible if .*inactive|current state is Stable' groups_tool --reset-offsets --group "$g" --topic "$t" --to-earliest --execute
check groups_tool_delete_offsets_refused_while_subscribed shows 'subscribed|GroupSubscribedToTopic' groups_tool --delete-offsets --group "$g" --topic "$t"
check groups_tool_member_leaves member_leaves
check groups_tool_reset_dry_run shows "^$g +$t +1 +0" groups_tool --reset-offsets --group "$g" --topic "$t" --to-earliest --dry-run
check groups_tool_dry_run_changed_nothing lag "$g" 0
check groups_tool_reset_to_earliest shows "^$g +$t +1 +0" groups_tool --reset-offsets --group "$g" --topic "$t" --to-earliest --execute
check groups_tool_reset_done lag "$g" 20
check console_consumer_after_reset consumes "$g" classic
check groups_tool_reset_to_offset shows "^$g-new +$t +2 +7" groups_tool --reset-offsets --group "$g-new" --topic "$t" --to-offset 7 --execute
check groups_tool_reset_shift shows "^$g-new +$t +2 +5" groups_tool --reset-offsets --group "$g-new" --topic "$t" --shift-by -2 --execute
check groups_tool_reset_to_datetime shows "^$g-new +$t +0 +0" groups_tool --reset-offsets --group "$g-new" --topic "$t" --to-datetime 2020-01-01T00:00:00.000 --execute
check groups_tool_reset_by_duration shows "^$g-new +$t +0 +0" groups_tool --reset-offsets --group "$g-new" --topic "$t" --by-duration P1D --execute
export_offsets() { groups_tool --reset-offsets --group "$g-new" --topic "$t" --to-offset 3 --export --dry-run >"$WORK/offsets.csv" && [ "$(grep -cE ",[012],3\$" "$WORK/offsets.csv")" = 3 ]; }
check groups_tool_export export_offsets
check groups_tool_import shows "^$g-new +$t +1 +3" groups_tool --reset-offsets --group "$g-new" --from-file "$WORK/offsets.csv" --execute
check groups_tool_import_done lag "$g-new" 17
check offsets_formatter formatted OffsetsMessageFormatter "$g\",\"topic\":\"$t\""
check group_metadata_formatter formatted GroupMetadataMessageFormatter "\"group\":\"$g\""
check offsets_formatter_consumer formatted OffsetsMessageFormatter "$g-new\",\"topic\":\"$t\""
check groups_tool_delete_offsets shows "^$t +0 +Successful" groups_tool --delete-offsets --group "$g" --topic "$t"
check groups_tool_delete shows 'was successful' groups_tool --delete --group "$g-new"
gone() { ! groups_tool --list | grep -qx "$g-new"; }
check groups_tool_deleted gone
check groups_tool_describe_absent shows 'does not exist|GroupIdNotFound' groups_tool --describe --group "$g-new"
finish
