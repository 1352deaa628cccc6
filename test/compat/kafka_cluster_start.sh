#!/usr/bin/env bash
# Runs a real Apache Kafka cluster: nodes that are broker and controller (KRaft), replication factor 3 within.
#   kafka_cluster_start.sh FOLDER [name=value …]         three nodes on loopback, in the foreground; prints "BOOTSTRAP=…"
#                                                        when all serve, and ends them when it ends
#   NODE=N VOTERS=1@HOST:PORT,… HOST=… KAFKA_PORT=… CONTROLLER_PORT=… KAFKA_DATA=… kafka_cluster_start.sh node [name=value …]
#                                                        one node in the foreground, in this very process; ROLES=broker or
#                                                        ROLES=controller for a node that is not both
# Environment: KAFKA_LIBS (of lib.sh: need_kafka_jars; only `node` needs it given), KAFKA_HEAP (512m).
# Times are short, so that what a failure costs shows in seconds: a session of 3 s, leaders evened out every 5 s.
case " $* " in *" --help "* | *" -h "* | "  ") sed -n '2,9s/^# //p' "$0"; exit ;; esac
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ "$1" = node ]; then
  shift
  : "${NODE:?}" "${VOTERS:?}" "${HOST:?}" "${KAFKA_PORT:?}" "${CONTROLLER_PORT:?}"
  export KAFKA_HEAP=${KAFKA_HEAP:-512m}
  broker=PLAINTEXT://$HOST:$KAFKA_PORT controller=CONTROLLER://$HOST:$CONTROLLER_PORT
  case ${ROLES:-both} in
    both) place=(listeners="$broker,$controller" advertised.listeners="$broker") ;;
    broker) place=(process.roles=broker listeners="$broker" advertised.listeners="$broker") ;;
    controller) place=(process.roles=controller listeners="$controller" advertised.listeners="$controller") ;;
    *) echo "ROLES is broker, controller or both, not $ROLES" >&2; exit 2 ;;
  esac
  # A property that comes twice has its last value
  exec "$here/kafka_start.sh" \
    node.id="$NODE" controller.quorum.voters="$VOTERS" "${place[@]}" \
    offsets.topic.replication.factor=3 offsets.topic.num.partitions=6 \
    transaction.state.log.replication.factor=3 transaction.state.log.min.isr=2 transaction.state.log.num.partitions=6 \
    share.coordinator.state.topic.replication.factor=3 share.coordinator.state.topic.min.isr=2 \
    broker.session.timeout.ms=3000 broker.heartbeat.interval.ms=500 \
    controller.quorum.election.timeout.ms=500 controller.quorum.fetch.timeout.ms=1500 \
    controller.quorum.request.timeout.ms=1500 \
    replica.lag.time.max.ms=4000 replica.socket.timeout.ms=3000 \
    leader.imbalance.check.interval.seconds=5 leader.imbalance.per.broker.percentage=0 \
    group.initial.rebalance.delay.ms=500 auto.create.topics.enable=false "$@"
fi

. "$here/lib.sh"
need_kafka_jars
folder=$1; shift
mkdir -p "$folder" || die "cannot make the folder $folder"
pids=()
trap 'for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done; wait' EXIT
trap 'exit 130' INT TERM
ports=() controllers=() voters= servers=
for n in 1 2 3; do
  ports[n]=$(free_port) controllers[n]=$(free_port)
  voters+=${voters:+,}$n@127.0.0.1:${controllers[n]} servers+=${servers:+,}127.0.0.1:${ports[n]}
done
for n in 1 2 3; do
  mkdir -p "$folder/node-$n"
  NODE=$n VOTERS=$voters HOST=127.0.0.1 KAFKA_PORT=${ports[n]} CONTROLLER_PORT=${controllers[n]} KAFKA_DATA=$folder/node-$n/data \
    "$here/kafka_cluster_start.sh" node "$@" >"$folder/node-$n/broker.log" 2>&1 </dev/null &
  pids+=($!)
done
for _ in $(seq 2400); do
  started=$(grep -l 'Kafka Server started' "$folder"/node-*/broker.log 2>/dev/null | wc -l)
  [ "$started" = 3 ] && break
  for pid in "${pids[@]}"; do kill -0 "$pid" 2>/dev/null || { tail -n 20 "$folder"/node-*/broker.log >&2; die "a node ended before all served"; }; done
  sleep 0.05
done
[ "$started" = 3 ] || die "the cluster did not start in 120 s; see $folder/node-*/broker.log"
echo "BOOTSTRAP=$servers PIDS=${pids[*]}"
wait
