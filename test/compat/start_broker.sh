#!/usr/bin/env bash
# Starts a broker in the foreground of this script and prints "BOOTSTRAP=HOST:PORT PID=N" when it serves, into STARTED_FILE as
# well where that is set; ends with it.
#   RUNTIME=bun|deno|kafka|kafka-fsync start_broker.sh FOLDER [name=value …]      PORT=N picks the port
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ $# -ge 1 ] || die "usage: RUNTIME=bun|deno|kafka|kafka-fsync start_broker.sh FOLDER [name=value …]"
trap 'broker_stop; exit $?' INT TERM
broker_start "$@"
if [ -n "${STARTED_FILE:-}" ]; then # whole, or not there
  echo "BOOTSTRAP=$BOOTSTRAP PID=$BROKER_PID" >"$STARTED_FILE.new" && mv "$STARTED_FILE.new" "$STARTED_FILE"
fi
echo "BOOTSTRAP=$BOOTSTRAP PID=$BROKER_PID"
wait "$BROKER_PID"
