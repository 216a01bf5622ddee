"""All checks of Kafka over one connection: names, certificates, login, brokers, topics, one transaction."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from models.catalogue import Catalogue
from workers.checks.brokers import (
    INTERNAL,
    check_broker,
    check_groups,
    check_internal_topics,
    check_servers,
    check_transactions,
    check_versions,
)
from workers.checks.certificates import check_certificates
from workers.checks.clock import check_record_times
from workers.checks.findings import Finding
from workers.checks.network import check_addresses, check_names, unknown_names
from workers.checks.topic_settings import check_ladder, check_topic
from workers.failures import ConfigurationError
from workers.kafka.access import UNSET
from workers.kafka.connection import KafkaConnection, ask_servers, kafka_connection
from workers.kafka.topic_configs import broker_config, topic_configs
from workers.kafka.topics import Topics, TopicState, describe_topics, plan
from workers.settings.worker import Settings

CLIENT = "cdc-check"


@dataclass(frozen=True, slots=True)
class KafkaLook:
    """What was found, and which checks were made; `record_times` belongs to the clock."""

    done: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    record_times: tuple[Finding, ...] = ()


async def look_at_kafka(
    settings: Settings, catalogue: Catalogue | None, seconds: float, now: Callable[[], datetime],
    begin_topics: Callable[[], None], *, times: bool,
) -> KafkaLook:  # fmt: skip
    """`catalogue`: None if it cannot be read; without it the changelogs of its lookups are not known. `begin_topics` is
    called when the topics' turn comes; `times`: whether to look for records of the future."""
    try:
        connection = kafka_connection(settings)
    except ConfigurationError as error:
        return KafkaLook(findings=(Finding.of("kafka.settings", "CDC_KAFKA_*", str(error)),))
    found, reached = await _servers(settings, connection, now(), seconds)
    done = ["connection"]
    if not reached:
        return KafkaLook(tuple(done), tuple(found))
    client = connection.client(CLIENT) | {"request_timeout_ms": int(seconds * 1000)}
    admin = AIOKafkaAdminClient(**client)
    try:
        await admin.start()
        lookups = catalogue.lookups if catalogue is not None else ()
        found += await _brokers(admin, settings, lookups, seconds)
        done.append("brokers")
        begin_topics()
        states, more = await _topics(admin, settings, lookups)
        found += more
        done.append("topics")
    except (KafkaError, OSError, TimeoutError) as error:
        found.append(Finding.of("kafka.unreachable", connection.bootstrap, type(error).__name__))
        return KafkaLook(tuple(done), tuple(found))
    finally:
        await admin.close()
    present = next((name for name, state in states.items() if state.partitions), None)
    found += await check_transactions(connection, settings, present)
    raw = {name: states[name].partitions for name in Topics.of(settings).raw.values() if states[name].partitions}
    later = await check_record_times(client, raw, now, seconds) if times else []
    return KafkaLook((*done, "transactions"), tuple(found), tuple(later))


async def _servers(
    settings: Settings, connection: KafkaConnection, now: datetime, seconds: float
) -> tuple[list[Finding], bool]:
    """Findings, and whether any server let us in."""
    unknown = await unknown_names(connection.bootstrap, seconds)
    answers = await ask_servers(connection, seconds)
    named = [answer for answer in answers if answer.server not in unknown]
    away = check_servers(named)
    if "kafka_bootstrap_servers" not in settings.model_fields_set:
        away = [replace(finding, message=f"{finding.message}; {UNSET}") for finding in away]
    found = [*check_names(unknown, len(answers)), *away, *check_versions(answers)]
    found += await check_certificates(settings, connection, now, seconds)
    return found, any(answer.obstacle is None for answer in answers)


async def _brokers(
    admin: AIOKafkaAdminClient, settings: Settings, lookups: tuple[str, ...], seconds: float
) -> list[Finding]:
    brokers = sorted((await admin.describe_cluster())["brokers"], key=lambda broker: broker["node_id"])
    found = await check_addresses(brokers, seconds)
    for node in (broker["node_id"] for broker in brokers):
        config = await broker_config(admin, node)
        if config is None:
            found.append(Finding.of("broker.unreadable", f"broker {node}", "its settings cannot be read"))
        else:
            found += check_broker(f"broker {node}", config, settings, lookups)
    found += check_internal_topics(await describe_topics(admin, INTERNAL), settings)
    return [*found, *await check_groups(admin, settings, seconds)]


async def _topics(
    admin: AIOKafkaAdminClient, settings: Settings, lookups: tuple[str, ...]
) -> tuple[dict[str, TopicState], list[Finding]]:
    """(what is there, findings)."""
    wanted = plan(settings, lookups)
    states = await describe_topics(admin, [topic.name for topic in wanted])
    configs = await topic_configs(admin, [topic.name for topic in wanted if states[topic.name].partitions])
    found = [
        finding
        for topic in wanted
        for finding in check_topic(topic, states[topic.name], configs.get(topic.name), settings)
    ]
    return states, [*found, *check_ladder(configs, settings)]
