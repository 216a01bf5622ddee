"""A worker says when its stages are ready, and why they no longer are."""

import logging

import pytest

from tests.unit.health_stage import publish_stage
from workers.probes.standing import STARTS, Standing, StandingLog, news

READY = Standing((), 4, 12)
JOINS = Standing(("joins its group, or recovers its tables",))


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (STARTS, READY, "is ready, with 4 of 12 partitions"),
        (READY, READY, ""),
        (READY, Standing((), 12, 12), "is ready, with 12 of 12 partitions"),
        (READY, Standing((), 0, 12), "is ready, with no partition"),
        (READY, JOINS, "is not ready: joins its group, or recovers its tables"),
        (JOINS, JOINS, ""),
        (STARTS, STARTS, ""),
    ],
)
def test_only_what_is_new_is_said(before: Standing, now: Standing, said: str) -> None:
    assert news(before, now) == said


def test_a_stage_that_takes_over_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    stage, app = publish_stage(0, 1)
    app.slots.planned = 4
    watching = StandingLog([stage])
    with caplog.at_level(logging.INFO):
        watching.look()
        watching.look()
        app.ready, app._consumer = False, None
        watching.look()
        app.ready, app.slots.owned = True, {index: object() for index in range(4)}
        watching.look()
    assert caplog.messages == [
        "publish is ready, with 2 of 4 partitions", "publish is not ready: starts",
        "publish is ready, with 4 of 4 partitions",
    ]  # fmt: skip
