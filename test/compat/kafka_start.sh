#!/usr/bin/env bash
# Runs one real Kafka node (broker and controller in one JVM) in the foreground, for checks that must hold on both.
#   kafka_start.sh [name=value …]      extra broker properties
# Environment: KAFKA_LIBS (folder of jars), KAFKA_DATA (folder), KAFKA_PORT, CONTROLLER_PORT; KAFKA_HEAP (1g);
# KAFKA_FORMAT_ONLY=1 only prepares the folder. Settings are Kafka's defaults but for replication factors of 1.
set -euo pipefail
: "${KAFKA_LIBS:?}" "${KAFKA_DATA:?}" "${KAFKA_PORT:?}"
controller=${CONTROLLER_PORT:-$((KAFKA_PORT + 1))}
mkdir -p "$KAFKA_DATA"
props=$KAFKA_DATA/server.properties
cat >"$props" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$KAFKA_DATA/logs
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
P
for kv in "$@"; do echo "$kv" >>"$props"; done
cat >"$KAFKA_DATA/log4j2.properties" <<'P'
status=error
appender.c.type=Console
appender.c.name=c
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRef.c.ref=c
P
jvm=(-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true "-Dlog4j2.configurationFile=$KAFKA_DATA/log4j2.properties")
if [ ! -e "$KAFKA_DATA/logs/meta.properties" ]; then
  java -Xmx256m "${jvm[@]}" -cp "$KAFKA_LIBS/*" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c "$props" >/dev/null
fi
if [ -n "${KAFKA_FORMAT_ONLY:-}" ]; then exit 0; fi
exec java "-Xmx${KAFKA_HEAP:-1g}" "-Xms${KAFKA_HEAP:-1g}" "${jvm[@]}" -cp "$KAFKA_LIBS/*" kafka.Kafka "$props"
