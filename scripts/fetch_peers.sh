#!/usr/bin/env bash
# Fetches and builds what the client checks, the kill rounds and the benchmarks need, into $MILLRACE_CACHE
# (default ~/.cache/millrace). Doing it again does nothing.
#   scripts/fetch_peers.sh [kcat java librdkafka … bench]
case " $* " in *" --help "* | *" -h "*) echo "Usage: scripts/fetch_peers.sh [kcat java librdkafka … bench]"; sed -n '2,3s/^# //p' "$0"; exit ;; esac
. "$(dirname "${BASH_SOURCE[0]}")/../test/compat/lib.sh"
[ $# = 0 ] && set -- kcat java librdkafka aiokafka franz_go kafka_go workerd bench
for peer in "$@"; do
  case $peer in
    kcat | kafkajs | platformatic) need_kcat ;; # kafkajs and platformatic come by npm; kcat reads for them
    etcd) need_etcd ;;
    java) need_java ;;
    kafka | millrace | client) need_kafka_jars ;; # our own command line beside Java's console
    librdkafka) need_librdkafka ;;
    franz_go | kafka_go) need_go "$compat/$peer" ;;
    aiokafka) need_aiokafka ;;
    transactions) need_kcat; need_java; need_librdkafka; need_go "$compat/franz_go" ;;
    streams) need_kcat; need_streams ;;
    groups) need_kcat; need_java; need_librdkafka; need_aiokafka; need_go "$compat/franz_go"; need_go "$compat/kafka_go" ;;
    matrix | sasl) need_kcat; need_java; need_librdkafka; need_go "$compat/franz_go"; need_go "$compat/kafka_go" ;;
    workerd) need_workerd ;;
    bench) need_kafka_jars; need_go "$repo/bench/kbench" ;;
    *) die "no peer of the name $peer" ;;
  esac
done
need_input
