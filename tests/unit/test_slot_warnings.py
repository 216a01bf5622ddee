"""A shard that falls behind is told of before its records are deleted unread."""

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models.checkpoint import Checkpoint, ShardState
from models.shard import Shard
from workers.kinesis.cursor import ShardCursor
from workers.kinesis.lineage import Resume
from workers.kinesis.reader import ShardStats
from workers.kinesis.slot_work import SlotWork

HOUR = 3_600_000
NOW = 100 * 24 * HOUR
KEY = ("arn", "s")


class Watched:
    """One shard of a stream that keeps its records for 24 hours."""

    def __init__(self, covered_ms: int = NOW) -> None:
        self.now_ms = NOW
        self.stats = ShardStats()
        checkpoint = Checkpoint("arn", "s", ShardState.ACTIVE, "9", 0, covered_ms, 1, (), covered_ms)
        cursor = ShardCursor(Shard("s", 0, 9), Resume(checkpoint))
        self.intake: Any = SimpleNamespace(reader=lambda _: SimpleNamespace(stats=self.stats, cursor=cursor))
        directory = SimpleNamespace(facts=SimpleNamespace(retention_ms=24 * HOUR), label="orders")
        self.source: Any = SimpleNamespace(directory=directory)
        parts: Any = SimpleNamespace(log=logging.getLogger("cdc.warned"), now_of=lambda _: self.now_ms)
        self.work = SlotWork(parts, parts, cast("Any", None), cast("Any", None), cast("Any", None))

    def at(self, hours: float) -> None:
        """The newest page was so far behind the tip."""
        self.stats.millis_behind = int(hours * HOUR)
        self.look()

    def look(self) -> None:
        self.work._watch_lag(self.intake, self.source, KEY)


def test_half_and_four_fifths_of_the_retention_are_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    for hours in (0, 11.9, 12, 13, 19, 19.2, 23):
        watched.at(hours)
        watched.at(hours)
    assert [record.getMessage() for record in caplog.records] == [
        "shard s of orders is 43200 s behind, 50 % of the retention: records will be lost at 100 %",
        "shard s of orders is 69120 s behind, 80 % of the retention: records will be lost at 100 %",
    ]


def test_a_lag_that_swings_about_a_level_is_not_told_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    for _ in range(5):
        watched.at(12.5)
        watched.at(11.5)
    assert len(caplog.records) == 1


def test_a_shard_that_had_caught_up_is_told_of_again(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    for hours in (13, 1, 13):
        watched.at(hours)
    assert len(caplog.records) == 2


def test_a_shard_that_cannot_be_read_is_behind_by_the_age_of_what_it_covers(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    watched.stats.trouble = "KMSDisabledException"
    for _ in range(23):
        watched.now_ms += HOUR
        watched.look()
    assert ["50 %" in record.getMessage() for record in caplog.records] == [True, False]


def test_an_old_cover_of_a_shard_that_is_read_is_no_lag(caplog: pytest.LogCaptureFixture) -> None:
    Watched(covered_ms=NOW - 23 * HOUR).at(1)
    assert caplog.records == []
