"""Looks at a bus before anything is sent to it, and every few minutes: a classic bus that does not exist accepts events
all the same, and they go nowhere (P7: what cannot arrive is not sent).

A look that fails changes nothing: what was last seen counts. Before the first one has told something, nothing is sent.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from models.bus_health import EventBridgeHC
from models.outcome import ErrorCategory
from workers import metrics
from workers.aws.errors import AwsDenied, AwsError
from workers.engine.delivery import Delivered, Outcome, Retry
from workers.eventbridge.bus import FrontedBus, IBus, Prepared
from workers.eventbridge.bus_sight import NO_PERMISSION, Sight

log = logging.getLogger("cdc.preflight")

BUS_SECONDS = 30.0
"""Until the next look at a bus that is there, at most: a classic one that is deleted meanwhile takes events all the
same. Rules, whose looks cost more calls, have `every`."""
AGAIN_SECONDS = 10.0
"""Until the next look at a bus that is missing, or could not be looked at."""
HOLD_SECONDS = 1.0
"""Until an event that may not be sent yet asks again; that costs no call."""
MISSING = "BusMissing"
NOT_SEEN = "BusNotSeenYet"
MOST_NAMED = 3
"""Event types in a line of the log."""

Look = Callable[[], Awaitable[Sight]]
Unrouted = Callable[[Sight], Awaitable[tuple[str, ...]]]


class Preflight:
    """What is known of one bus. `look` raises AwsError; `unrouted` tells which event types no rule takes (None: the bus
    has no rules), and is asked `every` so many seconds, and of a bus that was made anew. `report` is told what an
    operator has to mend, and None when that is done; `unseen` why something waits for the first look, and nothing once
    that is over."""

    def __init__(
        self, name: str, look: Look, unrouted: Unrouted | None, *, every: float, now_ms: Callable[[], int],
        report: Callable[[str | None], None], unseen: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.name = name
        self.every = every
        self.sight: Sight | None = None
        self.looked_ms: int | None = None
        """When it was last seen, or seen to be missing; milliseconds since the epoch."""
        self.trouble = ""
        """Code of why the last look failed."""
        self.unrouted: tuple[str, ...] | None = None
        """Event types that go nowhere; None: the rules may not be read, or were not yet."""
        self._look = look
        self._ask_rules = unrouted
        self._now_ms = now_ms
        self._report = report
        self._unseen = unseen
        self._blind = False
        """Whether it may not be looked for: the bus itself has to say what is wrong."""
        self._asked_ms: int | None = None
        """When its rules were last looked at; None: not since the bus is there."""
        self._since: int | None = None
        """When a bus that is missing was last there."""
        self._doubtful: int | None = None
        """When the oldest record was written that the bus took after the beginning of the last look that saw it."""
        self._newly: int | None = None
        """The same since the beginning of the last look."""
        self._known = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look; once."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def obstacle(self) -> str:
        """Why nothing may be sent now; empty if it may."""
        if self._blind or (self.sight is not None and self.sight.takes_events):
            return ""
        return NOT_SEEN if self.sight is None else MISSING

    async def known(self) -> bool:
        """Whether the first look has told something; waits a second for it."""
        if not self._known.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HOLD_SECONDS):
                    await self._known.wait()
        if not self._known.is_set():
            self._unseen(f"bus {self.name} cannot be looked at yet: nothing is sent before")
        return self._known.is_set()

    def accepted(self, written_ms: int) -> None:
        """The bus took events; the oldest of their records was written then."""
        self._doubtful = written_ms if self._doubtful is None else min(self._doubtful, written_ms)
        self._newly = written_ms if self._newly is None else min(self._newly, written_ms)

    def _is_known(self) -> None:
        self._known.set()
        self._unseen("")

    async def look(self) -> float:
        """One look; returns the seconds until the next."""
        self._newly = None
        try:
            sight = await self._look()
        except AwsError as error:
            return self._not_seen(error)
        self._seen(sight)
        if not sight.takes_events:
            return self._soon
        await self._look_at_rules(sight)
        return min(self.every, BUS_SECONDS)

    @property
    def _soon(self) -> float:
        return min(AGAIN_SECONDS, self.every)

    async def _run(self) -> None:
        while True:
            try:
                wait = await self.look()
            except Exception as error:  # noqa: BLE001  an odd answer is no reason to stop looking
                log.warning("bus %s cannot be looked at: %s", self.name, type(error).__name__)
                wait = self._soon
            await asyncio.sleep(wait)

    def _not_seen(self, error: AwsError) -> float:
        if error.code not in NO_PERMISSION:
            if isinstance(error, AwsDenied):
                self._report(f"AWS refuses the credentials for bus {self.name}: {error.code}")
            elif error.code != self.trouble:
                log.warning("bus %s cannot be looked at: %s", self.name, error.code)
            self.trouble = error.code
            return self._soon
        self.trouble = error.code
        if self.sight is None and not self._blind:
            log.warning("bus %s may not be looked at (%s): a missing one is not noticed", self.name, error.code)
            self._blind = True
        if not self.obstacle:
            self._report(None)  # also of credentials that did not work meanwhile
        self._is_known()
        return self.every

    def _seen(self, sight: Sight) -> None:
        before, self.sight = self.sight, sight
        if before is None or before.created_at != sight.created_at:
            self._asked_ms = None
        last, self.looked_ms = self.looked_ms, self._now_ms()
        self._blind, self.trouble = False, ""
        self._is_known()
        if not sight.takes_events:
            if before is not None and before.takes_events:
                self._since = last
            what = f"is {sight.state}" if sight.exists else "does not exist"
            self._report(f"bus {self.name} {what}: nothing is sent until it is there.{self._lost(self._since)}")
            return
        self._report(None)
        if before is not None and not before.takes_events:
            log.warning(
                "bus %s is there again: events go on. Are its rules there, too?%s", self.name, self._lost(self._since)
            )
        elif before is not None and before.created_at != sight.created_at:
            log.error("bus %s was made anew. Are its rules there, too?%s", self.name, self._lost(last))
        self._since, self._doubtful = None, self._newly

    def _lost(self, since: int | None) -> str:
        """What the bus may have taken while it was not there. It may have been written long before, and a replay is
        asked for by that time."""
        if since is None or self._doubtful is None:
            return ""
        return (
            f" What was accepted after {_moment(since)} may have gone nowhere: once bus and rules are there, "
            f"`cdc replay --from {_moment(self._doubtful)}` sends it again"
        )

    async def _look_at_rules(self, sight: Sight) -> None:
        now = self._now_ms()
        # A little early: the looks at the bus have intervals of their own.
        if self._ask_rules is None or (self._asked_ms is not None and now - self._asked_ms < self.every * 900):
            return
        self._asked_ms = now
        try:
            found = await self._ask_rules(sight)
        except AwsError as error:
            log.info("rules of bus %s are not looked at: %s", self.name, error.code)
            return
        if found and found != self.unrouted:
            log.warning("no enabled rule with a target takes these events of bus %s: %s", self.name, _named(found))
        self.unrouted = found

    def document(self) -> dict[str, Any]:
        """For the web view."""
        return {
            "bus": self.name,
            "seen": None if self.sight is None else self.sight.takes_events,
            "looked": None if self.looked_ms is None else _moment(self.looked_ms),
            "trouble": self.trouble,
            "without_rule": None if self.unrouted is None else list(self.unrouted),
        }

    def measure(self) -> Iterator[metrics.Sample]:
        """For `/metrics`."""
        if self.sight is not None:
            yield metrics.BUS_SEEN.of(self.sight.takes_events, self.name)
        if self.unrouted is not None:
            yield metrics.BUS_UNROUTED.of(len(self.unrouted), self.name)


class PreflightedBus(FrontedBus):
    """A bus that is sent nothing while it is missing, or before it was looked for."""

    def __init__(self, bus: IBus, preflight: Preflight) -> None:
        super().__init__(bus)
        self._preflight = preflight

    @property
    def health(self) -> EventBridgeHC:
        """See IBus. A bus that is missing takes nothing, whatever it answers."""
        return EventBridgeHC.IN_ALARM if self._preflight.obstacle == MISSING else self._bus.health

    @property
    def trouble(self) -> str:
        """See IBus."""
        return self._preflight.obstacle or self._bus.trouble

    async def put(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        """See IBus."""
        if not await self._preflight.known():  # no failure of the bus: its breaker stays closed
            unsent = Retry(NOT_SEEN, pause=HOLD_SECONDS, category=ErrorCategory.CONFIGURATION, whole=True, unsent=True)
            return [unsent] * len(prepared)
        obstacle = self._preflight.obstacle
        if obstacle:  # P7: a classic bus would accept them, and they would go nowhere
            held = Retry(obstacle, pause=HOLD_SECONDS, category=ErrorCategory.CONFIGURATION, whole=True)
            return [held] * len(prepared)
        outcomes = await self._bus.put(prepared)
        taken = [
            one.entry.written_ms
            for one, outcome in zip(prepared, outcomes, strict=True)
            if isinstance(outcome, Delivered)
        ]
        if taken:
            self._preflight.accepted(min(taken))
        return outcomes


def _named(types: Sequence[str]) -> str:
    """The first ones and the number of the others."""
    more = len(types) - MOST_NAMED
    return f"{', '.join(types[:MOST_NAMED])}" + (f" and {more} more (`cdc check` names all)" if more > 0 else "")


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
