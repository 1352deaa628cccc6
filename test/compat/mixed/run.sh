#!/usr/bin/env bash
# Our members and Java's in one group, by either protocol and with either of them as the leader: each has its half, and every
# record is read once, while they come and go.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_kafka_jars
begin mixed
relay env BOOTSTRAP="$BOOTSTRAP" KAFKA_LIBS="$KAFKA_LIBS" "$(tool bun)" "$compat/mixed/drive.ts" "$TOPIC_RUN"
finish
