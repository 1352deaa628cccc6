#!/usr/bin/env bash
# What one client writes every other reads: seven writers by five codecs, five readers by assignment, record by record.
# Against BOOTSTRAP, or against a broker of its own (RUNTIME=bun|deno|kafka).
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_kcat; need_java; need_librdkafka
need_go "$compat/franz_go"; FRANZ_GO=$GO_PROGRAM
need_go "$compat/kafka_go"; KAFKA_GO=$GO_PROGRAM
begin matrix
export BOOTSTRAP
jvm=(java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dfile.encoding=UTF-8 -cp "$JAVA_CP" Client)
client() { # client NAME VERB …
  local name=$1; shift
  case $name in
    franz_go) timeout 120 "$FRANZ_GO" "$@" ;;
    kafka_go) timeout 120 "$KAFKA_GO" "$@" ;;
    java) timeout 120 "${jvm[@]}" "$@" ;;
    librdkafka) timeout 120 "$VENV_PYTHON" "$compat/librdkafka/client.py" "$@" ;;
    kafkajs | platformatic) timeout 120 "$(tool bun)" "$compat/$name/client.ts" "$@" ;;
  esac
}
# kcat writes whole lines with one constant header; its expected records are made from the same lines
head -2000 "$SMALL_FILE" | LC_ALL=C awk '{ print "key" NR "\001" $0 }' >"$WORK/kcat_lines"
"$(tool bun)" -e '
const hex = (text) => Buffer.from(text).toString("hex");
const lines = (await Bun.file(process.argv[1]).text()).split("\n").slice(0, -1);
console.log(lines.map((line) => line.split("\u0001").map(hex).join("\t") + "\t" + hex("h") + "=" + hex("größer")).join("\n"));
' "$WORK/kcat_lines" >"$WORK/kcat_want.tsv"
kcat_write() { timeout 120 kcat -P -b "$BOOTSTRAP" -t "$1" -p 0 -z "$2" -K $'\001' -H h=größer -l "$WORK/kcat_lines"; }

topics=()
for codec in none gzip snappy lz4 zstd; do
  for writer in franz_go kafka_go java librdkafka kafkajs platformatic kcat; do
    t=matrix-$writer-$codec-$TOPIC_RUN
    want=$TEXT_RECORDS
    if ! client franz_go create "$t" 1 2>"$WORK/create.err"; then not_ok "${writer}_${codec}_topic $(cat "$WORK/create.err")"; continue; fi
    if [ $writer = kcat ]; then
      want=$WORK/kcat_want.tsv
      check "${writer}_${codec}_writes" kcat_write "$t" "$codec" || continue
    else
      check "${writer}_${codec}_writes" client "$writer" write "$t" "$codec" "$want" || continue
    fi
    topics+=("$t"); ln -sf "$want" "$WORK/$t.want"
  done
done
for reader in franz_go kafka_go java librdkafka kcat; do
  mkdir -p "$WORK/$reader"
  if [ $reader = kcat ]; then
    for t in "${topics[@]}"; do kcat_records "$t" >"$WORK/kcat/$t.tsv"; done
  else
    check "${reader}_reads_all" client "$reader" read "$WORK/$reader" "${topics[@]}"
  fi
  for t in "${topics[@]}"; do
    name=${t#matrix-}; name=${name%-"$TOPIC_RUN"}
    touch "$WORK/$reader/$t.tsv"
    check "${reader}_reads_$name" same_records "$WORK/$t.want" "$WORK/$reader/$t.tsv"
  done
done
finish
