"""Finds owners in the database for records whose lookup has no entry. It works beside the units, never inside one: a
body that lacks an answer pauses, and runs again when it is there (design: a body never waits for the world).

One query per lookup at a time takes along whatever is wanted by then, from all slots, and no row is asked for twice at
once. An outage answers nothing: who waits goes on waiting, and the breaker decides when to try again (P7).
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from weakref import WeakKeyDictionary

from enrichers.state import Answer, LookupEntry
from models.infrastructure import CircuitBreakerConfig, CircuitState, DatabaseInstanceStatus, PreparedQuery
from models.retry import RETRY_OF, Component, RetryConfig
from workers.breaker import CircuitBreaker
from workers.database.answers import AnswerLimits, Answers, Wanted
from workers.database.connection import Database
from workers.database.failures import DatabaseAway, DatabaseDenied, DatabaseError, QueryRefused
from workers.database.queries import entries_of
from workers.database.tally import Tally

MOST_WANTED = 200_000
"""Rows to be asked for, of all slots. What is above is not lost: its records ask again when they run again."""
KEYS_PER_QUERY = 10_000
REFUSED_SECONDS = 10.0
"""Until a query that was refused is tried again: somebody has to create a table or grant a right."""
UNKNOWN_SECONDS = 60.0
"""How long a table that the database lacks counts as one that it does not have to have."""
NO_SUCH_TABLE = ("42P01", "3F000")

WhenAway = Literal["pause", "policy"]
Report = Callable[[str, str | None], None]
"""(lookup, what an operator has to mend; None: nothing any more)."""

log = logging.getLogger("cdc.database")


@dataclass(slots=True)
class _Group:
    """What is wanted of one lookup in one schema, in the order in which it was."""

    query: PreparedQuery
    schema: str
    wanted: dict[str, None] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    ignored_until: float = 0.0


class Resolver:
    """The database as the pipeline's last place to look. `now` is in seconds, of the event loop."""

    def __init__(
        self,
        database: Database,
        query_of: Callable[[str, str], PreparedQuery],
        *,
        now: Callable[[], float],
        limits: AnswerLimits | None = None,
        circuit: CircuitBreakerConfig | None = None,
        retry: RetryConfig = RETRY_OF[Component.DATABASE],
        when_away: WhenAway = "pause",
        lenient: bool = False,
        report: Report = lambda _lookup, _why: None,
    ) -> None:
        """`query_of` gives the query for (lookup, schema of the source). `lenient`: a lookup whose table the database
        lacks has no database behind it, instead of waiting for the table."""
        self.answers = Answers(limits or AnswerLimits(), now)
        self.breaker = CircuitBreaker(circuit or CircuitBreakerConfig(), now)
        self.tally = Tally()
        self._database = database
        self._query_of = query_of
        self._when_away = when_away
        self._lenient = lenient
        self._report = report
        self._retry = retry
        self._now = now
        self._groups: dict[tuple[str, str], _Group] = {}
        self._noted: set[Wanted] = set()
        self._askers: WeakKeyDictionary[asyncio.Event, set[Wanted]] = WeakKeyDictionary()
        """Who waits for which answers; a body that waits no longer has let go of its event."""

    @property
    def status(self) -> DatabaseInstanceStatus:
        """UNAVAILABLE from the failure that opens the breaker to the next success."""
        return DatabaseInstanceStatus.AVAILABLE if self.breaker.answers else DatabaseInstanceStatus.UNAVAILABLE

    @property
    def waiting(self) -> int:
        """Rows that are wanted and not answered."""
        return sum(len(group.wanted) for group in self._groups.values())

    def find(self, lookup: str, schema: str, key: str) -> LookupEntry | Answer:
        """What is known by now. What is not is noted, for `ask`."""
        wanted = Wanted(lookup, schema, key)
        entry = self.answers.found.get(wanted)
        if entry is not None:
            self.tally.cached[lookup, "found"] += 1
            return entry
        if self.answers.missing.get(wanted):
            self.tally.cached[lookup, "missing"] += 1
            return Answer.NO_ROW
        group = self._groups.get((lookup, schema))
        if group is not None and group.ignored_until > self._now():
            return Answer.NO_DATABASE
        self._noted.add(wanted)
        away = self._when_away == "policy" and self.breaker.state is CircuitState.OPEN
        return Answer.AWAY if away else Answer.UNASKED

    def forget_noted(self) -> None:
        """Before a body runs: what another one noted and did not ask for is of no interest."""
        self._noted.clear()

    def ask(self) -> asyncio.Event:
        """Ask for all that was noted. The event is set when all of it is answered, or need not be any more."""
        noted, self._noted = self._noted, set()
        answered, lacks = asyncio.Event(), set[Wanted]()
        room = MOST_WANTED - self.waiting
        for wanted in noted:
            group = self._group(wanted)
            if wanted.key not in group.wanted:
                if room <= 0:
                    continue
                room -= 1
                group.wanted[wanted.key] = None
            lacks.add(wanted)
        self._askers[answered] = lacks
        if not noted:
            answered.set()
        for group in self._groups.values():
            if group.wanted and group.task is None:
                group.task = asyncio.create_task(self._work(group))
        return answered

    async def close(self) -> None:
        """End all questions and the connections."""
        tasks = [group.task for group in self._groups.values() if group.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._database.close()

    def _group(self, wanted: Wanted) -> _Group:
        place = (wanted.lookup, wanted.schema)
        group = self._groups.get(place)
        if group is None:
            group = self._groups[place] = _Group(self._query_of(*place), wanted.schema)
        return group

    async def _work(self, group: _Group) -> None:
        """Ask until nothing of the group is wanted any more."""
        failures = 0
        try:
            while group.wanted:
                if (rest := self.breaker.seconds_to_wait) > 0:
                    await asyncio.sleep(rest)
                    continue
                keys = list(group.wanted)[:KEYS_PER_QUERY]
                try:
                    await self._query(group, keys)
                except QueryRefused as error:
                    if self._lenient and error.code in NO_SUCH_TABLE:
                        self._ignore(group)
                    else:
                        self._report(group.query.lookup, f"the database refuses the query of the lookup: {error}")
                        await asyncio.sleep(REFUSED_SECONDS)
                except DatabaseError:
                    if self._when_away == "policy" and self.breaker.state is CircuitState.OPEN:
                        self._answered(group, list(group.wanted))
                    await asyncio.sleep(self._retry.delay(failures, random.random()))
                    failures += 1
                else:
                    failures = 0
                    for key in keys:
                        group.wanted.pop(key, None)
                    self._answered(group, keys)
        finally:
            group.task = None

    async def _query(self, group: _Group, keys: list[str]) -> None:
        query, started, outcome = group.query, self._now(), "failed"
        try:
            rows = await self._database.fetch(query, keys)
            outcome = "answered"
        except QueryRefused:
            outcome = "refused"
            self._came_back()
            raise
        except (DatabaseAway, DatabaseDenied) as error:
            self._failed(error)
            if isinstance(error, DatabaseDenied):
                self._report(query.lookup, f"the database does not let the worker in: {error}")
            raise
        finally:
            self.tally.asked(query.lookup, outcome, self._now() - started)
        self._came_back()
        self._report(query.lookup, None)
        entries = entries_of(rows)
        for key in keys:
            entry = entries.get(key)
            self.tally.rows[query.lookup, "missing" if entry is None else "found"] += 1
            self.answers.keep(Wanted(query.lookup, group.schema, key), entry)

    def _failed(self, error: DatabaseError) -> None:
        closed = self.breaker.state is CircuitState.CLOSED
        self.breaker.failed()
        if closed and self.breaker.state is CircuitState.OPEN:
            log.warning("the database does not answer (%s): it is asked again every %g s", error,
                        self.breaker.config.recovery_seconds)  # fmt: skip

    def _came_back(self) -> None:
        closed = self.breaker.state is CircuitState.CLOSED
        self.breaker.succeeded()
        if not closed and self.breaker.state is CircuitState.CLOSED:
            log.info("the database answers again")

    def _ignore(self, group: _Group) -> None:
        log.warning("the database has no table for the lookup %s: it is not asked for it", group.query.lookup)
        group.ignored_until = self._now() + UNKNOWN_SECONDS
        keys = list(group.wanted)
        group.wanted.clear()
        self._answered(group, keys)

    def _answered(self, group: _Group, keys: list[str]) -> None:
        done = {Wanted(group.query.lookup, group.schema, key) for key in keys}
        for answered, lacks in list(self._askers.items()):
            if lacks & done:
                lacks.difference_update(done)
                if not lacks:
                    answered.set()
