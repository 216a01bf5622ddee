"""All checks in order. What cannot be looked at because of an earlier finding is said to be skipped."""

import asyncio
from collections.abc import Collection, Iterable

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from models.catalogue import Catalogue
from workers.checks.archive import check_archive
from workers.checks.brokers import (
    INTERNAL,
    check_broker,
    check_groups,
    check_internal_topics,
    check_servers,
    check_transactions,
    check_versions,
)
from workers.checks.bus import check_bus
from workers.checks.configuration import check_examples_of, check_protection, check_redaction, check_tables
from workers.checks.database import check_database, check_parameters
from workers.checks.findings import Finding, Report
from workers.checks.topic_settings import check_ladder, check_topic
from workers.failures import ConfigurationError
from workers.kafka_connection import KafkaConnection, ask_servers, kafka_connection
from workers.settings import Settings, SettingsError, load_settings
from workers.topic_configs import broker_config, topic_configs
from workers.topics import describe_topics, plan

CHECKS = (
    "settings",
    "parameters",
    "tables",
    "redaction",
    "database",
    "bus",
    "archive",
    "connection",
    "brokers",
    "topics",
    "transactions",
)
OPTIONAL = {"parameters": "ssm_names", "database": "has_database", "archive": "has_archive"}
"""Made only where this property of the settings says that there is something to look at."""


def examine(*, seconds: float) -> Report:
    """Look at everything; each answer of Kafka is waited for at most `seconds`."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return _report(
            ("settings",), OPTIONAL, [Finding.of("settings.invalid", "settings", text) for text in error.problems]
        )
    unasked = {name for name, wanted in OPTIONAL.items() if not getattr(settings, wanted)}
    done = ["settings", "tables"]
    catalogue, found = check_tables(settings)
    unread: list[Finding] = []
    if settings.ssm_names:
        done.append("parameters")
        unread = check_parameters(settings)
        found += unread
    if catalogue is not None and not (unread and settings.ssm_redaction_key):
        done.append("redaction")
        found += check_examples_of(catalogue, settings)
        found += check_redaction(settings, catalogue)
    if catalogue is not None and settings.has_database and not (unread and settings.ssm_database.given):
        done.append("database")
        found += asyncio.run(check_database(settings, catalogue, seconds))
    if catalogue is not None:
        done.append("bus")
        found += asyncio.run(check_bus(settings, catalogue, seconds))
    if settings.has_archive:
        done.append("archive")
        found += asyncio.run(check_archive(settings))
    found += check_protection(settings)
    try:
        connection = kafka_connection(settings)
    except ConfigurationError as error:
        return _report(done, unasked, [*found, Finding.of("kafka.settings", "CDC_KAFKA_*", str(error))])
    looked_at, more = asyncio.run(_kafka(settings, catalogue, connection, seconds))
    return _report([*done, *looked_at], unasked, [*found, *more])


def _report(done: Iterable[str], unasked: Collection[str], found: Iterable[Finding]) -> Report:
    checked = tuple(name for name in CHECKS if name in set(done))
    skipped = tuple(name for name in CHECKS if name not in checked and name not in unasked)
    return Report(checked, skipped, tuple(found))


async def _kafka(
    settings: Settings, catalogue: Catalogue | None, connection: KafkaConnection, seconds: float
) -> tuple[list[str], list[Finding]]:
    answers = await ask_servers(connection, seconds)
    found = [*check_servers(answers), *check_versions(answers)]
    done = ["connection"]
    if not any(answer.obstacle is None for answer in answers):
        return done, found
    admin = AIOKafkaAdminClient(**connection.client("cdc-check") | {"request_timeout_ms": int(seconds * 1000)})
    try:
        await admin.start()
        found += await _brokers(admin, settings, seconds)
        done.append("brokers")
        present, more = await _topics(admin, settings, catalogue)
        found += more
        done.append("topics")
    except (KafkaError, OSError, TimeoutError) as error:
        return done, [*found, Finding.of("kafka.unreachable", connection.bootstrap, type(error).__name__)]
    finally:
        await admin.close()
    found += await check_transactions(connection, settings, present)
    return [*done, "transactions"], found


async def _brokers(admin: AIOKafkaAdminClient, settings: Settings, seconds: float) -> list[Finding]:
    found: list[Finding] = []
    cluster = await admin.describe_cluster()
    for node in sorted(broker["node_id"] for broker in cluster["brokers"]):
        config = await broker_config(admin, node)
        if config is None:
            found.append(Finding.of("broker.unreadable", f"broker {node}", "its settings cannot be read"))
        else:
            found += check_broker(f"broker {node}", config, settings)
    found += check_internal_topics(await describe_topics(admin, INTERNAL), settings)
    return [*found, *await check_groups(admin, settings, seconds)]


async def _topics(
    admin: AIOKafkaAdminClient, settings: Settings, catalogue: Catalogue | None
) -> tuple[str | None, list[Finding]]:
    """(a topic that is there, findings). Without a catalogue the changelogs of its lookups are not known."""
    wanted = plan(settings, catalogue.lookups if catalogue is not None else ())
    states = await describe_topics(admin, [topic.name for topic in wanted])
    present = [topic.name for topic in wanted if states[topic.name].partitions]
    configs = await topic_configs(admin, present)
    found = [
        finding
        for topic in wanted
        for finding in check_topic(topic, states[topic.name], configs.get(topic.name), settings)
    ]
    return next(iter(present), None), [*found, *check_ladder(configs, settings)]
