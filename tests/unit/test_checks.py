"""What `cdc check` makes of what brokers and topics say; the command itself: tests/journey/test_check_command.py."""

from pathlib import Path
from typing import Any

import pytest

from workers.checks.brokers import check_broker, check_internal_topics, check_servers, check_versions
from workers.checks.configuration import check_protection
from workers.checks.examination import examine
from workers.checks.findings import Finding, Report
from workers.checks.kafka_kinds import KINDS
from workers.checks.kinds import CHECKS, SECTIONS, Section
from workers.checks.topic_settings import check_ladder, check_topic
from workers.kafka.connection import Answer
from workers.kafka.topics import TopicState, plan
from workers.settings.worker import Settings

ROOT = Path(__file__).parents[2]
WHOLE = {0: (0, 12), 1: (0, 17), 9: (0, 9), 22: (0, 5), 24: (0, 5), 25: (0, 4), 26: (0, 5), 28: (0, 5)}
GOOD = TopicState(error_code=0, partitions=12, replicas=3, in_sync=3, leaderless=0)


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


def found(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.id, finding.severity) for finding in findings]


def test_every_kind_of_finding_is_made_somewhere_and_says_what_to_do() -> None:
    rooms = (path for path in (ROOT / "workers" / "checks").glob("*.py") if not path.stem.endswith("kinds"))
    sources = "".join(path.read_text(encoding="utf-8") for path in rooms)
    assert {kind for kind in KINDS if f'"{kind}"' not in sources} == set()
    assert all(kind.action and kind.meaning.endswith(".") for kind in KINDS.values())
    assert {kind.section for kind in KINDS.values()} == SECTIONS.keys() == set(CHECKS.values())


def test_the_exit_code_is_what_must_be_mended_first() -> None:
    away, denied = Finding.of("kafka.unreachable", "s", "m"), Finding.of("topic.denied", "t", "m")
    wrong, warned = Finding.of("topic.partitions", "t", "m"), Finding.of("topic.replication", "t", "m")
    told = [(warned,), (away, warned), (away, denied), (away, denied, wrong)]
    assert [Report((), (), findings).exit_code for findings in told] == [0, 5, 4, 3]


def test_one_server_that_is_away_is_a_warning_while_another_answers() -> None:
    away, there = Answer("a:1", "away", "refused"), Answer("b:1", versions=WHOLE)
    assert found(check_servers([away, there])) == [("kafka.server-away", "warning")]
    assert found(check_servers([away])) == [("kafka.unreachable", "error")]


def test_a_server_that_refuses_our_password_is_an_error_although_another_takes_it() -> None:
    assert found(check_servers([Answer("a:1", "denied", "x"), Answer("b:1")])) == [("kafka.auth", "error")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({0: (0, 9)}, ["broker.version"]),
        ({1: (0, 15)}, ["broker.version"]),
        ({26: None}, ["broker.api"]),
    ],
)
def test_what_a_broker_can_do_is_read_off_its_versions(changes: dict[int, Any], expected: list[str]) -> None:
    versions = {key: value for key, value in (WHOLE | changes).items() if value is not None}
    assert [finding.id for finding in check_versions([Answer("a:1", versions=versions)])] == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, []),
        ({"group.min.session.timeout.ms": "6000", "group.max.session.timeout.ms": "1800000"}, []),
        ({"group.min.session.timeout.ms": "12000"}, [("broker.session-timeout", "error")]),
        ({"group.max.session.timeout.ms": "9000"}, [("broker.session-timeout", "error")]),
        ({"offsets.retention.minutes": "1440"}, [("broker.offsets-retention", "warning")]),
        ({"auto.create.topics.enable": "true"}, [("broker.auto-create", "warning")]),
        ({"offset.metadata.max.bytes": "4096"}, []),
        ({"offset.metadata.max.bytes": "200"}, [("broker.offset-metadata", "error")]),
        ({"socket.request.max.bytes": "1048576"}, [("size-ladder", "error")]),
        ({"replica.fetch.max.bytes": "1048576"}, [("size-ladder", "warning")]),
        ({"group.min.session.timeout.ms": ""}, []),
    ],
)
def test_what_a_brokers_settings_mean_for_the_worker(config: dict[str, str], expected: list[Any]) -> None:
    assert found(check_broker("broker 1", config, settings(), ("users",))) == expected


def test_kafkas_own_topics_need_three_replicas_outside_of_local() -> None:
    one = TopicState(error_code=0, partitions=50, replicas=1, in_sync=1, leaderless=0)
    absent = TopicState(error_code=3, partitions=0, replicas=0, in_sync=0, leaderless=0)
    states = {"__consumer_offsets": one, "__transaction_state": absent}
    assert found(check_internal_topics(states, settings())) == [("broker.internal-topic", "warning")]
    assert check_internal_topics(states, settings(environment="LOCAL")) == []


RAW = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "max.message.bytes": "12582912",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
}
CASES: dict[str, tuple[dict[str, int], dict[str, str] | None, list[tuple[str, str]]]] = {
    "as planned": ({}, {}, []),
    "kept for longer": ({}, {"retention.ms": "-1"}, []),
    "kept for a day": ({}, {"retention.ms": "86400000"}, [("topic.retention-time", "warning")]),
    "limited in size": ({}, {"retention.bytes": "1"}, [("topic.retention", "error")]),
    "compacted too": ({}, {"cleanup.policy": "compact,delete"}, [("topic.cleanup-policy", "error")]),
    "small records": ({}, {"max.message.bytes": "1048588"}, [("topic.max-message-bytes", "error")]),
    "unclean": ({}, {"unclean.leader.election.enable": "true"}, [("topic.unclean-election", "error")]),
    "one acknowledges": ({}, {"min.insync.replicas": "1"}, [("topic.min-isr", "warning")]),
    "four acknowledge": ({}, {"min.insync.replicas": "4"}, [("topic.min-isr-impossible", "error")]),
    "two replicas": ({"replicas": 2, "in_sync": 2}, {}, [("topic.replication", "warning")]),
    "one is behind": ({"in_sync": 2}, {}, [("topic.under-replicated", "warning")]),
    "two are behind": ({"in_sync": 1}, {}, [("topic.offline", "error")]),
    "no leader": ({"leaderless": 1, "in_sync": 2}, {}, [("topic.offline", "error")]),
    "too few partitions": ({"partitions": 6}, {}, [("topic.partitions", "error")]),
    "absent": ({"error_code": 3, "partitions": 0}, {}, [("topic.missing", "error")]),
    "hidden": ({"error_code": 29, "partitions": 0}, {}, [("topic.denied", "error")]),
    "settings hidden": ({}, None, [("topic.unreadable", "warning")]),
}


@pytest.mark.parametrize("case", CASES)
def test_how_a_topic_differs_from_its_plan(case: str) -> None:
    changes, config, expected = CASES[case]
    (raw,) = (topic for topic in plan(settings(), ()) if topic.name == "cdc.raw.core")
    state = TopicState(**({name: getattr(GOOD, name) for name in GOOD.__slots__} | changes))
    assert found(check_topic(raw, state, None if config is None else RAW | config, settings())) == expected


def test_a_changelog_that_also_deletes_loses_entries() -> None:
    (changelog,) = (topic for topic in plan(settings(), ()) if topic.name == "cdc-enrich-owners-changelog")
    config = {"cleanup.policy": "compact,delete", "max.message.bytes": "12582912", "min.insync.replicas": "2"}
    assert found(check_topic(changelog, GOOD, config, settings())) == [("topic.cleanup-policy", "error")]


@pytest.mark.parametrize(("size", "expected"), [(52_428_800, []), (1 << 30, [("topic.segments", "warning")])])
def test_a_compacted_topic_closes_its_segments_early(size: int, expected: list[tuple[str, str]]) -> None:
    (checkpoints,) = (topic for topic in plan(settings(), ()) if topic.name == "cdc.checkpoints")
    config = {
        "cleanup.policy": "compact", "max.message.bytes": "12582912", "min.insync.replicas": "2",
        "segment.bytes": str(size),
    }  # fmt: skip
    state = TopicState(**({name: getattr(GOOD, name) for name in GOOD.__slots__} | {"partitions": 48}))
    assert found(check_topic(checkpoints, state, config, settings())) == expected


@pytest.mark.parametrize(
    ("raw", "dead", "expected"),
    [
        (12 << 20, 13 << 20, []),
        (10 << 20, 13 << 20, ["cdc.raw.core"]),
        (14 << 20, 13 << 20, ["cdc.dead"]),
        (12 << 20, None, []),
    ],
)
def test_every_record_fits_into_the_topic_behind_it(raw: int, dead: int | None, expected: list[str]) -> None:
    configs = {"cdc.raw.core": {"max.message.bytes": str(raw)}}
    if dead is not None:
        configs["cdc.dead"] = {"max.message.bytes": str(dead)}
    assert [finding.subject for finding in check_ladder(configs, settings())] == expected


def test_plain_text_and_unchecked_names_are_told_outside_of_local() -> None:
    assert found(check_protection(settings())) == [("kafka.plaintext", "warning")]
    assert check_protection(settings(environment="LOCAL")) == []
    unchecked = settings(kafka_security_protocol="SSL", kafka_check_hostname=False)
    assert found(check_protection(unchecked)) == [("kafka.hostname", "warning")]


def test_a_section_that_could_not_be_looked_at_does_not_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    report = examine(seconds=5, sections=["topics"])
    assert (report.checked, report.skipped) == ((), ("topics", "transactions"))
    assert found(list(report.findings)) == [("kafka.unreachable", "error")], "what stands in the way is told"
    assert report.exit_code == 5


def test_wrong_settings_are_told_whatever_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDC_PARTITIONS", "many")
    told: list[Section] = []
    report = examine(seconds=5, sections=["disk"], tell=told.append)
    assert (report.skipped, report.exit_code, told) == (("disk",), 3, ["config"])


def test_only_the_sections_that_were_asked_for_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDC_REDACTION_KEY", "aaaaaaaaaaaaaaaaaaaa")
    told: list[Section] = []
    report = examine(seconds=5, sections=["disk", "keys"], tell=told.append)
    assert (report.checked, report.skipped, told) == (("disk", "keys"), (), ["config", "disk", "keys"])
    assert found(list(report.findings)) == [("key.weak", "warning")]
