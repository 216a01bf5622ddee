"""Which input an output belongs to: the partition that a stage reads, and the offset there."""

from typing import Any

from workers.audit.counts import Where
from workers.audit.tallies import (
    NOWHERE,
    input_of_event,
    input_of_letter,
    input_of_receipt,
    is_imported,
    redriven_input_of_event,
    redriven_input_of_letter,
    source_of_event,
)
from workers.kafka.topics import Topics


class Attribution:
    """Outputs of one pipeline. An offset of NOWHERE: the output does not say, or says it without its topic. None: this
    pipeline did not write the record."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._raw_of: dict[str | None, tuple[str, ...]] = {None: tuple(topics.raw.values())}
        """Where the input of an event may stand, by the source that it tells of, or does not."""
        self._raw_of |= {source: (topic,) for source, topic in topics.raw.items()}

    def of_letter(self, record: Any) -> tuple[Where, int] | None:
        """Of a dead letter; None for a gap, and for what came out of a queue, too."""
        letter = input_of_letter(record.headers)
        if letter is None or is_imported(record.headers):
            return None
        stage, topic, partition, offset = letter
        again = redriven_input_of_letter(record.headers)
        if again is not None:
            return (stage, self._topics.redrive.get(stage, ""), partition), again
        return (stage, topic, partition), offset

    def of_event(self, record: Any) -> tuple[tuple[Where, ...], int] | None:
        """Of an event; one that does not name its source may be of any."""
        offset, topics = input_of_event(record.value), self._raw_of.get(source_of_event(record.headers), ())
        if offset is None or not topics:
            return None
        again = redriven_input_of_event(record.headers)
        if again is not None:
            return (("enrich", self._topics.redrive["enrich"], record.partition),), again
        places = tuple(("enrich", topic, record.partition) for topic in topics)
        return places, offset if len(places) == 1 else NOWHERE  # an offset says nothing if nobody knows of which topic

    def of_receipt(self, record: Any) -> tuple[Where, int] | None:
        """Of a receipt."""
        found = input_of_receipt(record.value)
        if found is None:
            return None
        offset, again = found
        return ("publish", self._topics.redrive["publish"] if again else self._topics.events, record.partition), offset
