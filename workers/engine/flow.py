"""The calls of one channel of a window: when the next one goes out, and what becomes of its answer."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Protocol

from workers.engine.clock import monotonic
from workers.engine.delivery import Gate, Outcome, Retry, Sink, WindowOptions
from workers.engine.lanes import Channel, Item
from workers.engine.runner import describe

LEAST_WAIT = 0.001
"""Seconds: less than a loop's timers tell apart would be asked for again and again."""


class Holding(Protocol):
    """What a flow needs of its window (`workers/engine/window.py`)."""

    app: Any
    slot: Any
    sink: Sink
    options: WindowOptions
    calls: set[asyncio.Task[None]]
    stopping: bool
    progress: asyncio.Event

    @property
    def held(self) -> bool:
        """Whether an operator holds the slot back."""


class Flow:
    """Sends what one channel of a window has ready, as far as its pauses, its gate and its calls allow."""

    def __init__(self, window: Holding, channel: Channel, gate: Gate) -> None:
        self.window = window
        self.channel = channel
        self.gate = gate
        self.pump = self._pump  # one object: a gate knows by it who waits already
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def cancel_timer(self) -> None:
        """Nothing more is sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pump(self, rung_at: float = 0.0) -> None:
        window, channel, options = self.window, self.channel, self.window.options
        brake = window.app.brake
        while not window.stopping and not window.app.dead_window.stopped and not window.held:
            now = max(monotonic(), rung_at)  # a loop rings a little early
            next_wake = channel.wake(now)
            if next_wake is not None:
                self._ring(next_wake)
            if brake.held.tables:
                channel.park(options.per_call, lambda item: brake.holds(item.record))
            # While the sink is down one call probes it at a time.
            if not channel.ready or channel.calls >= (1 if channel.failures else options.max_calls):
                return
            if channel.resume_at > now:
                self._ring(channel.resume_at)
                return
            full_at = channel.ready_since + options.fill_seconds  # a difference may round to less when it is over
            if channel.calls and now < full_at and not channel.fills(options.per_call):
                self._ring(full_at)
                return
            wait = self.gate.wait(self.pump)
            if wait is None:
                return
            if wait > 0:
                self._ring(now + max(wait, LEAST_WAIT))
                return
            items = channel.take(options.per_call, window.sink.fit)
            self.gate.begin(len(items))
            call = asyncio.ensure_future(self._call(items))
            window.calls.add(call)
            call.add_done_callback(window.calls.discard)

    def _ring(self, when: float) -> None:
        if self._timer is not None:
            if self._rings_at <= when:
                return
            self._timer.cancel()
        self._rings_at = when
        self._timer = asyncio.get_running_loop().call_at(when, self._rung)

    def _rung(self) -> None:
        self._timer = None
        self._pump(self._rings_at)

    async def _call(self, items: list[Item]) -> None:
        window, channel = self.window, self.channel
        outcomes: Sequence[Outcome] = ()
        started = monotonic()
        try:
            async with asyncio.timeout(window.options.call_timeout):
                outcomes = await window.sink.put([item.prepared for item in items])
            if len(outcomes) != len(items):
                outcomes = [Retry("ShortAnswer", whole=True)] * len(items)
        except asyncio.CancelledError:
            channel.give_back(items)
            self.gate.end((), monotonic() - started)
            return
        except Exception as error:  # noqa: BLE001  an unknown outcome: sent again with identical bytes
            if not isinstance(error, TimeoutError):
                window.app.log.warning("slot %s: sink: %s", window.slot.index, describe(error))
            outcomes = [Retry(type(error).__name__, whole=True)] * len(items)
        now = monotonic()
        landing = channel.land(items, outcomes, now, random.random())
        if landing.reordered:
            self.gate.reordered(landing.reordered)
        if landing.settled:
            window.progress.set()
        self.gate.end(outcomes, now - started)
        self._pump()
