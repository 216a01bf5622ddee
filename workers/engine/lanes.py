"""Lanes of a window: what may be sent next, in which order, and what a sink's answers make of it.

One channel per place that records go to, each with lanes of its own: one per key. Only the head of a lane is sent, and
what fails stays the head. A lane is ready, on its way, or asleep until its back-off is over. Pure: time and chance are
parameters.
"""

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

import msgspec
from faust.types import TP

from models.outcome import ErrorCategory
from models.retry import RetryConfig
from workers.engine.delivery import Delivered, Order, Outcome, Retry, Undeliverable


class Item(msgspec.Struct, eq=False, gc=False):
    """A record on its way, and the offsets its commit covers. Without a record: offsets that hold nothing to send.

    The garbage collector does not follow it, so nothing that it holds may lead back to it: not even its lane."""

    record: Any
    tp: TP
    start: int
    end: int
    since: float
    """When it came into the window."""
    key: Any = None
    """Of its lane."""
    attempts: int = 0
    doubts: int = 0
    """Answers after which it may be given up; an outage or a throttle is none."""
    prepared: Any = None
    outcome: Delivered | Undeliverable | None = None


class Lane:
    """Records of one key that wait, in order; the first `flying` of them are on their way."""

    __slots__ = ("failed_at", "failures", "flying", "items", "key", "reason")

    def __init__(self, key: Any) -> None:
        self.key = key
        self.items: list[Item] = []
        self.flying = 0
        self.failures = 0
        self.failed_at = 0.0
        """When the first of these failures was told."""
        self.reason = ""


@dataclass(frozen=True, slots=True)
class Landing:
    """What a call has changed: records that leave the window, and those that overtook one of their key."""

    settled: int
    reordered: int


class Channel:
    """The lanes of one channel, and the pause it makes as a whole."""

    def __init__(self, name: str, order: Order, retry: RetryConfig) -> None:
        self.name = name
        self.order = order
        self.retry = retry
        self.lanes: dict[Any, Lane] = {}
        self.ready: deque[Lane] = deque()
        self.failing: set[Lane] = set()
        self.ready_since = 0.0
        """When `ready` last ceased to be empty."""
        self.calls = 0
        """On their way now."""
        self.failures = 0
        """Calls in a row that failed as a whole."""
        self.resume_at = 0.0
        self.parked: list[Lane] = []
        """Those whose next record an operator holds back."""
        self._asleep: list[tuple[float, int, Lane]] = []
        self._tie = count()

    def add(self, item: Item, now: float) -> None:
        """Put a record behind the others of its key."""
        key = item.key = next(self._tie) if self.order is Order.NONE else item.record.key
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = Lane(key)
            self._be_ready(lane, now)
        lane.items.append(item)

    def wake(self, now: float) -> float | None:
        """Make those ready whose back-off is over; when the next one's is."""
        asleep = self._asleep
        while asleep and asleep[0][0] <= now:
            self._be_ready(heapq.heappop(asleep)[2], now, first=True)
        return asleep[0][0] if asleep else None

    def park(self, most: int, held: Callable[[Item], bool]) -> None:
        """Put lanes aside that are ready and whose records of a next call are held, until `most` others stand first."""
        each = most if self.order is Order.BATCH else 1
        free: list[Lane] = []
        while self.ready and len(free) < most:
            lane = self.ready.popleft()
            waits = any(held(item) for item in islice(lane.items, each))
            (self.parked if waits else free).append(lane)
        self.ready.extendleft(reversed(free))

    def unpark(self, now: float) -> None:
        """What is held has changed: ask again, in the order they had."""
        for lane in reversed(self.parked):
            self._be_ready(lane, now, first=True)
        self.parked.clear()

    def fills(self, most: int) -> bool:
        """Whether what is ready fills a call of `most` records."""
        if self.order is not Order.BATCH or len(self.ready) >= most:
            return len(self.ready) >= most
        return len(self._next(most)) >= most

    def take(self, most: int, fit: Callable[[Sequence[Any]], int]) -> list[Item]:
        """The records of the next call, at most so many; `fit` says how many of them go into one."""
        found = self._next(most)
        taken = found[: max(1, fit([item.prepared for item in found]))]
        for item in taken:
            lane = self.lanes[item.key]
            if not lane.flying:
                self.ready.popleft()
            lane.flying += 1
            item.attempts += 1
        self.calls += 1
        return taken

    def give_back(self, items: Sequence[Item]) -> None:
        """A call was cut off: perhaps it was delivered; whoever comes next sends it again."""
        self.calls -= 1
        for lane in self._lanes_of(items):
            lane.flying = 0

    def land(self, items: Sequence[Item], outcomes: Sequence[Outcome], now: float, chance: float) -> Landing:
        """A call has ended: `outcomes` are aligned with its records. `chance`: see RetryConfig."""
        self.calls -= 1
        pauses: dict[Any, Retry] = {}
        """By key."""
        whole: Retry | None = None
        settled = reordered = 0
        for item, outcome in zip(items, outcomes, strict=True):
            ended = _ended(item, outcome) if isinstance(outcome, Retry) else outcome
            if isinstance(ended, Retry):
                pauses.setdefault(item.key, ended)
                if ended.whole:
                    whole = ended
                continue
            # P4: it was accepted although an earlier one of its key was not.
            reordered += item.key in pauses and isinstance(ended, Delivered)
            item.outcome = ended
            settled += 1
        self._pause(whole, now, chance)
        for lane in self._lanes_of(items):
            self._go_on(lane, pauses.get(lane.key), now, chance)
        return Landing(settled, reordered)

    def stalled(self) -> list[Lane]:
        """Lanes whose head has failed so often that the quick tries are over."""
        return [lane for lane in self.failing if lane.failures >= max(1, self.retry.attempts)]

    def _next(self, most: int) -> list[Item]:
        if self.order is Order.BATCH:
            return list(islice(chain.from_iterable(lane.items for lane in self.ready), most))
        return [lane.items[0] for lane in islice(self.ready, most)]

    def _lanes_of(self, items: Sequence[Item]) -> list[Lane]:
        return [self.lanes[key] for key in dict.fromkeys([item.key for item in items])]

    def _go_on(self, lane: Lane, failed: Retry | None, now: float, chance: float) -> None:
        if lane.flying == 1:  # as almost always: no lists for one record
            if lane.items[0].outcome is not None:
                del lane.items[0]
        else:
            lane.items[: lane.flying] = [item for item in lane.items[: lane.flying] if item.outcome is None]
        lane.flying = 0
        if failed is None:
            if lane.failures:
                lane.failures = 0
                self.failing.discard(lane)
            if lane.items:
                self._be_ready(lane, now)
            else:
                del self.lanes[lane.key]
            return
        lane.failures += 1
        lane.reason = failed.reason
        if lane.failures == 1:
            lane.failed_at = now
            self.failing.add(lane)
        if self.resume_at > now and failed.whole:
            self._be_ready(lane, now, first=True)  # the channel waits, that is enough
            return
        # Others of its call have the same chance; they may wake together and share a call again.
        delay = max(failed.pause, self.retry.delay(lane.failures, chance))
        heapq.heappush(self._asleep, (now + delay, next(self._tie), lane))

    def _pause(self, whole: Retry | None, now: float, chance: float) -> None:
        if whole is None:
            self.failures = 0
        elif whole.category is not ErrorCategory.THROTTLING:  # a throttle slows down, which is the gate's to do
            # Those that were on their way when the pause began tell nothing new.
            self.failures += now >= self.resume_at
            self.resume_at = max(self.resume_at, now + max(whole.pause, self.retry.delay(self.failures, chance)))

    def _be_ready(self, lane: Lane, now: float, *, first: bool = False) -> None:
        if not self.ready:
            self.ready_since = now
        if first:
            self.ready.appendleft(lane)
        else:
            self.ready.append(lane)


def _ended(item: Item, retry: Retry) -> Retry | Undeliverable:
    if retry.otherwise is not None:
        item.doubts += 1
        if item.doubts >= retry.attempts:
            return retry.otherwise
    return retry
