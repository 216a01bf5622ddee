"""A producer that is fenced leaves no traceback behind: two workers that boot together are no error."""

import asyncio
import gc
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerFenced
from aiokafka.structs import TopicPartition

from workers.engine.slot_producer import look_at_errors


def test_asyncio_has_nothing_to_log_of_a_fenced_producer() -> None:
    assert asyncio.run(said(look=True)) == []


def test_without_a_look_asyncio_logs_errors_that_nobody_awaited() -> None:
    assert asyncio.run(said(look=False)) != []


async def said(*, look: bool) -> list[str]:
    """What asyncio logs when a producer with a record at hand was fenced and is forgotten."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    await fenced(look=look)
    gc.collect()
    return [context["message"] for context in heard]


async def fenced(*, look: bool) -> None:
    """As aiokafka's sender does it when the broker says ProducerFenced."""
    producer = AIOKafkaProducer(bootstrap_servers="nowhere:1", transactional_id="cdc-enrich-boot")
    manager, accumulator = producer._txn_manager, producer._message_accumulator
    manager.set_pid_and_epoch(1, 0)
    manager.begin_transaction()
    record = await accumulator.add_message(TopicPartition("cdc.config", 0), b"cdc-enrich", b"{}", 1.0)
    accumulator.fail_all(ProducerFenced())
    manager.fatal_error(ProducerFenced())
    assert isinstance(record.exception(), ProducerFenced)
    if look:
        look_at_errors(producer)
    producer._closed = True
