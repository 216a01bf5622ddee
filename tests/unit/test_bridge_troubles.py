"""What AWS refuses is said once while it lasts, and once more when it comes back."""

import logging

import pytest

from workers.kinesis import source
from workers.kinesis.source import OVER_SECONDS, Bridge

TRYING = 10.0
"""Seconds between two tries, at most."""


class Told:
    """What a bridge says of the troubles of its shards, by a clock set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 1_000.0
        self.log = caplog
        no: object = None
        self.bridge = Bridge((), no, no, 1, no, "stop", lambda: 0)  # type: ignore[arg-type]
        monkeypatch.setattr(source, "monotonic", lambda: self.now)

    def refused(self, seconds: float, text: str = "shard a of s: AccessDeniedException, trying again") -> None:
        """For so long, tried again and again."""
        end = self.now + seconds
        while self.now < end:
            self.bridge.tell_met(text, logging.getLogger("cdc.told"))
            self.now += TRYING

    @property
    def lines(self) -> int:
        return len(self.log.records)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Told:
    return Told(monkeypatch, caplog)


def test_a_refusal_that_lasts_for_days_is_said_once(told: Told) -> None:
    told.refused(3 * 86_400)
    assert told.lines == 1


def test_a_refusal_that_comes_back_a_day_later_is_said_again(told: Told) -> None:
    told.refused(600)
    told.now += 86_400
    told.refused(600)
    assert told.lines == 2


def test_a_refusal_that_comes_and_goes_within_a_minute_is_said_once(told: Told) -> None:
    for _ in range(20):
        told.refused(TRYING)
        told.now += OVER_SECONDS / 2
    assert told.lines == 1


def test_each_shard_and_each_error_is_said_and_forgotten_when_it_is_over(told: Told) -> None:
    for shard in range(50):
        told.refused(TRYING, f"shard {shard} of s: AccessDeniedException, trying again")
        told.refused(TRYING, f"shard {shard} of s: KMSDisabledException, trying again")
    assert told.lines == 100
    assert len(told.bridge.met) <= OVER_SECONDS / TRYING + 1
