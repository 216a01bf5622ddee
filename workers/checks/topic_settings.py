"""Checks of the topics: what `workers/kafka/topics.py` plans, beside what is there."""

from collections.abc import Mapping

from workers.checks.findings import Finding
from workers.checks.kinds import Severity
from workers.kafka.topics import TopicPlan, Topics, TopicState
from workers.settings.worker import MEBIBYTE, Settings

KINESIS_MAX_BYTES = 10 * MEBIBYTE
DENIED = 29
UNKNOWN = 3


def check_topic(
    plan: TopicPlan, state: TopicState, config: Mapping[str, str] | None, settings: Settings
) -> list[Finding]:
    """One topic. `config` is None if the worker may not read it."""
    local = settings.environment == "LOCAL"
    if state.error_code == DENIED:
        return [Finding.of("topic.denied", plan.name, "the worker may not see it")]
    if not state.partitions:
        if local:
            return [
                Finding.of("topic.missing", plan.name, "it does not exist; the worker makes it", severity="warning")
            ]
        return [Finding.of("topic.missing", plan.name, "it does not exist")]
    found = []
    if state.partitions != plan.partitions:
        found.append(
            Finding.of(
                "topic.partitions", plan.name, f"it has {state.partitions} partitions, settings say {plan.partitions}"
            )
        )
    found += _copies(plan, state, config or {}, local)
    if config is None:
        return [*found, Finding.of("topic.unreadable", plan.name, "its settings cannot be read")]
    return [*found, *_cleaning(plan, config, settings), *_sizes(plan, config), *_election(plan, config, local)]


def _copies(plan: TopicPlan, state: TopicState, config: Mapping[str, str], local: bool) -> list[Finding]:
    found = []
    least = int(config.get("min.insync.replicas", "1"))
    if least > state.replicas:
        return [
            Finding.of(
                "topic.min-isr-impossible", plan.name,
                f"min.insync.replicas is {least}, but it has {_plural(state.replicas, 'replica')}",
            )
        ]  # fmt: skip
    if not local and state.replicas < 3:
        found.append(Finding.of("topic.replication", plan.name, f"it has {_plural(state.replicas, 'replica')}"))
    if not local and config and least < 2:
        found.append(Finding.of("topic.min-isr", plan.name, f"min.insync.replicas is {least}"))
    if state.leaderless or state.in_sync < least:
        found.append(
            Finding.of("topic.offline", plan.name, f"{state.leaderless} partitions without a leader, at worst "
                       f"{state.in_sync} of {least} replicas in sync")
        )  # fmt: skip
    elif state.in_sync < state.replicas:
        found.append(
            Finding.of("topic.under-replicated", plan.name, f"at worst {state.in_sync} of {state.replicas} in sync")
        )
    return found


def _cleaning(plan: TopicPlan, config: Mapping[str, str], settings: Settings) -> list[Finding]:
    wanted = plan.config["cleanup.policy"]
    policy = config.get("cleanup.policy", wanted)
    if policy != wanted:
        return [Finding.of("topic.cleanup-policy", plan.name, f"cleanup.policy is {policy}, not {wanted}")]
    if wanted == "compact":
        largest, planned = int(config.get("segment.bytes", "0")), int(plan.config["segment.bytes"])
        what = f"segment.bytes is {largest}, not {planned}"
        return [Finding.of("topic.segments", plan.name, what)] if largest > planned else []
    if plan.name == Topics.of(settings).slots:  # the slots topic holds no records
        return []
    found = []
    size, kept = int(config.get("retention.bytes", "-1")), int(config.get("retention.ms", "-1"))
    if size >= 0:
        found.append(Finding.of("topic.retention", plan.name, f"retention.bytes is {size}"))
    planned = int(plan.config["retention.ms"])
    if 0 <= kept < planned:
        found.append(
            Finding.of("topic.retention-time", plan.name, f"records are kept for {_hours(kept)}, not {_hours(planned)}")
        )
    return found


def _sizes(plan: TopicPlan, config: Mapping[str, str]) -> list[Finding]:
    wanted = int(plan.config["max.message.bytes"])
    largest = int(config.get("max.message.bytes", str(wanted)))
    if largest < wanted:
        return [Finding.of("topic.max-message-bytes", plan.name, f"max.message.bytes is {largest}, not {wanted}")]
    return []


def _election(plan: TopicPlan, config: Mapping[str, str], local: bool) -> list[Finding]:
    if config.get("unclean.leader.election.enable") != "true":
        return []
    severity: Severity = "warning" if local else "error"
    return [Finding.of("topic.unclean-election", plan.name, "a replica that lags may become leader", severity=severity)]


def check_ladder(configs: Mapping[str, Mapping[str, str] | None], settings: Settings) -> list[Finding]:
    """A Kinesis record fits into raw, and whatever fits into raw fits into dead, headers included."""
    topics = Topics.of(settings)

    def largest(name: str) -> int | None:
        config = configs.get(name)
        return int(config["max.message.bytes"]) if config and "max.message.bytes" in config else None

    dead = largest(topics.dead)
    found = []
    for topic in topics.raw.values():
        raw = largest(topic)
        if raw is not None and raw <= KINESIS_MAX_BYTES:
            found.append(
                Finding.of("size-ladder", topic, f"it takes {raw} bytes, a Kinesis record has up to "
                           f"{KINESIS_MAX_BYTES}")
            )  # fmt: skip
        if raw is not None and dead is not None and dead <= raw:
            found.append(Finding.of("size-ladder", topics.dead, f"it takes {dead} bytes, {topic} takes {raw}"))
    return found


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _hours(milliseconds: int) -> str:
    return f"{milliseconds / 3_600_000:g} h"
