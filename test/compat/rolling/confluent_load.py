"""The load of the rolling restart on librdkafka: an idempotent producer and members of groups, led by lines on standard input.

The lines, and those of the history, are those of test/compat/cluster/Load.java; each answer begins with the word that was asked.
"""
import os
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

WAITING_MAX = 400  # records of one partition that wait for their answer; beyond, its turn is skipped
lock = threading.Lock()
topics = {}
counts = {}
totals = {"acked": 0, "failed": 0, "seen": 0}
producers, members = [], []
stop_producers, stop_members = threading.Event(), threading.Event()
history = open(sys.argv[1], "w", encoding="utf-8")


def now():
    return int(time.time() * 1000)


def note(*words):
    with lock:
        history.write(" ".join(map(str, words)) + "\n")


def count(total, line):
    with lock:
        totals[total] += 1
        counts[line] = counts.get(line, 0) + 1


def complain(who, error):
    print(f"{who}: {error}", file=sys.stderr, flush=True)


def java_hash(text):
    value = 0
    for char in text:
        value = (value * 31 + ord(char)) & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def int32(value):
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def value_of(producer, seq):
    """A value of which every byte follows from who wrote it: Writers.valueOf in Java."""
    name = f"{producer}:{seq}:"
    mixed = java_hash(name)
    return name + "".join(chr(97 + int32(mixed + i * 7) % 26) for i in range(int32(mixed * 31) % 300))


def name_of(value):
    parts = value.decode("utf-8", "replace").split(":", 2)
    if len(parts) == 3 and parts[1].isdigit() and value_of(parts[0], int(parts[1])).encode() == value:
        return f"{parts[0]} {parts[1]}"
    return "? " + "_".join(parts)[:60].replace(" ", "_")


COMMON = {
    "bootstrap.servers": os.environ["BOOTSTRAP"],
    "topic.metadata.refresh.interval.ms": 5000,
    "retry.backoff.ms": 50,
    "retry.backoff.max.ms": 500,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "socket.connection.setup.timeout.ms": 3000,
    "socket.timeout.ms": 10000,
}


def produce(name, topic, per_second):
    producer = Producer({**COMMON, "client.id": name, "enable.idempotence": True, "acks": "all", "linger.ms": 2, "message.timeout.ms": 600000})
    partitions = topics[topic]
    seqs, waiting = [0] * partitions, [0] * partitions
    began, n = time.monotonic(), 0
    while not stop_producers.is_set():
        partition = n % partitions
        n += 1
        if waiting[partition] < WAITING_MAX:
            seq = seqs[partition]
            seqs[partition] += 1
            waiting[partition] += 1

            def answered(error, message, partition=partition, seq=seq):
                waiting[partition] -= 1
                if error is None:
                    note("a", now(), name, topic, partition, seq, message.offset())
                    count("acked", f"{topic}/{partition}")
                else:
                    note("x", now(), name, topic, partition, seq, error.name())
                    totals["failed"] += 1
                    complain(name, error)

            note("s", now(), name, topic, partition, seq, 0)
            producer.produce(topic, value_of(name, seq).encode(), partition=partition, on_delivery=answered)
        ahead = n / per_second - (time.monotonic() - began)
        if ahead < -2:
            began = time.monotonic() - n / per_second
        producer.poll(max(0, ahead))
    if producer.flush(120) > 0:
        complain(name, "it could not be flushed in 120 s")


def consume(name, group, protocol, isolation, names):
    config = {
        **COMMON,
        "client.id": name,
        "group.id": group,
        "group.protocol": protocol,
        "isolation.level": isolation,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 200,
    }
    if protocol == "classic":
        config.update({"session.timeout.ms": 10000, "heartbeat.interval.ms": 1000, "partition.assignment.strategy": "cooperative-sticky"})
    consumer = Consumer(config)
    next_of, committed = {}, {}

    def commit():
        todo = {at: offset for at, offset in next_of.items() if committed.get(at) != offset}
        if not todo:
            return
        began = now()
        try:
            consumer.commit(offsets=[TopicPartition(*at, offset) for at, offset in todo.items()], asynchronous=False)
        except KafkaException as e:
            complain(name, e)
            return
        for at, offset in todo.items():
            committed[at] = offset
            note("O", began, now(), name, group, *at, offset)

    def taken(partitions):
        for each in partitions:
            at = (each.topic, each.partition)
            next_of.pop(at, None)
            committed.pop(at, None)
            note("l", now(), name, group, *at)

    def on_assign(_, partitions):
        for each in partitions:
            note("j", now(), name, group, each.topic, each.partition, -1)

    def on_revoke(_, partitions):
        commit()
        taken(partitions)

    def on_lost(_, partitions):
        taken(partitions)

    note("g", group, isolation)
    consumer.subscribe(names, on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)
    next_commit = 0
    while not stop_members.is_set():
        message = consumer.poll(0.1)
        if message is not None and message.error() is not None:
            complain(name, message.error())
        elif message is not None:
            at = (message.topic(), message.partition())
            note("r", now(), name, group, *at, message.offset(), name_of(message.value()))
            next_of[at] = message.offset() + 1
            count("seen", f"{group}:{at[0]}/{at[1]}")
        if time.monotonic() >= next_commit:
            commit()
            next_commit = time.monotonic() + 0.2
    commit()
    consumer.close()


def begin(threads, target, *args):
    thread = threading.Thread(target=target, args=args, daemon=True)
    threads.append(thread)
    thread.start()
    return "ok"


def end(threads, event):
    event.set()
    for thread in threads:
        thread.join(150)
        if thread.is_alive():
            return "failed a thread does not come to its end"
    return "ok"


def answer(words):
    if words[0] == "topic":
        topics[words[1]] = int(words[2])
        return "ok"
    if words[0] == "producer":
        return begin(producers, produce, words[1], words[2], int(words[3]))
    if words[0] == "member":
        return begin(members, consume, *words[1:5], words[5:])
    if words[0] == "count":
        return f"ok {totals['acked']} {totals['failed']} {totals['seen']}"
    if words[0] == "progress":
        with lock:
            return " ".join(["ok", *(f"{line}={times}" for line, times in counts.items())])
    if words[0] == "stop-producers":
        return end(producers, stop_producers)
    if words[0] == "stop-members":
        return end(members, stop_members)
    return "failed there is no such word"


print("up", flush=True)
for line in sys.stdin:
    asked = line.split()
    if asked == ["quit"]:
        break
    print(asked[0], answer(asked), flush=True)
with lock:
    history.close()
    os._exit(0)
