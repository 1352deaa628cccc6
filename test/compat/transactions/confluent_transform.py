"""Consume, transform, produce, in transactions, on librdkafka: worker.ts has the words."""
import os
import random
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

options = dict(pair.split("=", 1) for pair in sys.argv[1:])
stopping = threading.Event()
# Twice what the call is told.
SENT_SECONDS_MAX = 10


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def watch_stdin():
    sys.stdin.read()
    stopping.set()


def rewind(consumer):
    """Back to where the group stands."""
    owned = consumer.assignment()
    for at in consumer.committed(owned, timeout=20) if owned else []:
        consumer.seek(TopicPartition(at.topic, at.partition, max(at.offset, 0)))


def retried(call):
    """Calls again what librdkafka says to call again."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return call()
        except KafkaException as e:
            if not e.args[0].retriable() or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def hung():
    say("hung send_offsets_to_transaction")
    os._exit(3)


def sent_offsets(producer, positions, metadata):
    """This call does not keep its time limit where the broker goes away in the middle of it (librdkafka's issue 5456), with Kafka
    as with us: a new process has to go on."""
    timer = threading.Timer(SENT_SECONDS_MAX, hung)
    timer.daemon = True
    timer.start()
    try:
        producer.send_offsets_to_transaction(positions, metadata, SENT_SECONDS_MAX / 2)
    finally:
        timer.cancel()


def main():
    threading.Thread(target=watch_stdin, daemon=True).start()
    common = {
        "bootstrap.servers": os.environ["BOOTSTRAP"],
        "client.id": options["id"],
        "reconnect.backoff.max.ms": 200,
        "log_level": 0,
    }
    producer = Producer(
        {**common, "transactional.id": options["id"], "transaction.timeout.ms": 15000, "linger.ms": 0}
    )
    consumer = Consumer(
        {
            **common,
            "group.id": options["group"],
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 2000,
            "heartbeat.interval.ms": 300,
            "fetch.wait.max.ms": 100,
        }
    )
    retried(lambda: producer.init_transactions(20))
    consumer.subscribe([options["in"]])
    say("started")
    while not stopping.is_set():
        records = [r for r in consumer.consume(int(options["batch"]), 0.2) if r.error() is None]
        if not records:
            continue
        aborts = random.randrange(100) < int(options["abort"])
        producer.begin_transaction()
        try:
            ends = {}
            for r in records:
                value = ("a:" if aborts else "c:") + r.value().decode()
                producer.produce(options["out"], value, r.key(), partition=r.partition())
                ends[r.partition()] = r.offset() + 1
            positions = [TopicPartition(options["in"], p, at) for p, at in ends.items()]
            metadata = consumer.consumer_group_metadata()
            retried(lambda: sent_offsets(producer, positions, metadata))
            if aborts:
                producer.flush(10)
            time.sleep(random.randrange(int(options["pause"]) + 1) / 1000)
            if aborts:
                retried(lambda: producer.abort_transaction(20))
                rewind(consumer)
            else:
                retried(lambda: producer.commit_transaction(20))
            say(f"{'aborted' if aborts else 'committed'} {len(records)}")
        except KafkaException as e:
            say(f"note {e}")
            if e.args[0].fatal() or not e.args[0].txn_requires_abort():
                raise
            retried(lambda: producer.abort_transaction(20))
            rewind(consumer)
    consumer.close()


try:
    main()
except KafkaException as error:
    say(f"failed {error}")
    os._exit(3)
os._exit(0)
