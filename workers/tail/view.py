"""What of the settings decides how records are shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from enrichers.event_names import EventNames
from enrichers.letter_view import LetterView
from enrichers.pipeline import PipelineOptions
from enrichers.redact import Secret
from enrichers.written_view import WrittenView
from models.catalogue import Catalogue
from workers.contract import pipeline_options, read_catalogue
from workers.failures import CommandError
from workers.settings import Settings
from workers.topics import Topics


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
    try:
        options = pipeline_options(settings, settings.redaction_secret() if settings.has_redaction_key else None)
    except CommandError as error:
        say(f"hashes and tokens are shown as masks: {error}")
        options = pipeline_options(settings, None)
    secret = Secret(options.redaction_key, options.redaction_key_version) if options.redaction_key else None
    other = None
    if options.other_redaction_key is not None:
        other = Secret(options.other_redaction_key, options.other_redaction_key_version)
    raw = Topics.of(settings).raw
    readings = {topic: options.readings[name] for name, topic in raw.items()}
    letters = LetterView(catalogue, secret=secret, other=other, zone=options.time_zone, readings=readings)
    names = EventNames.of(catalogue, options, pins)
    view = WrittenView(letters, names, {topic: name for name, topic in raw.items()})
    return Sight(catalogue, options, view, dict(pins or {}))
