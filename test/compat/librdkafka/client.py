"""The librdkafka (confluent-kafka) side of the client checks; lib.sh calls its verbs (see main).

BOOTSTRAP names the broker. Record lines are those of make_input.ts. It consumes by assignment only.
"""
import os
import sys
import time

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
    OFFSET_BEGINNING,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

COMMON = {"bootstrap.servers": os.environ["BOOTSTRAP"], "client.id": "compat-librdkafka"}
if "SASL_USER" in os.environ:  # see test/compat/sasl
    COMMON.update(
        {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": os.environ["SASL_USER"],
            "sasl.password": os.environ["SASL_PASSWORD"],
        }
    )


def producer(codec, idempotent=False):
    return Producer(
        {
            **COMMON,
            "compression.type": codec,
            "acks": "all",
            "enable.idempotence": idempotent,
            "max.in.flight.requests.per.connection": 5 if idempotent else 1,
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1_000_000,
            "message.max.bytes": 8_000_000,
            "message.timeout.ms": 60_000,
        }
    )


def consumer(**extra):
    return Consumer(
        {**COMMON, "group.id": "none", "enable.auto.commit": False, "enable.partition.eof": True, **extra}
    )


def send(p, errors, topic, value, key=None, headers=None, timestamp=0):
    def done(err, _):
        if err is not None:
            errors.append(err)

    while True:
        try:
            p.produce(topic, value=value, key=key, headers=headers, partition=0, timestamp=timestamp, on_delivery=done)
            p.poll(0)
            return
        except BufferError:
            p.poll(0.1)


def flush(p, errors):
    left = p.flush(120)
    if left:
        raise RuntimeError(f"{left} records were not delivered")
    if errors:
        raise KafkaException(errors[0])


def scan(topic):
    """Every record of partition 0 from its start to its end; offsets have to be without gaps."""
    c = consumer()
    c.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    expected = None
    deadline = time.time() + 120
    try:
        while True:
            if time.time() > deadline:
                raise RuntimeError("no end of the partition in time")
            for m in c.consume(10_000, 0.2):
                if m.error():
                    if m.error().code() == KafkaError._PARTITION_EOF:
                        return
                    raise KafkaException(m.error())
                if expected is not None and m.offset() != expected:
                    raise RuntimeError(f"offset {m.offset()} where {expected} was expected")
                expected = m.offset() + 1
                yield m
    finally:
        c.close()


def create(topic, partitions, *configs):
    admin = AdminClient(COMMON)  # has to outlive the call
    new = NewTopic(topic, int(partitions), 1, config=dict(kv.split("=", 1) for kv in configs))
    admin.create_topics([new])[topic].result(30)


def lines(topic, codec, file, idempotent=""):
    p, errors = producer(codec, idempotent == "idempotent"), []
    with open(file, "rb") as f:
        for line in f:
            send(p, errors, topic, line[:-1])
    flush(p, errors)


def cat(topic):
    out = sys.stdout.buffer
    for m in scan(topic):
        out.write(m.value())
        out.write(b"\n")
    out.flush()


def unhex(text):
    return None if text == "-" else bytes.fromhex(text)


def tohex(data):
    return "-" if data is None else data.hex()


def write(topic, codec, file):
    p, errors = producer(codec), []
    with open(file, encoding="ascii") as f:
        for line in f:
            key, value, headers = line.rstrip("\n").split("\t")
            pairs = [h.split("=") for h in headers.split(",")] if headers else []
            send(
                p, errors, topic, unhex(value), unhex(key), [(unhex(k).decode(), unhex(v)) for k, v in pairs] or None
            )
    flush(p, errors)


def read(folder, *topics):
    for topic in topics:
        with open(os.path.join(folder, topic + ".tsv"), "w", encoding="ascii") as f:
            for m in scan(topic):
                headers = ",".join(f"{k.encode().hex()}={tohex(v)}" for k, v in m.headers() or [])
                f.write(f"{tohex(m.key())}\t{tohex(m.value())}\t{headers}\n")


def one(topic, size):
    p, errors = producer("none"), []
    send(p, errors, topic, bytes(int(size)))
    flush(p, errors)


class Checks:
    def __init__(self, topic):
        self.topic, self.good = topic, True
        self.admin = AdminClient(COMMON)

    def step(self, name, call):
        try:
            call()
            print("ok", name, flush=True)
        except Exception as e:  # the reason goes into the line
            self.good = False
            print("not ok", name, repr(e).replace("\n", " "), flush=True)

    @staticmethod
    def refused(code, future):
        try:
            future.result(30)
        except KafkaException as e:
            assert e.args[0].code() == code, f"refused with {e.args[0]}"
            return
        raise AssertionError("accepted")

    @staticmethod
    def wait(holds, what):
        for _ in range(250):
            if holds():
                return
            time.sleep(0.02)
        raise AssertionError(what)

    def topics(self):
        return self.admin.list_topics(timeout=10).topics

    def create_topic(self):
        t = self.topic
        self.admin.create_topics([NewTopic(t, 3, 1, config={"retention.ms": "3600000"})])[t].result(30)
        self.wait(lambda: t in self.topics() and len(self.topics()[t].partitions) == 3, "not in the metadata")
        self.refused(KafkaError.TOPIC_ALREADY_EXISTS, self.admin.create_topics([NewTopic(t, 3, 1)])[t])
        self.refused(KafkaError.TOPIC_EXCEPTION, self.admin.create_topics([NewTopic(t + "/x", 3, 1)])[t + "/x"])

    def describe(self):
        from confluent_kafka import TopicCollection

        d = self.admin.describe_topics(TopicCollection([self.topic]))[self.topic].result(30)
        assert len(d.partitions) == 3 and d.partitions[0].leader.id >= 0 and not d.is_internal, d

    def partitions(self):
        self.admin.create_partitions([NewPartitions(self.topic, 5)])[self.topic].result(30)
        self.wait(lambda: len(self.topics()[self.topic].partitions) == 5, "not 5 partitions")
        self.refused(
            KafkaError.INVALID_PARTITIONS, self.admin.create_partitions([NewPartitions(self.topic, 2)])[self.topic]
        )

    def resource(self, *entries):
        return ConfigResource(ResourceType.TOPIC, self.topic, incremental_configs=list(entries))

    def config(self, name):
        r = self.resource()
        return self.admin.describe_configs([r])[r].result(30)[name]

    def alter(self, name, op, value=None):
        r = self.resource(ConfigEntry(name, value, incremental_operation=op))
        return self.admin.incremental_alter_configs([r])[r]

    def configs(self):
        assert self.config("retention.ms").value == "3600000"
        assert self.config("max.message.bytes").value == "1048588" and self.config("max.message.bytes").is_default
        self.alter("max.message.bytes", AlterConfigOpType.SET, "5000").result(30)
        self.wait(lambda: self.config("max.message.bytes").value == "5000", "not altered")
        self.alter("cleanup.policy", AlterConfigOpType.APPEND, "compact").result(30)
        self.wait(lambda: "compact" in self.config("cleanup.policy").value, "not appended")
        self.alter("cleanup.policy", AlterConfigOpType.SUBTRACT, "compact").result(30)
        self.alter("max.message.bytes", AlterConfigOpType.DELETE, "").result(30)
        self.wait(lambda: self.config("max.message.bytes").is_default, "not back at the default")
        self.refused(KafkaError.INVALID_CONFIG, self.alter("max.message.bytes", AlterConfigOpType.SET, "many"))

    def alter_whole(self):
        r = ConfigResource(ResourceType.TOPIC, self.topic, set_config={"retention.bytes": "777777"})
        self.admin.alter_configs([r])[r].result(30)
        self.wait(lambda: self.config("retention.bytes").value == "777777", "not altered")
        assert self.config("retention.ms").is_default, "what was left out is still set"

    def offsets(self):
        base = int(time.time()) * 1000 - 60_000
        p, errors = producer("none", True), []
        for i in range(5):
            send(p, errors, self.topic, bytes([i]), timestamp=base + i * 1000)
        flush(p, errors)
        c = consumer()
        try:
            for at, want in ((base, 0), (base + 1500, 2), (base + 4000, 4)):
                got = c.offsets_for_times([TopicPartition(self.topic, 0, at)], 10)[0].offset
                assert got == want, f"at {at - base} ms: offset {got}, not {want}"
            assert c.get_watermark_offsets(TopicPartition(self.topic, 0), 10) == (0, 5)
        finally:
            c.close()
        tp = TopicPartition(self.topic, 0)
        for spec, want in ((OffsetSpec.earliest(), 0), (OffsetSpec.latest(), 5), (OffsetSpec.max_timestamp(), 4)):
            got = self.admin.list_offsets({tp: spec})[tp].result(30).offset
            assert got == want, f"{spec}: {got}, not {want}"

    def delete_records(self):
        tp = TopicPartition(self.topic, 0, 3)
        assert self.admin.delete_records([tp])[tp].result(30).low_watermark == 3
        far = TopicPartition(self.topic, 0, 99)
        self.refused(KafkaError.OFFSET_OUT_OF_RANGE, self.admin.delete_records([far])[far])
        assert [m.value() for m in scan(self.topic)] == [b"\x03", b"\x04"]
        c = consumer(**{"auto.offset.reset": "error"})
        try:
            c.assign([TopicPartition(self.topic, 0, 1)])
            m = c.poll(10)
            assert m is not None and m.error() and m.error().code() == KafkaError._AUTO_OFFSET_RESET, m and m.error()
        finally:
            c.close()

    def cluster(self):
        d = self.admin.describe_cluster().result(30)
        assert d.cluster_id and len(d.nodes) == 1 and d.controller is not None, d

    def delete(self):
        self.admin.delete_topics([self.topic])[self.topic].result(30)
        self.wait(lambda: self.topic not in self.topics(), "still there")
        self.refused(KafkaError.UNKNOWN_TOPIC_OR_PART, self.admin.delete_topics([self.topic])[self.topic])

    def run(self):
        self.step("admin_create_topic", self.create_topic)
        self.step("admin_describe_topic", self.describe)
        self.step("admin_create_partitions", self.partitions)
        self.step("admin_incremental_alter_configs", self.configs)
        self.step("admin_alter_configs", self.alter_whole)
        self.step("admin_list_offsets_by_time", self.offsets)
        self.step("admin_delete_records", self.delete_records)
        self.step("admin_describe_cluster", self.cluster)
        self.step("admin_delete_topic", self.delete)
        return 0 if self.good else 1


def main():
    verb, args = sys.argv[1], sys.argv[2:]
    if verb == "admin":
        sys.exit(Checks(args[0]).run())
    try:
        {"create": create, "lines": lines, "cat": cat, "write": write, "read": read, "one": one}[verb](*args)
    except Exception as e:  # one line, for lib.sh
        print(repr(e), file=sys.stderr)
        sys.exit(2)


main()
