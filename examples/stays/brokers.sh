#!/usr/bin/env bash
# Starts and ends a Kafka broker and a Redis on this machine, to try streaming apps.
#
#   ./brokers.sh start              one broker in KRaft mode and one Redis, both on loopback
#   ./brokers.sh create TOPIC
#   ./brokers.sh delete TOPIC
#   ./brokers.sh produce TOPIC      one event per line of stdin
#   ./brokers.sh pid                the process of the broker
#   ./brokers.sh stop               ends both and removes their data
#
# Needs mvn, java and redis-server (Debian: maven, redis-server). Kafka's jars are fetched once from your
# Maven repository into $KAFKA_JARS. Also read: KAFKA_PORT, REDIS_PORT, BROKERS_DIR, JAVA.
set -euo pipefail

kafka=3.3.2
port=${KAFKA_PORT:-9092}
redis_port=${REDIS_PORT:-6379}
state=${BROKERS_DIR:-.chronon-run/brokers}
jars=${KAFKA_JARS:-${XDG_CACHE_HOME:-$HOME/.cache}/kafka-$kafka}
java=${JAVA:-java}

fail() { echo "brokers.sh: $*" >&2; exit 1; }

fetch_jars() {
  [ -d "$jars" ] && return
  command -v mvn >/dev/null || fail "mvn is not on PATH; it fetches Kafka's jars"
  local work
  mkdir -p "$(dirname "$jars")"
  work=$(mktemp -d "$jars.XXXXXX")
  cat > "$work/pom.xml" <<EOF
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>example</groupId><artifactId>brokers</artifactId><version>1</version>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.12</artifactId>
<version>$kafka</version></dependency></dependencies></project>
EOF
  if ! mvn --batch-mode --quiet --file "$work/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$work/jars" >&2; then
    rm -rf "$work"
    fail "mvn cannot fetch kafka_2.12 $kafka"
  fi
  mv -T "$work/jars" "$jars" 2>/dev/null || [ -d "$jars" ] || fail "cannot write $jars"
  rm -rf "$work"
}

kafka_main() {
  "$java" -Xmx192m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$jars/*" "$@"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Waits until a port listens; the process must live that long.
wait_for() {
  local what=$1 wanted=$2 pid=$3 log=$4
  for _ in $(seq 600); do
    listens "$wanted" && return
    kill -0 "$pid" 2>/dev/null || fail "$what ended: $(tail -n 5 "$log")"
    sleep 0.1
  done
  fail "$what does not listen on port $wanted: $(tail -n 5 "$log")"
}

start() {
  command -v redis-server >/dev/null || fail "redis-server is not on PATH"
  for used in "$port" "$((port + 1))" "$redis_port"; do
    ! listens "$used" || fail "port $used is in use"
  done
  fetch_jars
  mkdir -p "$state"
  cat > "$state/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$state/kafka
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=1
num.io.threads=2
log.cleaner.enable=false
EOF
  [ -e "$state/kafka/meta.properties" ] || kafka_main kafka.tools.StorageTool format \
    --cluster-id MkU3OEVBNTcwNTJENDM2Qg --config "$state/server.properties" > "$state/format.log" 2>&1 \
    || fail "the broker's folder cannot be formatted: $(tail -n 5 "$state/format.log")"
  "$java" -Xmx192m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$jars/*" \
    kafka.Kafka "$state/server.properties" > "$state/kafka.log" 2>&1 < /dev/null &
  echo $! > "$state/kafka.pid"
  redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --dir "$state" \
    > "$state/redis.log" 2>&1 < /dev/null &
  echo $! > "$state/redis.pid"
  wait_for Redis "$redis_port" "$(cat "$state/redis.pid")" "$state/redis.log"
  wait_for Kafka "$port" "$(cat "$state/kafka.pid")" "$state/kafka.log"
  echo "Kafka listens on 127.0.0.1:$port, Redis on 127.0.0.1:$redis_port"
}

stop() {
  for name in kafka redis; do
    [ -e "$state/$name.pid" ] || continue
    pid=$(cat "$state/$name.pid")
    # A number may have been given out again.
    if tr '\0' ' ' 2>/dev/null < "/proc/$pid/cmdline" | grep -q -e kafka.Kafka -e redis-server; then
      kill "$pid" 2>/dev/null || true
      for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
      kill -9 "$pid" 2>/dev/null || true
    fi
  done
  rm -rf "$state"
}

topic() { kafka_main kafka.admin.TopicCommand --bootstrap-server "127.0.0.1:$port" "$@"; }

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  create) topic --create --topic "${2:?which topic?}" ;;
  delete) topic --delete --topic "${2:?which topic?}" ;;
  produce) kafka_main kafka.tools.ConsoleProducer --bootstrap-server "127.0.0.1:$port" \
    --topic "${2:?which topic?}" > "$state/produce.log" 2>&1 ;;
  pid) cat "$state/kafka.pid" ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
