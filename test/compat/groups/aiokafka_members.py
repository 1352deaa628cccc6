"""Members of consumer groups on aiokafka, many in one process, led by lines on standard input.

host.ts has the words. Each member is a task with a consumer of its own; what it owns and reads is printed.
"""
import asyncio
import os
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
}
members = {}


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Listener(ConsumerRebalanceListener):
    def __init__(self, name):
        self.name = name

    async def on_partitions_revoked(self, revoked):
        say(f"assigned {self.name} -")

    async def on_partitions_assigned(self, assigned):
        say(f"assigned {self.name} {','.join(str(p.partition) for p in sorted(assigned)) or '-'}")


async def member(name, options, leaving):
    manual = options.get("commit", "auto") == "manual"
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ["BOOTSTRAP"],
        client_id=name,
        group_id=options["group"],
        group_instance_id=options.get("instance"),
        partition_assignment_strategy=[ASSIGNORS[options.get("assignor", "roundrobin")]],
        session_timeout_ms=int(options["session"]),
        heartbeat_interval_ms=int(options["heartbeat"]),
        auto_offset_reset="earliest",
        enable_auto_commit=not manual,
        auto_commit_interval_ms=200,
        metadata_max_age_ms=1000,
    )
    consumer.subscribe([options["topic"]], listener=Listener(name))
    await consumer.start()
    try:
        while not leaving.is_set():
            batches = await consumer.getmany(timeout_ms=100)
            for partition, records in batches.items():
                for record in records:
                    say(f"r {name} {partition.partition} {record.offset}")
            if manual and batches:
                try:
                    await consumer.commit()
                except (CommitFailedError, IllegalStateError):
                    pass  # a rebalance was under way: the next owner reads it again
    except KafkaError as e:
        say(f"failed {name} {e!r}".replace("\n", " "))
    finally:
        await consumer.stop()
        say(f"left {name}")


async def main():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode():
        verb, name, *pairs = line.split()
        if verb == "join":
            leaving = asyncio.Event()
            task = asyncio.create_task(member(name, dict(p.split("=", 1) for p in pairs), leaving))
            members[name] = (leaving, task)
        elif verb == "leave":
            members[name][0].set()


asyncio.run(main())
