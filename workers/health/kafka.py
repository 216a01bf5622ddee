"""Kafka: whether its servers answer, and whether our topics have a leader and all their replicas everywhere."""

from collections.abc import Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from workers.failures import ConfigurationError
from workers.health.verdicts import State, Verdict, failed, ok
from workers.kafka.connection import HINTS, Answer, KafkaConnection, Obstacle, ask_servers, kafka_connection
from workers.kafka.topics import TopicPlan, TopicState, describe_topics, plan
from workers.settings.worker import Settings

CLIENT = "cdc-health"
WORDS: dict[Obstacle, str] = {
    "away": "no answer", "denied": "it refuses our credentials", "tls": "TLS fails", "silent": "not our protocol",
}  # fmt: skip
DENIED_TOPIC = 29
"""Error code of Kafka's protocol."""


async def check_kafka(settings: Settings, lookups: Iterable[str]) -> list[Verdict]:
    """Servers, then topics. `lookups` are the catalogue's."""
    try:
        connection = kafka_connection(settings)
    except ConfigurationError as error:
        return [failed("kafka", "CDC_KAFKA_*", str(error), error.hint)]
    seconds = settings.health_timeout / 2  # servers, then topics: each says more than the deadline of the whole
    answers = await ask_servers(connection, seconds)
    found = judge_servers(answers)
    if any(answer.obstacle is None for answer in answers):
        found += await _topics(connection, plan(settings, lookups), seconds)
    return found


def judge_servers(answers: Iterable[Answer]) -> list[Verdict]:
    """One verdict for all that answer, and one for each that does not: while another answers, that is no failure."""
    answers = list(answers)
    there = [answer.server for answer in answers if answer.obstacle is None]
    found = [ok("kafka", "servers", f"{len(there)} of {len(answers)} answer")] if there else []
    for answer in answers:
        if answer.obstacle is not None:
            state = State.DEGRADED if there else State.FAILED
            denied, told = answer.obstacle == "denied", f"{WORDS[answer.obstacle]} ({answer.reason})"
            found.append(Verdict("kafka", answer.server, state, told, HINTS[answer.obstacle], denied=denied))
    return found


async def _topics(connection: KafkaConnection, wanted: list[TopicPlan], seconds: float) -> list[Verdict]:
    admin = AIOKafkaAdminClient(**connection.client(CLIENT) | {"request_timeout_ms": int(seconds * 1000)})
    try:
        await admin.start()
        states = await describe_topics(admin, [topic.name for topic in wanted])
    except (KafkaError, OSError) as error:
        return [failed("kafka", "topics", f"no answer ({type(error).__name__})", HINTS["away"])]
    finally:
        await admin.close()
    return judge_topics({topic.name: states[topic.name] for topic in wanted})


def judge_topics(states: Mapping[str, TopicState]) -> list[Verdict]:
    """What is wrong, topic by topic; one verdict if nothing is, and one for all topics that are missing."""
    missing = [name for name, state in states.items() if not state.partitions and state.error_code != DENIED_TOPIC]
    found = [verdict for name, state in states.items() if (verdict := _judge(name, state)) is not None]
    if missing:
        none = len(missing) == len(states)
        told = "none of ours exists" if none else f"missing: {', '.join(missing)}"
        action = "has a worker been started? " if none else ""
        found.append(failed("kafka", "topics", told, f"{action}`cdc check` says how each has to be"))
    return found or [ok("kafka", "topics", f"{len(states)} topics, every replica in sync")]


def _judge(name: str, state: TopicState) -> Verdict | None:
    if state.error_code == DENIED_TOPIC:
        action = "allow Describe on it for the worker's user"
        return Verdict("kafka", name, State.UNKNOWN, "it may not be looked at", action, denied=True)
    if state.leaderless:
        action = "its replicas are on brokers that are away; what is written to it waits"
        return failed("kafka", name, f"{state.leaderless} of {state.partitions} partitions have no leader", action)
    if state.in_sync < state.replicas:
        told = f"a partition has {state.in_sync} of {state.replicas} replicas in sync"
        return Verdict("kafka", name, State.DEGRADED, told, "is a broker away or slow?")
    return None
