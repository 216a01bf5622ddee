"""What has to be done to the topics of a cluster so that they are as planned: pure, and careful.

Safe is what makes no record go that is there. A topic that deletes where it should compact is put right, because it
loses checkpoints or tables; one that compacts where it should delete is left to a person, who knows whose it is."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from workers.kafka.topics import TopicPlan, TopicState

POLICY, KEPT, SIZE = "cleanup.policy", "retention.ms", "retention.bytes"
LARGEST, SEGMENT = "max.message.bytes", "segment.bytes"
IN_SYNC, UNCLEAN = "min.insync.replicas", "unclean.leader.election.enable"
PARTITIONS, REPLICAS = "partitions", "replicas"
DURABLE = 3
"""Replicas from which on two of them can be asked to have a record."""
MISSING, DENIED = 3, 29
"""Error codes of Kafka's protocol."""


class Action(StrEnum):
    """Who does it."""

    CREATE = "create"
    ALTER = "alter"
    BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class TopicChange:
    """One thing that differs. `setting` is empty for a topic that is missing altogether."""

    action: Action
    topic: str
    setting: str = ""
    now: str = ""
    wanted: str = ""
    why: str = ""
    """Why it is left to a person."""

    def document(self) -> dict[str, Any]:
        """The change as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TopicRules:
    """How durable topics have to be here."""

    replicas: int
    """Of topics that are created."""
    local: bool
    """With ENVIRONMENT=LOCAL one replica is enough."""


def created(plan: TopicPlan, rules: TopicRules) -> TopicPlan:
    """The topic as it is created: with two replicas in sync where there are three."""
    durable = not rules.local and rules.replicas >= DURABLE
    return TopicPlan(plan.name, plan.partitions, plan.config | ({IN_SYNC: "2"} if durable else {}))


def changes(
    plans: Iterable[TopicPlan], states: Mapping[str, TopicState], configs: Mapping[str, Mapping[str, str] | None],
    rules: TopicRules,
) -> list[TopicChange]:  # fmt: skip
    """Everything that differs, in the order of the plan. `configs`: None for a topic whose settings may not be read."""
    found: list[TopicChange] = []
    for plan in plans:
        state = states[plan.name]
        if state.error_code == DENIED:
            found.append(_by_hand(plan, "", "", "", "we may not see it: allow Describe, or mend the prefix"))
        elif not state.partitions:
            wanted = f"{_counted(plan.partitions, 'partition')}, {_counted(rules.replicas, 'replica')}"
            found.append(TopicChange(Action.CREATE, plan.name, wanted=wanted))
        else:
            found += _shape(plan, state, rules)
            config = configs.get(plan.name)
            if config is None:
                found.append(_by_hand(plan, "", "", "", "its settings cannot be read: allow DescribeConfigs"))
            else:
                found += _settings(plan, state, config, rules)
    return found


def _shape(plan: TopicPlan, state: TopicState, rules: TopicRules) -> list[TopicChange]:
    found = []
    if state.partitions != plan.partitions:
        why = (
            "keys would move to other partitions, and with them order, tables and positions: set CDC_PARTITIONS and "
            "CDC_SOURCE_SLOTS to what is there, or begin under another CDC_APP and CDC_TOPIC_PREFIX"
        )
        found.append(_by_hand(plan, PARTITIONS, str(state.partitions), str(plan.partitions), why))
    if not rules.local and state.replicas < min(DURABLE, rules.replicas):
        why = "kafka-reassign-partitions adds replicas; it moves data, so it is yours to time"
        found.append(_by_hand(plan, REPLICAS, str(state.replicas), str(min(DURABLE, rules.replicas)), why))
    return found


def _settings(
    plan: TopicPlan, state: TopicState, config: Mapping[str, str], rules: TopicRules
) -> Iterable[TopicChange]:
    wanted_policy = plan.config[POLICY]
    policy = config.get(POLICY, wanted_policy)
    if policy != wanted_policy:
        if wanted_policy == "compact":
            yield _alter(plan, POLICY, policy, wanted_policy)
        else:
            why = (
                f"records older than {plan.config[KEPT]} ms would go at once: if they are the worker's own, "
                f"kafka-configs --alter --entity-type topics --entity-name {plan.name} --add-config {POLICY}=delete"
            )
            yield _by_hand(plan, POLICY, policy, wanted_policy, why)
    for name, larger_is_safe in ((KEPT, True), (LARGEST, True), (SEGMENT, False)):
        if name not in plan.config or name not in config:
            continue
        now, wanted = int(config[name]), int(plan.config[name])
        unlimited = name == KEPT and now < 0
        if not unlimited and (now < wanted if larger_is_safe else now > wanted):
            yield _alter(plan, name, str(now), str(wanted))
    if SIZE in plan.config and int(config.get(SIZE, "-1")) >= 0:
        yield _alter(plan, SIZE, config[SIZE], plan.config[SIZE])
    yield from _durability(plan, state, config, rules)


def _durability(
    plan: TopicPlan, state: TopicState, config: Mapping[str, str], rules: TopicRules
) -> Iterable[TopicChange]:
    least = int(config.get(IN_SYNC, "1"))
    if least > state.replicas:
        why = "nothing can be written; lower it only if replicas cannot be added"
        yield _by_hand(plan, IN_SYNC, str(least), str(state.replicas), why)
    elif not rules.local and least < 2 <= DURABLE <= state.replicas:
        if state.in_sync >= 2:
            yield _alter(plan, IN_SYNC, str(least), "2")
        else:
            yield _by_hand(plan, IN_SYNC, str(least), "2", "too few replicas are in sync: writes would stop now")
    if config.get(UNCLEAN) == "true" and not rules.local:
        yield _alter(plan, UNCLEAN, "true", "false")


def _alter(plan: TopicPlan, setting: str, now: str, wanted: str) -> TopicChange:
    return TopicChange(Action.ALTER, plan.name, setting, now, wanted)


def _by_hand(plan: TopicPlan, setting: str, now: str, wanted: str, why: str) -> TopicChange:
    return TopicChange(Action.BY_HAND, plan.name, setting, now, wanted, why)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
