#!/usr/bin/env bash
# Java's clients and console tools (Kafka 4.3.1) against BOOTSTRAP, or a broker of its own (RUNTIME=bun|deno|kafka).
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_java
begin java
export BOOTSTRAP
jvm=(java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dfile.encoding=UTF-8 -cp "$JAVA_CP")
tool_of() { timeout "${CHECK_TIMEOUT:-240}" "${jvm[@]}" "$@"; }
BIG=1 standard_checks "${jvm[@]}" Client

# the tools a person types
t=java-console-$TOPIC_RUN
topics() { tool_of org.apache.kafka.tools.TopicCommand --bootstrap-server "$BOOTSTRAP" "$@"; }
describe() { topics --describe --topic "$t" | grep -q 'PartitionCount: 2'; }
console_producer() { tool_of org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$BOOTSTRAP" --topic "$t" --sync "$@"; }
file_in() { tool_of org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$BOOTSTRAP" --topic "$1" --compression-codec "$2" --producer-property linger.ms=5 <"$3"; }
file_out() { # by assignment: with a partition given, the console consumer joins no group
  tool_of org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$BOOTSTRAP" --topic "$1" --partition 0 --offset earliest --max-messages "$(wc -l <"$2")"
}
one_partition() { topics --create --topic "$1" --partitions 1; }
keyed() { printf 'h1=a\tk1:v1\nh1=b,h2=c\tk2:v2\n' | console_producer --property parse.key=true --property parse.headers=true --property key.separator=: --property 'headers.key.separator=='; }
configs() { tool_of kafka.admin.ConfigCommand --bootstrap-server "$BOOTSTRAP" --entity-type topics --entity-name "$t" "$@"; }
configs_shown() { configs --describe | grep -q 'retention.bytes=1234567'; }
offsets() { tool_of org.apache.kafka.tools.GetOffsetShell --bootstrap-server "$BOOTSTRAP" --topic "$1" --time "$2" | grep -qx "$1:0:$3"; }
delete_records() {
  printf '{"partitions":[{"topic":"%s","partition":0,"offset":10}],"version":1}' "$1" >"$WORK/delete.json"
  tool_of org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$BOOTSTRAP" --offset-json-file "$WORK/delete.json" | grep -q 'low_watermark: 10'
}
check topics_tool_create topics --create --topic "$t" --partitions 1 --config segment.bytes=10485760
check topics_tool_alter topics --alter --topic "$t" --partitions 2
check topics_tool_describe describe
check console_producer_keys_headers keyed
check configs_tool_alter configs --alter --add-config retention.bytes=1234567
check configs_tool_describe configs_shown
check topics_tool_delete topics --delete --topic "$t"
file=$SMALL_FILE; [ "$MODE" = full ] && file=$FULL_FILE
t=java-console-file-$TOPIC_RUN
check console_topic one_partition "$t"
check console_producer_file file_in "$t" zstd "$file"
check console_consumer_file same_bytes "$file" file_out "$t" "$file"
check offsets_tool_latest offsets "$t" latest "$(wc -l <"$file")"
check delete_records_tool delete_records "$t"
check offsets_tool_earliest offsets "$t" earliest 10
versions() { tool_of org.apache.kafka.tools.BrokerApiVersionsCommand --bootstrap-server "$BOOTSTRAP" | grep -q 'Produce(0):'; }
check api_versions_tool versions
perf() { tool_of org.apache.kafka.tools.ProducerPerformance --topic "$t" --num-records 20000 --record-size 1000 --throughput -1 --bootstrap-server "$BOOTSTRAP" | grep -q '^20000 records sent'; }
check producer_performance_tool perf
finish
