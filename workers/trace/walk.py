"""What is known of one change, from its raw record to the bus."""

from dataclasses import dataclass, field

from aiokafka import TopicPartition

from enrichers.event_names import Named
from enrichers.rerun import Rerun
from enrichers.row_view import printable
from models.raw import RawRecord
from models.written import Written
from workers.trace.aftermath import Aftermath
from workers.trace.heads import EventRecord
from workers.trace.scene import Anchor, Scene
from workers.trace.standing import StageStanding


@dataclass(slots=True)
class Walk:
    """What is known of one change."""

    scene: Scene
    anchor: Anchor
    after: Aftermath
    stages: dict[str, StageStanding]
    raw: RawRecord | None = None
    shown: Written | None = None
    named: Named = field(default_factory=lambda: Named(None))
    again: Rerun | None = None
    earlier: EventRecord | None = None
    raw_start: int = 0
    """Where the log of raw begins."""
    events_gone: bool = False
    """Retention may have deleted what was made of it when it came again."""

    @property
    def event(self) -> EventRecord | None:
        """The first one that was made of it."""
        return self.after.events[0] if self.after.events else None

    @property
    def is_of_another(self) -> bool:
        """Whether the event, or the letter, that led here says to be of this raw record and is not."""
        asked, made = self.anchor.event_id, {event.head.event_id for event in self.after.events}
        return bool(asked) and asked not in (made or {self.named.event_id or asked})

    @property
    def left_out(self) -> bool:
        """Whether enrich is done with it, and made neither event nor dead letter of it the last time that it came."""
        after, enrich, place = self.after, self.stages["enrich"], self.anchor.place
        if after.events:
            return False
        if (last := after.last_again("enrich")) is not None:
            return enrich.passed(last.tp, last.offset) and not after.failed_again(last)
        raw = TopicPartition(place.topic, place.partition)
        return self.anchor.imported is None and not after.letters and enrich.passed(raw, place.offset)

    @property
    def event_id(self) -> str:
        if self.event is not None:
            return printable(self.event.shown.event_id) if self.event.shown is not None else ""
        return self.named.event_id or self.anchor.event_id
