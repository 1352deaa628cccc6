# Shared shell of the client compatibility checks: the cache of peers, brokers, checks and their count.
# Sourced, never run. Everything installed lands in $MILLRACE_CACHE, outside the tree, keyed by what it was made of,
# so that a second run installs nothing. A check prints "ok name" or "not ok name why"; finish prints the sum.
set -uo pipefail
compat=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$compat/../.." && pwd)
export MILLRACE_CACHE=${MILLRACE_CACHE:-${HOME:-/tmp}/.cache/millrace}
MODE=${MODE:-quick}
mkdir -p "$MILLRACE_CACHE" || { echo "cannot make the cache folder $MILLRACE_CACHE: set MILLRACE_CACHE to one" >&2; exit 1; }

die() { echo "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
digest() { cat "$@" | sha256sum | cut -c1-16; }
now_ms() { date +%s%3N; }
tool() { # tool bun|deno|tsc: the one npm brought, or the one on the machine
  if [ -x "$repo/node_modules/.bin/$1" ]; then echo "$repo/node_modules/.bin/$1"; else command -v "$1" || die "$1 is needed: run npm ci"; fi
}

# --- peers -----------------------------------------------------------------------------------------------------------

once() { # once FOLDER COMMAND…: runs COMMAND in a new FOLDER, which counts only when it ended well; one at a time
  local dir=$1; shift
  [ -e "$dir/.done" ] && return 0
  mkdir -p "$(dirname "$dir")"
  (
    flock 9
    [ -e "$dir/.done" ] && exit 0
    rm -rf "$dir"; mkdir -p "$dir"
    if ! (cd "$dir" && "$@") >"$dir.log" 2>&1; then
      echo "could not prepare $(basename "$dir"); the end of $dir.log:" >&2; tail -n 15 "$dir.log" >&2; rm -rf "$dir"; exit 1
    fi
    touch "$dir/.done"
  ) 9>"$dir.lock"
}

need_kcat() {
  have kcat && return 0
  local sudo=; [ "$(id -u)" = 0 ] || sudo="sudo -n"
  (flock 9; have kcat || { $sudo apt-get update -qq && $sudo apt-get install -y -qq kcat; }) 9>"$MILLRACE_CACHE/kcat.lock" >"$MILLRACE_CACHE/kcat.log" 2>&1
  have kcat || { tail -n 5 "$MILLRACE_CACHE/kcat.log" >&2; die "kcat could not be installed: install the package kcat by hand"; }
}

need_etcd() { # sets ETCD
  local sudo=; [ "$(id -u)" = 0 ] || sudo="sudo -n"
  if ! have etcd; then
    # Debian would start one of its own: ours are started by the tests
    (flock 9; have etcd || { $sudo apt-get update -qq && $sudo env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq etcd-server; }) \
      9>"$MILLRACE_CACHE/etcd.lock" >"$MILLRACE_CACHE/etcd.log" 2>&1
  fi
  have etcd || { tail -n 5 "$MILLRACE_CACHE/etcd.log" >&2; die "etcd could not be installed: install the package etcd-server by hand"; }
  ETCD=$(command -v etcd); export ETCD
}

install_jars() { mvn -q -B -f "$compat/java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$PWD/libs"; }
install_java() { javac -Xlint:all -Werror -d "$PWD/classes" -cp "$KAFKA_LIBS/*" "$compat"/java/src/*.java; }
need_kafka_jars() { # sets KAFKA_LIBS
  have java || die "java (17 or newer) is needed"
  local dir; dir=$MILLRACE_CACHE/kafka-$(digest "$compat/java/pom.xml")
  [ -e "$dir/.done" ] || have mvn || die "mvn is needed once, to fetch Kafka's jars"
  once "$dir" install_jars || die "Kafka's jars are missing"
  export KAFKA_LIBS=$dir/libs
}
need_java() { # sets KAFKA_LIBS, JAVA_CP
  need_kafka_jars
  have javac || die "javac is needed (a JDK, 17 or newer)"
  local dir; dir=$MILLRACE_CACHE/java-$(digest "$compat"/java/pom.xml "$compat"/java/src/*.java)
  once "$dir" install_java || die "the Java checks did not compile"
  JAVA_CP="$dir/classes:$KAFKA_LIBS/*"
}

install_streams() {
  mvn -q -B -f "$compat/streams/pom.xml" dependency:copy-dependencies -DoutputDirectory="$PWD/libs" &&
    javac -Xlint:all -Werror -d "$PWD/classes" -cp "$PWD/libs/*" "$compat/streams/WordCount.java"
}
need_streams() { # sets STREAMS_CP; the log's jars are those of the broker
  need_kafka_jars
  have javac || die "javac is needed (a JDK, 17 or newer)"
  local dir; dir=$MILLRACE_CACHE/streams-$(digest "$compat/streams/pom.xml" "$compat/streams/WordCount.java")
  [ -e "$dir/.done" ] || have mvn || die "mvn is needed once, to fetch Kafka Streams"
  once "$dir" install_streams || die "Kafka Streams is missing, or its application did not compile"
  STREAMS_CP="$dir/classes:$dir/libs/*:$KAFKA_LIBS/*"
}

install_venv() { python3 -m venv "$PWD/venv" && "$PWD/venv/bin/pip" install -q -r "$1"; }
need_venv() { # need_venv NAME REQUIREMENTS: sets VENV_PYTHON
  have python3 || die "python3 is needed"
  local dir; dir=$MILLRACE_CACHE/$1-$(digest "$2")
  once "$dir" install_venv "$2" || die "the Python packages of $1 are missing"
  VENV_PYTHON=$dir/venv/bin/python
}
need_librdkafka() { need_venv librdkafka "$compat/librdkafka/requirements.txt"; } # sets VENV_PYTHON
need_aiokafka() { need_venv aiokafka "$compat/groups/requirements.txt"; } # sets VENV_PYTHON

go_sources() { find "$1" -maxdepth 1 \( -name '*.go' -o -name go.mod -o -name go.sum \) | LC_ALL=C sort; }
install_go() { local out=$PWD; cd "$1" && go build -mod=readonly -trimpath -o "$out/program" .; }
need_go() { # need_go FOLDER: builds the Go program there; sets GO_PROGRAM
  local src dir; src=$(cd "$1" && pwd)
  # shellcheck disable=SC2046
  dir=$MILLRACE_CACHE/$(basename "$src")-$(digest $(go_sources "$src"))
  [ -e "$dir/.done" ] || have go || die "go (1.26 or newer) is needed once, to build $(basename "$src")"
  once "$dir" install_go "$src" || die "$(basename "$src") did not build"
  GO_PROGRAM=$dir/program
}

install_workerd() { cp "$repo"/test/hosts/workerd/{package.json,package-lock.json,.npmrc} . && npm ci --no-audit --no-fund; }
need_workerd() { # sets WORKERD_PEERS, the folder whose node_modules hold miniflare
  have npm || die "npm is needed"
  local dir; dir=$MILLRACE_CACHE/workerd-$(digest "$repo"/test/hosts/workerd/package{,-lock}.json)
  once "$dir" install_workerd || die "miniflare is missing"
  WORKERD_PEERS=$dir
}

# --- input -----------------------------------------------------------------------------------------------------------

make_input() { "$(tool bun)" "$compat/make_input.ts" "$PWD"; }
need_input() { # sets FULL_FILE (over 100 MB, over a million lines), SMALL_FILE, RECORDS, TEXT_RECORDS
  local dir; dir=$MILLRACE_CACHE/input-$(digest "$compat/make_input.ts")
  once "$dir" make_input || die "the input could not be made"
  FULL_FILE=$dir/full.txt SMALL_FILE=$dir/small.txt RECORDS=$dir/records.tsv TEXT_RECORDS=$dir/text_records.tsv
}

# --- brokers ---------------------------------------------------------------------------------------------------------

free_port() { "$(tool bun)" -e 'const s = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }); console.log(s.port); s.stop()'; }

# broker_start DIR [name=value …]: RUNTIME=bun|deno|kafka|kafka-fsync; PORT picks the port (default a free one); CONFIG is
# a config file for ours.
# Sets BOOTSTRAP and BROKER_PID. The folder keeps data/ and broker.log.
broker_start() {
  local dir=$1 out i; shift
  mkdir -p "$dir"; : >"$dir/ready"; : >>"$dir/broker.log"
  case ${RUNTIME:-bun} in
    bun | deno)
      local cmd opts=(); for i in "$@"; do opts+=(-o "$i"); done
      if [ "${RUNTIME:-bun}" = bun ]; then cmd=("$(tool bun)" run "$repo/src/main.ts"); else cmd=("$(tool deno)" run -A "$repo/mod.ts"); fi
      (cd "$repo" && exec setsid "${cmd[@]}" start --data "$dir/data" --kafka "127.0.0.1:${PORT:-0}" ${CONFIG:+--config "$CONFIG"} ${opts[@]+"${opts[@]}"}) >"$dir/ready" 2>>"$dir/broker.log" </dev/null &
      BROKER_PID=$!
      for i in $(seq 600); do
        out=$(grep -m1 -o 'ready kafka=[^ ]*' "$dir/ready") && { BOOTSTRAP=${out#ready kafka=}; return 0; }
        kill -0 "$BROKER_PID" 2>/dev/null || break
        sleep 0.05
      done ;;
    kafka | kafka-fsync)
      need_kafka_jars
      [ "$RUNTIME" = kafka-fsync ] && set -- log.flush.interval.messages=1 "$@"
      local port=${PORT:-$(free_port)} from; from=$(wc -l <"$dir/broker.log")
      KAFKA_DATA=$dir/data KAFKA_PORT=$port CONTROLLER_PORT=${CONTROLLER_PORT:-$(free_port)} \
        setsid "$compat/kafka_start.sh" "$@" >>"$dir/broker.log" 2>&1 </dev/null &
      BROKER_PID=$!
      for i in $(seq 1200); do
        tail -n "+$((from + 1))" "$dir/broker.log" | grep -q 'Kafka Server started' && { BOOTSTRAP=127.0.0.1:$port; return 0; }
        kill -0 "$BROKER_PID" 2>/dev/null || break
        sleep 0.05
      done ;;
    *) die "RUNTIME is bun, deno, kafka or kafka-fsync, not ${RUNTIME}" ;;
  esac
  echo "the broker did not start; the end of $dir/broker.log:" >&2; tail -n 20 "$dir/broker.log" "$dir/ready" >&2
  kill "$BROKER_PID" 2>/dev/null
  exit 1
}

broker_stop() { # ends the broker that broker_start started; its exit code is returned
  [ -n "${BROKER_PID:-}" ] || return 0
  local code
  kill -TERM "$BROKER_PID" 2>/dev/null
  (sleep 20; kill -KILL "$BROKER_PID" 2>/dev/null) & local watchdog=$!
  wait "$BROKER_PID"; code=$?
  kill "$watchdog" 2>/dev/null; wait "$watchdog" 2>/dev/null
  BROKER_PID=
  return $code
}

# --- checks ----------------------------------------------------------------------------------------------------------

PASSED=0 FAILED=0 NAME= WORK= TOPIC_RUN=
ok() { PASSED=$((PASSED + 1)); echo "ok $NAME $*"; }
not_ok() { FAILED=$((FAILED + 1)); echo "not ok $NAME $*"; }

begin() { # begin NAME: a work folder, and a broker unless BOOTSTRAP names one
  NAME=$1 TOPIC_RUN=$(now_ms | tail -c 8)$RANDOM
  WORK=$(mktemp -d "${TMPDIR:-/tmp}/millrace-compat-XXXXXX")
  trap 'broker_stop >/dev/null 2>&1; rm -rf "$WORK"' EXIT
  trap 'exit 130' INT TERM
  need_input
  if [ -z "${BOOTSTRAP:-}" ]; then broker_start "$WORK/broker"; OWN_BROKER=1; fi
}

finish() {
  if [ -n "${OWN_BROKER:-}" ] && [ "${RUNTIME:-bun}" != kafka ]; then
    if broker_stop; then ok broker_stops_cleanly; else not_ok "broker_stops_cleanly exit code $?; $(tail -n 3 "$WORK/broker/broker.log" | tr '\n' ' ')"; fi
  fi
  echo "$NAME: $PASSED passed, $FAILED failed"
  [ "$FAILED" = 0 ] && [ "$PASSED" -gt 0 ]
}

check() { # check NAME COMMAND…: ok when the command ends with 0; otherwise its last words are the reason
  local name=$1 began code; shift # the names must not hide those of a script's functions
  began=$(now_ms)
  "$@" >"$WORK/check.out" 2>"$WORK/check.err"; code=$?
  if [ $code = 0 ]; then ok "$name ($(($(now_ms) - began)) ms)"; return 0; fi
  not_ok "$name exit $code $(cat "$WORK/check.out" "$WORK/check.err" | tail -c 400 | tr '\n' ' ')"
  return 1
}

relay() { # relay COMMAND…: a program that prints its own "ok"/"not ok" lines; RELAY_PID tells it when nobody reads them any more
  local line n=0
  while IFS= read -r line; do
    case $line in
      "ok "*) n=$((n + 1)); ok "${line#ok }" ;;
      "not ok "*) n=$((n + 1)); not_ok "${line#not ok }" ;;
    esac
  done < <(RELAY_PID=$$ "$@" 2>"$WORK/relay.err"; echo "exit $?" >"$WORK/relay.code")
  if ! grep -qx 'exit 0' "$WORK/relay.code" && ! grep -qx 'exit 1' "$WORK/relay.code"; then not_ok "${2:-relay} ended with $(cat "$WORK/relay.code"): $(tail -c 300 "$WORK/relay.err" | tr '\n' ' ')"; fi
  if [ "$n" = 0 ]; then not_ok "relay printed no check: $(tail -c 300 "$WORK/relay.err" | tr '\n' ' ')"; fi
}

same_bytes() { # same_bytes FILE COMMAND…: what the command prints is the file, byte by byte
  local file=$1; shift
  "$@" | sha256sum | cut -d' ' -f1 >"$WORK/got.sha"
  local got want; got=$(cat "$WORK/got.sha"); want=$(sha256sum <"$file" | cut -d' ' -f1)
  [ "$got" = "$want" ] || { echo "sha256 $got, not $want" >&2; return 1; }
}
same_records() { # same_records WANT GOT: two record files agree
  cmp -s "$1" "$2" && return 0
  echo "$(wc -l <"$2") of $(wc -l <"$1") records; first difference: $(diff "$1" "$2" | head -2 | cut -c1-160 | tr '\n' ' ')" >&2
  return 1
}

kcat_cat() { timeout "${CHECK_TIMEOUT:-240}" kcat -C -q -e -o beginning -b "$BOOTSTRAP" -t "$1" -p 0; }
kcat_records() { # the record lines (see make_input.ts) of a topic that holds only text
  timeout "${CHECK_TIMEOUT:-240}" kcat -C -q -e -o beginning -J -b "$BOOTSTRAP" -t "$1" -p 0 | "$(tool bun)" "$compat/kcat_json.ts"
}

# standard_checks CLIENT COMMAND…: what every client does. The program knows the verbs
#   create TOPIC PARTITIONS [name=value …] | lines TOPIC CODEC FILE [idempotent] | cat TOPIC
#   write TOPIC CODEC RECORDS | read FOLDER TOPIC… | one TOPIC SIZE | admin PREFIX
# NO_CAT=1: it reads only in groups, so kcat reads for it. IDEMPOTENT=0: it has no such producer. WRITE_RECORDS: another
# record file, where it cannot write all of records.tsv. BIG=1: the full file in quick mode too.
standard_checks() {
  set -- timeout "${CHECK_TIMEOUT:-240}" "$@"
  local codec file t records=$RECORDS
  file=$SMALL_FILE; { [ "$MODE" = full ] || [ "${BIG:-0}" = 1 ]; } && file=$FULL_FILE
  [ "${NO_CAT:-0}" = 1 ] && need_kcat
  t=$NAME-file-$TOPIC_RUN
  check create_topic "$@" create "$t" 1
  check file_produced "$@" lines "$t" none "$file"
  check file_read_back same_bytes_of "$file" "$t" "$@"
  if [ "${IDEMPOTENT:-1}" = 1 ]; then
    t=$NAME-idem-$TOPIC_RUN
    check idempotent_topic "$@" create "$t" 1
    check idempotent_file_produced "$@" lines "$t" "${IDEMPOTENT_CODEC:-lz4}" "$SMALL_FILE" idempotent
    check idempotent_file_read_back same_bytes_of "$SMALL_FILE" "$t" "$@"
  fi
  if [ "$MODE" = full ]; then
    for codec in gzip snappy lz4 zstd; do
      t=$NAME-file-$codec-$TOPIC_RUN
      check "file_${codec}_topic" "$@" create "$t" 1 && check "file_${codec}_produced" "$@" lines "$t" "$codec" "$FULL_FILE"
      check "file_${codec}_read_back" same_bytes_of "$FULL_FILE" "$t" "$@"
    done
  fi
  for codec in none gzip snappy lz4 zstd; do
    t=$NAME-records-$codec-$TOPIC_RUN
    "$@" create "$t" 1 >/dev/null 2>&1
    check "records_${codec}_written" "$@" write "$t" "$codec" "${WRITE_RECORDS:-$records}"
    check "records_${codec}_read_back" records_back "${WRITE_RECORDS:-$records}" "$t" "$@"
  done
  t=$NAME-size-$TOPIC_RUN
  "$@" create "$t" 1 max.message.bytes=2000000 >/dev/null 2>&1
  check largest_record_accepted "$@" one "$t" 1999900
  check too_large_refused too_large "$@" one "$t" 2000001
  relay "$@" admin "$NAME-admin-$TOPIC_RUN"
}
same_bytes_of() { # FILE TOPIC CLIENT…
  local file=$1 t=$2; shift 2
  if [ "${NO_CAT:-0}" = 1 ]; then same_bytes "$file" kcat_cat "$t"; else same_bytes "$file" "$@" cat "$t"; fi
}
records_back() { # WANT TOPIC CLIENT…
  local want=$1 t=$2; shift 2
  if [ "${NO_CAT:-0}" = 1 ]; then kcat_records "$t" >"$WORK/$t.tsv"; else mkdir -p "$WORK/read"; "$@" read "$WORK/read" "$t" && mv "$WORK/read/$t.tsv" "$WORK/$t.tsv"; fi
  same_records "$want" "$WORK/$t.tsv"
}
too_large() { # the client has to name the broker's refusal
  local out; out=$("$@" 2>&1) && { echo "accepted: $out" >&2; return 1; }
  grep -qiE 'MESSAGE_TOO_LARGE|MESSAGE TOO LARGE|MSG_SIZE_TOO_LARGE|RecordTooLarge|Message Size Too Large|included a message larger' <<<"$out" || { echo "another error: $out" >&2; return 1; }
}
