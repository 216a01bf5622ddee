"""Bringing the topics of a cluster to what `workers/kafka/topics.py` plans: look, and then do what is safe."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiokafka.admin import NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from workers.contract import read_catalogue
from workers.engine.alter_configs import alter_topics
from workers.failures import CommandError, ConfigurationError, DeniedError
from workers.kafka.access import KafkaAccess
from workers.kafka.topic_changes import DURABLE, Action, TopicChange, TopicRules, changes, created
from workers.kafka.topic_configs import topic_configs
from workers.kafka.topics import TopicPlan, describe_topics, plan
from workers.settings.origins import Origin, OriginKind
from workers.settings.worker import Settings

REFUSALS = (ClusterAuthorizationFailedError, TopicAuthorizationFailedError)


@dataclass(frozen=True, slots=True)
class TopicLook:
    """The plan, and all in which the cluster differs from it."""

    plans: tuple[TopicPlan, ...]
    rules: TopicRules
    changes: tuple[TopicChange, ...]

    def of(self, *actions: Action) -> tuple[TopicChange, ...]:
        """Those changes that are done so."""
        return tuple(change for change in self.changes if change.action in actions)


def topic_rules(settings: Settings) -> TopicRules:
    """CDC_REPLICATION_FACTOR if it was set; else 1 with ENVIRONMENT=LOCAL and 3 elsewhere."""
    local = settings.environment == "LOCAL"
    unset = settings.origins.get("replication_factor", Origin()).kind == OriginKind.DEFAULT
    return TopicRules(DURABLE if unset and not local else settings.replication_factor, local)


async def look_at_topics(settings: Settings, kafka: KafkaAccess) -> TopicLook:
    """Writes nothing, and makes no topic by asking. Raises KafkaError, ConfigurationError for tables.yaml."""
    plans = plan(settings, read_catalogue(settings).lookups)
    states = await describe_topics(kafka.admin, [topic.name for topic in plans])
    configs = await topic_configs(kafka.admin, [name for name, state in states.items() if state.partitions])
    rules = topic_rules(settings)
    return TopicLook(tuple(plans), rules, tuple(changes(plans, states, configs, rules)))


async def apply_changes(kafka: KafkaAccess, found: TopicLook) -> None:
    """Create what is missing and alter what is safe to alter. What somebody else made meanwhile is left alone.

    Raises DeniedError, ConfigurationError, CommandError, KafkaError; what was done until then stays, and another run
    goes on."""
    by_name = {topic.name: created(topic, found.rules) for topic in found.plans}
    await _create(kafka, [by_name[change.topic] for change in found.of(Action.CREATE)], found.rules)
    await _alter(kafka, found.of(Action.ALTER))


async def _create(kafka: KafkaAccess, missing: Sequence[TopicPlan], rules: TopicRules) -> None:
    if not missing:
        return
    new = [NewTopic(one.name, one.partitions, rules.replicas, topic_configs=one.config) for one in missing]
    response = await kafka.admin.create_topics(new)
    for name, code, *_ in response.topic_errors:
        error = for_code(code) if code else None
        if error is not None and error is not TopicAlreadyExistsError:
            raise _failed(f"topic {name} could not be created", error)


async def _alter(kafka: KafkaAccess, wanted: Iterable[TopicChange]) -> None:
    settings: dict[str, dict[str, str]] = defaultdict(dict)
    for change in wanted:
        settings[change.topic][change.setting] = change.wanted
    if not settings:
        return
    for name, error in (await alter_topics(kafka.admin, settings)).items():
        raise _failed(f"settings of topic {name} could not be altered", error)


def _failed(what: str, error: type[KafkaError]) -> CommandError:
    told = f"{what}: {error.__name__}"
    if error in REFUSALS:
        return DeniedError(told, hint="`cdc topics plan --acls` prints what has to be allowed")
    if error is InvalidReplicationFactorError:
        return ConfigurationError(told, hint="set CDC_REPLICATION_FACTOR to at most the number of brokers")
    return CommandError(told, hint="what was done stays; mend it and run it again")
