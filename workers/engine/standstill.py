"""A stage that stands still says so where everybody can read it: beside the configuration records, by partition.

Nobody has to take it back: it is over as soon as the stage has committed what it did not want to commit."""

from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.types import TP

from workers.engine.catch_up import read_to_end

SEPARATOR = "|"


class Standstill(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stage does not go on at a partition."""

    why: str
    """Words without values (P6)."""
    end: int
    """Offset behind the records it concerns: a stage that has committed it has gone on."""
    since_ms: int = 0
    """Kafka timestamp of the report, milliseconds since the epoch."""


async def report_standstill(app: Any, why: str, tp: TP, end: int) -> None:
    """Write it down. Without Kafka it stands in the log and in the web view alone."""
    topic = app.options.config_topic
    if topic is None:
        return
    producer = AIOKafkaProducer(**app.options.client(f"{app.conf.id}-standstill"))
    key = SEPARATOR.join((app.conf.id, tp.topic, str(tp.partition))).encode()
    try:
        await producer.start()
        await producer.send_and_wait(topic, msgspec.json.encode(Standstill(why=why, end=end)), key=key, partition=0)
    except KafkaError as error:
        app.log.warning("the standstill could not be written to %s: %s", topic, type(error).__name__)
    finally:
        await producer.stop()


async def read_standstills(client: dict[str, Any], topic: str) -> dict[tuple[str, TP], Standstill]:
    """The last report by group and partition, also of those that are over. Raises KafkaError."""
    found: dict[tuple[str, TP], Standstill] = {}

    def apply(record: Any) -> None:
        group, *where = (record.key or b"").decode("utf-8", "replace").rsplit(SEPARATOR, 2)
        try:
            name, partition = where
            told = msgspec.json.decode(record.value or b"", type=Standstill)
            found[group, TP(name, int(partition))] = msgspec.structs.replace(told, since_ms=record.timestamp)
        except (ValueError, msgspec.MsgspecError):
            return  # a configuration record

    await read_to_end(client, {TP(topic, 0): 0}, apply)
    return found
