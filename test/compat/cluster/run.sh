#!/usr/bin/env bash
# Two of three brokers die, one after the other, while a producer and groups go on: nothing acknowledged is lost.
usage='Usage: RUNTIME=bun|deno|kafka run.sh
Three brokers (ours keep their metadata in etcd, Kafka'"'"'s in a controller), a topic of three replicas, Java clients all along.
SHAPE=parent: three brokers below one `millrace cluster start --brokers 3`, each killed in turn, instead.
Environment: KAFKA_HEAP=512m, VERBOSE=1 shows what the clients complain of'
case " $* " in *" --help "* | *" -h "*) echo "$usage"; exit ;; esac
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$compat/cluster/build.sh"
need_cluster_load
[ "${RUNTIME:-bun}" = kafka ] || need_etcd
BUN=$(tool bun); export RUNTIME=${RUNTIME:-bun} KAFKA_HEAP=${KAFKA_HEAP:-512m}
BOOTSTRAP=its-own begin cluster
case ${SHAPE:-etcd} in
  etcd) relay "$BUN" "$compat/cluster/drive.ts" "$WORK" ;;
  parent) relay "$BUN" "$compat/cluster/parent.ts" "$WORK" ;;
  *) die "SHAPE is etcd or parent, not $SHAPE" ;;
esac
finish
