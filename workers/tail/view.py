"""What of the settings decides how records are shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from enrichers.event_names import EventNames
from enrichers.letter_view import LetterView
from enrichers.pipeline import PipelineOptions
from enrichers.written_view import WrittenView
from models.catalogue import Catalogue
from workers.contract import masking, read_catalogue
from workers.kafka.topics import Topics
from workers.settings.worker import Settings


@dataclass(frozen=True, slots=True)
class Sight:
    """Rules of the tables, and the view they make."""

    catalogue: Catalogue
    options: PipelineOptions
    view: WrittenView
    pins: Mapping[str, str]
    """Schema by table, where a worker has pinned one and somebody asked for it."""


def open_sight(settings: Settings, pins: Mapping[str, str] | None = None, say: Callable[[str], None] = print) -> Sight:
    """With the redaction key, so that hashes and tokens are those of events; without it, if it cannot be had: that is
    what `say` hears. Raises ConfigurationError if tables.yaml is wrong."""
    catalogue = read_catalogue(settings)
    options, secret, other, why = masking(settings)
    if why:
        say(f"hashes and tokens are shown as masks: {why}")
    raw = Topics.of(settings).raw
    readings = {topic: options.readings[name] for name, topic in raw.items()}
    letters = LetterView(catalogue, secret=secret, other=other, zone=options.time_zone, readings=readings)
    names = EventNames.of(catalogue, options, pins)
    view = WrittenView(letters, names, {topic: name for name, topic in raw.items()})
    return Sight(catalogue, options, view, dict(pins or {}))
