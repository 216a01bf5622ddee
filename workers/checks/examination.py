"""All checks, section by section. What cannot be looked at because of an earlier finding is said to be skipped."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from models.catalogue import Catalogue
from workers.checks.archive import check_archive
from workers.checks.bus import check_bus
from workers.checks.clock import check_clock
from workers.checks.configuration import check_examples_of, check_protection, check_redaction, check_tables
from workers.checks.database import check_database, check_parameters
from workers.checks.disk import check_disk
from workers.checks.findings import Finding, Report
from workers.checks.kafka import KafkaLook, look_at_kafka
from workers.checks.keys import check_keys
from workers.checks.kinds import CHECKS, SECTIONS, Check, Section
from workers.checks.streams import check_identity, check_streams
from workers.settings.worker import Settings, SettingsError, load_settings

OPTIONAL: dict[Check, str] = {"parameters": "ssm_names", "database": "has_database", "archive": "has_archive"}
"""Made only where this property of the settings says that there is something to look at."""

Tell = Callable[[Section], None]
T = TypeVar("T")


def examine(*, seconds: float, sections: Collection[Section] = (), tell: Tell | None = None) -> Report:
    """Look at everything, or at these sections; each answer of others is waited for at most `seconds`. `tell` hears of
    every section before it is looked at. Settings and tables are always read, the other sections need them."""
    wanted = tuple(section for section in SECTIONS if not sections or section in sections)
    examination = Examination(seconds, wanted, tell or (lambda _: None))
    examination.run()
    return examination.report()


class Examination:
    """One look at everything, with what it has found so far."""

    def __init__(self, seconds: float, wanted: tuple[Section, ...], tell: Tell) -> None:
        self.seconds = seconds
        self.wanted = wanted
        self.tell = tell
        self.done: set[Check] = set()
        self.unasked: set[Check] = set(OPTIONAL)
        self.found: list[Finding] = []

    def run(self) -> None:
        """All sections that are wanted, in order."""
        self.tell("config")
        try:
            settings = load_settings()
        except SettingsError as error:
            self.found = [Finding.of("settings.invalid", "settings", text) for text in error.problems]
            self.done.add("settings")
            return
        self.unasked = {name for name, wanted in OPTIONAL.items() if not getattr(settings, wanted)}
        catalogue, unread = self._config(settings)
        if self._begins("database"):
            self._database(settings, catalogue, unread=unread)
        kafka = self._kafka(settings, catalogue)
        if self._begins("aws"):
            self._aws(settings, catalogue)
        if self._begins("clock"):
            self._take("clock", self._ask(check_clock(settings, _now, self.seconds)))
            self.found += kafka.record_times
        if self._begins("disk"):
            self._take("disk", check_disk(settings))
        if self._begins("keys"):
            self._take("keys", check_keys(settings, _now()))

    def report(self) -> Report:
        """What came of it."""
        wanted = [name for name, section in CHECKS.items() if section in self.wanted]
        checked = tuple(name for name in wanted if name in self.done)
        skipped = tuple(name for name in wanted if name not in self.done and name not in self.unasked)
        # What stands in the way of a section is told with it, wherever it belongs.
        found = [
            finding
            for finding in self.found
            if finding.section in self.wanted or (skipped and finding.severity == "error")
        ]
        return Report(checked, skipped, tuple(found), self.wanted)

    def _config(self, settings: Settings) -> tuple[Catalogue | None, bool]:
        """The catalogue, and whether parameters could not be read."""
        self.done.add("settings")
        catalogue, found = check_tables(settings)
        self._take("tables", found)
        unread = self._parameters(settings)
        if catalogue is not None and not (unread and settings.ssm_redaction_key) and "config" in self.wanted:
            self._take("redaction", [*check_examples_of(catalogue, settings), *check_redaction(settings, catalogue)])
        return catalogue, unread

    def _parameters(self, settings: Settings) -> bool:
        if not settings.ssm_names or not {"config", "database"} & set(self.wanted):
            return False
        found = check_parameters(settings)
        self._take("parameters", found)
        return bool(found)

    def _database(self, settings: Settings, catalogue: Catalogue | None, *, unread: bool) -> None:
        if catalogue is not None and settings.has_database and not (unread and settings.ssm_database.given):
            self._take("database", self._ask(check_database(settings, catalogue, self.seconds)))

    def _kafka(self, settings: Settings, catalogue: Catalogue | None) -> KafkaLook:
        """Sections kafka and topics, and of clock what Kafka knows of it; one connection for all."""
        wanted = {"kafka", "topics", "clock"} & set(self.wanted)
        if not wanted:
            return KafkaLook()
        self.tell("kafka")
        look = self._ask(
            look_at_kafka(settings, catalogue, self.seconds, _now, lambda: self.tell("topics"), times="clock" in wanted)
        )
        self.found += [*check_protection(settings), *look.findings]
        self.done |= {name for name in CHECKS if name in look.done}
        return look

    def _aws(self, settings: Settings, catalogue: Catalogue | None) -> None:
        self._take("identity", self._ask(check_identity(settings, self.seconds)))
        self._take("streams", self._ask(check_streams(settings, self.seconds)))
        if catalogue is not None:
            self._take("bus", self._ask(check_bus(settings, catalogue, self.seconds)))
        if settings.has_archive:
            self._take("archive", self._ask(check_archive(settings)))

    def _begins(self, section: Section) -> bool:
        if section not in self.wanted:
            return False
        self.tell(section)
        return True

    def _take(self, check: Check, found: Iterable[Finding]) -> None:
        self.done.add(check)
        self.found += found

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(question)


def _now() -> datetime:
    return datetime.now(UTC)
