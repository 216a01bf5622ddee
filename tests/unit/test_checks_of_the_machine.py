"""What `cdc check` makes of clocks, certificates, keys and the disk."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.kafka.security import make_certificates
from workers.checks.certificates import _judge, read_pem, valid_until
from workers.checks.clock import judge
from workers.checks.disk import check_disk
from workers.checks.findings import Finding
from workers.checks.keys import check_keys, is_weak
from workers.checks.network import check_addresses, check_names, unknown_names
from workers.settings.worker import Settings

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GOOD = "q7Kz0vRmB2xTfL9dW4"


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


def found(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.id, finding.severity, finding.subject) for finding in findings]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, []), (30, []), (-31, ["clock.skew"]), (300, ["clock.skew"]), (301, ["clock.refused"]),
     (-4000, ["clock.refused"])],
)  # fmt: skip
def test_a_clock_that_is_off_is_told_before_aws_refuses_it(seconds: int, expected: list[str]) -> None:
    assert [finding.id for finding in judge(timedelta(seconds=seconds))] == expected


def test_the_end_of_a_certificate_is_read_and_told_in_time(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    certificates = read_pem(made.authority) + read_pem(made.broker)
    ends = [end for one in certificates if (end := valid_until(one)) is not None]
    assert len(ends) == 2
    end = min(ends)
    assert timedelta(0) < end - datetime.now(UTC) < timedelta(days=3), "they are made for a day"
    assert _judge("b:1", certificates, end - timedelta(days=31)) == []
    assert found(_judge("b:1", certificates, end - timedelta(days=29))) == [("kafka.certificate", "warning", "b:1")]
    assert found(_judge("b:1", certificates, end)) == [("kafka.certificate", "error", "b:1")]


@pytest.mark.parametrize("body", [b"", b"\x30", b"\x30\x82\xff\xff", b"\x30\x03\x30\x01\x00", b"no certificate"])
def test_what_is_no_certificate_has_no_end(body: bytes) -> None:
    assert valid_until(body) is None


@pytest.mark.parametrize(
    ("secret", "weak"),
    [
        ("", False), (GOOD, False), ("f3a9c27e51d8b604", False), ("aaaaaaaaaaaaaaaaaaaa", True),
        ("0123456789abcdef", True), ("hunter2-hunter2-", True), ("zyxwvutsrqponmlk", True),
    ],
)  # fmt: skip
def test_a_key_that_somebody_made_up_is_told_from_one_by_chance(secret: str, weak: bool) -> None:
    assert is_weak(secret) is weak


def test_a_weak_key_is_a_finding_that_does_not_show_it() -> None:
    (one,) = check_keys(settings(redaction_key="hunter2-hunter2-"), NOW)
    assert (one.id, one.subject) == ("key.weak", "CDC_REDACTION_KEY")
    assert "hunter2" not in str(one)
    assert check_keys(settings(redaction_key=GOOD), NOW) == []


def test_a_file_that_everybody_may_read_and_one_that_is_old_are_told(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(GOOD)
    os.utime(path, ((NOW - timedelta(days=400)).timestamp(),) * 2)
    path.chmod(0o644)
    told = found(check_keys(settings(redaction_key_file=path), NOW))
    assert told == [
        ("key.file-mode", "warning", "CDC_REDACTION_KEY_FILE"), ("key.age", "warning", "CDC_REDACTION_KEY_FILE"),
    ]  # fmt: skip
    path.chmod(0o640)
    os.utime(path, (NOW.timestamp(),) * 2)
    assert check_keys(settings(redaction_key_file=path), NOW) == []


def test_a_file_of_a_secret_that_is_not_there_is_told() -> None:
    (one,) = check_keys(settings(redaction_key_file=Path("gone")), NOW)
    assert found([one]) == [("key.file", "error", "CDC_REDACTION_KEY_FILE")]


def test_two_versions_of_one_key_are_no_rotation() -> None:
    both = settings(redaction_key=GOOD, redaction_key_other=GOOD, redaction_key_other_version=2)
    assert found(check_keys(both, NOW)) == [("key.same", "error", "CDC_REDACTION_KEY_OTHER")]


def test_a_scratch_directory_is_tried_and_not_made(tmp_path: Path) -> None:
    assert check_disk(settings(data_dir=tmp_path / "not" / "yet")) == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert found(check_disk(settings(data_dir=tmp_path / "file" / "x"))) == [
        ("disk.unwritable", "error", "CDC_DATA_DIR")
    ]


async def test_names_that_dns_does_not_know_are_told_apart_from_servers_that_are_away() -> None:
    unknown = await unknown_names("nowhere.invalid:9092,127.0.0.1:1", 5)
    assert list(unknown) == ["nowhere.invalid:9092"]
    assert found(check_names(unknown, 2)) == [("kafka.dns", "warning", "nowhere.invalid:9092")]
    assert found(check_names(unknown, 1)) == [("kafka.dns", "error", "nowhere.invalid:9092")]


async def test_a_broker_that_is_not_where_it_says_is_told() -> None:
    brokers = [{"node_id": 1, "host": "127.0.0.1", "port": 1}, {"node_id": 2, "host": "nowhere.invalid", "port": 9092}]
    assert found(await check_addresses(brokers, 5)) == [
        ("broker.address", "error", "broker 1"), ("broker.address", "error", "broker 2"),
    ]  # fmt: skip
