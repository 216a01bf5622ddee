"""Archives of EventBridge buses: what a bus took, kept to be replayed."""

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from models.event_pattern import LONGEST_RAISED, Pattern
from sandbox.aws.bus import Buses
from sandbox.aws.errors import AwsError, not_found, validation
from sandbox.aws.event import Event
from sandbox.aws.event_rules import compiled
from sandbox.aws.fields import Body, named, optional_text, text, whole
from sandbox.aws.pages import Pages
from sandbox.aws.protocol import Operations

NAME = re.compile(r"[.\-_A-Za-z0-9]+")
LONGEST_NAME = 48
DAY = 86_400.0
FILTERS = ("NamePrefix", "EventSourceArn", "State")


@dataclass(slots=True)
class Archive:
    """`retention` in days, 0 for ever; `created_at` in seconds since 1970."""

    name: str
    arn: str
    bus: str
    created_at: float
    description: str | None = None
    pattern_text: str | None = None
    pattern: Pattern | None = None
    retention: int = 0
    _kept: deque[tuple[float, Event]] = field(default_factory=deque)

    def keep(self, event: Event, now: float) -> None:
        """If it is one of those to keep."""
        if self.pattern is None or self.pattern.matches(event.fields):
            self._kept.append((now, event))

    def events(self, now: float) -> list[Event]:
        """In order of arrival, without those past the retention."""
        if self.retention:
            while self._kept and self._kept[0][0] < now - self.retention * DAY:
                self._kept.popleft()
        return [event for _, event in self._kept]


class Archives:
    """All archives, by name."""

    def __init__(self, buses: Buses, pages: Pages) -> None:
        self._buses = buses
        self._pages = pages
        self.by_name: dict[str, Archive] = {}
        self._of_bus: dict[str, list[Archive]] = {}

    def operations(self) -> Operations:
        return {
            "CreateArchive": self._create_archive,
            "DescribeArchive": self._describe_archive,
            "ListArchives": self._list_archives,
            "UpdateArchive": self._update_archive,
            "DeleteArchive": self._delete_archive,
        }

    def reset(self) -> None:
        """Forget all of them."""
        self.by_name.clear()
        self._of_bus.clear()

    def keep(self, bus: str, event: Event, now: float) -> None:
        """Put an event into every archive of a bus (by its ARN) that wants it."""
        for archive in self._of_bus.get(bus, ()):
            archive.keep(event, now)

    async def _create_archive(self, body: Body) -> dict[str, Any]:
        name = named(body, "ArchiveName", NAME, longest=LONGEST_NAME)
        source = text(body, "EventSourceArn", longest=1600)
        bus = self._buses.find(source) if source.startswith("arn:") else None
        if bus is None:
            raise not_found(f"Event bus {source.rpartition('/')[2]} does not exist.")
        if name in self.by_name:
            raise AwsError("ResourceAlreadyExistsException", f"Archive {name} already exists.")
        archive = Archive(name, self._buses.place.arn("events", f"archive/{name}"), bus.arn, self._buses.clock())
        _update(archive, body)
        self.by_name[name] = archive
        self._of_bus.setdefault(bus.arn, []).append(archive)
        return _brief(archive)

    async def _describe_archive(self, body: Body) -> dict[str, Any]:
        archive = self._archive(body)
        described = self._listed(archive) | {"ArchiveArn": archive.arn}
        if archive.description is not None:
            described["Description"] = archive.description
        if archive.pattern_text is not None:
            described["EventPattern"] = archive.pattern_text
        return described

    async def _list_archives(self, body: Body) -> dict[str, Any]:
        one_filter(body, "ListArchives")
        listed = [self._listed(archive) for _, archive in sorted(self.by_name.items())]
        return self._pages.of("Archives", [one for one in listed if wanted(body, one, one["ArchiveName"])], body)

    async def _update_archive(self, body: Body) -> dict[str, Any]:
        archive = self._archive(body)
        _update(archive, body)
        return _brief(archive)

    async def _delete_archive(self, body: Body) -> None:
        archive = self._archive(body)
        del self.by_name[archive.name]
        self._of_bus[archive.bus].remove(archive)

    def _archive(self, body: Body) -> Archive:
        name = named(body, "ArchiveName", NAME, longest=LONGEST_NAME)
        if (archive := self.by_name.get(name)) is None:
            raise not_found(f"Archive {name} does not exist.")
        return archive

    def _listed(self, archive: Archive) -> dict[str, Any]:
        events = archive.events(self._buses.clock())
        return {
            "ArchiveName": archive.name,
            "EventSourceArn": archive.bus,
            "State": "ENABLED",
            "RetentionDays": archive.retention,
            "SizeBytes": sum(len(event.text.encode()) for event in events),
            "EventCount": len(events),
            "CreationTime": archive.created_at,
        }


def one_filter(body: Body, operation: str) -> None:
    """Raises ValidationException if a list is asked for by more than one of its filters."""
    if sum(body.get(name) is not None for name in FILTERS) > 1:
        raise validation(
            f"At most one filter is allowed for {operation}. Use either : State, EventSourceArn, or NamePrefix."
        )


def wanted(body: Body, listed: dict[str, Any], name: str) -> bool:
    """Whether something that is listed passes the filter of the request."""
    prefix = optional_text(body, "NamePrefix", longest=64)
    source = optional_text(body, "EventSourceArn", longest=1600)
    state = optional_text(body, "State")
    return (
        name.startswith(prefix or "")
        and source in (None, listed["EventSourceArn"])
        and state in (None, listed["State"])
    )


def _update(archive: Archive, body: Body) -> None:
    """Change what the request has; all of it, or nothing if some of it is refused."""
    description = optional_text(body, "Description", shortest=0, longest=512)
    pattern_text = optional_text(body, "EventPattern", longest=LONGEST_RAISED)
    pattern = compiled(pattern_text) if pattern_text is not None else None
    archive.retention = whole(body, "RetentionDays", 0, 2**31 - 1, archive.retention)
    if description is not None:
        archive.description = description
    if pattern is not None:
        archive.pattern_text, archive.pattern = pattern_text, pattern


def _brief(archive: Archive) -> dict[str, Any]:
    return {"ArchiveArn": archive.arn, "State": "ENABLED", "CreationTime": archive.created_at}
