#!/usr/bin/env bash
# kcat (librdkafka 2.0.2) against BOOTSTRAP, or against a broker of its own (RUNTIME=bun|deno|kafka); MODE=quick|full.
# It has no admin calls: topics come from auto creation, and what is asked of it is files, keys, headers, nulls, offsets.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_kcat
begin kcat
limit=(timeout "${CHECK_TIMEOUT:-240}")
produce() { local t=$1; shift; "${limit[@]}" kcat -P -b "$BOOTSTRAP" -t "$t" -p 0 "$@"; }
touch_topic() { # auto creation: asking for metadata, then writing, makes the topic
  local i
  for i in $(seq 50); do
    kcat -L -b "$BOOTSTRAP" -t "$1" -X allow.auto.create.topics=true 2>/dev/null | grep -q "topic \"$1\" with 1 partitions" && return 0
    sleep 0.1
  done
  echo "topic $1 did not come to be" >&2; return 1
}
file_in() { produce "$1" -z "$2" -l "$3" "${@:4}"; }

check metadata bash -c 'kcat -L -b "$0" | grep -q "1 brokers"' "$BOOTSTRAP"
t=kcat-file-$TOPIC_RUN
check auto_create_topic touch_topic "$t"
check file_produced file_in "$t" none "$FULL_FILE"
check file_read_back same_bytes "$FULL_FILE" kcat_cat "$t"
for codec in gzip snappy lz4 zstd; do
  t=kcat-$codec-$TOPIC_RUN
  file=$SMALL_FILE; [ "$MODE" = full ] && file=$FULL_FILE
  check "file_${codec}_topic" touch_topic "$t"
  check "file_${codec}_produced" file_in "$t" "$codec" "$file"
  check "file_${codec}_read_back" same_bytes "$file" kcat_cat "$t"
done
t=kcat-idem-$TOPIC_RUN
check idempotent_topic touch_topic "$t"
check idempotent_file_produced file_in "$t" zstd "$SMALL_FILE" -X enable.idempotence=true
check idempotent_file_read_back same_bytes "$SMALL_FILE" kcat_cat "$t"

# keys, nulls (an empty key or value is null with -Z), headers, all read back with their lengths
t=kcat-keys-$TOPIC_RUN
keyed() { printf 'k1:v1\nключ:значение\n:no key\nno value:\n' | produce "$t" -K : -Z -H a=1 -H 'naïve=größer'; }
keyed_back() {
  local got want
  got=$("${limit[@]}" kcat -C -q -e -o beginning -b "$BOOTSTRAP" -t "$t" -p 0 -f '%o %K %k %S %s %h\n')
  want=$(printf '0 2 k1 2 v1 a=1,naïve=größer\n1 8 ключ 16 значение a=1,naïve=größer\n2 -1  6 no key a=1,naïve=größer\n3 8 no value -1  a=1,naïve=größer')
  [ "$got" = "$want" ] || { printf 'got %s' "$got" >&2; return 1; }
}
check keys_nulls_headers_topic touch_topic "$t"
check keys_nulls_headers_written keyed
check keys_nulls_headers_read_back keyed_back

# one file as one record, up to the largest that the default limit takes
t=kcat-size-$TOPIC_RUN
check size_topic touch_topic "$t"
head -c 1000000 "$FULL_FILE" >"$WORK/large"
head -c 1048590 "$FULL_FILE" >"$WORK/too_large"
whole() { produce "$t" -X message.max.bytes=8000000 "$1"; }
whole_back() { "${limit[@]}" kcat -C -q -e -o beginning -b "$BOOTSTRAP" -t "$t" -p 0 -f '%s'; }
check largest_record_accepted whole "$WORK/large"
check largest_record_read_back same_bytes "$WORK/large" whole_back
check too_large_refused too_large whole "$WORK/too_large"

# offsets: from an offset, the last ones, by time
t=kcat-offsets-$TOPIC_RUN
check offsets_topic touch_topic "$t"
numbers() { seq 0 999 | produce "$t"; }
check offsets_written numbers
from() { [ "$("${limit[@]}" kcat -C -q -e -c "$2" -o "$1" -b "$BOOTSTRAP" -t "$t" -p 0 | head -1)" = "$3" ]; }
check read_from_offset from 500 1 500
check read_last_ten from -10 1 990
query() { # answers "topic [0] offset N"
  local got; got=$("${limit[@]}" kcat -Q -b "$BOOTSTRAP" -t "$t:0:$1")
  [[ "$got" == *"offset $2" ]] || { echo "$got" >&2; return 1; }
}
check query_earliest query -2 0
check query_latest query -1 1000
check query_by_time query 1000000000000 0
check query_after_the_last query 4000000000000 -1
finish
