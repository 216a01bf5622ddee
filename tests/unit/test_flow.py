"""When a channel sends what does not fill a call: after `fill_seconds`, whatever a clock rounds to."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from workers.engine import flow
from workers.engine.delivery import WindowOptions
from workers.engine.flow import Flow
from workers.engine.lanes import Channel
from workers.engine.window import Window

FILL = WindowOptions().fill_seconds
ROUNDS_DOWN = next(
    began for began in (8_832.0 + step / 1_000 for step in range(1_000)) if (began + FILL) - began < FILL
)
"""A time of which `fill_seconds` later, by subtraction, less has passed."""


class Gate:
    """Lets nobody pass, and counts who asks."""

    def __init__(self) -> None:
        self.asked = 0

    def wait(self, _ring: Any) -> float | None:
        self.asked += 1
        return None


@pytest.mark.parametrize("began", [1.0, ROUNDS_DOWN])
async def test_what_has_waited_long_enough_is_sent(began: float, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    app = SimpleNamespace(
        brake=SimpleNamespace(held=SimpleNamespace(tables=())), dead_window=SimpleNamespace(stopped=False)
    )
    window = SimpleNamespace(options=WindowOptions(), app=app, stopping=False, held=False)
    waiting = SimpleNamespace(
        wake=lambda _now: None, fills=lambda _most: False, ready=[object()], calls=1, failures=0, resume_at=0.0,
        ready_since=began,
    )  # fmt: skip
    monkeypatch.setattr(flow, "monotonic", lambda: began)
    channel = Flow(cast("Window", window), cast("Channel", waiting), cast("Any", gate))
    channel.pump()
    assert gate.asked == 0
    monkeypatch.setattr(flow, "monotonic", lambda: began + FILL)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: began + FILL)
    channel.cancel_timer()
    channel.pump()
    assert gate.asked == 1, "it would be looked at again and again while the clock stands"
