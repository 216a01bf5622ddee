"""Checks of the brokers: reachable, new enough, set up for transactions, and willing to serve this worker."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from workers.checks.findings import Finding
from workers.engine.ledger import MAX_BYTES, most_bytes
from workers.kafka.connection import Answer, KafkaConnection, Obstacle
from workers.kafka.topics import DEAD_MAX_BYTES, TopicState, group_of, tables_of
from workers.settings.worker import Settings

# API keys, https://kafka.apache.org/protocol#protocol_api_keys
NEEDED = {
    9: "OffsetFetch", 22: "InitProducerId", 24: "AddPartitionsToTxn", 25: "AddOffsetsToTxn", 26: "EndTxn",
    28: "TxnOffsetCommit",
}  # fmt: skip
SINCE_3_7 = {0: ("Produce", 10), 1: ("Fetch", 16)}
"""Versions that came with Kafka 3.7 (KIP-951)."""
INTERNAL = ("__consumer_offsets", "__transaction_state")
TRANSACTION_SECONDS = 20.0
TRANSACTION_TIMEOUT_MS = 30_000
"""That of the worker's own transactions; a broker may allow less."""
WEEK_MINUTES = 7 * 24 * 60
DENIED = (
    ClusterAuthorizationFailedError, GroupAuthorizationFailedError, TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)  # fmt: skip
PAUSE = 0.2
KIND_OF: dict[Obstacle, str] = {
    "away": "kafka.unreachable", "denied": "kafka.auth", "tls": "kafka.tls", "silent": "kafka.protocol",
}  # fmt: skip


def check_servers(answers: Iterable[Answer]) -> list[Finding]:
    """Every bootstrap server that did not let us in. One that is away is a warning while another answers."""
    found = []
    answers = list(answers)
    reached = any(answer.obstacle is None for answer in answers)
    for answer in answers:
        if answer.obstacle is None:
            continue
        kind = KIND_OF[answer.obstacle]
        if reached and answer.obstacle in ("away", "silent"):
            kind = "kafka.server-away"
        found.append(Finding.of(kind, answer.server, answer.reason))
    return found


def check_versions(answers: Iterable[Answer]) -> list[Finding]:
    """Whether every server that answered knows the requests of exactly once."""
    found = []
    for answer in answers:
        if answer.obstacle is not None:
            continue
        if missing := [name for key, name in NEEDED.items() if key not in answer.versions]:
            found.append(Finding.of("broker.api", answer.server, f"it does not know {', '.join(missing)}"))
        old = [
            f"{name} {answer.versions.get(key, (0, 0))[1]} of {wanted}"
            for key, (name, wanted) in SINCE_3_7.items()
            if answer.versions.get(key, (0, 0))[1] < wanted
        ]
        if old:
            found.append(
                Finding.of("broker.version", answer.server, f"its protocol is older than Kafka 3.7: {', '.join(old)}")
            )
    return found


def check_broker(broker: str, config: Mapping[str, str], settings: Settings, lookups: Iterable[str]) -> list[Finding]:
    """Settings of one broker, as DescribeConfigs tells them; `lookups` are the catalogue's."""
    found = []
    beside, needed = _number(config, "offset.metadata.max.bytes"), min(most_bytes(tables_of(lookups)), MAX_BYTES)
    if beside is not None and beside < needed:
        what = f"offset.metadata.max.bytes is {beside:,}, what the stage enrich has counted may take {needed:,} bytes"
        found.append(Finding.of("broker.offset-metadata", broker, what))
    local = settings.environment == "LOCAL"
    session = settings.session_timeout * 1000
    low, high = _number(config, "group.min.session.timeout.ms"), _number(config, "group.max.session.timeout.ms")
    if (low is not None and session < low) or (high is not None and session > high):
        found.append(
            Finding.of(
                "broker.session-timeout", broker,
                f"it allows {low} to {high} ms, CDC_SESSION_TIMEOUT is {settings.session_timeout:g} s",
            )
        )  # fmt: skip
    kept = _number(config, "offsets.retention.minutes")
    if kept is not None and kept < WEEK_MINUTES:
        found.append(
            Finding.of("broker.offsets-retention", broker, f"offsets of an idle group are forgotten after {kept} min")
        )
    if config.get("auto.create.topics.enable") == "true" and not local:
        found.append(Finding.of("broker.auto-create", broker, "a topic that is asked for appears by itself"))
    largest = _number(config, "socket.request.max.bytes")
    if largest is not None and largest < DEAD_MAX_BYTES:
        found.append(
            Finding.of("size-ladder", broker, f"socket.request.max.bytes is {largest}, a dead letter may have "
                       f"{DEAD_MAX_BYTES}")
        )  # fmt: skip
    copied = _number(config, "replica.fetch.max.bytes")
    if copied is not None and copied < DEAD_MAX_BYTES:
        found.append(
            Finding.of("size-ladder", broker, f"replica.fetch.max.bytes is {copied}: larger records are copied one "
                       f"by one", severity="warning")
        )  # fmt: skip
    return found


def _number(config: Mapping[str, str], name: str) -> int | None:
    text = config.get(name) or ""
    return int(text) if text.lstrip("-").isdigit() else None


def check_internal_topics(states: Mapping[str, TopicState], settings: Settings) -> list[Finding]:
    """Offsets and transactions are as durable as Kafka's own topics; they do not exist before their first use."""
    if settings.environment == "LOCAL":
        return []
    return [
        Finding.of("broker.internal-topic", name, f"it has {state.replicas} of 3 replicas")
        for name, state in states.items()
        if state.partitions and state.replicas < 3
    ]


async def check_groups(admin: AIOKafkaAdminClient, settings: Settings, seconds: float) -> list[Finding]:
    """Whether the worker may look at its groups. Raises KafkaError."""
    found: list[Finding] = []
    for group in (group_of(settings, stage) for stage in ("bridge", "enrich", "publish")):
        try:
            async with asyncio.timeout(seconds):
                denied = await _is_denied(admin, group)
        except TimeoutError:
            return [*found, Finding.of("broker.transactions", group, f"no coordinator for this group in {seconds:g} s")]
        if denied:
            found.append(Finding.of("broker.group-denied", group, "the worker may not describe this group"))
    return found


async def _is_denied(admin: AIOKafkaAdminClient, group: str) -> bool:
    while True:
        try:
            (response,) = await admin.describe_consumer_groups([group])
            return any(described[0] == GroupAuthorizationFailedError.errno for described in response.groups)
        except GroupAuthorizationFailedError:
            return True
        except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError):
            await asyncio.sleep(PAUSE)  # the first look at any group makes __consumer_offsets


async def check_transactions(
    connection: KafkaConnection, settings: Settings, topic: str | None, seconds: float = TRANSACTION_SECONDS
) -> list[Finding]:
    """One transaction under an id that nobody else uses: InitProducerId, the offset of a group that does not exist
    (if `topic` is there), abort. It leaves no record in any topic of ours."""
    name = f"{settings.app}-check-{secrets.token_hex(4)}"
    producer = AIOKafkaProducer(
        **connection.client("cdc-check"), transactional_id=name, transaction_timeout_ms=TRANSACTION_TIMEOUT_MS
    )
    try:
        async with asyncio.timeout(seconds):
            await producer.start()
            await producer.begin_transaction()
            if topic is not None:
                await producer.send_offsets_to_transaction({TopicPartition(topic, 0): 0}, name)
            await producer.abort_transaction()
    except DENIED as error:
        return [Finding.of("broker.transactions-denied", name, type(error).__name__)]
    except TimeoutError:
        return [Finding.of("broker.transactions", name, f"a transaction did not end within {seconds:g} s")]
    except KafkaError as error:
        return [Finding.of("broker.transactions", name, f"a transaction failed: {type(error).__name__}")]
    finally:
        await _stop(producer)
    return []


async def _stop(producer: Any) -> None:
    stop = asyncio.ensure_future(producer.stop())
    _, waiting = await asyncio.wait([stop], timeout=5)
    for task in waiting:
        task.cancel()
    await asyncio.gather(stop, return_exceptions=True)
