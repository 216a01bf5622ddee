"""What `cdc topics` would do about a cluster that differs from the plan."""

import dataclasses
from typing import Any

import pytest
from click.testing import CliRunner

from workers.cli.topics import topics
from workers.kafka.topic_acls import acl_lines
from workers.kafka.topic_apply import topic_rules
from workers.kafka.topic_changes import Action, TopicRules, changes, created
from workers.kafka.topics import TopicPlan, TopicState, plan
from workers.settings.worker import Settings

DURABLE = TopicRules(replicas=3, local=False)
LOCAL = TopicRules(replicas=1, local=True)
GOOD = TopicState(error_code=0, partitions=12, replicas=3, in_sync=3, leaderless=0)
KEPT = TopicPlan("t", 12, {
    "cleanup.policy": "delete", "retention.ms": "1000", "retention.bytes": "-1", "max.message.bytes": "100",
})  # fmt: skip
COMPACT = TopicPlan("t", 12, {"cleanup.policy": "compact", "max.message.bytes": "100", "segment.bytes": "50"})


def found(
    one: TopicPlan, config: dict[str, str] | None, rules: TopicRules = DURABLE, **state: Any
) -> list[tuple[str, str, str]]:
    """(action, setting, wanted) of every change."""
    whole = None if config is None else one.config | {"min.insync.replicas": "2"} | config
    told = changes([one], {"t": dataclasses.replace(GOOD, **state)}, {"t": whole}, rules)
    assert all(bool(change.why) == (change.action == Action.BY_HAND) for change in told)
    return [(change.action, change.setting, change.wanted) for change in told]


@pytest.mark.parametrize("one", [KEPT, COMPACT])
def test_a_topic_as_it_is_created_needs_nothing(one: TopicPlan) -> None:
    config = created(one, DURABLE).config
    assert found(one, config) == []


def test_a_missing_topic_is_created() -> None:
    assert found(KEPT, None, partitions=0, error_code=3) == [("create", "", "12 partitions, 3 replicas")]


@pytest.mark.parametrize(
    ("one", "config", "expected"),
    [
        (KEPT, {"retention.ms": "10"}, [("alter", "retention.ms", "1000")]),
        (KEPT, {"retention.ms": "5000"}, []),
        (KEPT, {"retention.ms": "-1"}, []),
        (KEPT, {"retention.bytes": "10"}, [("alter", "retention.bytes", "-1")]),
        (KEPT, {"max.message.bytes": "10"}, [("alter", "max.message.bytes", "100")]),
        (KEPT, {"max.message.bytes": "500"}, []),
        (COMPACT, {"segment.bytes": "500"}, [("alter", "segment.bytes", "50")]),
        (COMPACT, {"segment.bytes": "5"}, []),
        (COMPACT, {"cleanup.policy": "delete"}, [("alter", "cleanup.policy", "compact")]),
        (KEPT, {"cleanup.policy": "compact"}, [("by hand", "cleanup.policy", "delete")]),
        (KEPT, {"min.insync.replicas": "1"}, [("alter", "min.insync.replicas", "2")]),
        (KEPT, {"min.insync.replicas": "4"}, [("by hand", "min.insync.replicas", "3")]),
        (KEPT, {"unclean.leader.election.enable": "true"}, [("alter", "unclean.leader.election.enable", "false")]),
    ],
)
def test_only_what_makes_no_record_go_is_altered(one: TopicPlan, config: dict[str, str], expected: list[Any]) -> None:
    assert found(one, config) == expected


def test_partitions_and_replicas_are_left_to_a_person() -> None:
    assert found(KEPT, {}, partitions=6, replicas=1, in_sync=1, leaderless=0) == [
        ("by hand", "partitions", "12"), ("by hand", "replicas", "3"), ("by hand", "min.insync.replicas", "1"),
    ]  # fmt: skip


def test_two_in_sync_are_not_asked_for_while_fewer_are() -> None:
    config = {"min.insync.replicas": "1"}
    assert found(KEPT, config, in_sync=1) == [("by hand", "min.insync.replicas", "2")]
    assert found(KEPT, config, LOCAL, replicas=1, in_sync=1) == []


def test_what_may_not_be_seen_is_said() -> None:
    assert found(KEPT, None, error_code=29, partitions=0) == [("by hand", "", "")]
    assert found(KEPT, None) == [("by hand", "", "")]


def test_new_topics_have_three_replicas_unless_it_is_local_or_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert topic_rules(Settings(_env_file=None)).replicas == 3
    assert topic_rules(Settings(_env_file=None, environment="LOCAL")).replicas == 1


def test_without_a_terminal_nothing_is_asked_and_acls_name_every_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_APP", "shop")
    monkeypatch.setenv("CDC_TOPIC_PREFIX", "shop.")
    ended = CliRunner().invoke(topics, ["plan", "--acls", "--principal", "User:a b"])
    lines = ended.stdout.splitlines()
    assert lines == list(acl_lines(Settings(_env_file=None), "User:a b", "User:a b"))
    assert {line.split(" --")[-2].split()[-1] for line in lines} == {"shop.", "shop-"}
    assert all("'User:a b'" in line for line in lines)


def test_every_planned_topic_is_covered_by_a_prefix_of_the_acls() -> None:
    settings = Settings(_env_file=None, app="shop", topic_prefix="shop.")
    assert all(one.name.startswith(("shop.", "shop-")) for one in plan(settings, ["users"]))
