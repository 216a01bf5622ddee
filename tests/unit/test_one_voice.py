"""How commands say that there is nothing to do, nobody of that name, or no Kafka."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from models.replay import Replay
from tests.unit.changes import TELEPHONY
from workers.cli import dlq_redrive, replay
from workers.cli.suggestions import unknown_tables
from workers.failures import ExitCode, NotFoundError, UnreachableError, unknown_name
from workers.kafka.access import kafka_access
from workers.lookup_tables.row_names import UnknownTable, row_name
from workers.replay import ReplayTally
from workers.settings.worker import Settings

NOWHERE = "127.0.0.1:1"


def unreachable(settings: Settings) -> UnreachableError:
    async def ask() -> None:
        async with kafka_access(settings):
            pass

    with pytest.raises(UnreachableError) as refused:
        asyncio.run(ask())
    return refused.value


def test_an_unset_kafka_is_said_with_the_way_to_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("workers.kafka.access.refuse_wrong_credentials", _nobody)
    hint = unreachable(Settings()).hint
    assert "KAFKA_BOOTSTRAP_SERVERS is not set" in hint
    assert "cdc sandbox up" in hint


def test_a_kafka_that_was_named_is_to_be_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", NOWHERE)
    monkeypatch.setattr("workers.kafka.access.refuse_wrong_credentials", _nobody)
    assert unreachable(Settings()).hint == "try `cdc check`"


async def _nobody(_: object) -> None:
    raise OSError("nobody")


def test_a_mistyped_name_is_not_found_and_what_was_meant_is_said() -> None:
    error = unknown_name("table", "User", ["users", "orgs"])
    assert (str(error), error.hint, error.exit_code) == ("there is no table User", "did you mean users?", 6)


def test_a_name_like_no_other_is_answered_with_all_there_are() -> None:
    assert unknown_name("source", "x", ["core", "shop"]).hint == "there are: core, shop"


def test_a_row_of_an_unknown_table_is_not_found() -> None:
    with pytest.raises(UnknownTable) as refused:
        row_name("user:7", TELEPHONY)
    assert isinstance(refused.value.not_found, NotFoundError)
    assert refused.value.not_found.hint == "did you mean users?"


def test_an_unknown_table_of_a_filter_is_a_note() -> None:
    assert list(unknown_tables(["user", "orgs"], ["users", "orgs"])) == [
        "note: there is no table user; did you mean users?"
    ]


@pytest.mark.parametrize("flags", [[], ["--yes"], ["--dry-run"]])
def test_nothing_to_redrive_is_no_refusal(monkeypatch: pytest.MonkeyPatch, flags: list[str]) -> None:
    async def none(*_: object, **__: object) -> object:
        return SimpleNamespace(letters=0, kinds=Counter(), refused=[], gaps=0), False

    monkeypatch.setattr(dlq_redrive, "_redrive", none)
    ended = CliRunner().invoke(dlq_redrive.redrive, ["--table", "users", *flags])
    assert ended.exit_code == ExitCode.OK
    assert "nothing to redrive" in ended.stderr


@pytest.mark.parametrize("flags", [[], ["--yes"], ["--undo"]])
def test_nothing_to_drop_is_no_refusal(monkeypatch: pytest.MonkeyPatch, flags: list[str]) -> None:
    async def none(*_: object, **__: object) -> object:
        return [], Counter(), False

    monkeypatch.setattr(dlq_redrive, "_drop", none)
    ended = CliRunner().invoke(dlq_redrive.drop, ["--code", "GAP", *flags])
    assert ended.exit_code == ExitCode.OK
    assert "nothing to" in ended.stderr


@pytest.mark.parametrize("flags", [[], ["--yes"]])
def test_nothing_to_replay_is_no_refusal(monkeypatch: pytest.MonkeyPatch, flags: list[str]) -> None:
    async def none(*_: object, **__: object) -> object:
        one = Replay("id", "cdc.events", 1_000, 2_000, 3_000, 1)
        return replay.Done(one, ReplayTally(), [], (), resumed=False)

    monkeypatch.setattr(replay, "_replay", none)
    ended = CliRunner().invoke(replay.replay, ["--from", "2h", *flags])
    assert ended.exit_code == ExitCode.OK
    assert "nothing to replay" in ended.stderr
