"""Members of consumer groups on librdkafka, many in one process, led by lines on standard input.

host.ts has the words. Each member is a thread with a Consumer of its own; what it owns and reads is printed.
"""
import os
import sys
import threading

from confluent_kafka import Consumer, KafkaError, KafkaException

lock = threading.Lock()
members = {}


def say(line):
    with lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Member(threading.Thread):
    def __init__(self, name, options):
        super().__init__(daemon=True)
        self.member = name
        self.options = options
        self.owned = set()
        self.leaving = threading.Event()

    def config(self):
        o = self.options
        config = {
            "bootstrap.servers": os.environ["BOOTSTRAP"],
            "client.id": self.member,
            "group.id": o["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": o.get("commit", "auto") != "manual",
            "auto.commit.interval.ms": 200,
            "topic.metadata.refresh.interval.ms": 1000,
            "fetch.wait.max.ms": 100,
        }
        if o.get("protocol", "classic") == "consumer":
            config["group.protocol"] = "consumer"
            if "assignor" in o:
                config["group.remote.assignor"] = o["assignor"]
        else:
            config["partition.assignment.strategy"] = o.get("assignor", "range")
            config["session.timeout.ms"] = int(o["session"])
            config["heartbeat.interval.ms"] = int(o["heartbeat"])
        if "instance" in o:
            config["group.instance.id"] = o["instance"]
        return config

    def say_owned(self):
        say(f"assigned {self.member} {','.join(map(str, sorted(self.owned))) or '-'}")

    def assigned(self, consumer, partitions):
        numbers = {p.partition for p in partitions}
        if self.incremental(consumer):
            self.owned |= numbers
        else:
            self.owned = numbers
        self.say_owned()

    def revoked(self, consumer, partitions):
        self.owned -= {p.partition for p in partitions}
        self.say_owned()

    def incremental(self, consumer):
        return self.options.get("protocol") == "consumer" or self.options.get("assignor") == "cooperative-sticky"

    def lost(self, consumer, partitions):
        say(f"lost {self.member}")
        self.revoked(consumer, partitions)

    def run(self):
        consumer = Consumer(self.config())
        manual = self.options.get("commit", "auto") == "manual"
        topic = "^" + self.options["pattern"] if "pattern" in self.options else self.options["topic"]
        try:
            consumer.subscribe([topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)
            while not self.leaving.is_set():
                some = False
                for m in consumer.consume(500, 0.1):
                    if m.error():
                        if m.error().code() == KafkaError._PARTITION_EOF or m.error().retriable():
                            continue
                        raise KafkaException(m.error())
                    some = True
                    say(f"r {self.member} {m.partition()} {m.offset()}")
                if manual and some:
                    try:
                        consumer.commit(asynchronous=False)
                    except KafkaException as e:
                        # what was revoked meanwhile is the next owner's to read again
                        tolerated = (KafkaError._NO_OFFSET, KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH)
                        if e.args[0].code() not in tolerated:
                            raise
        except KafkaException as e:
            say(f"failed {self.member} {e.args[0].name()} {e.args[0].str()}".replace("\n", " "))
        finally:
            consumer.close()
            say(f"left {self.member}")


for line in sys.stdin:
    verb, name, *pairs = line.split()
    if verb == "join":
        members[name] = Member(name, dict(p.split("=", 1) for p in pairs))
        members[name].start()
    elif verb == "leave":
        members.pop(name).leaving.set()
