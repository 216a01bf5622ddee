"""`cdc check` as an operator meets it: findings with stable ids, and an exit code that says whose turn it is."""

import asyncio
import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.admin import CreateAclsRequest

from sandbox.kafka.broker import KafkaBroker
from sandbox.kafka.security import password_listener
from tests.contract.standin import client
from tests.contract.standin import running as stand_in_running
from workers.checks.brokers import check_transactions
from workers.kafka.connection import KafkaConnection, kafka_connection
from workers.kafka.topic_acls import acl_lines
from workers.kafka.topics import ensure_topics
from workers.settings.worker import Settings

KEY = "q7Kz0vRmB2xTfL9d"
USER = "worker-1"
AWS: dict[str, str] = {}
"""How to reach the stand-in of this module."""
ALLOWED = {
    "kafka.plaintext", "topic.replication", "topic.min-isr", "broker.internal-topic",
}  # fmt: skip
"""What a sandbox of one broker without encryption is told off for outside of LOCAL."""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A Kafka that makes topics by itself if it is asked the wrong way, and lets only users without a name do
    anything."""
    directory = tmp_path_factory.mktemp("broker") / "kafka"
    properties = {
        "auto.create.topics.enable": "true",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    listener = password_listener("CLEAR", "PLAIN", {USER: "s3cret"})
    with contextlib.closing(KafkaBroker(directory, listeners=[listener], properties=properties)) as broker:
        broker.start()
        yield broker


@pytest.fixture(scope="module", autouse=True)
def aws() -> Iterator[None]:
    """The bus the settings name, with a rule for everything."""
    with stand_in_running(time.time) as stand_in:
        events = client("events", stand_in.url)
        events.create_event_bus(Name="cdc-events")
        events.put_rule(Name="all", EventBusName="cdc-events", EventPattern='{"source": [{"prefix": "cdc-pipeline."}]}')
        targets = [{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:000000000000:q"}]
        client("kinesis", stand_in.url).create_stream(StreamName="coredb-cdc-stream", ShardCount=1)
        events.put_targets(Rule="all", EventBusName="cdc-events", Targets=targets)
        AWS.update(AWS_ENDPOINT_URL=stand_in.url, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
        yield


def check(directory: Path, environment: dict[str, str]) -> tuple[int, dict[str, Any], str]:
    """(exit code, report, everything it said) of `cdc check` with these settings alone."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CDC_", "AWS_", "KAFKA_"))}
    inherited.pop("ENVIRONMENT", None)
    ended = subprocess.run(
        [sys.executable, "-m", "workers", "check", "--output", "json"], env=inherited | environment, cwd=directory,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return ended.returncode, json.loads(ended.stdout), ended.stdout + ended.stderr


def settings_of(kafka: KafkaBroker, prefix: str, **more: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "CDC_TOPIC_PREFIX": f"{prefix}.", "CDC_APP": prefix,
        "CDC_PARTITIONS": "2", "CDC_SOURCE_SLOTS": "2", "CDC_REDACTION_KEY": KEY, "ENVIRONMENT": "DEV",
    } | AWS | more  # fmt: skip


def ids(report: dict[str, Any], severity: str | None = None) -> set[str]:
    return {found["id"] for found in report["findings"] if severity in (None, found["severity"])}


def make_topics(kafka: KafkaBroker, prefix: str) -> None:
    settings = Settings(
        _env_file=None, environment="LOCAL", kafka_bootstrap_servers=kafka.bootstrap, app=prefix,
        topic_prefix=f"{prefix}.", partitions=2, source_slots=2,
    )  # fmt: skip
    lookups = ("users", "orgs", "groups")
    asyncio.run(ensure_topics(settings, lookups, kafka_connection(settings).client("make")))


async def topics_of(kafka: KafkaBroker) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


def test_a_kafka_with_all_topics_passes_with_the_warnings_of_a_single_broker(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    make_topics(kafka, "good")
    code, report, said = check(tmp_path, settings_of(kafka, "good"))
    assert (code, ids(report, "error")) == (0, set()), said
    assert ids(report) <= ALLOWED | {"broker.auto-create"}
    assert report["checked"] == [
        "settings", "tables", "redaction", "connection", "brokers", "topics", "transactions", "identity", "streams",
        "bus", "clock", "disk", "keys",
    ]  # fmt: skip
    assert report["skipped"] == []


def test_a_local_kafka_without_topics_passes_because_the_worker_makes_them(kafka: KafkaBroker, tmp_path: Path) -> None:
    code, report, said = check(tmp_path, settings_of(kafka, "local", ENVIRONMENT="LOCAL"))
    assert (code, ids(report)) == (0, {"topic.missing"}), said


def test_missing_topics_are_all_named_and_none_appears_by_being_asked_for(kafka: KafkaBroker, tmp_path: Path) -> None:
    code, report, _ = check(tmp_path, settings_of(kafka, "bare"))
    missing = {found["subject"] for found in report["findings"] if found["id"] == "topic.missing"}
    assert code == 3
    assert {"bare.raw.core", "bare.dead", "bare-enrich-users-changelog"} <= missing
    assert not {name for name in asyncio.run(topics_of(kafka)) if name.startswith("bare")}


def test_every_setting_of_a_topic_that_is_wrong_is_found(kafka: KafkaBroker, tmp_path: Path) -> None:
    wrong = {
        "events": {"cleanup.policy": "compact"},
        "receipts": {"retention.bytes": "1000000", "retention.ms": "3600000"},
        "raw.core": {"max.message.bytes": "1000000", "min.insync.replicas": "2"},
        "dead": {"unclean.leader.election.enable": "true"},
    }

    async def make() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        try:
            await admin.create_topics(
                [NewTopic(f"wrong.{name}", 3, 1, topic_configs=config) for name, config in wrong.items()]
            )
        finally:
            await admin.close()

    asyncio.run(make())
    code, report, _ = check(tmp_path, settings_of(kafka, "wrong"))
    found = {(one["id"], one["subject"].removeprefix("wrong.")) for one in report["findings"]}
    assert code == 3
    assert found >= {
        ("topic.partitions", "events"), ("topic.cleanup-policy", "events"), ("topic.retention", "receipts"),
        ("topic.retention-time", "receipts"), ("topic.max-message-bytes", "raw.core"), ("size-ladder", "raw.core"),
        ("topic.min-isr-impossible", "raw.core"), ("topic.unclean-election", "dead"),
    }  # fmt: skip
    assert all(one["action"] for one in report["findings"])


def test_a_kafka_that_is_away_is_told_apart_by_its_exit_code(kafka: KafkaBroker, tmp_path: Path) -> None:
    code, report, _ = check(tmp_path, settings_of(kafka, "away", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1"))
    assert (code, ids(report, "error")) == (5, {"kafka.unreachable"})
    assert report["skipped"] == ["brokers", "topics", "transactions"]


def login(kafka: KafkaBroker, password: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.address_of("CLEAR"), "CDC_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "CDC_KAFKA_SASL_MECHANISM": "PLAIN", "CDC_KAFKA_USERNAME": USER, "CDC_KAFKA_PASSWORD": password,
        "ENVIRONMENT": "LOCAL",
    }  # fmt: skip


def test_a_wrong_password_is_denied_and_never_shown(kafka: KafkaBroker, tmp_path: Path) -> None:
    code, report, said = check(tmp_path, settings_of(kafka, "denied", **login(kafka, "wr0ng-password")))
    assert (code, ids(report)) == (4, {"kafka.auth"})
    assert "wr0ng-password" not in said


def test_a_user_who_may_do_nothing_learns_what_to_allow(kafka: KafkaBroker, tmp_path: Path) -> None:
    make_topics(kafka, "acls")
    code, report, said = check(tmp_path, settings_of(kafka, "acls", **login(kafka, "s3cret")))
    assert code == 4, said
    assert {"topic.denied", "broker.transactions-denied", "broker.group-denied"} <= ids(report, "error")


def test_a_user_with_the_rights_that_are_printed_can_apply_the_plan_and_passes(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    environment = settings_of(kafka, "granted", **login(kafka, "s3cret"))
    settings = Settings(_env_file=None, app="granted", topic_prefix="granted.")
    asyncio.run(allow(kafka, list(acl_lines(settings, f"User:{USER}", f"User:{USER}"))))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CDC_", "AWS_", "KAFKA_"))}
    applied = subprocess.run(
        [sys.executable, "-m", "workers", "topics", "apply", "--yes"], env=inherited | environment, cwd=tmp_path,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert applied.returncode == 0, applied.stderr
    code, report, said = check(tmp_path, environment)
    assert (code, ids(report)) == (0, {"broker.unreadable"}), said


async def allow(kafka: KafkaBroker, lines: list[str]) -> None:
    """What kafka-acls would send for these commands."""
    kinds = {"--topic": 2, "--group": 3, "--transactional-id": 5}
    operations = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10, "AlterConfigs": 11}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        for words in map(shlex.split, lines):
            assert words[-2:] == ["--resource-pattern-type", "prefixed"]
            kind, name = words[-4:-2]
            principal = words[words.index("--allow-principal") + 1]
            for place, word in enumerate(words):
                if word == "--operation":
                    operation = operations[words[place + 1]]
                    request = CreateAclsRequest(kinds[kind], name, 4, principal, "*", operation, 3)
                    answer = await admin._send_request(request)
                    assert [code for code, _ in answer.creation_responses] == [0]
    finally:
        await admin.close()


def test_every_mistake_in_the_tables_and_the_key_is_told_together(kafka: KafkaBroker, tmp_path: Path) -> None:
    (tmp_path / "tables.yaml").write_text("version: 1\ntables:\n  - table: orders\n    kye: [id]\n    colums: {}\n")
    code, report, _ = check(
        tmp_path,
        settings_of(kafka, "tables", CDC_TABLES="tables.yaml", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1"),
    )
    told = [found["message"] for found in report["findings"] if found["id"] == "tables.invalid"]
    assert (code, len(told) >= 2) == (3, True), "what must be mended by hand comes before what may come back"
    assert any("4" in text for text in told)
    assert any("5" in text for text in told)


def test_every_wrong_setting_is_a_finding_of_its_own(kafka: KafkaBroker, tmp_path: Path) -> None:
    environment = settings_of(
        kafka, "wrong", CDC_PARTITIONS="many", CDC_KAFKA_SASL_MECHANISM="PLAIN", CDC_KAFKA_USER="x"
    )
    code, report, _ = check(tmp_path, environment)
    assert (code, ids(report)) == (3, {"settings.invalid"})
    assert len(report["findings"]) >= 2


def test_a_password_file_that_is_not_there_is_a_finding(kafka: KafkaBroker, tmp_path: Path) -> None:
    environment = settings_of(kafka, "file", **login(kafka, "")) | {"CDC_KAFKA_PASSWORD_FILE": "gone"}
    code, report, _ = check(tmp_path, environment)
    assert (code, ids(report)) == (3, {"kafka.settings", "key.file"})


async def test_a_broker_that_cannot_keep_transactions_is_found(tmp_path: Path) -> None:
    properties = {"transaction.state.log.replication.factor": "3"}
    with contextlib.closing(KafkaBroker(tmp_path / "kafka", properties=properties)) as broker:
        await asyncio.to_thread(broker.start)
        found = await check_transactions(
            KafkaConnection(broker.bootstrap, {}, 10), Settings(_env_file=None), None, seconds=4
        )
    assert [finding.id for finding in found] == ["broker.transactions"]


def test_the_table_says_once_per_kind_what_to_do(kafka: KafkaBroker, tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CDC_", "AWS_", "KAFKA_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "workers", "check"], env=inherited | settings_of(kafka, "table"), cwd=tmp_path,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    lines = ended.stdout.splitlines()
    assert ended.returncode == 3
    sections = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert sections == ["config", "database", "kafka", "topics", "aws", "clock", "disk", "keys"]
    assert lines[lines.index(next(line for line in lines if line.startswith("topics"))) + 1].startswith(
        "  error   topic"
    )
    assert sum("topic.missing" in line for line in lines) > 5
    assert sum("-> `cdc topics apply`" in line for line in lines) == 1
    assert "errors" in ended.stderr
