#!/usr/bin/env bash
# Logins as strangers' clients make them (SASL/PLAIN), with the token right, wrong and missing, and rights that end where
# the rules do: kcat, Java, librdkafka, franz-go, kafka-go, and our own command line. RUNTIME=bun|deno.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
case ${RUNTIME:-bun} in bun | deno) ;; *) die "the logins of this rig are auth-token's: RUNTIME is bun or deno" ;; esac
need_kcat; need_java; need_librdkafka
need_go "$compat/franz_go"; franz_go=$GO_PROGRAM
need_go "$compat/kafka_go"; kafka_go=$GO_PROGRAM
BOOTSTRAP=its-own begin sasl

millrace() { "$(tool bun)" run "$repo/src/main.ts" "$@"; }
token=mr_compat-token-of-alice
head -n 2000 "$SMALL_FILE" >"$WORK/lines.txt"
entry=$(millrace token hash --name alice <<<"$token") || die "no entry for the config"
cat >"$WORK/millrace.config.json" <<EOF
{
  "auth": [
    {
      "use": "token",
      "options": {
        "tokens": [$entry],
        "rules": [{ "principal": "User:alice", "allow": ["all"], "topics": ["allowed-"], "groups": ["none"], "cluster": false }]
      }
    }
  ]
}
EOF
CONFIG=$WORK/millrace.config.json broker_start "$WORK/broker" connections.max.reauth.ms=3000
OWN_BROKER=1
export BOOTSTRAP
log=$WORK/broker/broker.log

# Every client as CLIENT create TOPIC 1 | lines TOPIC none FILE | cat TOPIC; the login comes by SASL_USER, SASL_PASSWORD.
java_client() { java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$JAVA_CP" Client "$@"; }
librdkafka_client() { "$VENV_PYTHON" "$compat/librdkafka/client.py" "$@"; }
franz_go_client() { "$franz_go" "$@"; }
kafka_go_client() { "$kafka_go" "$@"; }
kcat_client() {
  local login=()
  [ -n "${SASL_USER:-}" ] && login=(-X security.protocol=SASL_PLAINTEXT -X sasl.mechanism=PLAIN -X "sasl.username=$SASL_USER" -X "sasl.password=$SASL_PASSWORD")
  case $1 in
    create) kcat -L -m 5 -b "$BOOTSTRAP" -t "$2" ${login[@]+"${login[@]}"} | grep -q "topic \"$2\" with 1 partitions" ;; # made by asking for it
    lines) kcat -P -q -b "$BOOTSTRAP" -t "$2" -p 0 -l -X message.timeout.ms=5000 ${login[@]+"${login[@]}"} "$4" ;;
    cat) kcat -C -q -e -o beginning -b "$BOOTSTRAP" -t "$2" -p 0 ${login[@]+"${login[@]}"} ;;
  esac
}
millrace_client() {
  local words=(--bootstrap "$BOOTSTRAP" --timeout 10)
  export MILLRACE_USER=${SASL_USER:-} MILLRACE_TOKEN=${SASL_PASSWORD:-}
  case $1 in
    create) millrace topic create "$2" -p "$3" "${words[@]}" ;;
    lines) millrace produce "$2" "${words[@]}" <"$4" ;;
    cat) millrace consume "$2" "${words[@]}" ;;
  esac
}

seen() { grep -c "\"reason\":\"$1\"" "$log"; }
in_time() { # in_time SECONDS FUNCTION…: 124 when it takes longer; what it started is ended
  local seconds=$1; shift
  ("$@") & local pid=$! watchdog code
  (sleep "$seconds"; pkill -P "$pid"; kill "$pid") 2>/dev/null & watchdog=$!
  wait "$pid" 2>/dev/null; code=$?
  pkill -P "$watchdog"; kill "$watchdog" 2>/dev/null; wait "$watchdog" 2>/dev/null
  return $code
}
refused() { # refused REASON CLIENT…: it fails, or finds no end, and the broker has logged why
  local reason=$1 before; shift
  before=$(seen "$reason")
  in_time 8 "$@" && { echo "it was let in" >&2; return 1; }
  local i; for i in $(seq 40); do [ "$(seen "$reason")" -gt "$before" ] && return 0; sleep 0.05; done # lines are written in groups
  echo "the broker has logged no $reason" >&2
  return 1
}
names() { # names PATTERN CLIENT…: it fails, and says so in these words
  local pattern=$1 out; shift
  out=$(in_time 30 "$@" 2>&1) && { echo "it was let in" >&2; return 1; }
  grep -qiE "$pattern" <<<"$out" || { echo "it says: $(tail -c 300 <<<"$out")" >&2; return 1; }
}

for client in kcat java librdkafka franz_go kafka_go millrace; do
  t=allowed-$client
  export SASL_USER=alice SASL_PASSWORD=$token
  check "${client}_right_token_creates" in_time 30 "${client}_client" create "$t" 1
  check "${client}_right_token_produces" in_time 30 "${client}_client" lines "$t" none "$WORK/lines.txt"
  check "${client}_right_token_fetches" same_bytes "$WORK/lines.txt" in_time 30 "${client}_client" cat "$t"
  [ "$client" = kcat ] || check "${client}_names_what_is_not_allowed" names 'authoriz|authoris' "${client}_client" create "other-$client" 1
  SASL_PASSWORD=wrong-token-of-alice
  check "${client}_wrong_token_is_refused" refused authentication_failed "${client}_client" create "$t-wrong" 1
  unset SASL_USER SASL_PASSWORD
  check "${client}_without_token_is_refused" refused request_before_login "${client}_client" create "$t-missing" 1
done

# A session that outlives several logins of 3 s each (KIP-368), with the clients that renew them: no login runs out.
export SASL_USER=alice SASL_PASSWORD=$token
slow_lines() { local i; for i in $(seq 8); do echo "line $i"; sleep 1; done; }
slow_session() { # slow_session CLIENT
  local expired; expired=$(seen login_expired)
  "$1_client" create "allowed-$1-slow" 1 && "$1_client" lines "allowed-$1-slow" none <(slow_lines) || return 1
  [ "$("$1_client" cat "allowed-$1-slow" | wc -l)" = 8 ] || { echo "lines are missing" >&2; return 1; }
  [ "$(seen login_expired)" = "$expired" ] || { echo "a login ran out" >&2; return 1; }
}
for client in java librdkafka franz_go millrace; do
  check "${client}_session_outlives_its_login" in_time 40 slow_session "$client"
done
no_secret() { ! grep -qF -e "$token" -e wrong-token-of-alice "$log"; }
check no_token_in_the_log no_secret
finish
