"""Checks of the clock: AWS refuses signatures that are 5 minutes off, and waits count from times of records."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from workers.aws.client import Session
from workers.checks.findings import Finding
from workers.settings.effective import without_credentials
from workers.settings.worker import Settings

WARN, REFUSED = timedelta(seconds=30), timedelta(minutes=5)
"""How far off: AWS takes signatures of 5 minutes before and behind (SigV4)."""
Now = Callable[[], datetime]


async def check_clock(settings: Settings, now: Now, seconds: float) -> list[Finding]:
    """Ask the endpoint of Kinesis for the time: any answer has a Date, also that to a request without a signature."""
    url = Session(settings).endpoint("kinesis")
    try:
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession() as http,
            http.get(url, allow_redirects=False) as answer,
        ):
            date, here = answer.headers.get("Date", ""), now()
        there = parsedate_to_datetime(date)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return [
            Finding.of("clock.unseen", "clock", f"no time from {without_credentials(url)} ({type(error).__name__})")
        ]
    return judge(here - there.replace(tzinfo=there.tzinfo or UTC))


def judge(ahead: timedelta) -> list[Finding]:
    """`ahead`: how far this machine's clock is before that of AWS."""
    off = abs(ahead)
    if off <= WARN:
        return []
    told = f"this machine is {off.total_seconds():.0f} s {'ahead of' if ahead > timedelta(0) else 'behind'} AWS"
    return [Finding.of("clock.refused" if off > REFUSED else "clock.skew", "clock", told)]


async def check_record_times(client: dict[str, Any], topics: dict[str, int], now: Now, seconds: float) -> list[Finding]:
    """Whether records are stamped later than half a minute from now; {topic: partitions}. Kafka tells no time."""
    later = int((now() + WARN).timestamp() * 1000)
    wanted = {TopicPartition(topic, index): later for topic, count in topics.items() for index in range(count)}
    if not wanted:
        return []
    consumer = AIOKafkaConsumer(**client)
    try:
        async with asyncio.timeout(seconds):
            await consumer.start()
            found = await consumer.offsets_for_times(wanted)
    except (KafkaError, OSError, TimeoutError):
        return []
    finally:
        await consumer.stop()
    ahead = sorted({tp.topic for tp, record in found.items() if record is not None})
    return [Finding.of("clock.kafka", topic, "its newest records are more than 30 s ahead of now") for topic in ahead]
